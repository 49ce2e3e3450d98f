"""What the routes share: reading what was asked, sending answers and problems.

Every method of a route carries its own ``@web.authenticated`` and ``@authorized("…",
resource=RESOURCE)``, written out: jupyter_server's decorator remembers the first call's
resource where it is not given, so a base method that routes share would check the wrong one.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, get_origin

from jupyter_core.utils import ensure_async
from jupyter_server.base.handlers import APIHandler
from pydantic import ValidationError
from tornado import web

from ipysession.errors import InvalidRequest, SessionError
from ipysession.report import to_json
from ipysession.server.problems import PROBLEM_JSON, problem_document

if TYPE_CHECKING:
    from types import TracebackType

    from ipysession.server.events import Events
    from ipysession.server.jobs import Jobs
    from ipysession.server.kernels import Kernels
    from ipysession.server.readings import Readings
    from ipysession.server.requests import Body, Query
    from ipysession.server.running import KernelRunner
    from ipysession.sessions import Sessions

RESOURCE = "ipysession"
"""What an authorizer is asked about."""

AnyQuery = TypeVar("AnyQuery", bound="Query")
AnyBody = TypeVar("AnyBody", bound="Body")


@dataclass(frozen=True, slots=True)
class Rooms:
    """What the handlers call: one of each for a server."""

    sessions: Sessions
    readings: Readings
    kernels: Kernels
    runner: KernelRunner
    events: Events
    jobs: Jobs


class Handler(APIHandler):
    """The base of the routes."""

    rooms: Rooms

    def initialize(self, rooms: Rooms) -> None:
        """Called by tornado with what the route was given."""
        self.rooms = rooms

    @property
    def sessions(self) -> Sessions:
        """The verbs."""
        return self.rooms.sessions

    # -- what was asked ----------------------------------------------------------------

    def asked(self, query: type[AnyQuery]) -> AnyQuery:
        """The query parameters. Raises InvalidRequest."""
        found: dict[str, Any] = {}
        for name, field in query.model_fields.items():
            key = field.alias or name
            values = self.get_query_arguments(key, strip=False)
            if values:
                found[key] = values if get_origin(field.annotation) is list else values[-1]
        try:
            return query.model_validate(found)
        except ValidationError as error:
            raise InvalidRequest(_in_words(error)) from error

    def sent(self, body: type[AnyBody]) -> AnyBody:
        """The JSON object in the request's body. Raises InvalidRequest."""
        try:
            value = json.loads(self.request.body)
        except (ValueError, RecursionError) as error:
            message = "the body must be a JSON object"
            raise InvalidRequest(message) from error
        try:
            return body.model_validate(value)
        except ValidationError as error:
            raise InvalidRequest(_in_words(error)) from error

    async def must_be_allowed(self, action: str, resource: str) -> None:
        """Ask the authorizer for something more than this route asks for by itself. Raises the
        403 that ``@authorized`` raises.
        """
        user = self.current_user
        if not await ensure_async(self.authorizer.is_authorized(self, user, action, resource)):
            message = f"User is not authorized to {action} on resource: {resource}."
            raise web.HTTPError(403, message)

    # -- what is answered --------------------------------------------------------------

    async def answer(self, document: Any, status: int = 200) -> None:
        """Send a document. The browser may keep it, but asks each time whether it still holds."""
        text = await asyncio.to_thread(_encode, document)
        self.set_status(status)
        self.set_header("Cache-Control", "private, no-cache")
        self.finish(text)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Errors leave as problem details, whoever raised them."""
        _, error, _ = kwargs.get("exc_info", (None, None, None))
        document = problem_document(error, status_code)
        self.set_status(document["status"])
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(document), set_content_type=PROBLEM_JSON)

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """A deliberate error is a line in the log; anything else comes with its traceback."""
        if isinstance(value, SessionError):
            self.log.warning("%s %s: %s", self.request.method, self.request.path, value)
        else:
            super().log_exception(typ, value, tb)


def _in_words(error: ValidationError) -> str:
    """What is wrong with a request, a part for each of its members."""
    said = []
    for item in error.errors(include_url=False, include_context=False, include_input=False)[:5]:
        where = ".".join(str(part) for part in item["loc"])[:80] or "the body"
        text = item["msg"].removeprefix("Value error, ")
        # pydantic's words begin with what the value is: "String should …", "Extra inputs are …".
        text = re.sub(r"^(Input|String|List|Value) should", "should", text)
        text = re.sub(r"^Extra inputs are not permitted", "is no member of it", text)
        said.append(f"{where} {text[:1].lower()}{text[1:]}")
    return "; ".join(said)


def _encode(document: Any) -> str:
    try:
        return json.dumps(document, allow_nan=False)
    except ValueError:
        return to_json(document)  # slower: it looks for the numbers that JSON lacks

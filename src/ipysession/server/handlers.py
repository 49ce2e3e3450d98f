"""The routes: each reads its arguments, calls the one function, and sends what that says.

Every method carries its own ``@web.authenticated`` and ``@authorized("…", resource=…)``,
written out: jupyter_server's decorator remembers the first call's resource where it is not
given, so a base method that routes share would check the wrong one. A GET changes nothing;
each change will be another method and so pass the server's XSRF check.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from ipysession.documents import session_document, summary_document
from ipysession.errors import InvalidRequest, SessionError
from ipysession.report import to_json
from ipysession.server.openapi import openapi_document
from ipysession.server.problems import PROBLEM_JSON, problem

if TYPE_CHECKING:
    from types import TracebackType

    from ipysession.server.kernels import Kernels
    from ipysession.sessions import Sessions
    from ipysession.store import Reading

API = "ipysession/api"
RESOURCE = "ipysession"
"""What an authorizer is asked about."""

Route = tuple[str, type[web.RequestHandler], dict[str, Any]]


def routes(base_url: str, sessions: Sessions, kernels: Kernels) -> list[Route]:
    """All routes, below the server's ``base_url``."""
    given = {"sessions": sessions, "kernels": kernels}
    handlers: dict[str, type[_Handler]] = {
        "openapi.json": OpenApiHandler,
        "sessions": SessionsHandler,
        # Anything but a slash: the handler refuses what is no id, and says so.
        "sessions/([^/]+)": SessionHandler,
    }
    return [
        (url_path_join(re.escape(base_url), API, path), handler, given)
        for path, handler in handlers.items()
    ]


class _Handler(APIHandler):
    """What the routes share: where answers come from, and how answers and errors leave."""

    sessions: Sessions
    kernels: Kernels

    def initialize(self, sessions: Sessions, kernels: Kernels) -> None:
        self.sessions = sessions
        self.kernels = kernels

    async def answer(self, document: dict[str, Any]) -> None:
        """Send a document. The browser may keep it, but asks each time whether it still holds."""
        text = await asyncio.to_thread(_encode, document)
        self.set_header("Cache-Control", "private, no-cache")
        self.finish(text)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Errors leave as problem details, whoever raised them."""
        _, error, _ = kwargs.get("exc_info", (None, None, None))
        said = problem(error, status_code)
        self.set_status(said.status)
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(said._asdict()), set_content_type=PROBLEM_JSON)

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


class OpenApiHandler(_Handler):
    """``GET openapi.json``: what there is."""

    @web.authenticated
    @authorized("read", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """The OpenAPI document."""
        await self.answer(openapi_document())


class SessionsHandler(_Handler):
    """``GET sessions``: a page of the listing."""

    @web.authenticated
    @authorized("read", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """Summaries, the newest first, each with its kernel and where its notebook is now."""
        notebooks = await self.kernels.notebooks()
        page = await asyncio.to_thread(
            self.sessions.page,
            states=self.get_query_arguments("state"),
            notebook=self.get_query_argument("notebook", None),
            tag=self.get_query_argument("tag", None),
            text=self.get_query_argument("text", None),
            notebook_now=notebooks.path,
            limit=_whole_number("limit", self.get_query_argument("limit", "100")),
            after=self.get_query_argument("after", None, strip=False),
        )
        joined = await self.kernels.join_all(page.sessions, notebooks)
        await self.answer(
            {
                "sessions": [
                    {**summary_document(summary), **more}
                    for summary, more in zip(page.sessions, joined, strict=True)
                ],
                "next": page.next,
                "total": page.total,
            }
        )


class SessionHandler(_Handler):
    """``GET sessions/{id}``: one whole session."""

    @web.authenticated
    @authorized("read", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def get(self, session_id: str) -> None:
        """Every step with its source, outcome and outputs."""
        reading, document = await asyncio.to_thread(self._read, session_id)
        notebooks = await self.kernels.notebooks()
        more = await self.kernels.join(reading.session.summary, notebooks)
        await self.answer({**document, **more})

    def _read(self, session_id: str) -> tuple[Reading, dict[str, Any]]:
        reading = self.sessions.read_id(session_id)
        return reading, session_document(reading)


def _encode(document: dict[str, Any]) -> str:
    try:
        return json.dumps(document, allow_nan=False)
    except ValueError:
        return to_json(document)  # slower: it looks for the numbers that JSON lacks


def _whole_number(name: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        message = f"{name} must be a whole number, not {text[:80]!r}"
        raise InvalidRequest(message)
    return int(text)

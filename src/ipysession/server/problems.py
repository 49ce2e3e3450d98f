"""Errors on their way out: problem details (RFC 9457) with the texts that the magics print.

One table says which status and title each error of `ipysession.errors` has.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from http.client import responses
from typing import Any, NamedTuple

from tornado.web import HTTPError

from ipysession import errors

PROBLEM_JSON = "application/problem+json"

PROBLEMS: dict[type[errors.SessionError], tuple[HTTPStatus, str]] = {
    errors.InvalidSessionId: (HTTPStatus.BAD_REQUEST, "Not a session id"),
    errors.InvalidRequest: (HTTPStatus.BAD_REQUEST, "Invalid request"),
    errors.SessionNotFound: (HTTPStatus.NOT_FOUND, "Session not found"),
    errors.StepNotFound: (HTTPStatus.NOT_FOUND, "Step not found"),
    errors.NotSaved: (HTTPStatus.NOT_FOUND, "Value was not saved"),
    errors.KernelNotFound: (HTTPStatus.NOT_FOUND, "Kernel not found"),
    errors.KernelBusy: (HTTPStatus.CONFLICT, "Kernel is busy"),
    errors.ConfirmationNeeded: (HTTPStatus.CONFLICT, "Confirmation needed"),
    errors.AmbiguousSession: (HTTPStatus.CONFLICT, "More than one session matches"),
    errors.InvalidTransition: (HTTPStatus.CONFLICT, "Not possible in this state"),
    errors.SessionBusy: (HTTPStatus.CONFLICT, "Session is being written"),
    errors.NotRecording: (HTTPStatus.CONFLICT, "Not recording"),
    errors.ExportRefused: (HTTPStatus.CONFLICT, "Export refused"),
    errors.ExportCancelled: (HTTPStatus.CONFLICT, "Export cancelled"),
    errors.ImportRefused: (HTTPStatus.CONFLICT, "Import refused"),
    errors.ResumeRefused: (HTTPStatus.CONFLICT, "Resume refused"),
    # The rest is no fault of the request: something is wrong with what lies on the disk.
    errors.StoreUnsafe: (HTTPStatus.INTERNAL_SERVER_ERROR, "Store is not safe"),
    errors.StoreUnusable: (HTTPStatus.INTERNAL_SERVER_ERROR, "Store cannot be used"),
    errors.LogDamaged: (HTTPStatus.INTERNAL_SERVER_ERROR, "Log is damaged"),
    errors.BlobMissing: (HTTPStatus.INTERNAL_SERVER_ERROR, "Blob is missing"),
    errors.BlobDamaged: (HTTPStatus.INTERNAL_SERVER_ERROR, "Blob is damaged"),
    errors.SessionError: (HTTPStatus.INTERNAL_SERVER_ERROR, "Sessions cannot be used"),
}
"""Status and title of each kind of error; a kind that is missing here has its parent's."""


def problem_document(error: BaseException | None, status: int) -> dict[str, Any]:
    """What goes over the wire: the problem, and what an error of ours adds to it."""
    more = error.members if isinstance(error, errors.ConfirmationNeeded) else {}
    return {**problem(error, status)._asdict(), **more}


class Problem(NamedTuple):
    """A problem document; ``_asdict()`` is what goes over the wire."""

    type: str
    """``urn:ipysession:problem:…`` for our errors; ``about:blank``, as RFC 9457 has it, where
    the status says it all."""
    title: str
    status: int
    detail: str


def problem(error: BaseException | None, status: int) -> Problem:
    """What to tell of ``error``; ``status`` is the answer's where the error has none.

    Texts of errors that were not meant for a reader (an OSError's, a bug's) stay in the
    server's log.
    """
    if isinstance(error, errors.SessionError):
        kind = next(cls for cls in type(error).__mro__ if cls in PROBLEMS)
        code, title = PROBLEMS[kind]
        return Problem(problem_type(kind), title, code.value, str(error))
    phrase = responses.get(status, "Error")
    detail = phrase if status < 500 else f"{phrase}; the server's log says more"
    if isinstance(error, HTTPError) and error.log_message:
        # As tornado formats it: where there are no arguments, it has doubled the percent signs.
        detail = error.log_message % error.args
    return Problem("about:blank", phrase, status, detail)


def problem_type(cls: type[errors.SessionError]) -> str:
    """``urn:ipysession:problem:session-not-found`` for `SessionNotFound`."""
    return "urn:ipysession:problem:" + re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()

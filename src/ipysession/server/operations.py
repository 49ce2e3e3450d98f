"""Every operation of the API, once: its path, what may be asked, what is answered, what can go
wrong. The OpenAPI document is made of this table, and the routes are held against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from ipysession import errors
from ipysession.model.session import Note
from ipysession.server import answers as a
from ipysession.server import outcomes as o
from ipysession.server import requests as r


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. ``answer`` is a model, or the media type of what is sent
    instead; ``problems`` are what it may raise beside those that every route may.
    """

    method: Literal["get", "post", "patch", "delete"]
    path: str
    name: str
    summary: str
    answer: type[BaseModel] | str
    query: type[r.Query] | None = None
    body: type[r.Body] | None = None
    status: int = 200
    problems: tuple[type[errors.SessionError], ...] = ()
    description: str = ""

    @property
    def action(self) -> Literal["read", "write"]:
        """What the server's authorizer is asked for."""
        return "read" if self.method == "get" else "write"


_SESSION = (errors.InvalidSessionId, errors.SessionNotFound)
_ASKED = (*_SESSION, errors.InvalidRequest)
_WRITTEN = (*_ASKED, errors.SessionBusy)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "get", "openapi.json", "describe", "This document", "application/json"
    ),
    Operation(
        "get", "sessions", "listSessions", "A page of the sessions", a.SessionPage,
        query=r.ListingQuery, problems=(errors.InvalidRequest,),
        description="Summaries, each with its kernel and where its notebook lies now. A session "
        "that is recorded to while you page may appear on two pages.",
    ),
    Operation(
        "get", "sessions/{id}", "getSession", "One session, without its steps",
        a.SessionDocument, problems=_SESSION,
    ),
    Operation(
        "patch", "sessions/{id}", "changeSession", "Give it another title or other tags",
        a.SessionEntry, body=r.Change, problems=_WRITTEN,
    ),
    Operation(
        "delete", "sessions/{id}", "deleteSession", "Delete it for good, in two steps",
        o.Deleted, query=r.DeleteQuery,
        problems=(*_WRITTEN, errors.ConfirmationNeeded),
        description="The first answer is 409 with a token in `confirm`; the second request "
        "names that token. It holds for this session as it stands, and for a few minutes.",
    ),
    Operation(
        "get", "sessions/{id}/steps", "listSteps", "A page of its steps", a.StepPage,
        query=r.StepsQuery, problems=_ASKED,
    ),
    Operation(
        "get", "sessions/{id}/steps/{n}", "getStep", "One step with its outputs", a.StepEntry,
        problems=(*_ASKED, errors.StepNotFound),
    ),
    Operation(
        "get", "sessions/{id}/variables", "listVariables", "The variables after a step",
        a.Variables, query=r.VariablesQuery,
        problems=(*_ASKED, errors.StepNotFound),
    ),
    Operation(
        "get", "sessions/{id}/graph", "getGraph", "Which step used what which other made",
        a.GraphDocument, query=r.GraphQuery,
        problems=(*_ASKED, errors.StepNotFound),
    ),
    Operation(
        "get", "sessions/{id}/history", "getHistory", "The versions of its cells", a.History,
        query=r.HistoryQuery, problems=_ASKED,
    ),
    Operation(
        "get", "sessions/{id}/diff", "compareSessions", "What differs from another session",
        a.Diff, query=r.DiffQuery, problems=_ASKED,
    ),
    Operation(
        "get", "sessions/{id}/plan", "planResume", "What a resume would do", o.ResumePlan,
        query=r.PlanQuery, problems=_ASKED,
    ),
    Operation(
        "post", "sessions/{id}/resume", "resumeSession", "Resume it in a kernel", o.Resumed,
        body=r.ResumeRequest,
        problems=(*_WRITTEN, errors.ResumeRefused, errors.KernelNotFound, errors.KernelBusy),
        description="The kernel runs it as if the user had typed `%session resume`, without a "
        "cell; the answer comes when it is done. Its output goes to no cell.",
    ),
    Operation(
        "post", "sessions/{id}/export", "exportSession", "Export it", o.Exported,
        body=r.ExportRequest,
        problems=(*_ASKED, errors.ExportRefused, errors.ExportCancelled,
                  errors.KernelNotFound, errors.KernelBusy),
        description="Without `path` the file itself is the answer. With `path` it is written "
        "into the server's own folder, and the answer tells about it. Where `job` is given, "
        "its progress is among the events, and `exports/{job}` can be deleted to cancel it.",
    ),
    Operation(
        "delete", "exports/{job}", "cancelExport", "Cancel an export that runs", o.Cancelled,
        problems=(errors.InvalidRequest,),
        description="It ends within about a second, its kernel too, and nothing is written. "
        "One that a kernel of the user's writes ends by interrupting that kernel.",
    ),
    Operation(
        "post", "sessions/{id}/notes", "addNote", "Add a remark", Note, body=r.NewNote,
        status=201, problems=(*_WRITTEN, errors.StepNotFound),
    ),
    Operation(
        "get", "notebook", "getNotebook", "What there is for a notebook", o.NotebookDocument,
        query=r.NotebookQuery, problems=(errors.InvalidRequest,),
    ),
    Operation(
        "get", "restore", "getRestorable", "Recorded outputs that are newer than a notebook's",
        o.Restorable, query=r.RestoreQuery, problems=_ASKED,
    ),
    Operation("get", "storage", "getStorage", "What the store takes", o.Storage),
    Operation("get", "settings", "getSettings", "The settings", o.Settings),
    Operation(
        "patch", "settings", "changeSettings", "Change settings", o.Settings,
        body=r.SettingsChange, problems=(errors.InvalidRequest,),
        description="Kernels, server and shell take them from one file.",
    ),
    Operation(
        "get", "events", "listenToEvents", "Live changes, as server-sent events",
        "text/event-stream",
        description='`session` events carry `{"change": "created"|"updated"|"deleted", '
        '"id": …}`; `export` events carry `{"job": …, "session": …, "done": …, '
        '"total": …, "said": …}`; `settings` events carry the settings. A comment line '
        "comes at least every 15 seconds. The stream never ends by itself: a client that was "
        "cut off connects again and asks for its listing anew.",
    ),
)  # fmt: skip

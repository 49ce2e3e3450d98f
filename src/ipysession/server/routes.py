"""Which handler answers at which path of the API."""

from __future__ import annotations

import re
from typing import Any

from jupyter_server.utils import url_path_join
from tornado import web

from ipysession.server.base import Handler, Rooms
from ipysession.server.events import EventsHandler
from ipysession.server.exporting import ExportHandler, JobHandler
from ipysession.server.notebooks import NotebookHandler, RestoreHandler
from ipysession.server.reading import (
    DiffHandler,
    GraphHandler,
    HistoryHandler,
    OpenApiHandler,
    PlanHandler,
    SessionsHandler,
    StepHandler,
    StepsHandler,
    StorageHandler,
    VariablesHandler,
)
from ipysession.server.session import NotesHandler, ResumeHandler, SessionHandler
from ipysession.server.settings import SettingsHandler

API = "ipysession/api"

HANDLERS: dict[str, type[Handler]] = {
    "openapi.json": OpenApiHandler,
    "sessions": SessionsHandler,
    "sessions/{id}": SessionHandler,
    "sessions/{id}/steps": StepsHandler,
    "sessions/{id}/steps/{n}": StepHandler,
    "sessions/{id}/variables": VariablesHandler,
    "sessions/{id}/graph": GraphHandler,
    "sessions/{id}/history": HistoryHandler,
    "sessions/{id}/diff": DiffHandler,
    "sessions/{id}/plan": PlanHandler,
    "sessions/{id}/resume": ResumeHandler,
    "sessions/{id}/export": ExportHandler,
    "sessions/{id}/notes": NotesHandler,
    "exports/{job}": JobHandler,
    "notebook": NotebookHandler,
    "restore": RestoreHandler,
    "storage": StorageHandler,
    "settings": SettingsHandler,
    "events": EventsHandler,
}
"""By the paths that the OpenAPI document has."""

Route = tuple[str, type[web.RequestHandler], dict[str, Any]]


def routes(base_url: str, rooms: Rooms) -> list[Route]:
    """All routes, below the server's ``base_url``."""
    # Anything but a slash stands for a parameter: the handler refuses what is no id, and says so.
    return [
        (
            url_path_join(re.escape(base_url), API, re.sub(r"\{\w+\}", "([^/]+)", path)),
            handler,
            {"rooms": rooms},
        )
        for path, handler in HANDLERS.items()
    ]

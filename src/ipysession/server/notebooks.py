"""The routes that join notebooks with their sessions: what is recorded, what can come back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import authorized
from jupyter_server.utils import ApiPath, to_os_path
from tornado import web

from ipysession.server import requests as r
from ipysession.server.base import RESOURCE, Handler
from ipysession.server.reading import is_resumable
from ipysession.sessions.browsing import (
    recording_document,
    restorable_cells,
    resumable_document,
)

if TYPE_CHECKING:
    from ipysession.model import Summary
    from ipysession.server.kernels import Notebooks


class _NotebookRoute(Handler):
    """A route that is asked about a notebook."""

    async def sessions_of(self, path: str, notebooks: Notebooks) -> list[Summary]:
        """The notebook's sessions, the newest first."""
        where = to_os_path(ApiPath(path), self.rooms.kernels.root)
        listed = await asyncio.to_thread(self.sessions.listed)
        found = [i.summary for i in listed if notebooks.path(i.summary) == where]
        return sorted(found, key=lambda summary: (summary.updated, summary.id), reverse=True)

    async def restorable(self, path: str, session_id: str | None) -> list[dict[str, Any]]:
        """The cells of the file whose recorded outputs are newer. None where there is no file."""
        if session_id is None:
            return []
        manager: Any = self.contents_manager
        try:
            model = await ensure_async(manager.get(path, type="notebook"))
        except (web.HTTPError, OSError):
            return []  # a notebook that was never saved, or is no notebook
        content, modified = model["content"], model["last_modified"]

        def found() -> list[dict[str, Any]]:
            reading, outputs = self.rooms.readings.outputs(session_id)
            return restorable_cells(
                reading.session, outputs, content.get("cells", []), modified.timestamp()
            )

        return await asyncio.to_thread(found)


class RestoreHandler(_NotebookRoute):
    """``restore``."""

    @web.authenticated
    @authorized("read", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """The recorded outputs that the notebook's file lacks."""
        asked = self.asked(r.RestoreQuery)
        await self.must_be_allowed("read", "contents")
        session_id = asked.session
        if session_id is None:
            found = await self.sessions_of(asked.path, await self.rooms.kernels.notebooks())
            session_id = found[0].id if found else None
        else:
            await asyncio.to_thread(self.sessions.store.folder, session_id)
        cells = await self.restorable(asked.path, session_id)
        await self.answer({"path": asked.path, "session": session_id, "cells": cells})


class NotebookHandler(_NotebookRoute):
    """``notebook``."""

    @web.authenticated
    @authorized("read", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """What is recorded of a notebook, and what can be brought back."""
        asked = self.asked(r.NotebookQuery)
        await self.must_be_allowed("read", "contents")
        notebooks = await self.rooms.kernels.notebooks()
        found = await self.sessions_of(asked.path, notebooks)
        where = to_os_path(ApiPath(asked.path), self.rooms.kernels.root)
        kernel_id = asked.kernel_id or notebooks.kernel_of(where)
        recording = await asyncio.to_thread(self._recording, kernel_id)
        own = None if recording is None else recording.id
        trouble = await asyncio.to_thread(self.sessions.trouble, own)
        # Only the newest counts: whatever came before it was left behind, or resumed into it.
        earlier = [summary for summary in found if summary.id != own][:1]
        resumable = None
        if earlier and is_resumable(earlier[0]):
            resumable = await asyncio.to_thread(self._resumable, earlier[0])
        newest = own or (found[0].id if found else None)
        settings = await asyncio.to_thread(self.sessions.current_settings)
        await self.answer(
            {
                "path": asked.path,
                "kernel_id": kernel_id,
                "recording": recording and recording_document(recording, trouble),
                "resumable": resumable,
                "restorable": len(await self.restorable(asked.path, newest)),
                "offer_resume": settings["offer_resume"],
            }
        )

    def _resumable(self, summary: Summary) -> dict[str, Any]:
        return resumable_document(self.rooms.readings.read(summary.id).session, summary)

    def _recording(self, kernel_id: str | None) -> Summary | None:
        """The session that this kernel writes, if any."""
        if kernel_id is None:
            return None
        for item in self.sessions.listed():
            summary = item.summary
            if summary.kernel_id == kernel_id and self.sessions.is_written(summary.id):
                return summary
        return None

"""The routes of one session: what it is, and what changes it."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from tornado import web

from ipysession.documents import counted, summary_document
from ipysession.errors import ConfirmationNeeded, ResumeRefused
from ipysession.report import byte_size
from ipysession.server import requests as r
from ipysession.server.base import RESOURCE, Handler
from ipysession.server.reading import session_entry
from ipysession.sessions.browsing import details

if TYPE_CHECKING:
    from ipysession.store.rows import Listed

_CONFIRM_SECONDS = 300

_secret = secrets.token_bytes(32)
"""Makes this server's confirmations."""


class SessionHandler(Handler):
    """``sessions/{id}``."""

    @web.authenticated
    @authorized("read", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def get(self, session_id: str) -> None:
        """The session without its steps."""
        reading = await asyncio.to_thread(self.rooms.readings.read, session_id)
        more = await asyncio.to_thread(details, reading)
        await self.answer({**await self._entry(session_id), "details": more})

    @web.authenticated
    @authorized("write", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def patch(self, session_id: str) -> None:
        """Another title, other tags."""
        asked = self.sent(r.Change)
        await asyncio.to_thread(self.sessions.store.folder, session_id)
        if asked.title is not None:
            await asyncio.to_thread(self.sessions.rename, asked.title, session_id)
        if asked.tags is not None:
            await asyncio.to_thread(self.sessions.retag, asked.tags, session_id)
        self.rooms.events.tell("session", {"change": "updated", "id": session_id})
        await self.answer(await self._entry(session_id))

    @web.authenticated
    @authorized("write", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def delete(self, session_id: str) -> None:
        """Delete it, where it was asked for twice."""
        asked = self.asked(r.DeleteQuery)
        item = await asyncio.to_thread(self.sessions.listed_id, session_id)
        if not _is_confirmation(asked.confirm, item):
            summary = item.summary
            message = (
                f"{summary.id} “{summary.title}” with {counted(summary.steps, 'step')} "
                f"({byte_size(item.bytes)}) would be deleted for good"
            )
            members = {
                "confirm": _confirmation(item, int(time.time()) + _CONFIRM_SECONDS),
                "session": summary_document(summary),
                "bytes": item.bytes,
            }
            raise ConfirmationNeeded(message, members)
        report = await asyncio.to_thread(self.sessions.delete, session_id, yes=True)
        self.rooms.events.tell("session", {"change": "deleted", "id": session_id})
        await self.answer({"session": session_id, "bytes": report.data["bytes"]})

    async def _entry(self, session_id: str) -> dict[str, Any]:
        """The session as in a listing."""
        item = await asyncio.to_thread(self.sessions.listed_id, session_id)
        notebooks = await self.rooms.kernels.notebooks()
        joined = await self.rooms.kernels.join(item.summary, notebooks)
        return session_entry(item, joined)


def _confirmation(item: Listed, until: int) -> str:
    """For this session as it stands, and for a few minutes."""
    text = f"{item.summary.id} {item.summary.records} {until}"
    return f"{until}-{blake2b(text.encode(), key=_secret, digest_size=16).hexdigest()}"


def _is_confirmation(said: str | None, item: Listed) -> bool:
    until, _, _ = (said or "").partition("-")
    if said is None or not (until.isascii() and until.isdecimal()) or len(until) > len("1" * 12):
        return False
    good = hmac.compare_digest(said.encode(), _confirmation(item, int(until)).encode())
    return good and time.time() <= int(until)


class NotesHandler(Handler):
    """``sessions/{id}/notes``."""

    @web.authenticated
    @authorized("write", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def post(self, session_id: str) -> None:
        """Add a remark."""
        asked = self.sent(r.NewNote)
        await asyncio.to_thread(self.sessions.store.folder, session_id)
        add = partial(self.sessions.note, asked.text, session_id, step=asked.step)
        report = await asyncio.to_thread(add)
        self.rooms.events.tell("session", {"change": "updated", "id": session_id})
        step, now = report.data["step"], datetime.now(UTC)
        await self.answer({"text": asked.text, "step": step, "time": now.isoformat()}, 201)


_RESUMED = ("restored", "waiting", "replayed", "lost", "notes", "seconds")


class ResumeHandler(Handler):
    """``sessions/{id}/resume``."""

    @web.authenticated
    @authorized("write", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def post(self, session_id: str) -> None:
        """Resume it in a kernel, which runs code: who may not do that by hand may not here."""
        asked = self.sent(r.ResumeRequest)
        await self.must_be_allowed("execute", "kernels")
        await asyncio.to_thread(self.sessions.store.folder, session_id)
        words = [session_id, "--replay", str(asked.replay)]
        said = await self.rooms.runner.run(asked.kernel_id, "resume", words, ResumeRefused)
        data = said["data"]
        self.rooms.events.tell("session", {"change": "updated", "id": session_id})
        await self.answer(
            {
                "session": session_id,
                "kernel_id": asked.kernel_id,
                "said": said["headline"],
                **{name: data[name] for name in _RESUMED},
            }
        )

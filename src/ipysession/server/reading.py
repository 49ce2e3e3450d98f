"""The routes that read sessions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from tornado import web

from ipysession.documents import summary_document
from ipysession.errors import StepNotFound
from ipysession.model import RESUMABLE
from ipysession.server import requests as r
from ipysession.server.base import RESOURCE, Handler
from ipysession.server.openapi import openapi_document
from ipysession.sessions.browsing import graph_document, one_step, steps_page, variables
from ipysession.sessions.versions import diff_document, history_document

if TYPE_CHECKING:
    from ipysession.model import Summary
    from ipysession.store.rows import Listed


class OpenApiHandler(Handler):
    """``openapi.json``: what there is."""

    @web.authenticated
    @authorized("read", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """The OpenAPI document."""
        await self.answer(openapi_document())


class SessionsHandler(Handler):
    """``sessions``: the listing."""

    @web.authenticated
    @authorized("read", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """A page of it, each session with its kernel and where its notebook is now."""
        asked = self.asked(r.ListingQuery)
        notebooks = await self.rooms.kernels.notebooks()
        page = await asyncio.to_thread(
            self.sessions.page,
            states=asked.state,
            notebook=asked.notebook,
            tags=asked.tag,
            text=asked.text,
            notebook_now=notebooks.path,
            sort=asked.sort,
            ascending=None if asked.order is None else asked.order is r.Order.ASCENDING,
            limit=asked.limit,
            after=asked.after,
        )
        joined = await self.rooms.kernels.join_all([i.summary for i in page.sessions], notebooks)
        await self.answer(
            {
                "sessions": [
                    session_entry(item, more)
                    for item, more in zip(page.sessions, joined, strict=True)
                ],
                "next": page.next,
                "total": page.total,
            }
        )


def session_entry(item: Listed, joined: dict[str, Any]) -> dict[str, Any]:
    """A session in a listing; ``joined`` is what the server's kernels say of it."""
    summary = item.summary
    return {
        **summary_document(summary),
        **joined,
        "bytes": item.bytes,
        "resumable": is_resumable(summary),
    }


def is_resumable(summary: Summary) -> bool:
    """Can its variables be brought back?"""
    return summary.state in RESUMABLE and summary.steps > 0


class StepsHandler(Handler):
    """``sessions/{id}/steps``."""

    @web.authenticated
    @authorized("read", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def get(self, session_id: str) -> None:
        """A page of the steps."""
        asked = self.asked(r.StepsQuery)

        def page() -> dict[str, Any]:
            reading, outputs = self.rooms.readings.outputs(session_id)
            return steps_page(
                reading.session,
                outputs,
                after=asked.after,
                limit=asked.limit,
                with_outputs=asked.outputs,
            )

        await self.answer(await asyncio.to_thread(page))


class StepHandler(Handler):
    """``sessions/{id}/steps/{n}``."""

    @web.authenticated
    @authorized("read", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def get(self, session_id: str, number: str) -> None:
        """One step with its outputs."""

        def step() -> dict[str, Any]:
            reading, outputs = self.rooms.readings.outputs(session_id)
            if not number.isdecimal() or not number.isascii() or len(number) > _DIGITS:
                message = f"session {session_id} has no step {number[:40]!r}"
                raise StepNotFound(message)
            return one_step(reading.session, outputs, int(number))

        await self.answer(await asyncio.to_thread(step))


_DIGITS = 10


class VariablesHandler(Handler):
    """``sessions/{id}/variables``."""

    @web.authenticated
    @authorized("read", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def get(self, session_id: str) -> None:
        """The variables after a step."""
        asked = self.asked(r.VariablesQuery)

        def found() -> dict[str, Any]:
            return variables(self.rooms.readings.read(session_id).session, asked.step)

        await self.answer(await asyncio.to_thread(found))


class GraphHandler(Handler):
    """``sessions/{id}/graph``."""

    @web.authenticated
    @authorized("read", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def get(self, session_id: str) -> None:
        """Which step used what which other made."""
        asked = self.asked(r.GraphQuery)

        def graph() -> dict[str, Any]:
            session = self.rooms.readings.read(session_id).session
            return graph_document(session, asked.name, asked.at)

        await self.answer(await asyncio.to_thread(graph))


class HistoryHandler(Handler):
    """``sessions/{id}/history``."""

    @web.authenticated
    @authorized("read", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def get(self, session_id: str) -> None:
        """The versions of its cells."""
        asked = self.asked(r.HistoryQuery)

        def history() -> dict[str, Any]:
            return history_document(self.rooms.readings.read(session_id).session, asked.cell)

        await self.answer(await asyncio.to_thread(history))


class DiffHandler(Handler):
    """``sessions/{id}/diff``."""

    @web.authenticated
    @authorized("read", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def get(self, session_id: str) -> None:
        """What differs from another session."""
        asked = self.asked(r.DiffQuery)

        def diff() -> dict[str, Any]:
            session = self.rooms.readings.read(session_id).session
            return diff_document(session, self.rooms.readings.read(asked.other).session)

        await self.answer(await asyncio.to_thread(diff))


class PlanHandler(Handler):
    """``sessions/{id}/plan``."""

    @web.authenticated
    @authorized("read", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def get(self, session_id: str) -> None:
        """What a resume would do."""
        asked = self.asked(r.PlanQuery)
        await asyncio.to_thread(self.sessions.store.folder, session_id)
        report = await asyncio.to_thread(
            self.sessions.resume_plan, session_id, replay=str(asked.replay)
        )
        await self.answer(report.data)


class StorageHandler(Handler):
    """``storage``."""

    @web.authenticated
    @authorized("read", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """What the store takes."""
        await self.answer(await asyncio.to_thread(self.sessions.storage))

"""The routes of the settings that kernels, server and shell share."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from functools import partial
from typing import Any

from jupyter_server.auth.decorator import authorized
from tornado import web

from ipysession.checkpoint.plan import ReplayPolicy
from ipysession.export.formats import FORMATS
from ipysession.server import requests as r
from ipysession.server.base import RESOURCE, Handler


class SettingsHandler(Handler):
    """``settings``."""

    @web.authenticated
    @authorized("read", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """The settings, and what there is to choose from."""
        await self.answer(await self._document())

    @web.authenticated
    @authorized("write", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def patch(self) -> None:
        """Change some."""
        asked = self.sent(r.SettingsChange)
        if asked.auto_load is not None:
            # It decides which code runs in every new kernel.
            await self.must_be_allowed("execute", "kernels")
        change = partial(
            self.sessions.change_settings,
            offer_resume=asked.offer_resume,
            auto_load=asked.auto_load,
        )
        await asyncio.to_thread(change)
        document = await self._document()
        self.rooms.events.tell("settings", document)
        await self.answer(document)

    async def _document(self) -> dict[str, Any]:
        return {
            **await asyncio.to_thread(self.sessions.current_settings),
            "formats": [asdict(made) for made in FORMATS.values()],
            "replay": [str(policy) for policy in ReplayPolicy],
        }

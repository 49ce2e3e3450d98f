"""Live changes for whoever listens: one watcher for a server, however many listen, and none
while nobody does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from tornado import web
from tornado.iostream import StreamClosedError

from ipysession.errors import SessionError
from ipysession.server.base import RESOURCE, Handler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ipysession.store import Store

WATCH_SECONDS = 1.0
"""At most so often is the store looked at."""

HEARTBEAT_SECONDS = 15.0
"""A quiet connection says something this often, so that nobody on the way cuts it."""

_SHARE = 0.02
"""Of the time that looking may take, whatever the store's size."""

_WAITING = 1000
"""A client for whom more events wait than this is cut off: it connects again and lists anew."""

_logger = logging.getLogger(__name__)


class Events:
    """Tells listeners what changes in the store, and what the routes tell it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listeners: set[asyncio.Queue[str | None]] = set()
        self._watcher: asyncio.Task[None] | None = None
        self._looked = asyncio.Event()
        """The watcher knows what was there when it began."""

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[asyncio.Queue[str | None]]:
        """A queue of events as they go over the wire; None says that there will be no more.

        Every change after it is there will be told.
        """
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._listeners.add(queue)
        if self._watcher is None or self._watcher.done():
            self._looked.clear()
            self._watcher = asyncio.create_task(self._watch())
        try:
            await self._looked.wait()
            yield queue
        finally:
            self._listeners.discard(queue)
            if not self._listeners:
                self._watcher.cancel()
                self._watcher = None

    def tell(self, kind: str, data: dict[str, Any]) -> None:
        """Send an event to all who listen. Only in the server's own thread."""
        text = f"event: {kind}\ndata: {json.dumps(data)}\n\n"
        for queue in self._listeners:
            if queue.qsize() < _WAITING:
                queue.put_nowait(text)
            else:
                queue.put_nowait(None)

    async def _watch(self) -> None:
        known = await self._stamps()
        self._looked.set()
        while True:
            began = time.monotonic()
            found = await self._stamps()
            took = time.monotonic() - began
            if found is not None and known is not None:
                self._tell_differences(known, found)
            known = known if found is None else found
            await asyncio.sleep(max(WATCH_SECONDS, took / _SHARE))

    def _tell_differences(self, known: dict[str, object], found: dict[str, object]) -> None:
        for name, stamp in found.items():
            if name not in known:
                self.tell("session", {"change": "created", "id": name})
            elif known[name] != stamp:
                self.tell("session", {"change": "updated", "id": name})
        for name in known:
            if name not in found:
                self.tell("session", {"change": "deleted", "id": name})

    async def _stamps(self) -> dict[str, object] | None:
        try:
            return await asyncio.to_thread(self._store.stamps)
        except (SessionError, OSError) as error:
            # The listing says it to the user; here the next look may go well again.
            _logger.debug("the store could not be looked at: %s", error)
            return None


class EventsHandler(Handler):
    """``GET events``: a stream of server-sent events."""

    _queue: asyncio.Queue[str | None] | None = None

    @web.authenticated
    @authorized("read", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """Events as they happen, until the client goes."""
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Accel-Buffering", "no")  # nginx would keep it back
        async with self.rooms.events.listening() as queue:
            self._queue = queue
            text: str | None = "retry: 2000\n: listening\n\n"
            with contextlib.suppress(StreamClosedError):
                while text is not None:
                    self.write(text)
                    await self.flush()
                    try:
                        text = await asyncio.wait_for(queue.get(), HEARTBEAT_SECONDS)
                    except TimeoutError:
                        text = ": still there\n\n"

    def on_connection_close(self) -> None:
        """The client went."""
        if self._queue is not None:
            self._queue.put_nowait(None)

"""What runs in the server for a while, by the name that its client gave it, to be cancelled."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from ipysession.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator


class Jobs:
    """The jobs that run in this server. Used only in the server's own thread."""

    def __init__(self) -> None:
        self._running: dict[str, threading.Event] = {}

    @contextlib.contextmanager
    def running(self, job: str | None) -> Iterator[threading.Event]:
        """While a job runs: an event that is set where it is cancelled. One without a name
        cannot be. Raises InvalidRequest where another one has the name.
        """
        cancelled = threading.Event()
        if job is None:
            yield cancelled
            return
        if job in self._running:
            message = f"a job named {job} runs already; give this one another name"
            raise InvalidRequest(message)
        self._running[job] = cancelled
        try:
            yield cancelled
        finally:
            del self._running[job]

    def cancel(self, job: str) -> bool:
        """Cancel it; False where no such job runs."""
        cancelled = self._running.get(job)
        if cancelled is None:
            return False
        cancelled.set()
        return True

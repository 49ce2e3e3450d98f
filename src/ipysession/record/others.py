"""What of the user's goes on while no cell runs: threads, and tasks made in cells.

Threads that a library keeps for itself do not count (the monitor of a progress bar, a pool's
workers that wait), unless they run the user's code just now: every step beside such a thread
would otherwise look as if anything could have changed.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

_POOLS = frozenset({"concurrent.futures.thread", "multiprocessing.pool"})
"""Libraries whose workers are plain threads, and wait for work."""


class OthersWatch:
    """Knows the threads that were there before, which are not the user's."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace
        self._known = set(threading.enumerate())
        self.loop: asyncio.AbstractEventLoop | None = None
        """The kernel's event loop, once that is known."""

    def run(self) -> bool:
        """Do threads of the user's, or tasks made in cells, go on?"""
        new = [thread for thread in threading.enumerate() if thread not in self._known]
        if any(_is_users(thread) for thread in new):
            return True
        if new and any(self._runs_users_code(thread) for thread in new):
            return True
        tasks = set() if self.loop is None else asyncio.all_tasks(self.loop)
        return any(
            getattr(getattr(task.get_coro(), "cr_frame", None), "f_globals", None)
            is self._namespace
            for task in tasks
        )

    def _runs_users_code(self, thread: threading.Thread) -> bool:
        if _is_ours(thread) or thread.ident is None:
            return False
        frame = sys._current_frames().get(thread.ident)  # noqa: SLF001 - documented, and there is no other way
        while frame is not None:
            if frame.f_globals is self._namespace:
                return True
            frame = frame.f_back
        return False


def _is_ours(thread: threading.Thread) -> bool:
    return thread.name.startswith(("ipysession", "IPythonHistory"))


def _is_users(thread: threading.Thread) -> bool:
    """Was it made to run something of the user's, as far as it shows?"""
    if _is_ours(thread):
        return False
    kind = type(thread).__module__
    if kind not in ("threading", "__main__"):
        return False
    target = getattr(thread, "_target", None)
    return getattr(target, "__module__", None) not in _POOLS

"""How soon a thread of ours lets the kernel's own thread go on."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECONDS = 0.0005
"""What the kernel's thread waits at most, each time that it asks."""


class Handover:
    """While somebody is inside of `soon`, a thread that wants Python's lock (the GIL) gets it
    within half a millisecond, not within the usual five. A request to the kernel asks for the lock
    some ten times before and after its cell, each time behind whoever computes in idle time.

    The interval is the whole process's. A thread that waits for a cell to end gives it back, see
    `paused`: so a cell has the user's as soon as nothing of ours computes beside it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = self._ours = 0.0

    @contextmanager
    def soon(self) -> Iterator[None]:
        """Work like that. Several threads may."""
        self._begin()
        try:
            yield
        finally:
            self._end()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Wait for a cell to end, inside of `soon`."""
        self._end()
        try:
            yield
        finally:
            self._begin()

    def _begin(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._before = sys.getswitchinterval()
                sys.setswitchinterval(min(self._before, _SECONDS))
                self._ours = sys.getswitchinterval()

    def _end(self) -> None:
        with self._lock:
            self._inside -= 1
            # Who has set it meanwhile wants it as it is.
            if not self._inside and sys.getswitchinterval() == self._ours:
                sys.setswitchinterval(self._before)


HANDOVER = Handover()
"""The one of this process."""

"""Sessions that were read lately: many pages of steps cost one reading of the log."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from ipysession.documents import step_outputs

if TYPE_CHECKING:
    from typing import Any

    from ipysession.sessions import Sessions
    from ipysession.store import Reading

_KEPT = 6
_KEPT_BYTES = 200_000_000
"""Of logs, in all; what is read takes a few times as much."""


class _Kept(NamedTuple):
    stamp: object
    """What the session's files looked like: as long as they do, the reading holds."""
    reading: Reading
    bytes: int
    outputs: dict[int, list[dict[str, Any]]]


class Readings:
    """Reads sessions for the routes, and keeps the newest few. Any thread may ask."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()
        self._reading = threading.Lock()

    def read(self, session_id: str) -> Reading:
        """The session with exactly this id, as its log is now.

        Raises InvalidSessionId or SessionNotFound.
        """
        return self._read(session_id).reading

    def outputs(self, session_id: str) -> tuple[Reading, dict[int, list[dict[str, Any]]]]:
        """The same, and the outputs of each step."""
        kept = self._read(session_id)
        if not kept.outputs and kept.reading.session.steps:
            kept.outputs.update(step_outputs(kept.reading))
        return kept.reading, kept.outputs

    def _read(self, session_id: str) -> _Kept:
        folder = self._sessions.store.folder(session_id)
        stamp: object = (folder.segment_sizes(), folder.writer() is not None)
        with self._lock:
            kept = self._kept.get(session_id)
            if kept is not None and kept.stamp == stamp:
                self._kept.move_to_end(session_id)
                return kept
        with self._reading:  # one at a time: two big logs at once would take twice the memory
            reading = self._sessions.read_id(session_id)
        kept = _Kept(stamp, reading, sum(folder.segment_sizes().values()), {})
        with self._lock:
            self._kept[session_id] = kept
            self._kept.move_to_end(session_id)
            while len(self._kept) > 1 and (
                len(self._kept) > _KEPT or sum(k.bytes for k in self._kept.values()) > _KEPT_BYTES
            ):
                self._kept.popitem(last=False)
        return kept

"""Giving back the room of what one session no longer needs. Imports no IPython."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipysession.checkpoint.keeping import saved_blobs, steps_to_drop
from ipysession.errors import LogDamaged
from ipysession.model import payloads as p
from ipysession.store.garbage import Swept, named_in, sweep

if TYPE_CHECKING:
    from ipysession.store import SessionWriter

HOUR = 3600.0
"""Seconds between the finding that nothing names a blob and its removal, at least."""


def tidy(
    writer: SessionWriter,
    key: bytes | None,
    *,
    keep: int | None = None,
    age: float = HOUR,
    only_tell: bool = False,
) -> tuple[list[int], Swept]:
    """Drop the session's checkpoints but the last ``keep`` (None: all are kept), those of steps
    with a note, the ends of branches, and what these rest on; then remove what nothing names and
    was found ``age`` seconds ago. ``writer`` holds the session's lock: nobody else writes.

    Returns the steps whose checkpoints were dropped, and what the sweep did. Raises LogDamaged
    where what the log names is not known; nothing is removed then.
    """
    writer.log.sync()
    reading = writer.folder.read(key)
    if reading.damage:
        message = (
            f"the log of {writer.id} is damaged, so what it names is not known: nothing is removed"
        )
        raise LogDamaged(message)
    session = reading.session
    fresh = [] if keep is None else steps_to_drop(session, keep)
    if fresh and not only_tell:
        reason = f"kept are the last {keep} and what they rest on"
        writer.append(p.CheckpointsDropped(steps=fresh, reason=reason))
        writer.log.sync()
    dropped = session.dropped.union(fresh)
    named = named_in(writer.folder.log_folder, without_checkpoints_of=dropped)
    named |= saved_blobs(session, reading.blobs, dropped)
    return fresh, sweep(reading.blobs, named, age=age, only_tell=only_tell)

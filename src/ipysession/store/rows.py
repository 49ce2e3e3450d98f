"""A row of the index; and what a session's folder looks like, which tells of changes."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from ipysession.model import Summary
from ipysession.store.folder import SessionFolder

if TYPE_CHECKING:
    from pathlib import Path

SETTLED_SECONDS = 2.0
"""The clock of a file system may tick so seldom that two changes have the same time."""


class Listed(NamedTuple):
    """A session in a listing."""

    summary: Summary
    bytes: int
    """What its folder takes on the disk."""


class Closely(NamedTuple):
    """What a folder looks like that may be written just now."""

    changed: int
    """The folder's time of change, in nanoseconds."""
    sizes: tuple[tuple[str, int], ...]
    """Of the log's segments, in bytes."""
    alive: bool
    """Whether a living process writes it."""


class Row(NamedTuple):
    """What the index knows of a session."""

    stamp: int | Closely
    """What the folder looked like when the summary was taken."""
    settled: bool
    """Nobody wrote it then, and the last change was long enough ago: ``stamp`` is the folder's
    time of change, and tells of every later one."""
    listed: Listed
    sized: float
    """When the size was taken, by the monotonic clock."""


def changed_at(folder: Path) -> int | None:
    """A folder's time of change, in nanoseconds; None where it is gone."""
    try:
        return folder.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def look_closely(folder: Path, changed: int) -> Closely:
    """What a session's folder looks like that was itself ``changed`` then, and may be written."""
    session = SessionFolder(folder)
    try:
        sizes = tuple(session.segment_sizes().items())
    except FileNotFoundError:
        sizes = ()  # it was deleted just now
    return Closely(changed, sizes, session.writer() is not None)


def settled(row: Row) -> Row:
    """The row, settled if it is time."""
    stamp = row.stamp
    if isinstance(stamp, int) or stamp.alive:
        return row
    old_enough = time.time() - stamp.changed / 1e9 > SETTLED_SECONDS
    return row._replace(stamp=stamp.changed, settled=True) if old_enough else row


def bytes_in(folder: Path) -> int:
    """What all files below a folder hold."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(where, name)).st_size
    return total

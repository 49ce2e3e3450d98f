"""Records on their way to the disk, and how they are handed to it."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ipysession.model.records import Record

_BATCH_BYTES = 1 << 16
"""Records that wait are written in batches of about this size: a disk that is nearly full takes
some of them."""


class Entry(NamedTuple):
    """A record that is not durable yet."""

    record: Record
    data: bytes
    """Its line, with the newline."""
    mac: str
    blobs: tuple[str, ...]
    """Blobs that must become durable before it."""


def batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Records that are written by one call."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        batch.append(entry)
        size += len(entry.data)
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def write_at_once(descriptor: int, data: bytes) -> None:
    """Write all of it by one call. Raises OSError where the disk took a part only."""
    count = os.write(descriptor, data)
    if count != len(data):
        # A full disk takes a part and raises nothing.
        raise OSError(errno.ENOSPC, f"the disk took {count} of {len(data)} bytes")


def as_refused(error: Exception) -> OSError:
    """Whatever was raised where the disk was asked: for the log it comes to the same."""
    if isinstance(error, OSError):
        return error
    return OSError(errno.EIO, f"{type(error).__name__}: {error}")

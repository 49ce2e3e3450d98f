"""A group's bytes on their way to the disk: cut into pieces, each named by its content, so that
an unchanged piece costs a hash and no write. What the bytes mean is `pickling`'s business.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128

from ipysession.model.payloads import SavedPart

if TYPE_CHECKING:
    import pickle
    from collections.abc import Callable

    from ipysession.log import Blobs

PIECE = 256 * 1024
"""Bytes of a piece. Measured on 100 MB: 64 KB pieces take 3 times as long to write, 1 MB pieces
save a third of the time and make the smallest edit write four times as much."""

INLINE_BYTES = 4096
"""A pickle up to this size stands in the record itself: no file, no sync."""

PART_BYTES = 64 * 1024
"""A buffer from this size on becomes a part of its own; smaller ones stay in the pickle."""

_NAMED_PIECES = 8
"""So many pieces are named in the record; the list of more is a blob of its own."""

_REMEMBERED = 200_000
"""Pieces whose names are remembered by their hash, about 200 bytes of memory each."""

_LOOK_EVERY = 32 << 20
"""Bytes written between two looks at the free space."""


_LOOK_PIECES = 64
"""Pieces of a pickle between two looks at the memory: the pickler remembers every object in it."""

_LEAST_MEMORY = 256 << 20
"""Bytes of memory that are left to the user's cells."""


def _look_at_memory() -> None:
    import psutil  # takes a while to load, and most pickles are small

    if psutil.virtual_memory().available < _LEAST_MEMORY:
        message = "too little memory is free to pickle it"
        raise MemoryError(message)


class BudgetExceededError(Exception):
    """The pickle would have taken longer, or become larger, than allowed."""


def until(deadline: float) -> Callable[[], None]:
    """A gate that lets through until ``deadline`` (`time.perf_counter`)."""

    def gate() -> None:
        if time.perf_counter() > deadline:
            message = "saving it took longer than the step's budget"
            raise BudgetExceededError(message)

    return gate


class Pieces:
    """Writes one session's pieces and remembers which it wrote. Safe in several threads.

    ``min_free`` bytes of the disk are left to others.
    """

    def __init__(self, blobs: Blobs, *, min_free: int = 0) -> None:
        self.blobs = blobs
        self._min_free = min_free
        self._names: dict[bytes, str] = {}
        self._lock = threading.Lock()
        self._unsynced: set[str] = set()
        self._unlooked = _LOOK_EVERY
        self.written = 0
        """Bytes of all that was written."""
        self.memories: dict[tuple[int, int], Any] = {}
        """What `pages` remembers of large object arrays."""

    def put(self, data: bytes | memoryview) -> tuple[bytes, str, int]:
        """Store a piece that will not change meanwhile. Returns its hash, its name and the bytes
        written: 0 where it was there. Raises OSError where the disk is full, or nearly.
        """
        digest = xxh3_128(data).digest()
        name = self._names.get(digest)
        if name is not None:
            return digest, name, 0
        self._look(len(data))
        data = bytes(data)  # the user's threads may be writing to it: from here on it stands still
        digest = xxh3_128(data).digest()
        name, written = self.blobs.put_packed(data)
        with self._lock:
            self.written += written
            if len(self._names) >= _REMEMBERED:
                self._names.clear()
            self._names[digest] = name
            self._unsynced.add(name)
        return digest, name, written

    def _look(self, size: int) -> None:
        self._unlooked += size
        if not self._min_free or self._unlooked < _LOOK_EVERY:
            return
        self._unlooked = 0
        folder = self.blobs.folder
        status = os.statvfs(folder if folder.is_dir() else folder.parent)
        if status.f_bavail * status.f_frsize < self._min_free:
            self._unlooked = _LOOK_EVERY  # look again next time
            raise OSError(errno.ENOSPC, "too little free space is left", str(folder))

    def unsynced(self, names: list[str]) -> list[str]:
        """Those of ``names`` that are not known to be durable."""
        with self._lock:
            return [name for name in dict.fromkeys(names) if name in self._unsynced]

    def synced(self, names: list[str]) -> None:
        """These are durable."""
        with self._lock:
            self._unsynced.difference_update(names)

    def forget(self) -> None:
        """Blobs were deleted: what is needed is looked for on the disk again."""
        with self._lock:
            self._names.clear()
            self.memories.clear()


@dataclass(slots=True)
class Packing:
    """One group being packed: what a pickler writes to, and what collects its parts.

    ``gate`` is called about every 64 KB: there it may wait or raise. Without ``pieces`` nothing
    is written and only the fingerprint counts.
    """

    gate: Callable[[], None]
    pieces: Pieces | None = None
    max_bytes: int = 1 << 62
    numbered: list[SavedPart] = field(default_factory=list)
    """Parts that the pickle names by their number."""
    outside: list[SavedPart] = field(default_factory=list)
    """Out-of-band buffers, in the order in which the pickle asks for them."""
    blobs: list[str] = field(default_factory=list)
    written: int = 0
    size: int = 0
    kinds: set[type] = field(default_factory=set)
    """Types of what was pickled, Python's containers, texts and numbers left out."""
    _hash: Any = field(default_factory=xxh3_128)
    _stream: bytearray = field(default_factory=bytearray)
    _stream_pieces: list[str] = field(default_factory=list)
    _stream_size: int = 0

    def write(self, data: Any) -> int:
        """Take a part of the pickle itself."""
        self.gate()
        size = len(data)
        self._grow(size)
        self._stream_size += size
        self._stream += data
        while len(self._stream) > PIECE:
            if len(self._stream_pieces) % _LOOK_PIECES == _LOOK_PIECES - 1:
                _look_at_memory()
            self._stream_pieces.append(self._put(bytes(self._stream[:PIECE])))
            del self._stream[:PIECE]
        return size

    def add(self, data: Any) -> int:
        """Take a buffer as a part, and return its number."""
        self.numbered.append(self._part(memoryview(data)))
        return len(self.numbered) - 1

    def again(self, part: SavedPart, digest: bytes) -> int:
        """Take a part that is known to hold what it held, and return its number."""
        self._grow(part.size)
        self._hash.update(digest)
        self.blobs += part.pieces
        self.numbered.append(part)
        return len(self.numbered) - 1

    def take_outside(self, buffer: pickle.PickleBuffer) -> bool:
        """The pickler's ``buffer_callback``: True leaves a small buffer in the pickle."""
        view = buffer.raw()
        if view.nbytes < PART_BYTES:
            return True
        self.outside.append(self._part(view))
        return False

    def _part(self, view: memoryview) -> SavedPart:
        flat = view.cast("B") if view.nbytes else memoryview(b"")
        names = []
        for start in range(0, flat.nbytes, PIECE):
            self.gate()
            piece = flat[start : start + PIECE]
            self._grow(piece.nbytes)
            names.append(self._put(piece))
        return SavedPart(size=flat.nbytes, pieces=names)

    def _grow(self, size: int) -> None:
        self.size += size
        if self.size > self.max_bytes:
            message = f"larger than {self.max_bytes:,} bytes"
            raise BudgetExceededError(message)

    def _put(self, piece: bytes | memoryview) -> str:
        if self.pieces is None:
            self._hash.update(xxh3_128(piece).digest())
            return ""
        digest, name, written = self.pieces.put(piece)
        self._hash.update(digest)
        self.written += written
        self.blobs.append(name)
        return name

    def fingerprint(self) -> bytes:
        """The hash of all that came; equal for values that are pickled alike."""
        whole = self._hash.copy()
        whole.update(bytes(self._stream))
        return bytes(whole.digest())

    def fields(self) -> dict[str, Any]:
        """The fields of a `SavedGroup` that say where the bytes are; writes what is left."""
        # Buffers that the pickle asks for one after the other stand at the end, the last first:
        # so the parts that it names need no offset.
        parts = [*self.numbered, *reversed(self.outside)]
        found: dict[str, Any] = {"size": self.size}
        if not self._stream_pieces and len(self._stream) <= INLINE_BYTES:
            found["inline"] = base64.b64encode(self._stream).decode("ascii")
        elif not self._stream_pieces:
            found["blob"] = self._put(bytes(self._stream))
        else:
            last = self._put(bytes(self._stream))
            whole = SavedPart(size=self._stream_size, pieces=[*self._stream_pieces, last])
            parts.insert(0, whole)
        if sum(len(part.pieces) for part in parts) <= _NAMED_PIECES:
            found["parts"] = parts
        else:
            text = json.dumps(
                [{"size": part.size, "pieces": part.pieces} for part in parts],
                separators=(",", ":"),
            )
            found["table"] = self._put(text.encode("ascii"))
        return found

    def stream(self) -> bytes:
        """The pickle, as long as it is small enough to be whole here."""
        return bytes(self._stream)

    @property
    def is_small(self) -> bool:
        """Does the whole group stand in its record?"""
        return not (self.numbered or self.outside or self._stream_pieces) and (
            len(self._stream) <= INLINE_BYTES
        )

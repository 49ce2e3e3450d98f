"""From a saved group in the log back to values: the only way in, so that what is verified before
anything is unpickled is verified in one place. Imports no IPython.
"""

from __future__ import annotations

import base64
import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ipysession.checkpoint import pickling
from ipysession.checkpoint.unpickler import AT_ONCE, Pace
from ipysession.errors import BlobDamaged, SessionError
from ipysession.model.payloads import SavedPart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import CodeType

    from ipysession.log import Blobs
    from ipysession.model.payloads import SavedGroup

_READERS = min(4, os.cpu_count() or 1)
"""Threads that read, verify and decompress the pieces of a large part; none of that holds the
GIL.
"""

_MANY_PIECES = 8
"""From so many pieces on, threads are worth starting."""

_SHARE = 16
"""Pieces that each of them reads between two looks at the gate: some milliseconds."""

_PARTS_AHEAD = 16
"""Parts that the disk is told of before they are needed."""


def load_group(
    group: SavedGroup,
    blobs: Blobs,
    namespace: dict[str, Any],
    *,
    codes: list[CodeType] | None = None,
    pace: Pace = AT_ONCE,
) -> dict[str, Any]:
    """The values of ``group`` by name; functions of the notebook get ``namespace`` as globals,
    and their code is added to ``codes``: it tells which names they will ask for. Safe in any
    thread, as far as the values' own code is. ``pace`` says when it may go on.

    Unpickling runs code: the caller has verified the record that ``group`` stands in. Blobs are
    checked against their names here. Raises SessionError where the data is gone or damaged, and
    whatever the values' own code raises.
    """
    parts = _Parts(blobs, parts_of(group, blobs), pace.gate)
    if group.inline is not None:
        data: bytes | bytearray = base64.b64decode(group.inline)
    elif group.blob is not None:
        data = blobs.get(group.blob)
    else:
        data = parts.take_pickle()
    return pickling.loads(data, namespace, codes, parts, pace)


def parts_of(group: SavedGroup, blobs: Blobs) -> list[SavedPart]:
    """The parts of a group. Raises BlobMissing or BlobDamaged where their list is a blob."""
    if group.table is None:
        return group.parts
    return [SavedPart(**fields) for fields in json.loads(blobs.get(group.table))]


def blobs_of(group: SavedGroup, blobs: Blobs) -> set[str]:
    """The names of all blobs that a group rests on. Raises as `parts_of`."""
    named = {name for part in parts_of(group, blobs) for name in part.pieces}
    return named | {name for name in (group.blob, group.table) if name is not None}


class _Parts:
    """Reads a group's parts, each when the pickle asks for it."""

    def __init__(self, blobs: Blobs, parts: Sequence[SavedPart], gate: Callable[[], None]) -> None:
        self._blobs = blobs
        self._gate = gate
        self._parts = list(parts)
        self._expected: set[int] = set()

    def take_pickle(self) -> bytes | bytearray:
        """The first part, which is the pickle itself and does not count among the others."""
        if not self._parts:
            message = "its record names no data"
            raise SessionError(message)
        whole = self.part(0)
        del self._parts[0]
        self._expected.clear()
        return whole

    def part(self, number: int) -> bytes | bytearray:
        self._expect(range(number, number + _PARTS_AHEAD))
        part = self._parts[number]
        if len(part.pieces) != 1:
            return self._whole(number)
        self._gate()
        data = self._blobs.get(part.pieces[0])
        if len(data) != part.size:
            raise _unfit(part, len(data))
        return data

    def _whole(self, number: int) -> bytearray:
        data = bytearray(self._parts[number].size)
        self.read_into(number, memoryview(data))
        return data

    def read_into(self, number: int, target: memoryview) -> None:
        part = self._parts[number]
        self._gate()
        first = self._blobs.get(part.pieces[0]) if part.pieces else b""
        # All pieces but the last are as large as the first.
        size, count = len(first), len(part.pieces)
        whole = size * (count - 1) < part.size <= size * count if count else part.size == 0
        if part.size != target.nbytes or size > part.size or not whole:
            raise _unfit(part, target.nbytes)
        target[:size] = first
        rest = [
            (name, target[number * size : (number + 1) * size])
            for number, name in enumerate(part.pieces[1:], start=1)
        ]
        if len(rest) < _MANY_PIECES:
            for piece in rest:
                self._gate()
                self._fill([piece])
        else:
            self._fill_at_once(rest)

    def _fill_at_once(self, pieces: Sequence[tuple[str, memoryview]]) -> None:
        with ThreadPoolExecutor(_READERS, "ipysession-readers") as readers:
            step = _READERS * _SHARE
            for start in range(0, len(pieces), step):
                self._gate()
                now, soon = pieces[start : start + step], pieces[start + step : start + 2 * step]
                for name, _ in soon:
                    self._blobs.expect(name)
                shares = [now[reader::_READERS] for reader in range(_READERS)]
                for _ in readers.map(self._fill, shares):
                    pass

    def _fill(self, pieces: Sequence[tuple[str, memoryview]]) -> None:
        for name, target in pieces:
            data = self._blobs.get(name)
            if len(data) != target.nbytes:
                message = f"a piece of {len(data):,} bytes stands for {target.nbytes:,}"
                raise BlobDamaged(message)
            target[:] = data

    def outside(self) -> Iterator[bytearray]:
        for number in range(len(self._parts) - 1, -1, -1):
            self._expect(range(number, number - _PARTS_AHEAD, -1))
            yield self._whole(number)

    def _expect(self, numbers: Iterable[int]) -> None:
        """These parts will be asked for next: the disk may begin with them."""
        for number in numbers:
            if 0 <= number < len(self._parts) and number not in self._expected:
                self._expected.add(number)
                for name in self._parts[number].pieces[:_MANY_PIECES]:
                    self._blobs.expect(name)


def _unfit(part: SavedPart, size: int) -> BlobDamaged:
    return BlobDamaged(f"a part of {part.size:,} bytes does not hold the {size:,} expected")

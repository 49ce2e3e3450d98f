"""From a saved group in the log back to values: the only way in, so that what is verified before
anything is unpickled is verified in one place. Imports no IPython.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from ipysession.checkpoint import pickling
from ipysession.errors import BlobDamaged, SessionError
from ipysession.model.payloads import SavedPart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import CodeType

    from ipysession.log import Blobs
    from ipysession.model.payloads import SavedGroup


def load_group(
    group: SavedGroup,
    blobs: Blobs,
    namespace: dict[str, Any],
    *,
    codes: list[CodeType] | None = None,
    gate: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """The values of ``group`` by name; functions of the notebook get ``namespace`` as globals,
    and their code is added to ``codes``: it tells which names they will ask for. Safe in any
    thread, as far as the values' own code is. ``gate`` is called before each piece is read: it may
    wait, or raise to give up.

    Unpickling runs code: the caller has verified the record that ``group`` stands in. Blobs are
    checked against their names here. Raises SessionError where the data is gone or damaged, and
    whatever the values' own code raises.
    """
    parts = _Parts(blobs, parts_of(group, blobs), gate)
    if group.inline is not None:
        data: bytes | bytearray = base64.b64decode(group.inline)
    elif group.blob is not None:
        data = blobs.get(group.blob)
    else:
        data = parts.take_pickle()
    return pickling.loads(data, namespace, codes, parts)


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

    def take_pickle(self) -> bytearray:
        """The first part, which is the pickle itself and does not count among the others."""
        if not self._parts:
            message = "its record names no data"
            raise SessionError(message)
        whole = self.part(0)
        del self._parts[0]
        return whole

    def part(self, number: int) -> bytearray:
        data = bytearray(self._parts[number].size)
        self.read_into(number, memoryview(data))
        return data

    def read_into(self, number: int, target: memoryview) -> None:
        part = self._parts[number]
        start = 0
        for name in part.pieces:
            self._gate()
            piece = self._blobs.get(name)
            end = start + len(piece)
            if end > target.nbytes:
                break
            target[start:end] = piece
            start = end
        if start != target.nbytes or part.size != target.nbytes:
            message = f"a part of {part.size:,} bytes does not hold the {target.nbytes:,} expected"
            raise BlobDamaged(message)

    def outside(self) -> Iterator[bytearray]:
        for number in range(len(self._parts) - 1, -1, -1):
            yield self.part(number)

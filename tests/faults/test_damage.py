"""A log that is cut or bent anywhere: it is told, and nothing else is lost or made up."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

import pytest

from ipysession.log import SyncPolicy
from ipysession.model import payloads as p
from ipysession.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from ipysession.log import LogContents
    from ipysession.model import Record
    from ipysession.store import SessionWriter
    from ipysession.store.folder import SessionFolder

pytestmark = pytest.mark.faults

KEY = bytes(range(32))


@dataclass
class Small:
    """A small session that is closed, and what it holds."""

    store: Store
    folder: SessionFolder
    path: Path
    """Its last segment."""
    records: dict[int, Record] = field(init=False)
    content: bytes = field(init=False)
    """The bytes of the last segment."""
    ends: list[int] = field(init=False)
    """Where each of its lines ends: the offset after the newline."""
    numbers: list[int] = field(init=False)
    """``seq`` of each of its lines."""

    def __post_init__(self) -> None:
        contents = self.folder.read_contents(KEY)
        assert contents.damage == ()
        self.records = {record.seq: record for record in contents.records}
        self.content = self.path.read_bytes()
        lines = self.content.splitlines(keepends=True)
        self.ends = list(accumulate(len(line) for line in lines))
        last = max(self.records)
        self.numbers = list(range(last - len(lines) + 1, last + 1))

    def set_byte(self, offset: int, value: int) -> None:
        """Change one byte of the last segment."""
        with self.path.open("r+b") as stream:
            stream.seek(offset)
            stream.write(bytes([value]))

    def check(self, lost: set[int], *, key: bytes | None = KEY) -> LogContents:
        """All is read but at most ``lost``, and each record is one that was written."""
        contents = self.folder.read_contents(key)
        found = {record.seq for record in contents.records}
        assert found >= self.records.keys() - lost
        assert all(record == self.records.get(record.seq) for record in contents.records)
        return contents

    def goes_on(self) -> None:
        """The session can be opened and written again, and all that was there stays."""
        before = self.folder.read_contents(KEY).records
        with_old = {path.name for path in self.folder.log_folder.iterdir()}
        summary = self.folder.summary_path.read_bytes()
        writer = self.store.open_for_append(self.folder.id, policy=SyncPolicy.OFF)
        try:
            new = [writer.append(p.NoteAdded(text=f"after {i}")) for i in range(2)]
        finally:
            assert writer.close()
        assert self.folder.read_contents(KEY).records == (*before, *new)
        assert new[0].seq > max(self.records)
        for path in list(self.folder.log_folder.iterdir()):
            if path.name not in with_old:
                path.unlink()
        self.folder.summary_path.write_bytes(summary)


def _step(writer: SessionWriter, step: int) -> None:
    text = f"é\u2028 {step}" + '{"v":1,"seq":2}\n'
    writer.append(p.StepStarted(step=step, source=f"print({step})"))
    writer.append(p.StepOutput(step=step, events=[{"kind": "stream", "text": text}]))
    writer.append(p.StepFinished(step=step, outcome="ok", duration=0.5, bound=["x"]))


@pytest.fixture
def small(tmp_path: Path) -> Small:
    """A session of two segments; in each are a few records."""
    store = Store(tmp_path / "store", key=KEY)
    writer = store.create()
    _step(writer, 1)
    assert writer.close()
    writer = store.open_for_append(writer.id)
    _step(writer, 2)
    _step(writer, 3)
    assert writer.close()
    folder = store.folder(writer.id)
    first, last = sorted(folder.log_folder.iterdir())
    assert first.stat().st_size
    return Small(store, folder, last)


def test_a_log_that_is_cut_at_any_byte(small):
    """Wherever a power cut or a copy that broke off ends the last segment, each line before
    that place is read, the rest is reported, and the session goes on.

    A cut exactly at the end of a line leaves a log that looks whole: what is gone shows by
    the signed head in ``session.json``. Opened again is every 20th, and those around the ends
    of lines.
    """
    for size in range(len(small.content)):
        small.path.write_bytes(small.content[:size])
        # A line that lacks only its newline is whole.
        whole = bisect.bisect_right(small.ends, size + 1)
        lost = set(small.numbers[whole:])
        start = small.ends[whole - 1] if whole else 0
        contents = small.check(lost)
        assert {record.seq for record in contents.records} == small.records.keys() - lost
        kinds = [item.kind for item in contents.damage]
        is_torn = size > start
        assert kinds == ["torn"] * is_torn + ["truncated"] * bool(lost)
        without_key = small.check(lost, key=None)
        assert [item.kind for item in without_key.damage] == ["torn"] * is_torn
        if size % 20 == 0 or {size - 1, size, size + 1} & set(small.ends):
            small.goes_on()


def test_any_bit_that_flips(small):
    """Each single bit of the last segment: that it flipped is reported with its place; only the
    line that it stands in may be lost; no record changes. A bit of a newline fuses two lines,
    and neither is lost.

    To be quick, half of the bits, evenly, are read with the key and the others without it, and
    the session is opened again after every 150th.
    """
    for bit in range(len(small.content) * 8):
        offset, mask = bit // 8, 1 << bit % 8
        small.set_byte(offset, small.content[offset] ^ mask)
        line = bisect.bisect_right(small.ends, offset)
        is_newline = offset + 1 == small.ends[line]
        start = small.ends[line - 1] if line else 0
        key = KEY if (bit + offset) % 2 else None
        contents = small.check(set() if is_newline else {small.numbers[line]}, key=key)
        first = contents.damage[0]
        assert first.kind in {"damaged", "torn"}
        assert (first.segment, first.offset) == (small.path.name, start)
        if bit % 150 == 0:
            small.goes_on()
        small.set_byte(offset, small.content[offset])

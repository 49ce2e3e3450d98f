"""Reading a log: every whole record, and every damage with its place.

Damage never hides what stands after it, and nothing is guessed: a line counts if its
checksum holds. Authenticity (the keyed chain) is checked on request.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, Literal

from ipysession.errors import BlobDamaged, BlobMissing
from ipysession.log import files
from ipysession.log.line import (
    FIRST_MAC,
    Line,
    check_line,
    is_authentic,
    line_mac,
    line_seq,
    parse_line,
    salvage,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ipysession.log.blobs import Blobs
    from ipysession.model.encoding import BlobRef
    from ipysession.model.records import Record

SEGMENT = re.compile(r"[0-9]{6}\.jsonl")

DamageKind = Literal[
    "torn",
    "damaged",
    "unreadable",
    "missing",
    "conflict",
    "forged",
    "unproven",
    "truncated",
    "blob",
]
"""docs/log-format.md tells what each means."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Something in the log that is not as it was written, and where."""

    kind: DamageKind
    detail: str
    segment: str | None = None
    line: int | None = None
    """Counted from 1 in the segment."""
    offset: int | None = None
    """Bytes from the segment's start."""
    length: int | None = None

    def __str__(self) -> str:
        where = "" if self.segment is None else f"{self.segment}, line {self.line}: "
        return f"{where}{self.kind}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain stands: the last record's ``seq`` and mac."""

    seq: int = 0
    mac: str = FIRST_MAC


@dataclass(frozen=True, slots=True)
class LogContents:
    """All that could be read of a log, records ordered by ``seq``."""

    records: tuple[Record, ...]
    damage: tuple[Damage, ...]
    head: Head
    unproven: frozenset[int] | None
    """``seq`` of the records that a holder of the key did not provably write; None where the
    key was not used."""


def segments(folder: Path) -> list[Path]:
    """The segments of a log, in order."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if SEGMENT.fullmatch(path.name))


def read_log(
    folder: Path,
    blobs: Blobs,
    *,
    key: bytes | None = None,
    session: str = "",
    promised: Head | None = None,
) -> LogContents:
    """Read the log in ``folder``. With ``key`` each record's authenticity is checked too.

    ``session`` is the id that the records are given. ``promised`` is a head that the log is
    known to have had: what it lacks of that is reported.
    """
    reader = _Reader(blobs, key, session)
    for path in segments(folder):
        for line in _lines(path, reader.damage):
            reader.take(line)
    return reader.contents(promised)


class _Reader:
    """Takes lines in the order in which they stand in the files."""

    def __init__(self, blobs: Blobs, key: bytes | None, session: str) -> None:
        self.damage: list[Damage] = []
        self._blobs = blobs
        self._key = key
        self._session = session
        self._records: list[Record] = []
        self._macs: dict[int, bytes] = {0: FIRST_MAC.encode("ascii")}
        self._orphans: list[Line] = []
        self._forged: list[int] = []
        self._conflicts: list[int] = []

    def take(self, line: Line) -> Record | None:
        """Take one line and return its record, if it is new. A line that stands twice,
        identical, was written again after a failed sync and counts once.
        """
        mac = line_mac(line)
        try:
            record = parse_line(line, self._resolve, self._session)
        except ValueError as error:
            seq = line_seq(line)
            self._macs.setdefault(seq, mac)
            self.damage.append(Damage("damaged", f"record {seq} is not ours: {error}"))
            return None
        seq = record.seq
        known = self._macs.setdefault(seq, mac)
        if known is not mac:
            if known != mac:
                self._conflicts.append(seq)
            return None
        self._records.append(record)
        if self._key is not None:
            previous = self._macs.get(seq - 1)
            if previous is None:
                self._orphans.append(line)  # its predecessor may stand further on
            elif not is_authentic(line, previous, self._key):
                self._forged.append(seq)
        return record

    def contents(self, promised: Head | None) -> LogContents:
        """All that was taken, ordered, and what is wrong with it."""
        last = max(self._macs)
        head = Head(last, self._macs[last].decode("latin-1"))
        self._report("conflict", "two versions, of which the first counts, of", self._conflicts)
        if len(self._macs) <= last:
            for before, after in pairwise(sorted(self._macs)):
                if after > before + 1:
                    gap = _span(before + 1, after - 1)
                    self.damage.append(Damage("missing", f"the log lacks {gap}"))
        unproven = None if self._key is None else self._prove_orphans(self._key)
        if promised is not None:
            self._check_promise(promised, head)
        self._records.sort(key=_seq)
        return LogContents(tuple(self._records), tuple(self.damage), head, unproven)

    def _prove_orphans(self, key: bytes) -> frozenset[int]:
        gaps = []
        for line in self._orphans:
            seq = line_seq(line)
            previous = self._macs.get(seq - 1)
            if previous is None:
                gaps.append(seq)
            elif not is_authentic(line, previous, key):
                self._forged.append(seq)
        self._report("forged", "not written with this user's key, or moved:", self._forged)
        self._report("unproven", "not provable, since what stood before is missing:", gaps)
        return frozenset(self._forged + gaps)

    def _check_promise(self, promised: Head, head: Head) -> None:
        if promised.seq > head.seq:
            gone = _span(head.seq + 1, promised.seq)
            detail = f"the log once had {promised.seq} records; gone from its end: {gone}"
            self.damage.append(Damage("truncated", detail))
        elif self._macs.get(promised.seq, promised.mac.encode()) != promised.mac.encode():
            detail = f"record {promised.seq} is another one than the log once had there"
            self.damage.append(Damage("truncated", detail))

    def _report(self, kind: DamageKind, what: str, numbers: Iterable[int]) -> None:
        """One damage for each unbroken range of ``numbers``."""
        first = last = 0
        for number in (*sorted(numbers), 0):
            if first and number not in {last, last + 1}:
                self.damage.append(Damage(kind, f"{what} {_span(first, last)}"))
                first = 0
            first, last = first or number, number

    def _resolve(self, ref: BlobRef) -> object:
        try:
            return self._blobs.resolve(ref)
        except (BlobMissing, BlobDamaged) as error:
            self.damage.append(Damage("blob", str(error)))
            return "" if ref.media == "text" else None


_seq = attrgetter("seq")


def _span(first: int, last: int) -> str:
    return f"record {first}" if first == last else f"records {first} to {last}"


def read_last(folder: Path, blobs: Blobs, steps: int, *, session: str = "") -> tuple[Record, ...]:
    """The records of (at least) the last ``steps`` steps, read from the end of the log.

    Costs the bytes of those records, however long the log is. Damage is passed over:
    `read_log` reports it. ``session`` is the id that the records are given.
    """
    reader = _Reader(blobs, None, session)
    for raw in _lines_backwards(folder):
        line = check_line(raw)
        for whole in salvage(raw) if line is None else (line,):
            record = reader.take(whole)
            steps -= record is not None and record.type == "step.started"
        if steps <= 0:
            break
    return reader.contents(None).records


def read_only(folder: Path, blobs: Blobs, kind: str, *, session: str = "") -> Iterator[Record]:
    """The records of one type, in the order of their lines, at a fraction of the cost of reading
    all: other lines are not even checked. Damage is passed over: `read_log` reports it.
    """
    mark = f',"type":"{kind}","payload":'.encode("ascii")
    reader = _Reader(blobs, None, session)
    for path in segments(folder):
        with contextlib.suppress(OSError), files.open_regular(path) as stream:
            for raw in stream:
                line = check_line(raw.removesuffix(b"\n")) if mark in raw else None
                record = None if line is None else reader.take(line)
                if record is not None and record.type == kind:
                    yield record


def _lines(path: Path, damage: list[Damage]) -> Iterator[Line]:
    """The whole lines of a segment."""
    number = offset = 0
    try:
        with files.open_regular(path) as stream:
            for number, raw in enumerate(stream, start=1):
                line = check_line(raw[:-1] if raw[-1] == _NEWLINE else raw)
                if line is not None:
                    yield line
                else:
                    yield from _broken(path.name, number, offset, raw, damage)
                offset += len(raw)
    except OSError as error:
        detail = f"the segment cannot be read from here on: {error.strerror or error}"
        damage.append(Damage("unreadable", detail, path.name, number + 1, offset))


_NEWLINE = 10


def _broken(segment: str, number: int, offset: int, raw: bytes, damage: list[Damage]) -> list[Line]:
    is_tail = raw[-1] != _NEWLINE
    content = raw.removesuffix(b"\n")
    whole = salvage(content)
    kind: DamageKind = "damaged"
    if not content:
        detail = "an empty line"
    elif is_tail and not whole:
        kind, detail = "torn", f"the last {len(content)} bytes are no whole record"
    else:
        detail = f"{len(content)} bytes do not match their checksum"
        if whole:
            detail += f"; whole records inside: {', '.join(str(line_seq(line)) for line in whole)}"
    damage.append(Damage(kind, detail, segment, number, offset, len(content)))
    return whole


def _lines_backwards(folder: Path, block: int = 64 * 1024) -> Iterator[bytes]:
    for path in reversed(segments(folder)):
        try:
            with files.open_regular(path) as stream:
                position = stream.seek(0, 2)
                rest = b""
                while position:
                    # A line that is longer than all that was read so far: read more at once.
                    size = min(max(block, len(rest)), position)
                    position -= size
                    stream.seek(position)
                    rest, *whole = (stream.read(size) + rest).split(b"\n")
                    yield from (raw for raw in reversed(whole) if raw)
                if rest:
                    yield rest
        except OSError:
            continue  # as all damage, it is `read_log` that reports it

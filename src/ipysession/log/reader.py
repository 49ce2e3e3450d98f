"""Reading a log: every whole record, and every damage with its place.

Damage never hides what stands after it, and nothing is guessed: a line counts if its
checksum holds. Authenticity (the keyed chain) is checked on request.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ipysession.errors import BlobDamaged, BlobMissing
from ipysession.log.line import FIRST_MAC, Line, check_line, is_authentic, parse_line, salvage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ipysession.log.blobs import Blobs
    from ipysession.model.encoding import BlobRef
    from ipysession.model.records import Record

SEGMENT = re.compile(r"\d{6}\.jsonl")

DamageKind = Literal[
    "torn", "damaged", "missing", "conflict", "forged", "unproven", "truncated", "blob"
]


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
    folder: Path, blobs: Blobs, *, key: bytes | None = None, session: str = ""
) -> LogContents:
    """Read the log in ``folder``. With ``key`` each record's authenticity is checked too.

    ``session`` is the id that the records are given.
    """
    damage: list[Damage] = []
    lines = _ordered(list(_lines(folder, damage)), damage)
    unproven = None if key is None else _check_chain(lines, key, damage)

    def resolve(ref: BlobRef) -> object:
        try:
            return blobs.resolve(ref)
        except (BlobMissing, BlobDamaged) as error:
            damage.append(Damage("blob", str(error)))
            return "" if ref.media == "text" else None

    records = []
    for line in lines:
        try:
            records.append(parse_line(line, resolve, session))
        except ValueError as error:
            damage.append(Damage("damaged", f"record {line.seq} has no payload: {error}"))
    head = Head(lines[-1].seq, lines[-1].mac) if lines else Head()
    return LogContents(tuple(records), tuple(damage), head, unproven)


def read_head(folder: Path) -> Head:
    """Where the chain stands, without parsing any payload."""
    lines = _ordered(list(_lines(folder, [])), [])
    return Head(lines[-1].seq, lines[-1].mac) if lines else Head()


def read_last(folder: Path, blobs: Blobs, steps: int) -> tuple[Record, ...]:
    """The records of (at least) the last ``steps`` steps, read from the end of the log.

    Costs the bytes of those records, however long the log is. Damaged lines are passed over:
    `read_log` reports them.
    """
    found: dict[int, Record] = {}
    seen = 0
    for raw in _lines_backwards(folder):
        lines = [line] if (line := check_line(raw)) else salvage(raw)
        for line in lines:
            record = parse_line(line, blobs.resolve)
            if line.seq not in found:
                found[line.seq] = record
                seen += record.type == "step.started"
        if seen >= steps:
            break
    return tuple(found[seq] for seq in sorted(found))


def _lines(folder: Path, damage: list[Damage]) -> Iterator[Line]:
    for path in segments(folder):
        data = path.read_bytes()
        offset = 0
        pieces = data.split(b"\n")
        for number, raw in enumerate(pieces, start=1):
            is_tail = number == len(pieces)
            if raw:
                line = check_line(raw)
                if line is not None:
                    yield line
                else:
                    yield from _broken(path.name, number, offset, raw, damage, is_tail=is_tail)
            elif not is_tail:
                damage.append(Damage("damaged", "an empty line", path.name, number, offset, 0))
            offset += len(raw) + 1


def _broken(
    segment: str, number: int, offset: int, raw: bytes, damage: list[Damage], *, is_tail: bool
) -> list[Line]:
    whole = salvage(raw)
    if is_tail and not whole:
        detail = f"the last {len(raw)} bytes are a record that was not written to its end"
        damage.append(Damage("torn", detail, segment, number, offset, len(raw)))
    else:
        detail = f"{len(raw)} bytes do not match their checksum"
        if whole:
            detail += f"; whole records inside: {', '.join(str(line.seq) for line in whole)}"
        damage.append(Damage("damaged", detail, segment, number, offset, len(raw)))
    return whole


def _ordered(lines: list[Line], damage: list[Damage]) -> list[Line]:
    """Order by ``seq``; a record that stands twice, identical, was written again after a
    failed sync and counts once."""
    by_seq: dict[int, Line] = {}
    for line in lines:
        other = by_seq.setdefault(line.seq, line)
        if other is not line and other.raw != line.raw:
            damage.append(Damage("conflict", f"two different records have the number {line.seq}"))
    ordered = [by_seq[seq] for seq in sorted(by_seq)]
    expected = 1
    for line in ordered:
        if line.seq != expected:
            damage.append(Damage("missing", _missing(expected, line.seq - 1)))
        expected = line.seq + 1
    return ordered


def _missing(first: int, last: int) -> str:
    return f"record {first} is missing" if first == last else f"records {first} to {last} are missing"


def _check_chain(lines: list[Line], key: bytes, damage: list[Damage]) -> frozenset[int]:
    unproven: set[int] = set()
    previous = Head()
    for line in lines:
        follows = line.seq == previous.seq + 1
        if not is_authentic(line, previous.mac, key):
            unproven.add(line.seq)
            if follows:
                detail = f"record {line.seq} was not written with this user's key, or was moved"
                damage.append(Damage("forged", detail))
            else:
                detail = f"record {line.seq} follows a gap, so its place cannot be proven"
                damage.append(Damage("unproven", detail))
        previous = Head(line.seq, line.mac)
    return frozenset(unproven)


def _lines_backwards(folder: Path, block: int = 64 * 1024) -> Iterator[bytes]:
    for path in reversed(segments(folder)):
        with path.open("rb") as stream:
            position = stream.seek(0, 2)
            rest = b""
            while position:
                size = min(block, position)
                position -= size
                stream.seek(position)
                head, *whole = (stream.read(size) + rest).split(b"\n")
                yield from (raw for raw in reversed(whole) if raw)
                rest = head
            if rest:
                yield rest

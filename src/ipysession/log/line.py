"""One line of the log as bytes: how it is written, and how it is checked.

A line is ``BODY,"mac":"KKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKCCCCCCCC"}`` and a newline, where
``BODY`` is the record's JSON object without its closing brace, ``K`` is the keyed BLAKE3 of
the previous line's 40 mac digits and ``BODY`` (16 bytes, 32 hex digits: tampering is found
with the key), and ``C`` is the CRC-32 of all that stands before it in the line (8 hex
digits: damage is found without the key). The mac before the first line is 40 zeros.
"""

from __future__ import annotations

import re
import zlib
from datetime import datetime
from typing import TYPE_CHECKING

from blake3 import blake3

from ipysession.model.payloads import PAYLOADS
from ipysession.model.records import FORMAT_VERSION, LAZY_TYPES, Record, payload_from_json

if TYPE_CHECKING:
    from ipysession.model.encoding import Resolve

FIRST_MAC = "0" * 40

_KEYED_DIGITS = 32
_END = 10
"""Bytes of the checksum, the quote and the brace."""
_TAIL = len(',"mac":""}') + 40

_HEAD = re.compile(
    rb'\{"v":([0-9]{1,9}),"seq":([1-9][0-9]{0,14}),"run":([0-9]{1,9}),"t":"([0-9T:.-]{26}Z)",'
    rb'"mono":([0-9]{1,15}\.[0-9]{6}),"type":"([a-z0-9_.-]{1,99})","payload":(?=\{)'
)
"""The envelope's keys stand in this order, without spaces: part of the format."""


Line = re.Match[bytes]
"""A whole line whose checksum holds, as the match of its envelope up to where the payload
begins; ``string`` is the line without the newline."""


def write_line(
    *, seq: int, run: int, t: str, mono: float, kind: str, payload: str, previous: str, key: bytes
) -> tuple[bytes, str]:
    """The line of a record, with its newline, and its mac. ``payload`` is the payload's JSON
    text, ``previous`` the mac before.
    """
    body = (
        f'{{"v":{FORMAT_VERSION},"seq":{seq},"run":{run},"t":"{t}","mono":{mono:.6f},'
        f'"type":"{kind}","payload":{payload}'
    ).encode("ascii")
    keyed = keyed_mac(key, previous.encode("ascii"), body)
    start = b'%b,"mac":"%b' % (body, keyed.encode("ascii"))
    end = f"{zlib.crc32(start):08x}"
    return b'%b%b"}\n' % (start, end.encode("ascii")), keyed + end


def keyed_mac(key: bytes, previous: bytes, body: bytes) -> str:
    """The keyed part of a mac."""
    return blake3(previous + body, key=key).hexdigest(16)


def check_line(raw: bytes) -> Line | None:
    """The line, if it is whole and its checksum holds, else None."""
    if raw[-_END:] != b'%08x"}' % zlib.crc32(raw[:-_END]):
        return None
    line = _HEAD.match(raw)
    return line if line is not None and raw[-_TAIL - 1 : -_TAIL + 8] == b'},"mac":"' else None


def line_seq(line: Line) -> int:
    """The number of the line's record."""
    return int(line[2])


def line_mac(line: Line) -> bytes:
    """The line's mac, 40 digits."""
    return line.string[-_TAIL + 8 : -2]


def salvage(raw: bytes) -> list[Line]:
    """Whole lines at the end of a damaged one: a lost newline fuses two lines, a torn line may
    be followed by a whole one.

    A cell may display our own lines as JSON, so that they stand inside a payload, byte by
    byte. Such a copy must not count as a record: a line counts only where it ends the
    damaged one, or where the next whole line begins (at most one byte, the damaged newline,
    lies between), and no line counts that is older than the line that it stands behind.
    """
    starts = list(_HEAD.finditer(raw))
    oldest = line_seq(starts[0]) if starts and starts[0].start() == 0 else 0
    found: list[Line] = []
    end = len(raw)
    while (line := _ending_at(end, raw, starts) or _ending_at(end - 1, raw, starts)) is not None:
        if line_seq(line) >= oldest:
            found.insert(0, line)
        end = raw.rindex(line.string, 0, end)
    return found


def _ending_at(end: int, raw: bytes, starts: list[Line]) -> Line | None:
    if raw[end - 2 : end] != b'"}':
        return None
    lines = (check_line(raw[start.start() : end]) for start in starts if start.end() < end)
    return next((line for line in lines if line is not None), None)


def is_authentic(line: Line, previous: bytes, key: bytes) -> bool:
    """Was the line written by a holder of ``key``, right after the line with mac ``previous``?"""
    keyed = keyed_mac(key, previous, line.string[:-_TAIL])
    return line_mac(line)[:_KEYED_DIGITS] == keyed.encode("ascii")


def parse_line(line: Line, blob: Resolve, session: str = "") -> Record:
    """The record of a line. ``blob`` fetches parts that lie in blobs; ``session`` is the id
    that the record is given.

    Raises ValueError where the content is not ours (a forged line: its checksum holds).
    """
    v, seq, run, t, mono, name = line.groups()
    version, kind, when = int(v), _NAMES.get(name) or name.decode("ascii"), t.decode("ascii")
    datetime.fromisoformat(when)  # whoever asks for the time later gets one
    raw = line.string[line.end() : -_TAIL]
    payload = payload_from_json(version, kind, raw, None if kind in LAZY_TYPES else blob)
    return Record(int(seq), int(run), when, float(mono), kind, payload, version, session)


_NAMES = {name.encode("ascii"): name for name in PAYLOADS}
"""So that a record type is one string in memory, however many records have it."""

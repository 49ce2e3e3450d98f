"""One line of the log as bytes: how it is written, and how it is checked.

A line is ``BODY,"mac":"CCCCCCCCKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKK"}`` and a newline, where
``BODY`` is the record's JSON object without its closing brace, ``C`` is the CRC-32 of
``BODY`` (8 hex digits: damage is found without the key) and ``K`` is the keyed BLAKE3 of
the previous line's 40 mac digits and ``BODY`` (16 bytes, 32 hex digits: tampering is found
with the key). The mac before the first line is 40 zeros.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from ipysession.model.records import (
    FORMAT_VERSION,
    LAZY_TYPES,
    Record,
    payload_from_json,
)

if TYPE_CHECKING:
    from ipysession.model.encoding import Resolve

MAC_DIGITS = 40
FIRST_MAC = "0" * MAC_DIGITS

_CRC_DIGITS = 8
_TAIL_BYTES = len(',"mac":""}') + MAC_DIGITS
_HEAD = re.compile(
    rb'\{"v":([0-9]{1,9}),"seq":([1-9][0-9]{0,14}),"run":([0-9]{1,9}),"t":"([0-9T:.-]{26}Z)",'
    rb'"mono":([0-9]{1,15}\.[0-9]{6}),"type":"([a-z0-9_.-]{1,99})","payload":(?=\{)'
)
"""The envelope's keys stand in this order, without spaces: part of the format."""

_TAIL = re.compile(rb'\},"mac":"([0-9a-f]{40})"\}')


class Line(NamedTuple):
    """A whole line whose checksum holds; ``raw`` lacks the newline."""

    seq: int
    mac: str
    raw: bytes
    head: re.Match[bytes]
    """The envelope's fields, up to where the payload begins."""

    @property
    def body(self) -> bytes:
        """What the mac covers."""
        return self.raw[:-_TAIL_BYTES]


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
    mac = f"{zlib.crc32(body):08x}{keyed_mac(key, previous, body)}"
    return b'%b,"mac":"%b"}\n' % (body, mac.encode("ascii")), mac


def keyed_mac(key: bytes, previous: str, body: bytes) -> str:
    """The keyed part of a mac."""
    return blake3(previous.encode("ascii") + body, key=key).hexdigest(16)


def check_line(raw: bytes) -> Line | None:
    """The line, if it is whole and its checksum holds, else None."""
    head = _HEAD.match(raw)
    if head is None:
        return None
    tail = _TAIL.fullmatch(raw, len(raw) - _TAIL_BYTES - 1)
    if tail is None:
        return None
    mac = tail[1].decode("ascii")
    if int(mac[:_CRC_DIGITS], 16) != zlib.crc32(raw[:-_TAIL_BYTES]):
        return None
    return Line(int(head[2]), mac, raw, head)


def salvage(raw: bytes) -> list[Line]:
    """Whole lines at the end of a damaged one: a lost newline fuses two lines, a torn line may
    be followed by a whole one.

    A cell may display our own lines as JSON, so that they stand inside a payload, byte by
    byte. Such a copy must not count as a record: a line counts only where it ends the
    damaged one, or where the next whole line begins (at most one byte, the damaged newline,
    lies between), and no line counts that is older than the line that it stands behind.
    """
    starts = list(_HEAD.finditer(raw))
    oldest = int(starts[0][2]) if starts and starts[0].start() == 0 else 0
    found: list[Line] = []
    end = len(raw)
    while (line := _ending_at(end, raw, starts) or _ending_at(end - 1, raw, starts)) is not None:
        if line.seq >= oldest:
            found.insert(0, line)
        end = raw.rindex(line.raw, 0, end)
    return found


def _ending_at(end: int, raw: bytes, starts: list[re.Match[bytes]]) -> Line | None:
    if _TAIL.fullmatch(raw, end - _TAIL_BYTES - 1, end) is None:
        return None
    lines = (check_line(raw[start.start() : end]) for start in starts if start.end() < end)
    return next((line for line in lines if line is not None), None)


def is_authentic(line: Line, previous: str, key: bytes) -> bool:
    """Was the line written by a holder of ``key``, right after the line with mac ``previous``?"""
    return line.mac[_CRC_DIGITS:] == keyed_mac(key, previous, line.body)


def parse_line(line: Line, blob: Resolve, session: str = "") -> Record:
    """The record of a checked line. ``blob`` fetches parts that lie in blobs; ``session`` is
    the id that the record is given.

    Raises ValueError where the content is not ours (a forged line: its checksum holds).
    """
    v, _, run, t, mono, name = line.head.groups()
    version, kind = int(v), name.decode("ascii")
    raw = line.raw[line.head.end() : -_TAIL_BYTES]
    payload = payload_from_json(version, kind, raw, None if kind in LAZY_TYPES else blob)
    record = Record(
        line.seq, int(run), t.decode("ascii"), float(mono), kind, payload, version, session
    )
    record.time  # noqa: B018 - raises ValueError where the text is no time
    return record

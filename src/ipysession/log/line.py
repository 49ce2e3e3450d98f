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

from ipysession.model import encoding
from ipysession.model.records import (
    FORMAT_VERSION,
    LAZY_TYPES,
    Record,
    payload_from_json,
    payload_from_value,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipysession.model.encoding import BlobRef

MAC_DIGITS = 40
FIRST_MAC = "0" * MAC_DIGITS

_TAIL = len(',"mac":""}') + MAC_DIGITS
_CRC_DIGITS = 8
_LINE = re.compile(
    rb'\{"v":(?P<v>\d+),"seq":(?P<seq>\d+),"run":(?P<run>\d+),"t":"(?P<t>[0-9T:.Z-]+)",'
    rb'"mono":(?P<mono>[0-9.e+-]+),"type":"(?P<type>[a-z0-9_.-]+)","payload":(?P<payload>\{.*\})'
    rb',"mac":"(?P<mac>[0-9a-f]{40})"\}'
)
"""The envelope's keys stand in this order, without spaces: part of the format."""

_START = b'{"v":'


class Line(NamedTuple):
    """A whole line whose checksum holds; ``raw`` lacks the newline."""

    seq: int
    mac: str
    raw: bytes
    match: re.Match[bytes] | None = None
    """The envelope's fields, where the line was read rather than written."""

    @property
    def body(self) -> bytes:
        """What the mac covers."""
        return self.raw[:-_TAIL]


def write_line(
    *, seq: int, run: int, t: str, mono: float, kind: str, payload: str, previous: str, key: bytes
) -> Line:
    """Make the line of a record. ``payload`` is its JSON text, ``previous`` the mac before."""
    body = (
        f'{{"v":{FORMAT_VERSION},"seq":{seq},"run":{run},"t":"{t}","mono":{mono:.6f},'
        f'"type":"{kind}","payload":{payload}'
    ).encode("ascii")
    mac = f"{zlib.crc32(body):08x}{keyed_mac(key, previous, body)}"
    return Line(seq, mac, b'%b,"mac":"%b"}' % (body, mac.encode("ascii")))


def keyed_mac(key: bytes, previous: str, body: bytes) -> str:
    """The keyed part of a mac."""
    return blake3(previous.encode("ascii") + body, key=key).hexdigest(16)


def check_line(raw: bytes) -> Line | None:
    """The line, if it is whole and its checksum holds, else None."""
    match = _LINE.fullmatch(raw)
    if match is None:
        return None
    mac = match["mac"].decode("ascii")
    if int(mac[:_CRC_DIGITS], 16) != zlib.crc32(raw[:-_TAIL]):
        return None
    return Line(int(match["seq"]), mac, raw, match)


def salvage(raw: bytes) -> list[Line]:
    """Whole lines inside a damaged one: a lost newline fuses two lines, a torn one may be
    followed by a whole one. A brace, a quote and ``v`` begin a record and cannot stand inside
    a JSON string, where quotes are escaped, so each place where they stand may be a start.
    """
    found: list[Line] = []
    start = raw.find(_START)
    while start != -1:
        end = raw.find(b'"}', raw.find(b',"mac":"', start))
        while end != -1:
            line = check_line(raw[start : end + 2])
            if line is not None:
                found.append(line)
                break
            mac = raw.find(b',"mac":"', end)
            end = raw.find(b'"}', mac) if mac != -1 else -1
        following = start + (len(line.raw) if end != -1 and line is not None else 1)
        start = raw.find(_START, following)
    return found


def is_authentic(line: Line, previous: str, key: bytes) -> bool:
    """Was the line written by a holder of ``key``, right after the line with mac ``previous``?"""
    return line.mac[_CRC_DIGITS:] == keyed_mac(key, previous, line.body)


def parse_line(line: Line, blob: Callable[[BlobRef], object], session: str = "") -> Record:
    """The record of a checked line. ``blob`` fetches parts that lie in blobs; ``session`` is
    the id that the record is given.

    Raises ValueError where the payload is not JSON (a forged line: its checksum holds).
    """
    match = line.match or _LINE.fullmatch(line.raw)
    if match is None:
        message = f"not a line of the log: {line.raw[:80]!r}"
        raise ValueError(message)
    version, kind, raw = int(match["v"]), match["type"].decode("ascii"), match["payload"]
    if b'{"$blob":' in raw:
        value = encoding.loads(raw, None if kind in LAZY_TYPES else blob)
        payload = payload_from_value(version, kind, value)
    else:
        payload = payload_from_json(version, kind, raw)
    return Record.trusted(
        {
            "v": version,
            "seq": line.seq,
            "run": int(match["run"]),
            "t": match["t"].decode("ascii"),
            "mono": float(match["mono"]),
            "type": kind,
            "payload": payload,
            "session": session,
        }
    )

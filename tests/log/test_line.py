"""A line: what is written is what is read, and no change to it passes unseen."""

from __future__ import annotations

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from log.logs import KEY
from model.strategies import payloads

from ipysession.log.line import (
    FIRST_MAC,
    check_line,
    is_authentic,
    line_mac,
    line_seq,
    parse_line,
    salvage,
    write_line,
)
from ipysession.model import encoding
from ipysession.model import payloads as p
from ipysession.model.records import payload_to_value

TIME = "2026-11-21T09:48:12.012345Z"


def _write(payload: p.Payload, seq: int = 1, previous: str = FIRST_MAC, **other) -> bytes:
    fields = {"run": 2, "t": TIME, "mono": 1.5, "kind": payload.type, "key": KEY, **other}
    text = encoding.dumps(payload_to_value(payload))
    data, mac = write_line(seq=seq, payload=text, previous=previous, **fields)
    assert data.endswith(mac.encode() + b'"}\n')
    return data[:-1]


def _titled(seq: int, title: str = "T") -> bytes:
    return _write(p.SessionTitled(title=title), seq)


def _seqs(lines: list) -> list[int]:
    return [line_seq(line) for line in lines]


@given(payloads(), st.integers(1, 10**14), st.integers(0, 10**8), st.floats(0, 1e9))
def test_a_record_comes_back(payload, seq, run, mono):
    """All of the envelope, and the payload; as plain JSON too."""
    raw = _write(payload, seq, run=run, mono=mono)
    line = check_line(raw)
    assert line is not None
    record = parse_line(line, lambda _: None, "s")
    assert (record.seq, record.run, record.t, record.v) == (seq, run, TIME, 1)
    assert (record.type, record.session) == (payload.type, "s")
    assert record.mono == pytest.approx(mono, abs=1e-6)
    assert json.loads(raw) == {
        "v": 1,
        "seq": seq,
        "run": run,
        "t": TIME,
        "mono": float(f"{mono:.6f}"),
        "type": payload.type,
        "payload": json.loads(encoding.dumps(payload_to_value(payload))),
        "mac": line_mac(line).decode(),
    }


@given(payloads(), st.data())
def test_any_changed_byte_is_noticed_without_the_key(payload, data):
    """The checksum covers all of the line, the keyed part of the mac included."""
    raw = bytearray(_write(payload))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    assert check_line(bytes(raw)) is None


def test_the_mac_proves_who_wrote_and_what_stood_before():
    """The keyed part: another key, or another line before, gives another mac."""
    line = check_line(_titled(1))
    assert line is not None
    assert is_authentic(line, FIRST_MAC.encode(), KEY)
    assert not is_authentic(line, b"1" * 40, KEY)
    assert not is_authentic(line, FIRST_MAC.encode(), bytes(32))


def _with_checksum(text: str) -> bytes:
    """What a forger writes who knows the format and not the key."""
    start = text.encode("latin-1")
    return start + b'%08x"}' % zlib.crc32(start)


BODY = '{"v":1,"seq":1,"run":0,"t":"TIME","mono":0.000000,"type":"x","payload":{}'.replace(
    "TIME", TIME
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        BODY + ',"mic":"' + "0" * 32,
        BODY.replace('"seq":1', '"seq":0') + ',"mac":"' + "0" * 32,
        BODY.replace('"seq":1', '"seq":' + "1" * 5000) + ',"mac":"' + "0" * 32,
        BODY.replace('"seq":1,"run":0', '"run":0,"seq":1') + ',"mac":"' + "0" * 32,
        BODY.replace(",", ", ") + ',"mac":"' + "0" * 32,
        BODY.replace("{}", "[]") + ',"mac":"' + "0" * 32,
        BODY.replace("0.000000", "..") + ',"mac":"' + "0" * 32,
    ],
)
def test_a_right_checksum_is_not_enough(text):
    """The envelope's keys stand in their order, without blanks, each of its form."""
    assert check_line(_with_checksum(text)) is None


@pytest.mark.parametrize(
    "body",
    [
        BODY.replace("{}", "{]}"),
        BODY.replace("{}", '{"$float":"nan"}'),
        BODY.replace("2026-11-21", "2026-02-30"),
        BODY.replace("{}", '{"x":' * 100_000 + "1" + "}" * 100_000),
    ],
)
def test_a_forged_line_whose_content_is_not_ours_raises_value_error(body):
    """The reader reports it and reads on."""
    line = check_line(_with_checksum(body + ',"mac":"' + "é" * 32))
    assert line is not None
    with pytest.raises(ValueError):
        parse_line(line, lambda _: None)


class TestSalvage:
    """Whole lines inside a damaged one."""

    def test_fused_lines(self):
        """A newline was lost, or became another byte."""
        one, two, three = _titled(1), _titled(2), _titled(3)
        for between in (b"", b"x", b"\x0b", b"{"):
            assert _seqs(salvage(one + between + two + between + three)) == [1, 2, 3]
            assert _seqs(salvage(one + between)) == [1]

    def test_a_whole_line_after_a_torn_one(self):
        """What a writer without our care would leave after a full disk."""
        one, two = _titled(1), _titled(2)
        for cut in range(len(one)):
            assert _seqs(salvage(one[:cut] + two)) == [2]

    def test_nothing_in_a_torn_line(self):
        """Half a record is no record."""
        one = _titled(1)
        for cut in range(len(one)):
            assert salvage(one[:cut]) == []

    def test_a_copy_of_a_line_inside_a_payload_is_no_record(self):
        """A cell displays our own log as JSON: however the line around it is torn or damaged,
        the copies inside do not come to life.
        """
        mono = {"mono": 1.123456}  # so that JSON gives the very same text back
        copies = [json.loads(_write(p.SessionTitled(title=str(n)), n, **mono)) for n in (1, 2, 3)]
        shown = p.StepOutput(step=1, events=[{"output": copies, "end": copies[0]}])
        outer = _write(shown, 9)
        assert outer.count(b'{"v":1,"seq":') == 5
        for cut in range(len(outer)):
            assert salvage(outer[:cut]) == []
        for place in range(len(outer)):
            damaged = outer[:place] + bytes([outer[place] ^ 1]) + outer[place + 1 :]
            assert _seqs(salvage(damaged)) in ([], [9])  # 9: not damaged after all
            assert _seqs(salvage(damaged + _titled(10))) == [10]

    def test_a_line_of_many_beginnings_takes_no_longer(self):
        """Bounded work, whatever somebody puts into a payload."""
        evil = BODY[:-2] + '{"x":"' + BODY * 2000
        assert salvage(evil.encode()) == []
        assert _seqs(salvage(evil.encode() + _titled(7))) == [7]

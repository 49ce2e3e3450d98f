"""Reading: all that is whole is read, in order; all damage is reported with its place."""

from __future__ import annotations

import errno
import os
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log.logs import KEY, Place, fill, titled, titles
from model.strategies import payloads, same

from ipysession.log import Head, SyncPolicy, files, read_last, read_log
from ipysession.log.line import FIRST_MAC, keyed_mac, write_line
from ipysession.model import encoding
from ipysession.model import payloads as p
from ipysession.model.records import payload_to_value


@pytest.fixture
def place(tmp_path) -> Place:
    """A folder for one log."""
    return Place(tmp_path / "session")


@pytest.fixture
def five(place) -> Place:
    """A log of five records in one segment."""
    log = place.open()
    fill(log, 1, 2, 3, 4, 5)
    log.close()
    return place


def _kinds(place: Place, key: bytes | None = KEY) -> list[str]:
    return [damage.kind for damage in place.read(key).damage]


@settings(max_examples=40)
@given(st.lists(st.lists(payloads(), max_size=4), max_size=3))
def test_records_come_back_through_a_real_log(tmp_path_factory, runs):
    """Of every type, over several runs: equal, numbered from 1, proven."""
    place = Place(tmp_path_factory.mktemp("session") / "x")
    written = []
    for number, run in enumerate(runs, start=1):
        log = place.open(run=number)
        written += [log.append(payload) for payload in run]
        assert log.close()
    contents = place.read()
    assert contents.damage == ()
    assert contents.unproven == frozenset()
    assert [record.seq for record in contents.records] == list(range(1, len(written) + 1))
    assert contents.head.seq == len(written)
    for record, back in zip(written, contents.records, strict=True):
        assert record._replace(payload=None) == back._replace(payload=None)
        assert type(back.payload) is type(record.payload)
        before, after = payload_to_value(record.payload), payload_to_value(back.payload)
        assert same(_json(after), _json(before))


def _json(value):
    return encoding.loads(encoding.dumps_with_blobs(value))


class TestOrder:
    """Records are ordered by their number."""

    def test_a_log_that_does_not_exist_is_empty(self, tmp_path):
        """As is a folder without segments, or with other files."""
        place = Place(tmp_path / "x")
        for name in ("notes.txt", "000001.jsonl~", "1.jsonl", "000001.jsonl.tmp"):
            (place.folder / name).write_text("not a segment")
        for folder in (tmp_path / "none", place.folder):
            contents = read_log(folder, place.blobs, key=KEY)
            assert (contents.records, contents.damage) == ((), ())
            assert contents.head == Head(0, FIRST_MAC)

    def test_what_stands_twice_counts_once(self, five):
        """After a failed sync, records are written again: in a new segment, identical."""
        again = b"\n".join(five.lines()[2:]) + b"\n"
        (five.folder / "000002.jsonl").write_bytes(again)
        assert five.titles() == ["1", "2", "3", "4", "5"]

    def test_the_order_in_the_files_does_not_matter(self, five):
        """Nor does the wall clock."""
        lines = five.lines()
        five.segments()[0].write_bytes(b"\n".join([lines[4], lines[2], lines[3]]) + b"\n")
        (five.folder / "000002.jsonl").write_bytes(b"\n".join([lines[1], lines[0]]) + b"\n")
        assert five.titles() == ["1", "2", "3", "4", "5"]

    def test_two_versions_of_a_record_are_reported_and_the_first_counts(self, five):
        """Two programs wrote at the same time: neither version is hidden in silence."""
        data, _ = _line(3, "forged")
        (five.folder / "000002.jsonl").write_bytes(data)
        assert titles(five.read()) == ["1", "2", "3", "4", "5"]
        assert _kinds(five) == ["conflict"]
        assert "record 3" in str(five.read().damage[0])


def _line(seq: int, title: str, *, key: bytes = KEY, previous: str = FIRST_MAC, **other: str):
    fields = {"t": "2026-11-21T09:48:12.012345Z", "kind": "session.titled", **other}
    text = encoding.dumps({"title": title})
    return write_line(seq=seq, run=0, mono=0.0, payload=text, previous=previous, key=key, **fields)


class TestDamage:
    """Damage is reported with its place, and never hides what stands after it."""

    def test_a_damaged_line(self, five):
        """Reported with segment, line, offset and length; the rest is read."""
        lines = five.lines()
        (segment,) = five.segments()
        data = segment.read_bytes()
        start = len(lines[0]) + 1
        segment.write_bytes(data[: start + 9] + b"X" + data[start + 10 :])
        contents = five.read()
        assert titles(contents) == ["1", "3", "4", "5"]
        damaged, missing, unproven = contents.damage
        assert damaged.kind == "damaged"
        assert (damaged.segment, damaged.line) == ("000001.jsonl", 2)
        assert (damaged.offset, damaged.length) == (start, len(lines[1]))
        assert str(damaged) == (
            f"000001.jsonl, line 2: damaged: {len(lines[1])} bytes do not match their checksum"
        )
        assert str(missing) == "missing: the log lacks record 2"
        assert unproven.kind == "unproven"
        assert contents.unproven == {3}

    def test_without_the_key_all_but_authenticity_is_told(self, five):
        """For somebody who was sent the session."""
        (segment,) = five.segments()
        segment.write_bytes(segment.read_bytes().replace(b'"2"', b'"Z"'))
        contents = five.read(key=None)
        assert [damage.kind for damage in contents.damage] == ["damaged", "missing"]
        assert contents.unproven is None

    def test_a_torn_end_is_set_aside(self, five):
        """A crash in the middle of a write: kept in the file, reported, nothing else lost."""
        (segment,) = five.segments()
        data = segment.read_bytes()
        segment.write_bytes(data[:-30])
        contents = five.read()
        assert titles(contents) == ["1", "2", "3", "4"]
        (torn,) = contents.damage
        assert (torn.kind, torn.line) == ("torn", 5)
        assert "no whole record" in torn.detail
        assert segment.read_bytes() == data[:-30]

    def test_each_segment_may_have_a_torn_end(self, five):
        """One per crash; the next run goes on in its own segment."""
        (segment,) = five.segments()
        segment.write_bytes(segment.read_bytes()[:-30])
        log = five.open(run=2)
        fill(log, "5 again", 6)
        log.close()
        contents = five.read()
        assert titles(contents) == ["1", "2", "3", "4", "5 again", "6"]
        assert [damage.kind for damage in contents.damage] == ["torn"]
        assert contents.unproven == frozenset()

    def test_a_last_line_that_lacks_only_its_newline_is_whole(self, five):
        """Nothing of the record is lost."""
        (segment,) = five.segments()
        segment.write_bytes(segment.read_bytes()[:-1])
        assert five.titles() == ["1", "2", "3", "4", "5"]

    def test_an_empty_line_is_reported(self, five):
        """We never wrote one."""
        (segment,) = five.segments()
        segment.write_bytes(b"\n" + segment.read_bytes())
        (damage,) = five.read().damage
        assert str(damage) == "000001.jsonl, line 1: damaged: an empty line"

    def test_fused_lines_are_reported_and_both_records_read(self, five):
        """A newline was lost."""
        (segment,) = five.segments()
        lines = five.lines()
        segment.write_bytes(b"\n".join([lines[0] + lines[1], *lines[2:], b""]))
        contents = five.read()
        assert titles(contents) == ["1", "2", "3", "4", "5"]
        (damage,) = contents.damage
        assert damage.detail.endswith("; whole records inside: 1, 2")

    def test_a_missing_segment_is_a_gap(self, place):
        """Of records in a row, told as one."""
        for titles_of_run in ((1, 2), (3, 4, 5), (6,)):
            log = place.open()
            fill(log, *titles_of_run)
            log.close()
        place.segments()[1].unlink()
        contents = place.read()
        assert titles(contents) == ["1", "2", "6"]
        assert [str(damage) for damage in contents.damage] == [
            "missing: the log lacks records 3 to 5",
            "unproven: not provable, since what stood before is missing: record 6",
        ]
        assert contents.head.seq == 6

    def test_a_segment_that_cannot_be_read_does_not_hide_the_others(self, five):
        """A link, a folder, a pipe: reported, not followed, not waited for."""
        lines = five.lines()
        five.segments()[0].unlink()
        elsewhere = five.folder.parent / "elsewhere"
        elsewhere.write_bytes(b"\n".join(lines[:2]) + b"\n")
        (five.folder / "000001.jsonl").symlink_to(elsewhere)
        (five.folder / "000002.jsonl").mkdir()
        os.mkfifo(five.folder / "000003.jsonl")
        (five.folder / "000004.jsonl").write_bytes(b"\n".join(lines[2:]) + b"\n")
        contents = five.read()
        assert titles(contents) == ["3", "4", "5"]
        assert [damage.kind for damage in contents.damage[:3]] == ["unreadable"] * 3
        assert [r.seq for r in read_last(five.folder, five.blobs, 9)] == [3, 4, 5]

    def test_a_disk_that_fails_while_it_is_read(self, five, monkeypatch):
        """What was read before counts, and so does the next segment."""
        log = five.open()
        fill(log, 6)
        log.close()
        first, open_regular = five.segments()[0], files.open_regular
        monkeypatch.setattr(
            files,
            "open_regular",
            lambda path: Failing(path) if path == first else open_regular(path),
        )
        contents = five.read()
        assert titles(contents) == ["1", "2", "6"]
        unreadable = contents.damage[0]
        assert (unreadable.kind, unreadable.line) == ("unreadable", 3)
        assert unreadable.offset == sum(len(line) + 1 for line in five.lines()[:2])


class TestAuthenticity:
    """With the key, the log proves who wrote it and that nothing was moved or taken out."""

    def test_another_key_proves_nothing(self, five):
        """All records are read; none is proven; told once and not five times."""
        contents = five.read(key=bytes(32))
        assert titles(contents) == ["1", "2", "3", "4", "5"]
        assert contents.unproven == {1, 2, 3, 4, 5}
        assert [str(damage) for damage in contents.damage] == [
            "forged: not written with this user's key, or moved: records 1 to 5"
        ]

    def test_a_forged_record_is_told(self, five):
        """Somebody without the key replaced one: its checksum holds, its mac does not."""
        lines = five.lines()
        lines[2] = _line(3, "forged", key=bytes(32))[0][:-1]
        five.segments()[0].write_bytes(b"\n".join(lines) + b"\n")
        assert five.read(key=None).damage == ()
        contents = five.read()
        assert titles(contents)[2] == "forged"
        assert contents.unproven == {3, 4}
        assert [damage.kind for damage in contents.damage] == ["forged"]

    def test_moved_records_are_told(self, five):
        """Two records with exchanged numbers: each was written by us, but elsewhere."""
        one, two = (_line(seq, title, previous=FIRST_MAC)[0] for seq, title in ((1, "b"), (2, "a")))
        five.segments()[0].write_bytes(one + two)
        assert five.read().unproven == {2}

    def test_a_record_before_its_predecessor_is_proven_all_the_same(self, five):
        """The chain follows the numbers, not the files; a forged one there is found too."""
        lines = five.lines()
        five.segments()[0].write_bytes(lines[1] + b"\n" + lines[0] + b"\n")
        assert five.titles() == ["1", "2"]
        forged = _line(2, "forged", key=bytes(32))[0]
        five.segments()[0].write_bytes(forged + lines[0] + b"\n")
        assert five.read().unproven == {2}

    def test_records_whose_checksum_was_forged_too_are_not_fatal(self, five):
        """A forger may write any nonsense with a right checksum."""
        body = (
            b'{"v":1,"seq":6,"run":0,"t":"2026-99-99T99:99:99.999999Z","mono":0.000000,'
            b'"type":"session.titled","payload":{"title":"x"},"mac":"' + b"0" * 32
        )
        with five.segments()[0].open("ab") as stream:
            stream.write(body + b'%08x"}\n' % zlib.crc32(body))
        contents = five.read()
        assert titles(contents) == ["1", "2", "3", "4", "5"]
        (damage,) = contents.damage
        assert damage.detail.startswith("record 6 is not ours")
        assert [r.seq for r in read_last(five.folder, five.blobs, 9)] == [1, 2, 3, 4, 5]

    @pytest.mark.parametrize(("kept", "gone"), [(4, "record 5"), (2, "records 3 to 5")])
    def test_truncation_is_seen_by_a_promised_head(self, five, kept, gone):
        """Whole lines cut off the end leave no other trace."""
        head = five.read().head
        five.segments()[0].write_bytes(b"".join(line + b"\n" for line in five.lines()[:kept]))
        assert five.read().damage == ()
        (damage,) = five.read(promised=head).damage
        assert str(damage) == f"truncated: the log once had 5 records; gone from its end: {gone}"

    def test_rollback_is_seen_by_a_promised_head(self, five):
        """Cut off, and then other records appended: the number is there, the mac is not."""
        head = five.read().head
        five.segments()[0].write_bytes(b"".join(line + b"\n" for line in five.lines()[:3]))
        log = five.open()
        fill(log, "4 anew", "5 anew", "6 anew")
        log.close()
        (damage,) = five.read(promised=head).damage
        assert damage.kind == "truncated"
        assert "record 5 is another one" in damage.detail

    def test_a_kept_promise_is_no_damage(self, five):
        """The log may have grown since."""
        head = five.read().head
        log = five.open()
        fill(log, 6)
        log.close()
        assert five.read(promised=head).damage == ()


class TestNewerVersions:
    """What this version does not know is kept, shown as unknown, and never rewritten."""

    def test_unknown_records_stay_as_they_are(self, five):
        """Between known ones, through reading and appending; the chain holds."""
        head = five.read().head
        data, mac = _line(6, "later", previous=head.mac, kind="mood.changed")
        newer = data.replace(b'{"v":1', b'{"v":7')
        body = newer[: newer.rindex(b',"mac"')]
        start = body + b',"mac":"' + keyed_mac(KEY, head.mac.encode(), body).encode()
        newer = start + b'%08x"}\n' % zlib.crc32(start)
        (segment,) = five.segments()
        with segment.open("ab") as stream:
            stream.write(newer)
        before = segment.read_bytes()
        log = five.open()
        fill(log, 7)
        log.close()
        contents = five.read()
        assert contents.damage == ()
        assert contents.unproven == frozenset()
        assert segment.read_bytes() == before
        unknown = contents.records[5]
        assert (unknown.v, unknown.type) == (7, "mood.changed")
        assert unknown.payload == p.UnknownPayload(type_name="mood.changed", raw={"title": "later"})
        assert contents.records[6].payload == titled(7)
        assert mac != newer[-42:-2].decode()


class Counting:
    """Opens files, and counts what is read from them."""

    def __init__(self):
        self.bytes = 0
        self._open = files.open_regular

    def __call__(self, path):
        """Open the file."""
        self._stream = self._open(path)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stream.close()

    def seek(self, *where):
        """Seek, as a stream does."""
        return self._stream.seek(*where)

    def read(self, size):
        """Read, as a stream does."""
        data = self._stream.read(size)
        self.bytes += len(data)
        return data


class Failing:
    """A stream on a disk that fails after two lines."""

    def __init__(self, path):
        self._stream = path.open("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stream.close()

    def __iter__(self):
        yield self._stream.readline()
        yield self._stream.readline()
        raise OSError(errno.EIO, "Input/output error")


class TestReadLast:
    """The last page of a session, read from the end."""

    def _steps(self, place: Place, count: int, first: int = 1) -> None:
        log = place.open()
        for step in range(first, first + count):
            log.append(p.StepStarted(step=step, source=f"cell {step}"))
            log.append(p.StepFinished(step=step, outcome="ok", duration=1.0))
        log.close()

    def test_the_records_of_the_last_steps(self, place):
        """In order, and whole, with the session's id."""
        self._steps(place, 10)
        records = read_last(place.folder, place.blobs, 3, session="s")
        assert records == place.read().records[-6:]

    def test_over_segments(self, place):
        """Also where the last run is shorter than a page, or has written nothing yet."""
        self._steps(place, 4)
        self._steps(place, 2, first=5)
        (place.folder / "000003.jsonl").touch()
        assert read_last(place.folder, place.blobs, 3, session="s") == place.read().records[-6:]
        assert read_last(place.folder, place.blobs, 99, session="s") == place.read().records

    def test_records_that_stand_twice_count_once(self, place):
        """After a failed sync."""
        self._steps(place, 3)
        (place.folder / "000002.jsonl").write_bytes(b"\n".join(place.lines()[2:]) + b"\n")
        assert read_last(place.folder, place.blobs, 3, session="s") == place.read().records

    def test_the_cost_does_not_depend_on_the_length(self, place, monkeypatch):
        """Bytes read are counted: as many for 1,000 steps as for 8,000."""
        cost = []
        for steps, first in ((1_000, 1), (7_000, 1_001)):
            self._steps(place, steps, first)
            counting = Counting()
            with monkeypatch.context() as patch:
                patch.setattr(files, "open_regular", counting)
                records = read_last(place.folder, place.blobs, 20)
            assert records[-1].payload.step == first + steps - 1
            cost.append(counting.bytes)
        assert cost[0] == cost[1] <= 2 * 64 * 1024

    def test_a_line_longer_than_any_block(self, place):
        """Read in growing blocks, so that its length costs once and not squared."""
        log = place.open(policy=SyncPolicy.OFF)
        log.append(p.StepStarted(step=1, source=""))
        for _ in range(3):
            log.append(p.StepOutput(step=1, events=[{"n": n} for n in range(20_000)]))
        log.close()
        assert max(map(len, place.lines())) > 3 * 64 * 1024
        assert read_last(place.folder, place.blobs, 1, session="s") == place.read().records

    def test_damage_is_passed_over(self, place):
        """A torn end, a damaged line, fused ones, a blob that is gone: the page is shown."""
        self._steps(place, 5)
        log = place.open()
        log.append(p.StepStarted(step=6, source="x" * 300_000))
        log.close()
        for blob in place.blobs.folder.rglob("*"):
            if blob.is_file():
                blob.unlink()
        lines = place.lines()
        damaged = lines[9].replace(b"ok", b"OK")
        (place.folder / "000001.jsonl").write_bytes(
            b"\n".join([*lines[:7], lines[7] + lines[8], damaged, b"torn"])
        )
        records = read_last(place.folder, place.blobs, 2, session="s")
        assert [record.seq for record in records] == [8, 9, 11]
        assert records[-1].payload == p.StepStarted(step=6, source="")

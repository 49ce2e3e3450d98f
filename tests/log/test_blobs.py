"""Blobs: what is too large for a line lies beside the log, and is verified when it is read."""

from __future__ import annotations

import math
import os
import stat
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log.logs import Disk, Place
from model.strategies import nested, same

from ipysession.errors import BlobDamaged, BlobMissing
from ipysession.log import Blobs
from ipysession.log.blobs import PART_LIMIT, blob_name
from ipysession.model import payloads as p
from ipysession.model.encoding import BlobRef
from ipysession.model.records import payload_to_value


@pytest.fixture
def place(tmp_path) -> Place:
    """A folder for one log and its blobs."""
    return Place(tmp_path / "session")


@pytest.fixture
def blobs(place) -> Blobs:
    """Its blobs."""
    return place.blobs


def _files(blobs: Blobs) -> list:
    return sorted(path for path in blobs.folder.rglob("*") if path.is_file())


class TestStoring:
    """A blob is named by its content."""

    @given(st.binary(max_size=2000))
    @settings(max_examples=20)
    def test_what_is_put_is_what_one_gets(self, tmp_path_factory, data):
        """Any bytes; under the BLAKE3 of them."""
        blobs = Blobs(tmp_path_factory.mktemp("b") / "blobs")
        assert blobs.get(blobs.put(data)) == data
        assert blobs.get(blobs.put(memoryview(data))) == data
        (path,) = _files(blobs)
        assert path.relative_to(blobs.folder).as_posix() == f"{path.name[:2]}/{blob_name(data)}"

    def test_memory_of_any_shape(self, blobs):
        """The buffer of an array, whatever its items are."""
        array = np.arange(1000, dtype="f8").reshape(10, 100)
        assert blobs.get(blobs.put(memoryview(array))) == array.tobytes()
        assert blobs.get(blobs.put(memoryview(array[:0]))) == b""

    def test_nothing_is_made_before_the_first_blob(self, blobs):
        """Most sessions have none."""
        assert not blobs.folder.exists()

    @pytest.mark.parametrize("umask", [0o000, 0o777])
    def test_private_whatever_the_umask(self, blobs, umask):
        """Files 0600, folders 0700."""
        before = os.umask(umask)
        try:
            blobs.put(b"x")
        finally:
            os.umask(before)
        (path,) = _files(blobs)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for folder in (path.parent, blobs.folder):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    def test_the_same_bytes_are_written_once(self, blobs, place, monkeypatch):
        """But made durable again: the one who put them first may not have cared."""
        blobs.put(b"x", sync=False)
        before = _files(blobs)[0].stat().st_ino
        disk = Disk(monkeypatch, place.folder.parent)
        blobs.put(b"x")
        assert "write" not in disk.calls
        assert disk.syncs == ["fdatasync", "fsync"]
        assert _files(blobs)[0].stat().st_ino == before

    def test_a_new_blob_is_durable_with_its_name(self, blobs, place, monkeypatch):
        """File first, then its folder; and each new folder in its own."""
        disk = Disk(monkeypatch, place.folder.parent)
        blobs.put(b"x")
        assert disk.syncs == ["fsync", "fsync", "fdatasync", "fsync"]
        disk.calls.clear()
        blobs.put(b"y", sync=False)
        assert "fdatasync" not in disk.calls

    @pytest.mark.parametrize("damage", [b"", b"y", b"longer than before"])
    def test_a_damaged_blob_is_replaced(self, blobs, damage):
        """A power cut may leave zeros of the right length: size alone proves nothing."""
        name = blobs.put(b"x")
        _files(blobs)[0].write_bytes(damage)
        assert blobs.put(b"x") == name
        assert blobs.get(name) == b"x"

    def test_a_link_in_place_of_a_blob_is_replaced(self, blobs, tmp_path):
        """And not followed."""
        name = blobs.put(b"x")
        (path,) = _files(blobs)
        path.unlink()
        (tmp_path / "elsewhere").write_bytes(b"x")
        path.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(BlobMissing):
            blobs.get(name)
        blobs.put(b"x")
        assert not path.is_symlink()
        assert blobs.get(name) == b"x"

    def test_threads_may_put_the_same(self, blobs):
        """At the same time."""
        threads = [threading.Thread(target=blobs.put, args=(b"x" * 10_000,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (path,) = _files(blobs)
        assert path.read_bytes() == b"x" * 10_000

    def test_a_full_disk_raises_and_leaves_nothing_behind(self, blobs, place, monkeypatch):
        """Neither half a blob nor a temporary file."""
        disk = Disk(monkeypatch, place.folder.parent)
        disk.fill_up()
        with pytest.raises(OSError, match="No space"):
            blobs.put(b"x")
        assert _files(blobs) == []


class TestReading:
    """A blob is verified whenever it is read."""

    def test_missing(self, blobs):
        """The message names it and the place."""
        with pytest.raises(BlobMissing, match=f"{'ab' * 32} is missing from {blobs.folder}"):
            blobs.get("ab" * 32)

    @pytest.mark.parametrize("damage", [b"", b"y", b"xx"])
    def test_damaged(self, blobs, damage):
        """One flipped bit, a lost end, a grown end."""
        name = blobs.put(b"x")
        _files(blobs)[0].write_bytes(damage)
        with pytest.raises(BlobDamaged, match="does not hash to its name"):
            blobs.get(name)

    @pytest.mark.parametrize(
        "name", ["", "../../etc/passwd", "AB" * 32, "ab" * 31, "ab" * 32 + "\n"]
    )
    def test_what_is_no_name_never_touches_a_path(self, blobs, name):
        """Names come from logs, and a log may be forged."""
        with pytest.raises(BlobMissing, match="not the name of a blob"):
            blobs.get(name)

    def test_syncing_what_is_missing_or_damaged_is_no_failure_of_the_disk(self, blobs):
        """It is told when it is read."""
        name = blobs.put(b"x")
        _files(blobs)[0].write_bytes(b"y")
        blobs.sync(name)
        _files(blobs)[0].unlink()
        blobs.sync(name)
        with pytest.raises(BlobMissing):
            blobs.get(name)


BIG = "x" * (PART_LIMIT + 1)
EVENT = {"event": "output", "output": {"output_type": "display_data", "data": {}, "metadata": {}}}


def _display(data: object) -> p.StepOutput:
    output = {**EVENT["output"], "data": data}
    return p.StepOutput(step=1, events=[{**EVENT, "output": output}])


PAYLOADS = {
    "source": p.StepStarted(step=1, source=BIG),
    "traceback": p.StepFinished(
        step=1,
        outcome="error",
        duration=1.0,
        error=p.StepError(ename="E", evalue=BIG, traceback=["short", BIG]),
    ),
    "note": p.NoteAdded(text="é" * (PART_LIMIT // 2 + 1)),
    "surrogates": p.NoteAdded(text="\ud800" * PART_LIMIT),
    "stream": p.StepOutput(
        step=1,
        events=[{"event": "output", "output": {"output_type": "stream", "name": "o", "text": BIG}}],
    ),
    "image": _display({"image/png": BIG, "text/plain": "<Figure>"}),
    "json of many small parts": _display({"application/json": [[n] for n in range(40_000)]}),
    "json with wrappers": _display({"application/json": [math.inf, {"$float": "nan"}, BIG]}),
    "a blob inside a blob": _display({"application/json": [BIG, *range(60_000)]}),
    "update": p.StepOutput(
        step=1, events=[{"event": "update", "display_id": "d", "data": {"text/html": BIG}}]
    ),
    "many names": p.StepFinished(
        step=1, outcome="ok", duration=1.0, bound=[f"name_{n}" for n in range(50_000)]
    ),
    "inline pickle": p.CheckpointSaved(
        step=1, groups=[p.SavedGroup(names=["x"], size=1, inline=BIG)]
    ),
}


class TestLargeParts:
    """A part above 256 KB goes to a blob, in every kind of payload."""

    @pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
    def test_comes_back(self, place, payload):
        """As it was; the outputs' blobs are fetched when somebody looks at them."""
        log = place.open()
        log.append(payload)
        log.close()
        contents = place.read()
        assert contents.damage == ()
        back = contents.records[0].payload
        assert type(back) is type(payload)
        value = payload_to_value(back)
        assert same(_fetched(value, place.blobs), _fetched(payload_to_value(payload), place.blobs))

    @pytest.mark.parametrize("name", [n for n in PAYLOADS if n != "many names"])
    def test_the_line_stays_short(self, place, name):
        """So the last page of a session is read in milliseconds."""
        log = place.open()
        log.append(PAYLOADS[name])
        log.close()
        (line,) = place.lines()
        assert len(line) < 1000
        assert b'{"$blob":' in line

    def test_parts_up_to_the_limit_stay_in_the_record(self, place):
        """256 KB themselves, counted in bytes of UTF-8."""
        log = place.open()
        log.append(p.NoteAdded(text="x" * PART_LIMIT))
        log.append(p.NoteAdded(text="é" * (PART_LIMIT // 2)))
        log.close()
        assert not place.blobs.folder.exists()

    def test_the_blob_is_durable_before_the_record_is_written(self, place, monkeypatch):
        """A power cut may leave a blob without its record, never the other way round."""
        log = place.open(policy="background")
        disk = Disk(monkeypatch, place.folder.parent)
        log.append(PAYLOADS["note"])
        order = [call for call in disk.calls if call in {"write", "fdatasync"}]
        assert order[:3] == ["write", "fdatasync", "write"]
        log.close()

    def test_without_syncing_where_the_policy_is_off(self, place, monkeypatch):
        """Then the operating system decides about blobs too."""
        log = place.open()
        disk = Disk(monkeypatch, place.folder.parent)
        log.append(PAYLOADS["note"])
        assert "fdatasync" not in disk.calls
        log.close()

    def test_a_payload_that_was_read_can_be_written_again(self, place):
        """Its references stay references."""
        log = place.open()
        log.append(PAYLOADS["stream"])
        (record,) = place.read().records
        log.append(record.payload)
        log.close()
        one, two = place.read().records
        assert one.payload == two.payload
        assert isinstance(two.payload.events[0]["output"]["text"], BlobRef)
        assert len(_files(place.blobs)) == 1

    @given(nested())
    @settings(max_examples=25)
    def test_any_shape_around_a_large_part(self, tmp_path_factory, shape):
        """However deep the part lies."""
        place = Place(tmp_path_factory.mktemp("x") / "s")
        value = {"core": [shape.core, BIG], "n": 1}
        shape = shape._replace(core=value)
        log = place.open()
        log.append(_display({"application/json": shape.value()}))
        log.close()
        (record,) = place.read().records
        event = record.payload.events[0]
        shown = _fetched(event, place.blobs)["output"]["data"]["application/json"]
        is_same = same(shown, shape.value())
        assert is_same


def _fetched(value, blobs: Blobs):
    """The value with all references replaced by what they stand for."""
    holder = [value]
    todo = [holder]
    while todo:
        container = todo.pop()
        for key in list(container) if isinstance(container, dict) else range(len(container)):
            item = container[key]
            if isinstance(item, BlobRef):
                item = blobs.resolve(item)
            elif isinstance(item, (dict, list, tuple)):
                item = dict(item) if isinstance(item, dict) else list(item)
            container[key] = item
            if isinstance(item, (dict, list)):
                todo.append(item)
    return holder[0]


class TestLostBlobs:
    """A blob that is missing or damaged is reported and not fatal to other records."""

    @pytest.mark.parametrize("damage", ["missing", "damaged"])
    def test_records_around_it_are_read(self, place, damage):
        """The part is empty, the record is there, the damage names the blob."""
        log = place.open()
        log.append(p.NoteAdded(text="before"))
        log.append(p.NoteAdded(text=BIG))
        log.append(p.NoteAdded(text="after"))
        log.close()
        (path,) = _files(place.blobs)
        if damage == "missing":
            path.unlink()
        else:
            path.write_bytes(b"?")
        contents = place.read()
        assert [record.payload.text for record in contents.records] == ["before", "", "after"]
        (said,) = contents.damage
        assert said.kind == "blob"
        assert path.name in said.detail
        assert damage in said.detail

    def test_a_list_in_it_makes_the_record_unknown(self, place):
        """Nothing is put in the place of what cannot be known."""
        log = place.open()
        effects = p.StepEffects(step=1, packages={f"p{n}": "1" * 100 for n in range(10_000)})
        log.append(effects)
        log.close()
        contents = place.read()
        assert contents.records[0].payload == effects

    def test_outputs_are_not_touched_until_somebody_looks(self, place):
        """Opening a session with gigabytes of pictures reads none of them."""
        log = place.open()
        log.append(PAYLOADS["image"])
        log.close()
        _files(place.blobs)[0].unlink()
        contents = place.read()
        assert contents.damage == ()
        ref = contents.records[0].payload.events[0]["output"]["data"]["image/png"]
        assert ref == BlobRef(blob_name(BIG.encode()), len(BIG), "text")
        with pytest.raises(BlobMissing):
            place.blobs.resolve(ref)

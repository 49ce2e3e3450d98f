"""Disks that refuse: nothing is lost, everything is told once, and the cell is not disturbed."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

import pytest
from log.logs import Disk, Place, Told, fill, titled, titles

from ipysession.log import Log, SyncPolicy
from ipysession.log import writer as writer_module
from ipysession.model import payloads as p


@pytest.fixture
def place(tmp_path) -> Place:
    """A folder for one log."""
    return Place(tmp_path / "session")


@pytest.fixture
def disk(place, monkeypatch) -> Disk:
    """The disk that the log lies on."""
    return Disk(monkeypatch, place.folder.parent)


@pytest.fixture
def told() -> Told:
    """Hears what the user is told."""
    return Told()


@pytest.fixture
def log(place, told) -> Log:
    """A log with a first record, that syncs when it is asked to."""
    log = place.open(policy=SyncPolicy.STRICT, on_trouble=told)
    fill(log, 1)
    log.acknowledge()
    return log


REFUSALS = [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS]


class TestRefusedWrites:
    """The disk takes nothing."""

    @pytest.mark.parametrize("number", REFUSALS)
    def test_records_wait_in_memory_and_are_written_when_the_disk_recovers(
        self, place, log, disk, told, number
    ):
        """In order, once each, and in the same segment."""
        disk.broken["write"] = number
        fill(log, 2, 3)
        assert log.waiting == 2
        assert titles(place.read()) == ["1"]
        disk.recover()
        log.acknowledge()
        assert log.waiting == 0
        assert place.titles() == ["1", "2", "3"]
        assert len(place.segments()) == 1
        assert told.words == [errno.errorcode[number], "well"]
        assert log.close()

    def test_the_caller_is_never_disturbed(self, log, disk):
        """No exception, and no waiting: while there is trouble, the thread tries, not the cell."""
        disk.fill_up()
        fill(log, 2)
        disk.calls.clear()
        fill(log, *range(3, 100))
        assert disk.calls.count("write") <= 4
        assert log.waiting == 98

    def test_the_background_thread_retries_by_itself(self, place, disk, told, monkeypatch):
        """Nobody has to append or to ask."""
        monkeypatch.setattr(writer_module, "_RETRY_SECONDS", 0.05)
        log = place.open(policy=SyncPolicy.BACKGROUND, on_trouble=told)
        disk.fill_up()
        fill(log, 1, 2)
        time.sleep(0.3)
        disk.recover()
        give_up = time.monotonic() + 10
        while log.waiting and time.monotonic() < give_up:
            time.sleep(0.01)
        assert place.titles() == ["1", "2"]
        log.close()
        assert told.words == ["ENOSPC", "well"]

    def test_a_first_record_that_cannot_be_written(self, place, disk, told):
        """The segment cannot even be made."""
        log = place.open(policy=SyncPolicy.STRICT, on_trouble=told)
        disk.broken["open"] = errno.ENOSPC
        fill(log, 1)
        log.acknowledge()
        disk.recover()
        fill(log, 2)
        log.acknowledge()
        assert place.titles() == ["1", "2"]
        assert told.words == ["ENOSPC", "well"]
        log.close()

    def test_closing_says_that_records_are_lost(self, place, log, disk):
        """And does not wait for ever."""
        disk.fill_up()
        fill(log, 2)
        assert not log.close()
        assert titles(place.read()) == ["1"]


class TestShortWrites:
    """A full disk takes a part of a line and raises nothing."""

    @pytest.mark.parametrize("taken", [0, 1, 100])
    def test_the_part_is_taken_back(self, place, log, disk, told, taken):
        """So that the next line cannot fuse with it."""
        disk.short = taken
        fill(log, 2)
        assert [damage.kind for damage in place.read().damage] == []
        assert titles(place.read()) == ["1"]
        log.acknowledge()
        fill(log, 3)
        log.acknowledge()
        assert place.titles() == ["1", "2", "3"]
        assert len(place.segments()) == 1
        assert told.words == ["ENOSPC", "well"]
        log.close()

    def test_a_part_that_cannot_be_taken_back_stays_alone(self, place, log, disk, told):
        """The next records go to a new segment; the torn line is reported and stays."""
        disk.short, disk.broken["ftruncate"] = 100, errno.EIO
        fill(log, 2)
        disk.recover()
        log.acknowledge()
        contents = place.read()
        assert titles(contents) == ["1", "2"]
        assert [damage.kind for damage in contents.damage] == ["torn"]
        assert len(place.segments()) == 2
        assert told.words == ["ENOSPC", "well"]
        log.close()

    def test_what_was_written_before_stays_to_be_synced(self, place, disk):
        """A segment that is given up still holds records that are not durable: its file is
        synced too before they count as durable.
        """
        durable: list[int] = []
        log = place.open(
            policy=SyncPolicy.STRICT, on_durable=lambda rs: durable.extend(r.seq for r in rs)
        )
        fill(log, 1)
        disk.short, disk.broken["ftruncate"] = 100, errno.EIO
        fill(log, 2)
        disk.recover()
        disk.calls.clear()
        log.acknowledge()
        assert durable == [1, 2]
        assert disk.syncs == ["fdatasync", "fdatasync", "fsync"]
        log.close()


class TestFailedSyncs:
    """After a failed sync the system may have thrown the pages away."""

    @pytest.mark.parametrize("call", ["fdatasync", "fsync"])
    def test_all_that_is_not_durable_is_written_again_to_a_new_segment(
        self, place, disk, told, monkeypatch, call
    ):
        """The descriptor is never trusted again; what stands twice is read once."""
        durable: list[int] = []
        log = place.open(
            policy=SyncPolicy.STRICT,
            on_trouble=told,
            on_durable=lambda rs: durable.extend(r.seq for r in rs),
        )
        fill(log, 1, 2)
        failed = _fail_once(monkeypatch, call)
        log.acknowledge()
        assert failed == [call]
        assert durable == [1, 2]
        one, two = place.segments()
        assert one.read_bytes() == two.read_bytes()
        fill(log, 3)
        log.acknowledge()
        assert place.titles() == ["1", "2", "3"]
        assert len(place.segments()) == 2
        assert told.words == ["EIO", "well"]
        log.close()

    def test_what_is_durable_already_is_not_written_again(self, place, log, monkeypatch):
        """Only what was appended since the last good sync."""
        fill(log, 2)
        _fail_once(monkeypatch, "fdatasync")
        log.acknowledge()
        assert place.segments()[1].read_bytes().count(b"\n") == 1
        log.close()

    def test_a_disk_whose_syncs_go_on_failing(self, place, log, disk, told):
        """Everything waits in memory and is told once; nothing counts as durable."""
        disk.broken["fdatasync"] = errno.EIO
        fill(log, 2)
        for _ in range(3):
            log.acknowledge()
        assert not log.sync()
        assert log.waiting == 1
        disk.recover()
        log.acknowledge()
        assert place.titles() == ["1", "2"]
        assert told.words == ["EIO", "well"]
        assert log.close()

    def test_such_a_disk_is_tried_less_and_less_often(self, place, disk, told, monkeypatch):
        """Each try writes a segment."""
        monkeypatch.setattr(writer_module, "_RETRY_SECONDS", 0.02)
        log = place.open(policy=SyncPolicy.BACKGROUND, on_trouble=told)
        disk.broken["fdatasync"] = errno.EIO
        fill(log, 1)
        time.sleep(1.0)
        assert 4 <= len(place.segments()) <= 20
        disk.recover()
        assert log.close()
        assert place.titles() == ["1"]
        assert told.words == ["EIO", "well"]

    def test_a_blob_whose_sync_fails_is_written_anew(self, place, disk, monkeypatch):
        """Its pages may be gone too, so it does not do to sync again."""
        data = b"x" * 1000
        log = place.open(policy=SyncPolicy.STRICT)
        name = place.blobs.put(data, sync=False)
        before = place.blobs._path(name).stat().st_ino
        log.append(titled(1), blobs=[name])
        _fail_once(monkeypatch, "fdatasync")
        log.acknowledge()
        assert place.blobs._path(name).stat().st_ino != before
        assert place.blobs.get(name) == data
        assert place.titles() == ["1"]
        assert len(place.segments()) == 1
        log.close()

    def test_a_folder_is_synced_for_each_new_segment(self, place, log, disk, monkeypatch):
        """A file's name is durable only when its folder is."""
        fill(log, 2)
        _fail_once(monkeypatch, "fdatasync")
        disk.calls.clear()
        log.acknowledge()
        assert disk.syncs == ["fdatasync", "fsync"]
        log.close()


def _fail_once(monkeypatch: pytest.MonkeyPatch, call: str) -> list[str]:
    failed: list[str] = []
    real = getattr(os, call)

    def fail(descriptor: int) -> None:
        if not failed:
            failed.append(call)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, call, fail)
    return failed


class TestFilesThatAreTakenAway:
    """The user's code may delete our file, or close our descriptor."""

    def test_a_deleted_segment_is_noticed(self, place, log, told):
        """Records do not go on into a file that nobody can read."""
        place.segments()[0].unlink()
        fill(log, 2)
        log.acknowledge()
        contents = place.read()
        assert titles(contents) == ["2"]
        assert str(contents.damage[0]) == "missing: the log lacks record 1"
        assert told.words == ["ENOENT", "well"]
        log.close()

    def test_a_deleted_folder_is_told(self, place, log, told):
        """And the records wait."""
        place.segments()[0].unlink()
        place.folder.rmdir()
        fill(log, 2)
        log.acknowledge()
        assert told.words == ["ENOENT"]
        place.folder.mkdir()
        log.acknowledge()
        assert titles(place.read()) == ["2"]
        assert log.close()

    def test_a_closed_descriptor_is_noticed(self, place, log):
        """A daemon's start closes all descriptors."""
        os.close(log._descriptor)
        fill(log, 2)
        log.acknowledge()
        assert place.titles() == ["1", "2"]
        assert log.close()

    def test_a_descriptor_that_became_another_file_is_not_written(self, place, log, tmp_path):
        """Nor closed: it is the user's now."""
        number = log._descriptor
        os.close(number)
        mine = (tmp_path / "mine").open("wb")
        assert mine.fileno() == number
        fill(log, 2)
        log.acknowledge()
        assert log.close()
        mine.write(b"mine")
        mine.close()
        assert (tmp_path / "mine").read_bytes() == b"mine"
        assert place.titles() == ["1", "2"]


class TestTelling:
    """The user is told once, and once when all is well again."""

    def test_once_for_each_trouble(self, log, disk, told):
        """However often it is tried, and however the errors change."""
        for number in (errno.ENOSPC, errno.EIO):
            disk.broken["write"] = number
            for n in range(5):
                fill(log, n)
                log.acknowledge()
        assert told.words == ["ENOSPC"]
        disk.recover()
        log.acknowledge()
        log.acknowledge()
        assert told.words == ["ENOSPC", "well"]
        disk.fill_up()
        fill(log, 9)
        disk.recover()
        log.acknowledge()
        assert told.words == ["ENOSPC", "well"] * 2
        log.close()
        assert told.words == ["ENOSPC", "well"] * 2

    def test_a_sync_that_was_under_way_does_not_say_that_all_is_well(
        self, log, disk, told, monkeypatch
    ):
        """The disk refused a newer record meanwhile: what was synced is not all there is."""
        sync = writer_module.files.sync_data

        def refused_meanwhile(descriptor: int) -> None:
            sync(descriptor)
            monkeypatch.setattr(writer_module.files, "sync_data", sync)
            disk.fill_up()
            fill(log, 3)

        monkeypatch.setattr(writer_module.files, "sync_data", refused_meanwhile)
        fill(log, 2)
        log.acknowledge()
        assert told.words == ["ENOSPC"]
        assert log.waiting == 1
        disk.recover()
        log.acknowledge()
        assert told.words == ["ENOSPC", "well"]

    def test_at_the_end_of_the_cell_with_any_policy(self, place, disk, told, monkeypatch):
        """Even before the background thread has noticed."""
        monkeypatch.setattr(writer_module, "_GROUP_SECONDS", 5)
        log = place.open(policy=SyncPolicy.BACKGROUND, on_trouble=told)
        disk.fill_up()
        fill(log, 1)
        assert told.said == []
        log.acknowledge()
        assert told.words == ["ENOSPC"]
        assert told.threads == [threading.current_thread()]
        disk.recover()
        log.close()

    def test_no_lock_is_held_meanwhile(self, place, disk):
        """What is told is printed in the notebook, and the print is recorded: it may append,
        and another thread may too.
        """

        def on_trouble(error: OSError | None) -> None:
            fill(log, f"told {error is None}")
            thread = threading.Thread(target=fill, args=(log, "from a thread"))
            thread.start()
            thread.join(5)
            assert not thread.is_alive()
            log.acknowledge()

        log = place.open(policy=SyncPolicy.STRICT, on_trouble=on_trouble)
        disk.fill_up()
        fill(log, 1)
        log.acknowledge()
        disk.recover()
        log.acknowledge()
        log.close()
        assert place.titles() == ["1", "told False", "from a thread", "told True", "from a thread"]

    def test_a_teller_that_raises_harms_nothing(self, place, disk, caplog):
        """It is logged."""

        def on_trouble(_: OSError | None) -> None:
            raise ValueError("a bug")

        log = place.open(policy=SyncPolicy.STRICT, on_trouble=on_trouble)
        disk.fill_up()
        fill(log, 1)
        log.acknowledge()
        disk.recover()
        log.acknowledge()
        assert log.close()
        assert caplog.text.count("a bug") >= 2
        assert place.titles() == ["1"]


class TestBlobsThatTheDiskRefuses:
    """A big part that cannot become a blob stays in the record."""

    def test_the_record_is_written_all_the_same(self, place, log, disk, told):
        """Nothing is lost, so there is nothing to tell."""
        note = p.NoteAdded(text="x" * 300_000)
        disk.broken["mkdir"] = errno.ENOSPC
        log.append(note)
        log.acknowledge()
        assert place.read().records[-1].payload == note
        assert not place.blobs.folder.exists()
        assert told.said == []
        log.close()


def test_a_real_full_disk(place, monkeypatch):
    """/dev/full refuses every write; the log goes on as soon as it has a real file."""
    log = place.open(policy=SyncPolicy.STRICT)
    real = os.open

    def full(path: Path, *arguments: int) -> int:
        if str(path).endswith(".jsonl"):
            return real("/dev/full", os.O_WRONLY)
        return real(path, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", full)
        patch.setattr(os, "fchmod", lambda *_: None)
        fill(log, 1, 2)
    assert log.waiting == 2
    log.acknowledge()
    log._descriptor = None
    log.acknowledge()
    assert place.titles() == ["1", "2"]
    log.close()


@pytest.mark.parametrize("call", ["write", "fsync", "fdatasync", "open"])
def test_a_cell_that_replaced_a_function_of_os_loses_nothing(place, log, told, monkeypatch, call):
    """``os.write = Mock(side_effect=…)``: as with a disk that refuses, and told once."""

    def replaced(*_, **__):
        raise RuntimeError("not today")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, replaced)
        fill(log, 2, 3)
        log.acknowledge()
        log.acknowledge()
    fill(log, 4)
    log.acknowledge()
    assert place.titles() == ["1", "2", "3", "4"]
    assert place.read().damage == ()
    assert told.words[-1:] in ([], ["well"])
    assert len(told.words) <= 2
    assert log.close()

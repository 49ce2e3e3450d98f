"""session.json: derived from the log, never believed against it, and a witness of its end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from store.stores import RUN, listed, make_session, other_writer, run_cells

from ipysession.log import SyncPolicy, files
from ipysession.model import SessionState
from ipysession.model import payloads as p
from ipysession.store import Store
from ipysession.store import folder as folder_module
from ipysession.store.lock import SessionLock

OTHER_KEY = b"o" * 32


@pytest.fixture
def folder(store):
    """A session with two cells, which nobody writes."""
    return store.folder(make_session(store))


def _kinds(reading) -> list[str]:
    return [damage.kind for damage in reading.damage]


def _log(folder) -> Path:
    (segment,) = folder.log_folder.iterdir()
    return segment


def _drop_last_lines(segment: Path, count: int) -> None:
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(lines[:-count]))


def _resume(writer) -> None:
    """Resume, run a third cell, and pause."""
    writer.append(p.SessionResumed(reason="on"))
    run_cells(writer, 3)
    writer.append(p.SessionPaused(reason="off"))
    writer.close()


class TestDerived:
    """Whatever stands in it, the listing is right."""

    def test_it_says_what_the_log_says(self, store, folder):
        """Closing a session writes it."""
        said = json.loads(folder.summary_path.read_bytes())
        session = folder.read().session
        assert said["summary"] == session.summary.model_dump(mode="json")
        assert folder.summary(store.key()) == session.summary

    def test_where_it_is_up_to_date_the_log_is_not_read(self, store, folder, monkeypatch):
        """A listing of many long sessions is quick."""
        expected = folder.read().session.summary
        monkeypatch.setattr(folder_module, "read_log", None)
        assert listed(store) == {folder.id: expected}

    @pytest.mark.parametrize(
        "content",
        [
            None,
            b"",
            b"{",
            b"[]",
            b"\xff",
            b"[" * 100_000,
            b'{"format": 99, "segments": {}}',
            b'{"format": 1}',
        ],
    )
    def test_deleted_or_damaged(self, store, folder, content):
        """The summary is right, and the file is whole again."""
        expected, whole = listed(store), folder.summary_path.read_bytes()
        if content is None:
            folder.summary_path.unlink()
        else:
            folder.summary_path.write_bytes(content)
        assert folder.summary(store.key()) == expected[folder.id]
        assert listed(store) == expected
        assert folder.summary_path.read_bytes() == whole

    @pytest.mark.parametrize("summary", [None, {}, {"id": 1}, "x"])
    def test_damaged_inside(self, store, folder, summary):
        """Its sizes fit, its summary does not."""
        expected = listed(store)
        said = json.loads(folder.summary_path.read_bytes())
        folder.summary_path.write_text(json.dumps({**said, "summary": summary}))
        assert listed(store) == expected

    def test_stale(self, store, folder):
        """A kernel that was killed wrote more to the log after it."""
        stale = folder.summary_path.read_bytes()
        writer = store.open_for_append(folder.id)
        _resume(writer)
        folder.summary_path.write_bytes(stale)
        assert listed(store)[folder.id].steps == 3

    def test_a_killed_writers_session_is_listed_whole(self, store):
        """All that was acknowledged, though its file was never written or is old."""
        with other_writer() as other:
            other.kill()
        assert listed(store)[other.id].steps == 2

    def test_a_link_in_its_place_is_replaced(self, store, folder, tmp_path):
        """What it leads to is not touched."""
        target = tmp_path / "target"
        target.write_bytes(b"precious")
        folder.summary_path.unlink()
        folder.summary_path.symlink_to(target)
        assert listed(store)[folder.id].steps == 2
        assert target.read_bytes() == b"precious"
        assert not folder.summary_path.is_symlink()


class TestRewriting:
    """Readers replace a stale file only where that disturbs nobody."""

    @pytest.fixture(autouse=True)
    def _stale(self, folder):
        folder.summary_path.unlink()

    def test_not_while_somebody_writes_the_session(self, store, folder):
        """The file is the writer's then."""
        lock = SessionLock.acquire(folder.lock_path)
        assert listed(store)[folder.id].steps == 2
        assert not folder.summary_path.exists()
        lock.release()
        assert listed(store)[folder.id].steps == 2
        assert folder.summary_path.exists()

    def test_not_without_a_key(self, folder):
        """An unsigned head would promise nothing."""
        assert folder.summary().steps == 2
        assert not folder.summary_path.exists()

    def test_not_where_the_store_can_only_be_read(self, store, folder, monkeypatch):
        """A medium that is mounted read-only; the listing is right."""

        def refuse(*_, **__):
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr(files, "replace", refuse)
        assert listed(store)[folder.id].steps == 2
        assert not folder.summary_path.exists()


class TestWhileItIsWritten:
    """A listing while a kernel works."""

    def test_a_short_session_is_exact(self, store):
        """The log is folded anew."""
        writer = store.create(policy=SyncPolicy.OFF)
        writer.append(RUN)
        for number in range(1, 4):
            run_cells(writer, number)
            summary = listed(store)[writer.id]
            assert (summary.steps, summary.state) == (number, SessionState.RUNNING)
        writer.close()

    def test_a_long_session_is_as_its_kernel_wrote_it_just_now(self, store, monkeypatch):
        """Instead of reading gigabytes; once nobody writes, it is exact."""
        monkeypatch.setattr(folder_module, "_QUICK_BYTES", 0)
        name = make_session(store)
        folder = store.folder(name)
        stale = folder.summary_path.read_bytes()
        lock = SessionLock.acquire(folder.lock_path)
        with _log(folder).open("ab") as stream:
            stream.write(b"half a li")
        assert folder.summary().steps == 2
        monkeypatch.setattr(folder_module, "read_log", None)
        assert folder.summary().steps == 2
        monkeypatch.undo()
        lock.release()
        assert folder.summary_path.read_bytes() == stale

    def test_the_line_that_is_just_written_is_no_damage(self, folder):
        """Unless nobody is there to write its rest."""
        with _log(folder).open("ab") as stream:
            stream.write(b'{"seq": 9')
        assert _kinds(folder.read()) == ["torn"]
        lock = SessionLock.acquire(folder.lock_path)
        assert _kinds(folder.read()) == []
        lock.release()
        assert _kinds(folder.read()) == ["torn"]

    def test_its_state_is_that_of_now(self, store):
        """The file may say running or interrupted; what counts is whether the writer lives."""
        with other_writer() as other:
            other.kill()
        folder = store.folder(other.id)
        assert folder.summary(store.key()).state is SessionState.INTERRUPTED
        assert b'"interrupted"' in folder.summary_path.read_bytes()
        lock = SessionLock.acquire(folder.lock_path)
        assert folder.summary(store.key()).state is SessionState.RUNNING
        lock.release()

    def test_running_in_the_file_is_interrupted_once_its_kernel_died(self, store):
        """The file was right when it was written."""
        writer = store.create(policy=SyncPolicy.OFF)
        writer.append(RUN)
        writer.log.sync()
        writer._write_summary()
        assert b'"running"' in writer.folder.summary_path.read_bytes()
        writer._lock.release()  # as its death would
        assert listed(store)[writer.id].state is SessionState.INTERRUPTED
        writer.log.close()


class TestPromise:
    """The signed head shows what is gone from the log's end."""

    @pytest.mark.parametrize("lines", [1, 3])
    def test_truncation(self, store, folder, lines):
        """Whole lines taken from the end would leave a log that looks well."""
        key = store.key()
        assert _kinds(folder.read(key)) == []
        _drop_last_lines(_log(folder), lines)
        assert _kinds(folder.read(key)) == ["truncated"]
        assert _kinds(folder.read()) == []

    def test_listing_keeps_the_evidence(self, store, folder):
        """The listing is as the log is now; the promise stays."""
        before = folder.summary_path.read_bytes()
        _drop_last_lines(_log(folder), 1)
        assert listed(store)[folder.id].records == 6
        assert folder.summary_path.read_bytes() == before
        assert _kinds(folder.read(store.key())) == ["truncated"]

    def test_a_rollback_to_an_older_log(self, store, folder, tmp_path):
        """An authentic older state is still not what was promised."""
        old = tmp_path / "log"
        shutil.copytree(folder.log_folder, old)
        _resume(store.open_for_append(folder.id))
        shutil.rmtree(folder.log_folder)
        shutil.copytree(old, folder.log_folder)
        assert _kinds(folder.read(store.key())) == ["truncated"]

    def test_appending_after_it_does_not_hide_it(self, store, folder):
        """The numbers of records that are gone are not given out again."""
        _drop_last_lines(_log(folder), 1)
        promised = folder.promised(store.key())
        writer = store.open_for_append(folder.id)
        record = writer.append(RUN)
        writer.close()
        assert record.seq == promised.seq + 1
        assert "missing" in _kinds(folder.read(store.key()))

    @pytest.mark.parametrize(
        "change", [{"seq": 2}, {"mac": "0" * 32}, {"mac": None}, {"signature": "0" * 32}]
    )
    def test_a_forged_promise(self, store, folder, change):
        """Whoever truncates the log cannot lower the promise."""
        said = json.loads(folder.summary_path.read_bytes())
        said["head"] |= change
        folder.summary_path.write_text(json.dumps(said))
        reading = folder.read(store.key())
        assert _kinds(reading) == ["forged"]
        assert "not signed with this user's key" in reading.damage[0].detail

    @pytest.mark.parametrize("head", [None, [], "x", {"seq": "1"}, {}])
    def test_a_promise_that_makes_no_sense(self, store, folder, head):
        """Is a forged one; and it is kept as evidence."""
        said = json.loads(folder.summary_path.read_bytes())
        text = json.dumps({**said, "head": head, "segments": {}})
        folder.summary_path.write_text(text)
        assert _kinds(folder.read(store.key())) == ["forged"]
        assert listed(store)[folder.id].steps == 2
        assert folder.summary_path.read_text() == text

    def test_the_wrong_key(self, folder):
        """Another user's session: it can be read, its authenticity cannot be told."""
        reading = folder.read(OTHER_KEY)
        assert len(reading.session.steps) == 2
        assert "forged" in _kinds(reading)
        assert folder.promised(OTHER_KEY) is None

    def test_listing_with_the_wrong_key_leaves_the_file(self, store, folder):
        """A colleague's session in one's own store keeps its owner's signature."""
        said = json.loads(folder.summary_path.read_bytes())
        text = json.dumps({**said, "segments": {}})
        folder.summary_path.write_text(text)
        assert listed(Store(key=OTHER_KEY))[folder.id].steps == 2
        assert folder.summary_path.read_text() == text

    def test_no_key_at_all(self, folder):
        """Damage shows, authenticity is not asked about."""
        assert _kinds(folder.read()) == []
        assert folder.read().contents.unproven is None

    def test_no_file_promises_nothing(self, store, folder):
        """That is no damage: the file is derived."""
        folder.summary_path.unlink()
        assert _kinds(folder.read(store.key())) == []
        assert folder.promised(store.key()) is None


def test_the_last_steps_alone(folder):
    """Read at a cost that the session's length does not touch."""
    steps = {getattr(record.payload, "step", None) for record in folder.read_last(1)}
    assert 2 in steps
    assert 1 not in steps

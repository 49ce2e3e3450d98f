"""Writing a session: what is refused changes nothing, what is appended is there."""

from __future__ import annotations

import errno
import os
import time

import pytest
from log.logs import Disk
from store.stores import RUN, make_session, other_writer, run_cells, titled, wait_until

from ipysession.errors import InvalidTransition, NotRecording, SessionBusy
from ipysession.log import SyncPolicy, files
from ipysession.model import Outcome, SessionState
from ipysession.model import payloads as p
from ipysession.store import SessionFolder
from ipysession.store import writer as writer_module


@pytest.fixture
def writer(store):
    """A running session."""
    writer = store.create(titled("T"), policy=SyncPolicy.OFF)
    writer.append(RUN)
    yield writer
    writer.close()


def _types(folder: SessionFolder) -> list[str]:
    return [record.type for record in folder.read_contents().records]


class TestAppending:
    """Records, one after the other, as the state machine allows."""

    def test_what_is_appended_is_there(self, writer):
        """Before anything is closed or synced."""
        run_cells(writer, 1)
        assert _types(writer.folder) == [
            "session.created",
            "run.started",
            "step.started",
            "step.finished",
        ]
        assert (writer.last_step, writer.last_run) == (1, 1)
        assert writer.state is SessionState.RUNNING
        assert writer.summary() == writer.folder.summary()

    def test_an_invalid_transition_changes_nothing(self, writer):
        """Neither the log nor the state nor the next record's number."""
        before = writer.log.head
        with pytest.raises(InvalidTransition, match="it is recording already"):
            writer.append(p.SessionResumed(reason="no"))
        assert writer.log.head == before
        assert writer.state is SessionState.RUNNING
        assert _types(writer.folder) == ["session.created", "run.started"]
        assert writer.append(p.SessionPaused(reason="yes")).seq == before.seq + 1
        with pytest.raises(InvalidTransition, match="resume it first"):
            writer.append(RUN)

    def test_a_record_that_the_log_refuses_changes_nothing(self, writer, monkeypatch):
        """The state is still what the log says, and the next record is taken."""

        def refuse(*_, **__):
            message = "JSON cannot hold it"
            raise TypeError(message)

        with monkeypatch.context() as patch:
            patch.setattr(writer.log, "append", refuse)
            with pytest.raises(TypeError):
                writer.append(p.StepStarted(step=1, source="1"))
        assert writer.last_step == 0
        run_cells(writer, 1)
        assert writer.last_step == 1

    @pytest.mark.parametrize("synced", [True, False])
    def test_an_interrupt_between_log_and_state(self, writer, monkeypatch, synced):
        """The record is in the log; the state is made anew from there."""
        real = writer.log.append

        def interrupted(*arguments, **options):
            real(*arguments, **options)
            raise KeyboardInterrupt

        run_cells(writer, 1)
        with monkeypatch.context() as patch:
            patch.setattr(writer.log, "append", interrupted)
            with pytest.raises(KeyboardInterrupt):
                writer.append(p.StepStarted(step=2, source="2"))
        if synced:
            writer.log.sync()
        assert writer.last_step == 2
        writer.append(p.StepFinished(step=2, outcome="ok", duration=1))
        assert writer.summary().steps == 2
        assert writer.summary() == writer.folder.summary()

    def test_nothing_can_be_appended_after_the_end(self, writer):
        """With an error that says what to do."""
        writer.close()
        with pytest.raises(NotRecording, match="open it again"):
            writer.append(p.NoteAdded(text="late"))


class TestClosing:
    """The lock is given up, and all is on disk."""

    def test_twice_is_once(self, store, writer):
        """The second time harms nobody who has taken the session up since."""
        assert writer.close()
        other = store.open_for_append(writer.id)
        assert writer.close()
        assert writer.closed
        with pytest.raises(SessionBusy):
            store.open_for_append(writer.id)
        other.close()

    def test_in_a_forked_child_it_does_nothing(self, writer, monkeypatch):
        """The session is the parent's."""
        with monkeypatch.context() as patch:
            patch.setattr(writer, "_process", os.getppid())
            assert writer.close()
        assert not writer.closed
        assert writer.folder.writer() is not None

    def test_a_disk_that_refuses_is_told(self, store, writer, monkeypatch):
        """False, the lock is free all the same, and no summary tells of what is not there."""
        run_cells(writer, 1)
        with monkeypatch.context() as patch:
            Disk(patch, store.path).fill_up()
            run_cells(writer, 2)
            assert writer.close() is False
        folder = store.folder(writer.id)
        assert folder.writer() is None
        assert folder.summary(store.key()).steps == 1

    def test_a_summary_that_cannot_be_written_harms_nothing(self, store, writer, monkeypatch):
        """It is derived."""
        run_cells(writer, 1)

        def refuse(*_, **__):
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(files, "replace", refuse)
            assert writer.close()
        assert store.folder(writer.id).summary().steps == 1


class TestSummaryFile:
    """Written while the session grows, but seldom."""

    def test_it_follows_by_itself(self, writer, monkeypatch):
        """Within a second or so, without another record."""
        monkeypatch.setattr(writer_module, "_SUMMARY_SECONDS", 0.05)
        run_cells(writer, 1)

        def is_up_to_date() -> bool:
            said = writer.folder._read_summary_file()
            return said.get("segments") == writer.folder.segment_sizes()

        wait_until(is_up_to_date)
        assert writer.folder._read_summary_file()["summary"]["steps"] == 1

    def test_not_with_every_record(self, writer):
        """The log asks to be called again when it is due, or to look into the inbox."""
        writer.log.sync()
        written = []
        writer._write_summary = lambda: written.append(1)
        writer._summary_due = None
        assert 0 < writer._on_durable([]) <= writer_module.LOOK_SECONDS
        assert written == []
        writer._summary_written = time.monotonic()
        record = writer.folder.read_contents().records[-1]
        assert 0 < writer._on_durable([record]) <= writer_module._SUMMARY_SECONDS
        assert 0 < writer._on_durable([record]) <= writer_module._SUMMARY_SECONDS
        assert written == []
        writer._summary_due = time.monotonic() - 1
        assert 0 < writer._on_durable([]) <= writer_module.LOOK_SECONDS
        assert written == [1]


class TestOpening:
    """Taking a session up again."""

    def test_it_goes_on_in_a_new_segment(self, store):
        """Numbers go on; what was written is not touched."""
        name = make_session(store)
        folder = store.folder(name)
        (first,) = folder.log_folder.iterdir()
        before = first.read_bytes()
        writer = store.open_for_append(name)
        assert (writer.state, writer.last_step, writer.last_run) == (SessionState.PAUSED, 2, 1)
        writer.append(p.SessionResumed(reason="on"))
        run_cells(writer, 3)
        writer.close()
        assert first.read_bytes() == before
        assert len(list(folder.log_folder.iterdir())) == 2
        reading = folder.read(store.key())
        assert reading.damage == ()
        assert [step.number for step in reading.session.steps] == [1, 2, 3]
        assert [record.seq for record in reading.contents.records] == list(range(1, 11))

    def test_after_a_kill_the_death_is_noted(self, store):
        """Once: it is written who died before anything else is."""
        with other_writer() as other:
            other.kill()
        writer = store.open_for_append(other.id)
        assert writer.state is SessionState.RUNNING
        writer.note_death()
        writer.note_death()
        assert writer.state is SessionState.PAUSED
        writer.append(p.SessionResumed(reason="on"))
        writer.close()
        session = store.folder(other.id).read(store.key()).session
        assert [t.reason for t in session.transitions] == ["", "kernel died", "on"]
        assert {step.outcome for step in session.steps} == {Outcome.OK}

    def test_where_it_cannot_be_read_the_lock_is_given_up(self, store, monkeypatch):
        """The next one is not kept out by a failure."""
        name = make_session(store)

        def refuse(*_):
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(SessionFolder, "read_contents", refuse)
            with pytest.raises(OSError, match="Input/output"):
                store.open_for_append(name)
        assert store.folder(name).writer() is None
        store.open_for_append(name).close()


def test_opening_removes_what_a_killed_writer_left(store):
    """Temporary files in the session's folder and among its blobs; blobs stay."""
    name = make_session(store)
    folder = store.folder(name)
    blob = folder.blobs.put(b"x" * 1000)
    left = [
        files.temporary_for(folder.summary_path),
        files.temporary_for(folder.blobs.folder / blob[:2] / blob),
    ]
    for path in left:
        path.write_bytes(b"half")
        os.utime(path, (0, 0))
    store.open_for_append(name).close()
    assert not any(path.exists() for path in left)
    assert folder.blobs.get(blob) == b"x" * 1000

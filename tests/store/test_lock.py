"""Locks: one writer at a time, and everybody can tell whether it lives."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import threading
import time

import psutil
import pytest
from log.logs import run_program
from store.stores import listed, make_session, other_writer, wait_until

from ipysession.errors import SessionBusy, StoreUnsafe, StoreUnusable
from ipysession.model import SessionState
from ipysession.store import lock as lock_module
from ipysession.store.lock import Holder, SessionLock, living_holder


@pytest.fixture
def path(tmp_path):
    """Where a session's lock lies."""
    return tmp_path / "20261121-074312-k3f9qz" / "lock"


@pytest.fixture
def held(path):
    """A descriptor of a lock file that somebody holds; what it says is the test's affair."""
    path.parent.mkdir()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield descriptor
    os.close(descriptor)


def _me() -> Holder:
    started = lock_module._started(os.getpid())
    assert started is not None
    return Holder(os.getpid(), started, *lock_module._here())


def _say(descriptor: int, holder: Holder) -> None:
    os.pwrite(descriptor, json.dumps(holder._asdict()).encode(), 0)


class TestOneWriter:
    """In one process, seen from inside."""

    @pytest.fixture(autouse=True)
    def _folder(self, path):
        path.parent.mkdir(exist_ok=True)

    def test_the_second_is_refused(self, path):
        """The message names the process, and the way out."""
        lock = SessionLock.acquire(path)
        with pytest.raises(SessionBusy, match=f"{path.parent.name} is being written by process"):
            SessionLock.acquire(path)
        assert living_holder(path) == _me()
        lock.release()

    def test_after_its_release_it_is_free(self, path):
        """The file stays and says nothing any more; releasing twice harms nothing."""
        lock = SessionLock.acquire(path)
        lock.release()
        lock.release()
        assert living_holder(path) is None
        assert path.read_bytes() == b""
        SessionLock.acquire(path).release()

    def test_one_that_was_never_taken_is_free(self, path):
        """Also where there is no file."""
        assert living_holder(path) is None

    def test_it_is_private(self, path):
        """Whatever the umask; also where the file had other modes."""
        path.touch(mode=0o666)
        path.chmod(0o666)
        SessionLock.acquire(path).release()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_a_forked_child_cannot_release_it(self, path, monkeypatch):
        """Seen from a child the lock is its parent's: the file is not emptied."""
        lock = SessionLock.acquire(path)
        monkeypatch.setattr(lock, "_process", os.getppid())
        lock.release()
        assert path.read_bytes() != b""

    def test_a_descriptor_that_the_users_code_closed(self, path):
        """Releasing does not raise; the lock was free from then on."""
        lock = SessionLock.acquire(path)
        os.close(lock._descriptor)
        assert living_holder(path) is None
        lock.release()

    def test_a_link_is_refused(self, path, tmp_path):
        """Taking it would empty the file that it leads to."""
        target = tmp_path / "target"
        target.write_bytes(b"precious")
        path.symlink_to(target)
        with pytest.raises(StoreUnsafe, match="is a link"):
            SessionLock.acquire(path)
        assert living_holder(path) is None
        assert target.read_bytes() == b"precious"

    def test_a_place_where_it_cannot_be_written(self, tmp_path):
        """A readable error of our own."""
        with pytest.raises(StoreUnusable, match="cannot be opened to write it"):
            SessionLock.acquire(tmp_path / "none" / "lock")


class TestWhoeverHoldsIt:
    """A lock that is held proves nothing: the process that it names must exist."""

    def test_the_process_that_it_names_lives(self, path, held):
        """Then it is busy."""
        _say(held, _me())
        assert living_holder(path) == _me()
        with pytest.raises(SessionBusy):
            SessionLock.acquire(path)

    @pytest.mark.parametrize(
        "changes",
        [{"started": 1.0}, {"pid": 2**31 - 1}, {"pid": 2**70}, {"pid": -1}],
        ids=["a reused pid", "no such process", "a huge pid", "a negative pid"],
    )
    def test_the_process_that_it_names_does_not_live(self, path, held, changes):
        """An orphan of the writer holds it: it is free, and taking it puts a new file there."""
        _say(held, _me()._replace(**changes))
        assert living_holder(path) is None
        lock = SessionLock.acquire(path)
        assert living_holder(path) == _me()
        with pytest.raises(SessionBusy):
            SessionLock.acquire(path)
        assert os.fstat(held).st_nlink == 0
        lock.release()

    @pytest.mark.parametrize("changes", [{"host": "elsewhere"}, {"space": "pid:[1]"}])
    def test_a_process_that_cannot_be_seen_is_taken_to_live(self, path, held, changes):
        """On another host, in another container: better busy than written by two."""
        _say(held, _me()._replace(pid=2**31 - 1, **changes))
        assert living_holder(path) is not None
        with pytest.raises(SessionBusy):
            SessionLock.acquire(path)

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\xff\xfe",
            b"[]",
            b"{}",
            b"null",
            b"[" * 4096,
            b'{"pid": "x", "started": 1, "host": "", "space": ""}',
            b'{"pid": Infinity, "started": 1, "host": "", "space": ""}',
            b'{"pid": 1, "started": null, "host": "", "space": ""}',
        ],
    )
    def test_a_file_that_says_nothing_sensible(self, path, held, content):
        """Names nobody who lives: no verb fails because of it."""
        os.pwrite(held, content, 0)
        assert living_holder(path) is None
        SessionLock.acquire(path).release()

    def test_stale_words_in_a_file_that_nobody_holds(self, path, held):
        """The process that they name lives, but holds no lock."""
        _say(held, _me())
        fcntl.flock(held, fcntl.LOCK_UN)
        assert living_holder(path) is None
        SessionLock.acquire(path).release()

    def test_a_reader_that_looks_just_now_keeps_nobody_out(self, path, held):
        """Readers hold a shared lock for a moment; a writer does not wait for them."""
        _say(held, _me()._replace(started=1.0))
        fcntl.flock(held, fcntl.LOCK_SH)
        before = time.monotonic()
        lock = SessionLock.acquire(path)
        assert time.monotonic() - before < lock_module._GUARD_SECONDS
        assert living_holder(path) == _me()
        lock.release()

    def test_where_there_is_no_proc_the_start_is_told_by_psutil(self, path, monkeypatch):
        """As on macOS: a pid that was reused is told apart there too."""

        def refuse(_):
            raise OSError

        path.parent.mkdir()
        monkeypatch.setattr(os, "readlink", refuse)
        monkeypatch.setattr(lock_module, "Path", lambda _: path.parent / "none")
        lock = SessionLock.acquire(path)
        holder = living_holder(path)
        assert holder is not None
        assert holder.started == pytest.approx(psutil.Process().create_time())
        assert holder.space == ""
        assert not holder._replace(started=1.0).lives()
        assert not holder._replace(pid=-1).lives()
        lock.release()


class TestGuard:
    """Two that take it at the same time."""

    @pytest.fixture
    def guard(self, path):
        """Another process is just taking the lock."""
        path.parent.mkdir()
        descriptor = os.open(path.with_name("lock.guard"), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
        os.close(descriptor)

    def test_the_second_waits_for_the_first(self, path, guard):
        """It takes microseconds as a rule."""
        timer = threading.Timer(0.1, fcntl.flock, [guard, fcntl.LOCK_UN])
        timer.start()
        SessionLock.acquire(path).release()
        timer.join()

    def test_but_not_for_ever(self, path, guard, monkeypatch):
        """A stopped process must not stop all others."""
        monkeypatch.setattr(lock_module, "_GUARD_SECONDS", 0.05)
        with pytest.raises(SessionBusy, match="another process"):
            SessionLock.acquire(path)

    def test_of_many_one_gets_it(self, path):
        """However they interleave, also around a dead writer's orphan."""
        path.parent.mkdir()
        orphan = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(orphan, fcntl.LOCK_EX)
        _say(orphan, _me()._replace(started=1.0))
        start = threading.Barrier(8)
        taken, refused = [], []

        def take() -> None:
            start.wait()
            try:
                taken.append(SessionLock.acquire(path))
            except SessionBusy as error:
                refused.append(error)

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(taken), len(refused)) == (1, 7)
        taken[0].release()
        os.close(orphan)


class TestProcesses:
    """With real processes."""

    def test_while_one_writes_no_other_may(self, store):
        """Neither write nor delete; all may read."""
        with other_writer() as other:
            for verb in (store.open_for_append, store.delete):
                with pytest.raises(SessionBusy, match=f"process {other.process.pid} on "):
                    verb(other.id)
            assert listed(store)[other.id].state is SessionState.RUNNING
            reading = store.folder(other.id).read()
            assert len(reading.session.steps) == 2
            assert reading.damage == ()

    def test_a_kill_frees_it(self, store):
        """At once, whatever the lock file still says."""
        with other_writer() as other:
            other.kill()
            lock_file = store.sessions_folder / other.id / "lock"
            assert json.loads(lock_file.read_bytes())["pid"] == other.process.pid
            assert listed(store)[other.id].state is SessionState.INTERRUPTED
            store.open_for_append(other.id).close()

    def test_a_zombie_does_not_hold_it(self, store):
        """Nobody may ever ask how a killed kernel ended."""
        with other_writer("fork") as other:
            other.kill_to_zombie()
            assert store.folder(other.id).writer() is None
            store.open_for_append(other.id).close()

    def test_a_child_that_outlives_the_writer_does_not_hold_it(self, store):
        """A worker of a pool inherits the lock with all other files; it is no writer."""
        with other_writer("fork") as other:
            assert store.folder(other.id).writer() is not None
            other.kill()
            os.kill(other.orphan, 0)  # it lives
            assert store.folder(other.id).writer() is None
            assert listed(store)[other.id].state is SessionState.INTERRUPTED
            writer = store.open_for_append(other.id)
            assert store.folder(other.id).writer() is not None
            with pytest.raises(SessionBusy):
                store.open_for_append(other.id)
            os.kill(other.orphan, 9)
            wait_until(lambda: not _exists(other.orphan))
            assert store.folder(other.id).writer() is not None
            writer.close()
            store.delete(other.id)

    def test_a_forked_child_that_closes_does_not_end_its_parents_session(self, store):
        """The session is the parent's, whatever the child's exit handlers do."""
        name = run_program(FORKS).strip()
        session = store.folder(name).read(store.key()).session
        assert [step.number for step in session.steps] == [1, 2]

    def test_the_lock_ends_with_its_process(self, store):
        """A process that forgot to close leaves nothing locked."""
        name = make_session(store)
        run_program(
            "import sys\nfrom ipysession.store import Store\n"
            "writer = Store().open_for_append(sys.argv[1])",
            name,
        )
        assert store.folder(name).writer() is None


FORKS = """
import os
from store.stores import RUN, run_cells
from ipysession.errors import SessionBusy
from ipysession.store import Store
writer = Store().create()
writer.append(RUN)
run_cells(writer, 1)
child = os.fork()
if child == 0:
    writer.close()
    os._exit(0)
os.waitpid(child, 0)
try:
    Store().open_for_append(writer.id)
except SessionBusy:
    run_cells(writer, 2)
writer.close()
print(writer.id)
"""


def _exists(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

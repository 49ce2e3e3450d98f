"""Appending: what is acknowledged is in the file; when it becomes durable is the policy's."""

from __future__ import annotations

import linecache
import os
import stat
import sys
import threading
import time

import pytest
from log.logs import Disk, Place, Told, fill, run_program, start_program, titled, titles

from ipysession.log import Head, SyncPolicy
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


def _wait_for(condition, seconds: float = 10.0) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it never happened"
        time.sleep(0.005)


class TestAppending:
    """A record is in the file when `append` returns."""

    def test_one_write_for_each_record(self, place, disk):
        """With its newline: a kill leaves a whole line or none."""
        log = place.open()
        fill(log, 1)
        disk.calls.clear()
        fill(log, 2, 3)
        assert disk.calls == ["write", "write"]
        assert place.titles() == ["1", "2", "3"]
        log.close()

    def test_what_is_to_be_written_later_goes_along_with_the_next(self, place, disk):
        """One call of the system for the records of a cell's end, in their order."""
        log = place.open()
        fill(log, 1)
        disk.calls.clear()
        log.append(titled("2"), later=True)
        log.append(titled("3"), later=True)
        assert place.titles() == ["1"]
        disk.calls.clear()
        fill(log, 4)
        assert disk.calls == ["write"]
        assert place.titles() == ["1", "2", "3", "4"]
        log.append(titled("5"), later=True)
        log.flush()
        assert place.titles() == ["1", "2", "3", "4", "5"]
        log.close()

    def test_what_is_to_be_written_later_is_written_soon_by_itself(self, place):
        """Where an interrupt struck before the next came."""
        log = place.open()
        log.append(titled("1"), later=True)
        _wait_for(lambda: place.titles() == ["1"])
        log.close()

    def test_what_append_returns_is_what_is_read(self, place):
        """Number, run, times, type, payload, session."""
        with_run = place.open(run=7)
        record = with_run.append(titled("x"))
        with_run.close()
        assert place.read().records == (record,)
        assert (record.seq, record.run, record.session) == (1, 7, "s")

    def test_a_log_that_is_opened_and_never_written_leaves_no_file(self, place):
        """Segments are made when they are needed."""
        assert place.open().close()
        assert place.segments() == []

    def test_each_opening_makes_a_segment_of_its_own(self, place):
        """Two writers never share a file, and numbers go on."""
        for n in (1, 2, 3):
            log = place.open()
            fill(log, n)
            log.close()
        assert [path.name for path in place.segments()] == [f"00000{n}.jsonl" for n in (1, 2, 3)]
        assert place.titles() == ["1", "2", "3"]

    @pytest.mark.parametrize("umask", [0o000, 0o777])
    def test_segments_are_private_whatever_the_umask(self, place, umask):
        """0600."""
        before = os.umask(umask)
        try:
            log = place.open()
            fill(log, 1)
            log.close()
        finally:
            os.umask(before)
        assert stat.S_IMODE(place.segments()[0].stat().st_mode) == 0o600

    def test_the_segments_descriptor_is_not_inherited(self, place):
        """A child that a cell starts cannot write the log by accident."""
        log = place.open()
        fill(log, 1)
        (descriptor,) = log._opened
        assert not os.get_inheritable(descriptor)
        log.close()

    def test_a_payload_that_json_cannot_hold_raises_and_changes_nothing(self, place):
        """The recorder then writes the text of it."""
        log = place.open()
        with pytest.raises(TypeError):
            log.append(p.StepOutput(step=1, events=[{"x": object()}]))
        fill(log, 1)
        log.close()
        assert place.titles() == ["1"]

    def test_threads_may_append_at_the_same_time(self, place):
        """Output of several threads: every record once, numbered without gaps."""
        log = place.open(policy=SyncPolicy.BACKGROUND)

        def work(name: int) -> None:
            fill(log, *(f"{name}-{n}" for n in range(100)))

        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        log.close()
        said = place.titles()
        assert sorted(said) == sorted(f"{a}-{b}" for a in range(4) for b in range(100))
        for name in range(4):
            mine = [title for title in said if title.startswith(f"{name}-")]
            assert mine == [f"{name}-{n}" for n in range(100)]

    def test_after_closing_nothing_is_appended(self, place):
        """Another process may write the session by then."""
        log = place.open()
        fill(log, 1)
        assert log.close()
        with pytest.raises(RuntimeError, match="closed"):
            fill(log, 2)
        assert log.close()
        assert place.titles() == ["1"]

    def test_a_killed_writer_loses_nothing_that_it_was_told(self, place):
        """SIGKILL at any time: every record that `append` returned is read, by each policy."""
        program = """
import sys
from log.logs import Place, titled
from ipysession.log import SyncPolicy
log = Place(sys.argv[1]).open(policy=SyncPolicy(sys.argv[2]))
while True:
    print(log.append(titled("x")).seq, flush=True)
"""
        for policy in SyncPolicy:
            process = start_program(program, place.folder.parent, policy)
            told = [int(process.stdout.readline()) for _ in range(50)]
            process.kill()
            told += [int(line) for line in process.stdout.read().splitlines()]
            process.wait()
            contents = place.read()
            assert {damage.kind for damage in contents.damage} <= {"torn"}
            assert {record.seq for record in contents.records} >= set(told)


class TestForks:
    """A forked child inherits the log, and must not write it."""

    def _in_child(self, work) -> None:
        child = os.fork()
        if not child:
            code = 1
            try:
                work()
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0

    def test_a_child_refuses_to_append(self, place):
        """It would use its parent's numbers."""
        log = place.open()
        fill(log, 1)

        def work() -> None:
            with pytest.raises(RuntimeError, match="forked"):
                fill(log, 2)

        self._in_child(work)
        fill(log, 2)
        log.close()
        assert place.titles() == ["1", "2"]

    def test_a_child_that_ends_in_an_orderly_way_touches_nothing(self, place, disk):
        """Even with records waiting in the memory that it inherited."""
        log = place.open(policy=SyncPolicy.STRICT)
        disk.fill_up()
        fill(log, 1)
        disk.recover()
        self._in_child(lambda: (log.sync(), log.acknowledge(), log.close()))
        assert place.segments() == [] or place.lines() == []
        assert log.close()
        assert place.titles() == ["1"]


class TestPolicies:
    """When records become durable."""

    def test_strict_waits_until_the_record_is_durable(self, place, disk):
        """The file, and the folder that names it; then only the file."""
        log = place.open(policy=SyncPolicy.STRICT)
        fill(log, 1)
        log.acknowledge()
        assert disk.syncs == ["fdatasync", "fsync"]
        disk.calls.clear()
        fill(log, 2)
        log.acknowledge()
        assert disk.syncs == ["fdatasync"]
        log.close()

    def test_background_syncs_groups_soon(self, place, disk):
        """The caller never waits, and a burst of records needs few syncs."""
        log = place.open(policy=SyncPolicy.BACKGROUND)
        fill(log, *range(200))
        log.acknowledge()
        _wait_for(lambda: log.not_durable() == [])
        assert 1 <= disk.syncs.count("fdatasync") <= 4
        log.close()

    def test_the_cells_thread_never_syncs(self, place, monkeypatch):
        """With the background policy, however slow the disk."""
        syncing, synced = [], []
        real = os.fdatasync
        go = threading.Event()

        def slow(descriptor: int) -> None:
            syncing.append(threading.current_thread())
            go.wait(20)
            synced.append(descriptor)
            real(descriptor)

        monkeypatch.setattr(os, "fdatasync", slow)
        log = place.open(policy=SyncPolicy.BACKGROUND)
        fill(log, 1)
        _wait_for(lambda: syncing)
        fill(log, 2)
        log.acknowledge()
        assert synced == [], "the caller went on while the disk was still at it"
        go.set()
        log.close()
        assert threading.current_thread() not in syncing[:1]

    def test_off_never_syncs(self, place, disk):
        """The operating system decides; records are published all the same."""
        published: list = []
        log = place.open(policy=SyncPolicy.OFF, on_durable=published.extend)
        fill(log, 1, 2)
        log.acknowledge()
        assert log.close()
        assert disk.syncs == []
        assert [record.seq for record in published] == [1, 2]

    def test_macos_is_asked_to_flush_the_drive(self, place, monkeypatch):
        """There, fsync leaves the data in the drive's cache."""
        import fcntl

        asked = []
        monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
        monkeypatch.setattr(fcntl, "fcntl", lambda descriptor, what: asked.append(what))
        log = place.open(policy=SyncPolicy.STRICT)
        fill(log, 1)
        log.acknowledge()
        assert asked == [51]
        log.close()

    def test_blobs_become_durable_before_the_record_that_names_them(self, place, disk):
        """A checkpoint puts many without a sync; they are synced with the group."""
        name = place.blobs.put(b"data", sync=False)
        log = place.open(policy=SyncPolicy.BACKGROUND)
        disk.calls.clear()
        log.append(titled(1), blobs=[name, name])
        log.append(titled(2), blobs=[name])
        log.sync()
        assert disk.syncs == ["fdatasync", "fsync", "fdatasync", "fsync"]
        log.close()

    def test_a_blob_that_was_deleted_meanwhile_is_no_trouble_of_the_disk(self, place):
        """It is told when it is read."""
        told = Told()
        log = place.open(policy=SyncPolicy.STRICT, on_trouble=told)
        log.append(titled(1), blobs=["ab" * 32])
        log.acknowledge()
        assert log.close()
        assert told.said == []


class TestAfterASync:
    """What is called when records are durable."""

    def test_every_record_once_in_order(self, place):
        """Whichever thread syncs."""
        seen: list[int] = []
        log = place.open(
            policy=SyncPolicy.BACKGROUND, on_durable=lambda rs: seen.extend(r.seq for r in rs)
        )
        for n in range(50):
            fill(log, n)
            if n % 7 == 0:
                log.sync()
        log.close()
        assert seen == list(range(1, 51))

    def test_it_is_called_again_when_it_wants_to(self, place):
        """For a summary that is written at most once a second."""
        calls: list[int] = []

        def on_durable(records: list) -> float | None:
            calls.append(len(records))
            return 0.01 if len(calls) < 3 else None

        log = place.open(policy=SyncPolicy.BACKGROUND, on_durable=on_durable)
        fill(log, 1)
        _wait_for(lambda: len(calls) == 3)
        assert calls == [1, 0, 0]
        log.close()

    def test_what_it_raises_harms_nothing(self, place, caplog):
        """It is logged, and syncing goes on."""
        seen: list[int] = []

        def on_durable(records: list) -> None:
            seen.append(len(records))
            raise ValueError("a bug")

        log = place.open(policy=SyncPolicy.STRICT, on_durable=on_durable)
        for n in (1, 2):
            fill(log, n)
            log.acknowledge()
        log.close()
        assert seen[:2] == [1, 1]
        assert "a bug" in caplog.text
        assert place.titles() == ["1", "2"]


class TestThreads:
    """The background thread is an aid: without it the log is slower, never wrong."""

    def test_no_thread_can_be_started(self, place, monkeypatch):
        """At the interpreter's end, or at a limit of the system."""

        def refuse(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", refuse)
        log = place.open(policy=SyncPolicy.BACKGROUND)
        fill(log, 1, 2)
        assert log.close()
        assert place.titles() == ["1", "2"]

    def test_the_thread_ends_with_the_log(self, place):
        """And one that died is replaced."""
        log = place.open(policy=SyncPolicy.BACKGROUND)
        fill(log, 1)
        thread = log._thread
        assert thread is not None
        assert thread.is_alive()
        log._thread = threading.Thread(target=lambda: None)
        fill(log, 2)
        assert log._thread.is_alive()
        log.close()
        thread.join(5)
        assert not thread.is_alive()

    def test_the_thread_itself_may_close_the_log(self, place):
        """A callback that ends the session does not wait for itself."""
        log = place.open(
            policy=SyncPolicy.BACKGROUND, on_durable=lambda _: closed.append(log.close())
        )
        closed: list[bool] = []
        fill(log, 1)
        _wait_for(lambda: closed)
        assert closed[-1]


def _interrupt_at(n: int, work) -> bool:
    """Do ``work``, and raise KeyboardInterrupt at its n-th line of our code. False if it has
    fewer lines.

    A line with a ``with`` is struck before its block and not where the block ends: Python
    visits it again there before it calls ``__exit__``, but delivers no signal at that place.
    """
    left = n
    seen: dict[tuple[object, int], int] = {}

    def trace(frame, event, _):
        nonlocal left
        if "ipysession" not in frame.f_code.co_filename:
            return None
        if event == "line":
            line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
            place = (frame, frame.f_lineno)
            seen[place] = seen.get(place, 0) + 1
            if line.lstrip().startswith("with ") and seen[place] > 1:
                return trace
            left -= 1
            if left == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()  # the one that measures coverage
    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


class TestInterrupts:
    """KeyboardInterrupt at every line of `append`."""

    @pytest.mark.parametrize("case", ["first", "later", "waiting", "blob"])
    def test_the_log_stays_consistent(self, tmp_path, monkeypatch, case):
        """Whether the interrupted record is in the log or not: it is whole, its number is
        given once, and nothing before or after it is lost, doubled or invented. For the first
        record (which makes the file), a later one, one behind a record that waits for the
        disk, and one with a blob.
        """
        payload = p.NoteAdded(text="x" * 300_000) if case == "blob" else p.NoteAdded(text="N")
        n = 0
        while True:
            n += 1
            place = Place(tmp_path / f"{case}-{n}")
            log = place.open()
            expected = []
            if case != "first":
                fill(log, "before")
                expected = ["before"]
            if case == "waiting":
                with monkeypatch.context() as patch:
                    Disk(patch, place.folder).fill_up()
                    fill(log, "waited")
                log._troubled = False
                expected.append("waited")
            struck = _interrupt_at(n, lambda log=log: log.append(payload))
            fill(log, "after")
            assert log.close(), n
            contents = place.read()
            assert contents.damage == (), n
            assert contents.unproven == frozenset()
            said = [getattr(record.payload, "title", "NOTE") for record in contents.records]
            without = [*expected, "after"]
            with_it = [*expected, "NOTE", "after"]
            assert said in ([with_it] if not struck else [without, with_it]), n
            if not struck:
                break
        assert n > 30

    def test_an_interrupt_while_the_thread_starts_is_not_lost(self, place, monkeypatch):
        """`threading` then releases a lock that it does not hold, and raises that instead."""

        def interrupted(_thread):
            lock = threading.Lock()
            with lock:
                lock.release()
                raise KeyboardInterrupt

        log = place.open(policy=SyncPolicy.BACKGROUND)
        monkeypatch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            log.append(titled(1))
        monkeypatch.undo()
        log.append(titled(2))
        assert log.close()
        assert [record.payload.title for record in place.read().records][-2:] == [
            titled(1).title,
            titled(2).title,
        ]

    def test_a_storm_of_real_signals(self, place):
        """SIGINT at random times while the log is written at full speed and a thread syncs:
        of every record the log says truly whether it is in, all that were told are, and
        nothing ever waits for a lock that an interrupt left behind. (In a process of its own:
        the timer is the one that pytest's own timeout uses.)
        """
        program = """
import signal, sys, time
from log.logs import Place, titled
from ipysession.log import SyncPolicy
log = Place(sys.argv[1]).open(policy=SyncPolicy.BACKGROUND)
signal.signal(signal.SIGALRM, signal.default_int_handler)
n, interrupted, told = 0, 0, []
stop = time.monotonic() + 1.5
while time.monotonic() < stop:
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.00002 + (interrupted % 97) * 0.000005)
        while True:
            n += 1
            record = log.append(titled(n))
            told.append(f"{record.seq} {n}")
    except KeyboardInterrupt:
        interrupted += 1
assert log.close()
print(n, interrupted, *told, sep="\\n")
"""
        n, interrupted, *told = run_program(program, place.folder.parent).splitlines()
        assert int(interrupted) > 100
        contents = place.read()
        assert contents.damage == ()
        assert contents.unproven == frozenset()
        by_seq = {record.seq: record.payload.title for record in contents.records}
        assert list(by_seq) == list(range(1, len(by_seq) + 1))
        assert {f"{seq} {title}" for seq, title in by_seq.items()} >= set(told)
        numbers = [int(title) for title in by_seq.values()]
        assert numbers == sorted(set(numbers))
        assert len(numbers) <= int(n)


class TestHead:
    """The head says where the chain goes on."""

    def test_it_counts_what_waits(self, place, disk):
        """Numbers go on while the disk refuses."""
        log = place.open()
        fill(log, 1)
        disk.fill_up()
        fill(log, 2, 3)
        assert (log.head.seq, log.waiting) == (3, 2)
        assert [record.seq for record in log.not_durable()] == [1, 2, 3]
        disk.recover()
        assert log.close()
        assert (log.head, log.waiting) == (place.read().head, 0)
        assert log.not_durable() == []

    def test_a_log_may_go_on_behind_a_gap(self, place):
        """Where records are known to be gone, their numbers are not given out again."""
        log = place.open(head=Head(5, "a" * 40))
        fill(log, 6)
        log.close()
        contents = place.read()
        assert titles(contents) == ["6"]
        assert str(contents.damage[0]) == "missing: the log lacks records 1 to 5"


def test_the_retry_is_no_busy_loop():
    """A disk that refuses is tried about once a second, and groups gather for a moment."""
    assert writer_module._RETRY_SECONDS >= 0.5
    assert 0.01 <= writer_module._GROUP_SECONDS <= 0.2

"""Idle time saves what a step's budget left over, and never in a cell's way."""

import queue
import sys
import threading
import time

import pytest

from ipysession.checkpoint.idle import IdleSaver
from ipysession.checkpoint.load import load_group
from ipysession.checkpoint.packed import Limits
from ipysession.checkpoint.saver import Checkpointer
from ipysession.log import Blobs

WAIT = 20


class Slow:
    """Its pickling can be held, and says when it has begun."""

    begun = threading.Event()
    go = threading.Event()
    ended = threading.Event()

    def __reduce__(self):
        Slow.begun.set()
        Slow.go.wait(WAIT)
        Slow.ended.set()
        return (str, ("slow",))


@pytest.fixture
def world(tmp_path):
    """A namespace, its saver, and the records that were appended."""
    namespace, records = {"x": list(range(100)), "y": {"k": 1}}, []
    checkpointer = Checkpointer(Blobs(tmp_path / "b"), Limits(min_free=0))
    saver = IdleSaver(checkpointer, namespace, appender(records), lambda: False)
    Slow.begun.clear()
    Slow.go.clear()
    Slow.ended.clear()
    yield namespace, saver, records
    Slow.go.set()
    saver.close()


def appender(records):
    """Stands for the log."""

    def append(payload, *, blobs):
        records.append(payload)

    return append


def until(condition):
    """Wait for ``condition``."""
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def saved(records):
    """The names that were saved, with their steps."""
    return [(record.step, group.names) for record in records for group in record.groups]


def test_groups_that_were_left_over_are_saved_for_their_step(world):
    """In the order of their steps, once."""
    _, saver, records = world
    saver.cell_begins()
    saver.step_saved(4, {"x", "y"}, ["x", "y"])
    saver.cell_ended()
    until(lambda: len(records) == 2)
    assert sorted(saved(records)) == [(4, ["x"]), (4, ["y"])]
    assert saver.waiting == []


def test_nothing_is_saved_while_a_cell_runs(world):
    """And what a cell touched is that cell's own to save."""
    _, saver, records = world
    saver.cell_begins()
    saver.step_saved(1, {"x"}, ["x"])
    saver.step_saved(1, {"y"}, ["y"])
    time.sleep(0.3)
    assert records == []
    saver.step_saved(2, {"x"}, [])
    saver.cell_ended()
    until(lambda: records)
    time.sleep(0.3)
    assert saved(records) == [(1, ["y"])]


def test_a_cell_never_waits_longer_than_its_patience(world):
    """Even where foreign code does not come back; its result is thrown away."""
    namespace, saver, records = world
    namespace["slow"] = Slow()
    saver.cell_begins()
    saver.step_saved(1, {"slow"}, ["slow"])
    saver.cell_ended()
    assert Slow.begun.wait(WAIT)
    saver.cell_begins()
    assert not Slow.ended.is_set(), "the cell begins while it is still in there"
    Slow.go.set()
    time.sleep(0.3)
    assert records == [], "the cell may have changed it meanwhile"
    saver.cell_ended()
    until(lambda: records)
    assert saved(records) == [(1, ["slow"])], "it is tried again when the kernel is idle"


def test_a_pickle_in_hand_is_given_up_when_a_cell_begins(world):
    """The pickler asks in its sink, so a large list lets go at once."""
    namespace, saver, records = world
    namespace["big"] = [str(i) for i in range(3_000_000)]
    saver.cell_begins()
    saver.step_saved(1, {"big"}, ["big"])
    saver.cell_ended()
    time.sleep(0.2)
    saver.cell_begins()
    until(lambda: saver._hand is None)
    assert records == []
    assert saver.waiting == ["big"]


def test_an_orderly_end_saves_what_waits(world):
    """In the thread that ends."""
    _, saver, records = world
    saver.cell_begins()
    saver.step_saved(3, {"x"}, ["x"])
    saver.finish(10)
    assert saved(records) == [(3, ["x"])]


def test_a_value_that_others_change_while_the_kernel_is_idle_is_not_saved(tmp_path):
    """Fingerprints before and after must agree; the record says why it was not saved."""
    namespace, records, stop = {"x": list(range(1000)), "y": [1]}, [], threading.Event()

    def change():
        while not stop.is_set():
            namespace["x"][0] += 1

    thread = threading.Thread(target=change)
    thread.start()
    saver = IdleSaver(
        Checkpointer(Blobs(tmp_path / "b")), namespace, appender(records), thread.is_alive
    )
    try:
        saver.cell_begins()
        saver.step_saved(1, {"x", "y"}, ["x", "y"])
        saver.cell_ended()
        until(lambda: saver.waiting == [])
    finally:
        stop.set()
        thread.join()
        saver.close()
    assert saved(records) == [(1, ["y"])]
    reasons = {name: item.reason for r in records for item in r.skipped for name in item.names}
    assert "threads or tasks" in reasons["x"]


def test_a_cell_that_cannot_reach_what_is_in_hand_only_makes_it_pause(world):
    """It goes on when the kernel is idle again; nothing is thrown away."""
    namespace, saver, records = world
    namespace["slow"] = Slow()
    saver.cell_begins()
    saver.step_saved(1, {"slow"}, ["slow"])
    saver.cell_ended()
    assert Slow.begun.wait(WAIT)
    saver.cell_begins(lambda: {"x"})
    Slow.go.set()
    time.sleep(0.3)
    assert saver._hand == {"slow"}
    saver.step_saved(2, {"x"}, [])
    saver.cell_ended()
    until(lambda: records)
    assert saved(records) == [(1, ["slow"])]
    assert records[0].changed == []


def test_without_idle_time_a_share_of_the_cells_time_goes_to_saving(tmp_path):
    """What fits into what they earned is saved in line, and nothing else."""
    namespace, records = {"x": list(range(5000))}, []
    checkpointer = Checkpointer(Blobs(tmp_path / "b"), Limits(settle=3600, share=0.05))
    saver = IdleSaver(checkpointer, namespace, appender(records), lambda: False)
    for seconds, expected in ((0.0, []), (0.001, []), (100.0, [(3, ["x"])])):
        step = len(records) + 3
        saver.cell_begins()
        saver.step_saved(step, {"x"}, ["x"], {"x"}, seconds)
        saver.cell_ended()
        saver.cell_begins()
        saver.cell_ended()
        assert saved(records) == expected
    saver.close()


def test_what_idle_time_finds_unchanged_is_said_to_be_as_it_was_saved(world):
    """A name that a step only read goes back to what the log holds of it."""
    _, saver, records = world
    for step in (1, 2):
        saver.cell_begins()
        saver.step_saved(step, {"x"}, ["x"])
        saver.cell_ended()
        until(lambda: len(records) == step)  # noqa: B023 - waited for in the same turn
    assert saved(records) == [(1, ["x"])]
    assert records[1].unchanged == ["x"]


class Forgetful:
    """It pickles, and does not load."""

    def __reduce__(self):
        return (int, ("not a number",))


def test_what_pickles_but_does_not_load_costs_only_its_own_group(world):
    """Idle time tries it out, and takes back what was said of it."""
    namespace, saver, records = world
    namespace["bad"] = Forgetful()
    saver.cell_begins()
    saver.step_saved(1, {"bad", "x"}, ["bad", "x"])
    saver.cell_ended()
    until(lambda: any(record.skipped for record in records))
    last = records[-1].skipped[0]
    assert last.names == ["bad"]
    assert "does not load" in last.reason
    assert (1, ["x"]) in saved(records)


def test_what_cannot_be_pickled_is_left_to_the_replay(world):
    """One such group does not stop the others."""
    namespace, saver, records = world
    namespace["g"] = (i for i in range(3))
    saver.cell_begins()
    saver.step_saved(1, {"g", "x"}, ["g", "x"])
    saver.cell_ended()
    until(lambda: saver.waiting == [])
    assert saved(records) == [(1, ["x"])]


def test_values_saved_in_idle_time_load(world):
    """The same format as those saved in a step's own time."""
    namespace, saver, records = world
    saver.cell_begins()
    saver.step_saved(1, {"y"}, ["y"])
    saver.cell_ended()
    until(lambda: records)
    blobs = saver._checkpointer.pieces.blobs
    assert load_group(records[0].groups[0], blobs, {}) == {"y": namespace["y"]}


def test_what_cannot_be_pickled_takes_nothing_along_that_it_shares_nothing_with(world):
    """They were one group, because the list is too large for a quick look."""
    namespace, saver, records = world
    token = [1]  # somebody else holds it: nothing proves that the list does not
    namespace["big"] = [[i] for i in range(30_000)]
    namespace["stuck"] = [token, (i for i in range(3))]
    namespace["rows"] = [namespace["big"][7], (i for i in range(3))]
    saver.cell_begins()
    saver.step_saved(1, {"big", "stuck", "x"}, ["big", "stuck", "x"])
    saver.cell_ended()
    until(lambda: len(saved(records)) == 2)
    assert sorted(saved(records)) == [(1, ["big"]), (1, ["x"])]
    saver.cell_begins()
    saver.step_saved(2, {"big", "rows"}, ["big", "rows"])
    saver.cell_ended()
    until(lambda: records[-1].step == 2)
    assert [skipped.names for skipped in records[-1].skipped] == [["big", "rows"]]


def drawn(thread):
    """Stands for a figure: it notes the thread that pickles it."""

    class Figure:
        def __reduce__(self):
            thread.append(threading.get_ident())
            return (str, ("figure",))

    Figure.__module__ = "matplotlib.figure"
    return Figure()


def test_what_only_the_kernels_thread_may_save_is_saved_there_when_it_rests(tmp_path):
    """A figure, which took too long for its cell's own time, is not left to a replay; and what
    was left over with it does not wait for it.
    """
    threads, records, asked = [], [], queue.Queue()
    namespace = {"fig": drawn(threads), "x": list(range(100))}
    saver = IdleSaver(
        Checkpointer(Blobs(tmp_path / "b"), Limits(min_free=0)), namespace, appender(records),
        lambda: False, call_soon=asked.put,
    )  # fmt: skip
    saver.cell_begins()
    saver.step_saved(1, {"fig", "x"}, ["fig", "x"])
    saver.cell_ended()
    until(lambda: saver.waiting == ["fig"])
    call = asked.get(timeout=WAIT)
    saver.cell_begins()
    call()  # it came too late: a cell runs
    assert threads == []
    saver.cell_ended()
    asked.get(timeout=WAIT)()
    assert set(threads) == {threading.get_ident()}
    assert saver.waiting == []
    assert sorted(saved(records)) == [(1, ["fig"]), (1, ["x"])]
    saver.close()


def test_many_small_plain_names_are_one_group(tmp_path):
    """``globals().update(…)`` of thousands does not make thousands of records."""
    records, namespace = [], {f"v{i}": i for i in range(3000)} | {"text": "x" * 100_000}
    saver = IdleSaver(
        Checkpointer(Blobs(tmp_path / "b"), Limits(min_free=0)), namespace, appender(records),
        lambda: False,
    )  # fmt: skip
    saver.cell_begins()
    saver.step_saved(1, namespace, list(namespace))
    saver.cell_ended()
    until(lambda: saver.waiting == [])
    saver.close()
    assert sorted(len(group.names) for r in records for group in r.groups) == [1, 3000]


def test_the_kernels_thread_is_let_on_soon_but_a_cell_runs_as_without_us(world):
    """Python's interval for handing its lock over is short only while something is saved."""
    namespace, saver, records = world
    usual = sys.getswitchinterval()
    namespace["slow"] = Slow()
    saver.cell_begins()
    saver.step_saved(1, {"slow"}, ["slow"])
    saver.cell_ended()
    assert Slow.begun.wait(WAIT)
    assert sys.getswitchinterval() < usual
    saver.cell_begins(lambda: {"x"})
    Slow.go.set()
    until(lambda: sys.getswitchinterval() == usual)
    saver.cell_ended()
    until(lambda: saved(records) == [(1, ["slow"])])
    until(lambda: sys.getswitchinterval() == usual)

"""Observers: they hear of every record once, after it is durable, and can harm nothing."""

from __future__ import annotations

import logging
import queue
import threading

import pytest
from store.stores import RUN, run_cells

from ipysession.errors import InvalidRequest
from ipysession.log import SyncPolicy


class Listener:
    """Remembers what it heard, and in which thread."""

    def __init__(self) -> None:
        self.heard: queue.SimpleQueue = queue.SimpleQueue()
        self.threads: set[threading.Thread] = set()

    def __call__(self, record) -> None:
        """Called by the store."""
        self.threads.add(threading.current_thread())
        self.heard.put(record)

    def next(self, count: int) -> list[int]:
        """The numbers of the next records."""
        return [self.heard.get(timeout=20).seq for _ in range(count)]


@pytest.fixture
def writer(store):
    """A session that the store's observers hear of."""
    writer = store.create(policy=SyncPolicy.BACKGROUND)
    writer.append(RUN)
    writer.log.sync()
    yield writer
    writer.close()


def test_every_record_once_and_in_order(store, writer):
    """Those appended from then on; each of several observers."""
    listeners = [Listener(), Listener()]
    for listener in listeners:
        store.observe(listener)
    run_cells(writer, *range(1, 21))
    writer.close()
    for listener in listeners:
        assert listener.next(40) == list(range(3, 43))
        assert listener.heard.empty()


def test_on_another_thread(store, writer):
    """The cell does not wait for an observer."""
    listener = Listener()
    store.observe(listener)
    run_cells(writer, 1)
    writer.log.sync()
    listener.next(2)
    assert threading.current_thread() not in listener.threads
    assert len(listener.threads) == 1


def test_after_it_is_durable(store, writer):
    """What was shown elsewhere must not be gone after a power cut."""
    waiting: queue.SimpleQueue[set[int]] = queue.SimpleQueue()

    def listen(_) -> None:
        waiting.put({record.seq for record in writer.log.not_durable()})

    store.observe(listen)
    run_cells(writer, 1)
    writer.close()
    assert waiting.get(timeout=20).isdisjoint({3, 4})


def test_one_that_raises_harms_nothing(store, writer, caplog):
    """It is logged; others hear all, and it hears the next record too."""
    listener, failing = Listener(), Listener()

    def fail(record) -> None:
        failing(record)
        message = "observer's fault"
        raise ValueError(message)

    with caplog.at_level(logging.ERROR):
        store.observe(fail)
        store.observe(listener)
        run_cells(writer, 1)
        assert writer.close()
        assert listener.next(2) == failing.next(2) == [3, 4]
    assert "observer's fault" in caplog.text


def test_one_that_is_slow_does_not_hold_up_the_recording(store, writer):
    """Nor closing it."""
    may_go_on = threading.Event()
    listener = Listener()

    def wait(record) -> None:
        may_go_on.wait(20)
        listener(record)

    store.observe(wait)
    run_cells(writer, 1)
    assert writer.close()
    assert listener.heard.empty()
    may_go_on.set()
    assert listener.next(2) == [3, 4]


def test_stopping(store, writer):
    """From then on it hears nothing; stopping twice harms nothing."""
    stopped, listener = Listener(), Listener()
    stop = store.observe(stopped)
    store.observe(listener)
    stop()
    stop()
    run_cells(writer, 1)
    writer.close()
    listener.next(2)
    assert stopped.heard.empty()


def test_what_cannot_be_called_is_refused(store):
    """At once, not in another thread later."""
    with pytest.raises(InvalidRequest, match="no observer: 'print'"):
        store.observe("print")

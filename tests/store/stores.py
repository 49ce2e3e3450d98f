"""Sessions to test stores with, also such as another process writes and is killed in."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

import psutil
from log.logs import start_program

from ipysession.model import payloads as p
from ipysession.model.provenance import Environment

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from ipysession.model import Summary
    from ipysession.store import SessionWriter, Store

RUN = p.RunStarted(number=1, environment=Environment(python="3.11", cwd="/home/me"))


def titled(title: str) -> p.SessionCreated:
    """The first record of a session of that title; the store fills the id in."""
    return p.SessionCreated(session="", title=title)


def run_cells(writer: SessionWriter, *numbers: int) -> None:
    """Append a cell for each of ``numbers``."""
    for number in numbers:
        writer.append(p.StepStarted(step=number, source=f"cell {number}"))
        writer.append(p.StepFinished(step=number, outcome="ok", duration=0.5))


def make_session(store: Store, title: str = "T", cells: int = 2) -> str:
    """A paused session with a run and some cells, closed. Returns its id."""
    writer = store.create(titled(title))
    writer.append(RUN)
    run_cells(writer, *range(1, cells + 1))
    writer.append(p.SessionPaused(reason="done for today"))
    assert writer.close()
    return writer.id


def listed(store: Store) -> dict[str, Summary]:
    """What the store lists, by id."""
    return {summary.id: summary for summary in store.summaries()}


WRITER = """
import os, sys, time
from store.stores import RUN, run_cells
from ipysession.store import Store
writer = Store().create()
writer.append(RUN)
run_cells(writer, 1, 2)
child = 0
if "fork" in sys.argv:
    child = os.fork()
    if child == 0:
        sys.stdout.close()
        os.close(1)
        time.sleep(100)
        os._exit(0)
print(writer.id, child, flush=True)
time.sleep(100)
"""


class OtherWriter:
    """Another process that writes a session of its own; it has run two cells."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.id, child = process.stdout.readline().split()
        self.orphan = int(child)

    def kill(self) -> None:
        """SIGKILL; the process is gone when this returns."""
        self.process.kill()
        self.process.wait()

    def kill_to_zombie(self) -> None:
        """SIGKILL, and nobody asks how it ended."""
        self.process.kill()
        wait_until(lambda: psutil.Process(self.process.pid).status() == psutil.STATUS_ZOMBIE)


@contextlib.contextmanager
def other_writer(*arguments: str) -> Iterator[OtherWriter]:
    """Start one; with ``fork`` it has a child, which outlives it. All are gone at the end."""
    with start_program(WRITER, *arguments) as process:
        orphan = 0
        try:
            other = OtherWriter(process)
            orphan = other.orphan
            yield other
        finally:
            process.kill()
            if orphan:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(orphan, 9)


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something that another thread or process does."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it did not happen"
        time.sleep(0.01)

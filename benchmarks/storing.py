"""Sessions in a store: creating, appending, reading, listing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.figures import Aim, Figure
from ipysession.log import SyncPolicy
from ipysession.model import Outcome
from ipysession.model.payloads import (
    RunStarted,
    SessionCreated,
    StepFinished,
    StepOutput,
    StepStarted,
)
from ipysession.model.provenance import Environment
from ipysession.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.workplace import Workplace
    from ipysession.store import SessionWriter

_KEY = bytes(32)
_LISTED = 1_000


def storing(workplace: Workplace) -> list[Figure]:
    """All verbs of the store whose cost a user waits for."""
    return [
        *_writing(workplace),
        *_opening(workplace, 1_000, Aim(seconds=20e-3), runs=workplace.runs(30, 10)),
        *_opening(workplace, workplace.runs(100_000, 5_000), Aim(seconds=1.0), runs=3),
        *_listing(workplace),
    ]


def _writing(workplace: Workplace) -> list[Figure]:
    store = Store(workplace.folder / "writing", key=_KEY)
    writers: list[SessionWriter] = []
    created = _repeated(workplace.runs(50, 20), lambda: writers.append(_created(store)))
    writer = writers[-1]
    steps = iter(range(1, 10_000))
    appended = _repeated(workplace.runs(2_000, 500), lambda: _append_step(writer, next(steps)))
    for each in writers:
        each.close()
    return [
        Figure("create a session", tuple(created), aim=Aim(seconds=10e-3)),
        Figure("append a step (start, output, end)", tuple(appended), aim=Aim(seconds=1e-3)),
    ]


def _opening(workplace: Workplace, steps: int, aim: Aim, *, runs: int) -> list[Figure]:
    store = Store(workplace.folder / f"opening-{steps}", key=_KEY)
    writer = filled(store, steps)
    writer.close()
    folder = store.folder(writer.id)
    read = _repeated(runs, folder.read)
    page = _repeated(workplace.runs(30, 10), lambda: folder.read_last(50))
    return [
        Figure(f"load a session of {steps:,} steps", tuple(read), aim=aim),
        Figure("… its last page of 50 steps", tuple(page), aim=Aim(seconds=20e-3)),
    ]


def _listing(workplace: Workplace) -> list[Figure]:
    store = Store(workplace.folder / "listing", key=_KEY)
    for _ in range(_LISTED):
        filled(store, 3).close()
    for path in store.sessions_folder.glob("*/session.json"):
        path.unlink()
    started = time.perf_counter()
    store.summaries()
    cold = time.perf_counter() - started
    warm = _repeated(workplace.runs(10, 3), store.summaries)
    what = f"list {_LISTED:,} sessions of 3 steps"
    return [
        Figure(f"{what}, no session.json yet", (cold,)),
        Figure(f"{what}, session.json there", tuple(warm)),
    ]


def filled(store: Store, steps: int) -> SessionWriter:
    """A session with so many steps. What is measured is reading it, so it is not synced."""
    writer = _created(store, SyncPolicy.OFF)
    for step in range(1, steps + 1):
        _append_step(writer, step)
    return writer


def _created(store: Store, policy: SyncPolicy = SyncPolicy.BACKGROUND) -> SessionWriter:
    writer = store.create(SessionCreated(session="", title="benchmark"), policy=policy)
    writer.append(RunStarted(number=1, environment=_ENVIRONMENT))
    return writer


_ENVIRONMENT = Environment(python="3", platform="benchmark", cwd="/")


def _append_step(writer: SessionWriter, step: int) -> None:
    parent = step - 1 or None
    source = f"total_{step % 100} = sum(range({step}))\nprint(total_{step % 100})"
    writer.append(StepStarted(step=step, parent=parent, source=source, execution_count=step))
    output = {"output_type": "stream", "name": "stdout", "text": f"{step * (step - 1) // 2}\n"}
    writer.append(StepOutput(step=step, events=[{"event": "output", "output": output}]))
    writer.append(
        StepFinished(
            step=step,
            outcome=Outcome.OK,
            duration=0.001,
            execution_count=step,
            bound=[f"total_{step % 100}"],
            reads=[],
        )
    )


def _repeated(runs: int, action: Callable[[], object]) -> list[float]:
    taken = []
    for _ in range(runs):
        started = time.perf_counter()
        made = action()
        taken.append(time.perf_counter() - started)
        del made  # throwing it away is not what is measured
    return taken

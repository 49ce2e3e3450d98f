"""How long `Log.append` holds up the thread that calls it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks.figures import Aim, Figure
from ipysession.log import SyncPolicy
from ipysession.model.payloads import StepStarted
from ipysession.store import Store

if TYPE_CHECKING:
    from benchmarks.workplace import Workplace
    from ipysession.store import SessionWriter

_KEY = bytes(32)
_BLOCK = 500


def appending(workplace: Workplace) -> list[Figure]:
    """10,000 tiny records for each sync policy, in turns; and the waits of the strict one."""
    store = Store(workplace.folder / "appending", key=_KEY)
    times: dict[SyncPolicy, list[float]] = {policy: [] for policy in SyncPolicy}
    with ExitStack() as stack:
        writers = {policy: store.create(policy=policy) for policy in SyncPolicy}
        for writer in writers.values():
            stack.callback(writer.close)
            _append(writer, _BLOCK)
        for _ in range(workplace.runs(20, 4)):
            for policy, writer in writers.items():
                times[policy] += _append(writer, _BLOCK)
        waits = _acknowledge(writers[SyncPolicy.STRICT], workplace.runs(500, 100))
    figures = [
        Figure(
            f"append, {policy}",
            tuple(samples),
            aim=Aim(seconds=50e-6) if policy is SyncPolicy.BACKGROUND else None,
        )
        for policy, samples in times.items()
    ]
    return [*figures, Figure("append and wait until durable, strict", tuple(waits))]


def _append(writer: SessionWriter, count: int) -> list[float]:
    log = writer.log
    taken = []
    for number in range(count):
        payload = StepStarted(step=number, source="x = 1")
        started = time.perf_counter()
        log.append(payload)
        taken.append(time.perf_counter() - started)
    return taken


def _acknowledge(writer: SessionWriter, count: int) -> list[float]:
    log = writer.log
    taken = []
    for number in range(count):
        payload = StepStarted(step=number, source="x = 1")
        started = time.perf_counter()
        log.append(payload)
        log.acknowledge()
        taken.append(time.perf_counter() - started)
    return taken

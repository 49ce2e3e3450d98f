"""Judges what each way to choose keeps of each session, and counts."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from benchmarks.environments import python_of
from benchmarks.exporting.playing import pool
from benchmarks.figures import Tally
from benchmarks.lineage.cases import cases
from benchmarks.lineage.rerunning import Ran, run_again
from benchmarks.lineage.selecting import (
    Chosen,
    everything,
    exported,
    notebook,
    sliced_by_ipyflow,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future, ProcessPoolExecutor

    from benchmarks.lineage.cases import Case
    from benchmarks.workplace import Workplace

_T = TypeVar("_T")

_WORKERS = 2
_SECONDS = 120
"""For one run; whoever takes longer hangs."""


@dataclass(slots=True)
class _Way:
    """One way to choose, and what came of it in each session."""

    name: str
    chosen: dict[str, Chosen | str]
    """By session; a text where it gave up, and why."""
    exact: list[str] = field(default_factory=list)
    more: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def lineage(workplace: Workplace) -> list[Tally]:
    """What is right and smallest, right with more, and wrong: of every way to choose."""
    known = cases(quick=workplace.quick)
    with pool(_WORKERS) as processes:
        ways = [
            _Way("every execution, in order", {case.name: everything(case) for case in known}),
            _Way("the notebook as it stands", {case.name: notebook(case) for case in known}),
            *_ours(workplace, known),
            *_ipyflow(workplace, known),
        ]
        judge = _Judge(processes, known)
        for way in ways:
            judge.ask(way)
        for way in ways:
            judge.judge(way)
    return [_tally(way) for way in ways]


def _ours(workplace: Workplace, known: Sequence[Case]) -> list[_Way]:
    made = _each(partial(exported, workplace), known)
    plain = {name: found if isinstance(found, str) else found[0] for name, found in made.items()}
    checked = {name: found if isinstance(found, str) else found[1] for name, found in made.items()}
    return [_Way("ipysession", plain), _Way("ipysession, --verify", checked)]


def _ipyflow(workplace: Workplace, known: Sequence[Case]) -> list[_Way]:
    try:
        python = python_of("ipyflow")
    except subprocess.CalledProcessError as error:
        print(f"ipyflow could not be installed: {error}", file=sys.stderr)
        return []
    version = subprocess.run(
        [python, "-c", "from importlib.metadata import version; print(version('ipyflow'))"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    return [_Way(f"ipyflow {version}", _each(partial(sliced_by_ipyflow, workplace), known))]


def _each(choose: Callable[[Case], _T], known: Sequence[Case]) -> dict[str, _T | str]:
    """What is chosen in each session; a text where that failed, which counts as wrong."""
    with ThreadPoolExecutor(_WORKERS) as threads:
        running = {case.name: threads.submit(choose, case) for case in known}
    found: dict[str, _T | str] = {}
    for name, future in running.items():
        error = future.exception()
        found[name] = future.result() if error is None else f"{type(error).__name__}: {error}"
    return found


class _Judge:
    """Runs each selection again, each only once, and compares what the last execution shows."""

    def __init__(self, processes: ProcessPoolExecutor, known: Sequence[Case]) -> None:
        self._processes = processes
        self._cases = {case.name: case for case in known}
        running = {
            case.name: processes.submit(run_again, case, everything(case).executions, None)
            for case in known
        }
        self._whole = {name: future.result(_SECONDS) for name, future in running.items()}
        self._runs: dict[tuple[str, tuple[int, ...]], Future[Ran]] = {}

    def ask(self, way: _Way) -> None:
        for name, chosen in way.chosen.items():
            if isinstance(chosen, str) or (name, chosen.executions) in self._runs:
                continue
            self._runs[name, chosen.executions] = self._processes.submit(
                run_again, self._cases[name], chosen.executions, self._whole[name].failed
            )

    def judge(self, way: _Way) -> None:
        for name, chosen in way.chosen.items():
            case, whole = self._cases[name], self._whole[name]
            if isinstance(chosen, str):
                way.wrong.append(f"{name} ({chosen})")
                continue
            ran = self._runs[name, chosen.executions].result(_SECONDS)
            if ran.shown.get(case.last) != whole.shown[case.last]:
                way.wrong.append(name)
            elif set(chosen.executions) - case.needed - case.harmless:
                way.more.append(name)
            else:
                way.exact.append(name)


def _tally(way: _Way) -> Tally:
    counts: dict[str, int | str] = {
        "right and smallest": len(way.exact),
        "right with more": len(way.more),
        "wrong": len(way.wrong),
    }
    remarks = [f"wrong: {', '.join(way.wrong)}"] if way.wrong else []
    aim, met = "", None
    said = {
        name: chosen
        for name, chosen in way.chosen.items()
        if isinstance(chosen, Chosen) and chosen.verified is not None
    }
    if said:
        lying = [name for name in way.wrong if name in said and said[name].verified]
        counts["said to be verified"] = sum(bool(one.verified) for one in said.values())
        counts["of these wrong"] = len(lying)
        aim, met = "none verified is wrong", not lying
        refused = [f"{name} ({one.why})" for name, one in said.items() if not one.verified]
        remarks += [f"not verified: {', '.join(refused)}"] if refused else []
    elif way.name == "ipysession":
        aim, met = "none wrong, ≤ 2 with more", not way.wrong and len(way.more) <= 2
    if way.name.startswith("ipysession") and way.more:
        remarks.append(f"more than needed: {', '.join(way.more)}")
    return Tally(way.name, counts, aim, met, "; ".join(remarks))

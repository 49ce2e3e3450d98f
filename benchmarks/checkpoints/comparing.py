"""Runs the workload with each tool in a kernel of its own, kills it, and brings it back."""

from __future__ import annotations

import json
import math
import queue
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.checkpoints.tools import KISHU, KISHU_PLAIN, OURS, PEERS, PLAIN, Tool
from benchmarks.checkpoints.workload import workload
from benchmarks.environments import python_of
from benchmarks.figures import Aim, Figure, Tally, byte_size
from benchmarks.kernels import Kernel, Kind
from benchmarks.workplace import bytes_below

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.checkpoints.workload import Cell
    from benchmarks.workplace import Workplace

_PAUSE = 0.5
"""Seconds between the cells of a person."""

_AIM_WITH_PAUSES = Aim(seconds=0.005, worst=0.03)

_PEERS_PATIENCE = 150.0
"""Seconds that a peer may take for the workload. Then it is stopped, and what it did until then is
compared with the same cells of plain IPython.
"""

_MOST_WRITTEN = {
    "one element of 100 MB": 1 << 20,
    "one cell of the frame": 1 << 20,
    "one of 500,000 dicts": 256 * 1000,
}
"""Bytes that one edit may write."""

_MOST_IN_ALL = 170e6
_LOOK = "print(type(arr).__name__, len(df), len(rows), x, y)"
_LOOK_AT_LITTLE = "print(x)"
"""What a tool that was stopped has, however few cells it did."""


@dataclass(slots=True)
class _Run:
    """What one tool did with the workload."""

    tool: Tool
    seconds: list[float] = field(default_factory=list)
    """Of each cell."""
    kept: int = 0
    """Bytes in its folder at the end."""
    written: int = 0
    """Bytes that its kernel wrote, also over older ones."""
    by_what: dict[str, list[int]] = field(default_factory=dict)
    """The same, of each cell of a kind and the pause after it."""
    stopped: bool = False
    """It took too long, and did only the first cells."""
    first_cell: float | None = None
    """Seconds after a kill until the first cell has run."""
    everything: float | None = None
    """And until all values are back."""
    broken: bool = False
    """It could not bring them back."""


def checkpoints(workplace: Workplace) -> list[Figure | Tally]:
    """What the user waits for beyond plain IPython, by kind of cell; bytes; and coming back."""
    cells, own = workload(quick=workplace.quick), python_of("own")
    pause = 0.2 if workplace.quick else _PAUSE
    rounds: dict[str, list[_Run]] = {}
    for _ in range(workplace.runs(3, 1)):
        for how, tool, rest in (
            ("plain", PLAIN, 0.0),
            ("plain, pauses", PLAIN, pause / 10),
            ("pauses", OURS, pause),
            ("Run All", OURS, 0.0),
        ):
            rounds.setdefault(how, []).append(_run(workplace, tool, own, cells, pause=rest))
    plain, paused_plain, paused, hurried = map(_typical, rounds.values())
    figures: list[Figure | Tally] = []
    figures += _waits(f"{OURS.name}, pauses", paused, paused_plain, cells, aim=_AIM_WITH_PAUSES)
    figures += _waits(f"{OURS.name}, Run All", hurried, plain, cells)
    runs = [(paused, "pauses", paused_plain), (hurried, "Run All", plain)]
    for tool in PEERS:
        run = _run(workplace, tool, own, cells)
        figures += _waits(tool.name, run, plain, cells)
        runs.append((run, "", plain))
    try:
        python = python_of(KISHU.environment)
        run = _run(workplace, KISHU, python, cells)
        against = _run(workplace, KISHU_PLAIN, python, cells)
    except (RuntimeError, subprocess.CalledProcessError) as error:
        print(f"{KISHU.name} could not be measured: {error}", file=sys.stderr)
    else:
        figures += _waits(KISHU.name, run, against, cells)
        runs.append((run, "", against))
    for run, how, against in runs:
        figures += _totals(run, how, against)
    return figures + _bytes(runs, quick=workplace.quick)


def _typical(runs: list[_Run]) -> _Run:
    """The same work done several times: of each cell the median, because a cell that imports a
    library takes a third longer or shorter from one time to the next.
    """
    one = runs[-1]
    return replace(
        one,
        seconds=[median(times) for times in zip(*(run.seconds for run in runs), strict=True)],
        first_cell=_median_of([run.first_cell for run in runs]),
        everything=_median_of([run.everything for run in runs]),
    )


def _median_of(times: list[float | None]) -> float | None:
    known = [seconds for seconds in times if seconds is not None]
    return median(known) if known else None


def _run(
    workplace: Workplace, tool: Tool, python: str, cells: list[Cell], *, pause: float = 0.0
) -> _Run:
    run = _Run(tool)
    kind = Kind(tool.name, tool.first_cell, python=python)
    kernel = Kernel(workplace, kind)
    kernel.start()
    time.sleep(pause)
    try:
        empty = _stored(workplace, kernel)
        before = size = kernel.written_bytes()
        began = time.perf_counter()
        for cell in cells:
            if not tool.is_ours and time.perf_counter() - began > _PEERS_PATIENCE:
                run.stopped = True
                break
            try:
                run.seconds.append(kernel.run(cell.source))
            except queue.Empty:  # one cell took longer than any should
                run.stopped = True
                break
            time.sleep(pause)
            now = kernel.written_bytes()
            run.by_what.setdefault(cell.what, []).append(now - size)
            size = now
        if tool.is_ours:
            _wait(kernel, "waiting_to_be_saved", at_most=5 if pause else 0)
        run.written = kernel.written_bytes() - before
        run.kept = _stored(workplace, kernel) - empty
    finally:
        kernel.stop()
    if tool.restore:
        _bring_back(workplace, kernel, kind, run)
    return run


def _stored(workplace: Workplace, kernel: Kernel) -> int:
    """Bytes in a kernel's folder, and where %store keeps values."""
    shared = workplace.folder / "ipython" / "profile_default" / "db"
    return bytes_below(kernel.folder) + bytes_below(shared)


def _bring_back(workplace: Workplace, killed: Kernel, kind: Kind, run: _Run) -> None:
    first = "%load_ext ipysession" if run.tool.is_ours else ""
    kernel = Kernel(workplace, Kind(kind.name, first, python=kind.python), folder=killed.folder)
    kernel.start()
    try:
        started = time.perf_counter()
        kernel.run(run.tool.restore)
        kernel.run("z = 1")
        run.first_cell = time.perf_counter() - started
        if run.tool.is_ours:
            kernel.run("%session restore")  # what else would come when it is needed, or unasked
        run.everything = time.perf_counter() - started
        kernel.ask(_LOOK_AT_LITTLE if run.stopped else _LOOK)
    except RuntimeError as error:
        if run.tool.is_ours:
            raise
        run.first_cell = run.everything = None
        run.broken = True
        print(f"{run.tool.name} did not bring everything back: {error}", file=sys.stderr)
    finally:
        kernel.stop()


def _wait(kernel: Kernel, key: str, *, at_most: float) -> None:
    deadline = time.perf_counter() + at_most
    while time.perf_counter() < deadline:
        if not json.loads(kernel.ask("%session status --json"))[key]:
            return
        time.sleep(0.15)  # what comes back in idle time begins 0.05 s after a cell


def _waits(
    name: str, run: _Run, plain: _Run, cells: list[Cell], *, aim: Aim | None = None
) -> list[Figure]:
    figures = []
    for what in dict.fromkeys(cell.what for cell in cells):
        samples = tuple(
            seconds - usual
            # A tool that was stopped did only the first cells.
            for cell, seconds, usual in zip(cells, run.seconds, plain.seconds, strict=False)
            if cell.what == what
        )
        if not samples:
            continue
        written = byte_size(median(run.by_what[what]))
        remark = f"beyond plain; {written} written per cell"
        figures.append(Figure(f"{what}: {name}", samples, aim=aim, remark=remark))
    return figures


def _totals(run: _Run, how: str, plain: _Run) -> list[Figure]:
    name = f"{run.tool.name}{', ' + how if how else ''}"
    done = len(run.seconds)
    usual = Figure(plain.tool.name, (sum(plain.seconds[:done]),))
    remark = f"{byte_size(run.written)} written, {byte_size(run.kept)} on disk"
    if run.stopped:
        remark += f"; stopped after {_PEERS_PATIENCE:.0f} s, {done} of {len(plain.seconds)} cells"
    if run.broken:
        remark += "; did not bring everything back"
    # The aim is the share of the time that may go to checkpoints without any idle time.
    aim = Aim(times=1.05) if how == "Run All" else None
    figures = [Figure(f"all cells: {name}", (sum(run.seconds),), usual, aim, remark)]
    if run.first_cell is not None and run.everything is not None:
        first = Aim(seconds=0.3) if run.tool.is_ours else None
        figures.append(Figure(f"killed, first cell: {name}", (run.first_cell,), aim=first))
        figures.append(Figure(f"killed, everything back: {name}", (run.everything,)))
    return figures


def _bytes(runs: Sequence[tuple[_Run, str, _Run]], *, quick: bool) -> list[Tally]:
    """What each tool wrote for one edit, and in all; ours with the aims, and less than any peer
    that did the whole workload.
    """
    tallies = []
    whole = [run.written for run, *_ in runs if not run.tool.is_ours and not run.stopped]
    for run, how, _ in runs:
        name = f"{run.tool.name}{', ' + how if how else ''}"
        counts: dict[str, int | str] = {}
        fine = True
        for what, most in _MOST_WRITTEN.items():
            if what in run.by_what:
                # A cell may end while the large value before it is still being saved.
                each = median(run.by_what[what])
                counts[what] = byte_size(each)
                fine = fine and each <= most
        counts["in all"] = byte_size(run.written)
        counts["on disk at the end"] = byte_size(run.kept)
        aim, met = "", None
        if run.tool.is_ours:
            aim = "≤ 1 MiB, 1 MiB, 256 KB, 170 MB; less than any peer"
            met = fine and run.kept <= _MOST_IN_ALL
            # The pieces that an edit writes are as large in a hundredth of the data.
            met = met and (quick or run.written < min(whole, default=math.inf))
        tallies.append(Tally(f"bytes written: {name}", counts, aim, met))
    return tallies

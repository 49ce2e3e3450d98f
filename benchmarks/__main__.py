"""``python -m benchmarks``: measure everything, print one table.

Ends with 0 whether or not an aim is met: how fast a machine is must not fail a build.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import (
    appending,
    cells,
    growth,
    loading,
    overhead,
    report,
    resuming,
    serving,
    storing,
    values,
)
from benchmarks.checkpoints.comparing import checkpoints
from benchmarks.exporting.counting import random_sessions
from benchmarks.exporting.speed import exporting
from benchmarks.figures import Section
from benchmarks.lineage.comparing import lineage
from benchmarks.lineage.graph import graphs
from benchmarks.panel import panel
from benchmarks.working.measuring import working
from benchmarks.workplace import Workplace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.figures import Figure, Tally


class _Measurement(NamedTuple):
    title: str
    take: Callable[[Workplace], Sequence[Figure | Tally]]


_MEASUREMENTS = {
    "tiny": _Measurement("A tiny cell (x = i) through a real kernel", cells.tiny_cell),
    "print": _Measurement("A cell that prints 10,000 lines", cells.printing_cell),
    "loops": _Measurement("A loop of 1,000,000 iterations", cells.loops),
    "overhead": _Measurement("Cells of many kinds, beside ipyflow", overhead.overhead),
    "append": _Measurement("Log.append of a tiny record, in its caller", appending.appending),
    "growth": _Measurement("A step late in a session", growth.growth),
    "store": _Measurement("Sessions in a store", storing.storing),
    "serve": _Measurement("What a panel waits for, at the server", serving.serving),
    "panel": _Measurement("The Sessions panel on the screen, in Chromium", panel),
    "load": _Measurement("Loading the extension into a fresh kernel", loading.loading),
    "values": _Measurement("Saving values", values.values),
    "checkpoints": _Measurement("Checkpoints beside other tools", checkpoints),
    "lineage": _Measurement("Slices of 64 sessions, run again", lineage),
    "random": _Measurement("Random sessions, exported and run again", random_sessions),
    "graph": _Measurement("The graph of 100,000 steps", graphs),
    "export": _Measurement("Exporting a session of 1,000 steps", exporting),
    "resume": _Measurement("Coming back after a kill", resuming.resuming),
    "work": _Measurement("Two hours of mixed work, killed now and then", working),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for. Returns 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=_MEASUREMENTS, metavar="NAME",
        help=f"measure only this; may be repeated: {', '.join(_MEASUREMENTS)}",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="fewer runs: under a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE, too")
    asked = parser.parse_args(arguments)
    started = time.perf_counter()
    sections = [_measured(name, quick=asked.quick) for name in asked.only or _MEASUREMENTS]
    seconds = time.perf_counter() - started
    report.show(sections, seconds)
    if asked.json is not None:
        text = json.dumps(report.document(sections, seconds), indent=1, ensure_ascii=False)
        asked.json.write_text(text + "\n", encoding="utf-8")
    return 0


def _measured(name: str, *, quick: bool) -> Section:
    measurement = _MEASUREMENTS[name]
    print(f"measuring: {measurement.title} …", file=sys.stderr, flush=True)
    started = time.perf_counter()
    figures: Sequence[Figure | Tally] = ()
    failure = ""
    with tempfile.TemporaryDirectory(prefix="ipysession-bench-") as folder:
        try:
            figures = measurement.take(Workplace(Path(folder), quick=quick))
        except Exception as error:  # noqa: BLE001 - the others are still worth measuring
            failure = f"{type(error).__name__}: {error}"
    taken = time.perf_counter() - started
    return Section(name, measurement.title, tuple(figures), taken, failure)


if __name__ == "__main__":
    sys.exit(main())

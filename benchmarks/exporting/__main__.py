"""``python -m benchmarks.exporting``: 500 random sessions, their exports run again, a table."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.exporting.counting import WORKERS, summary
from benchmarks.exporting.playing import play, pool
from benchmarks.exporting.sessions import session

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the sessions. Returns 1 where an export did not give its targets again."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exporting", description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="sessions (default: 500)")
    parser.add_argument("--seed", type=int, default=1, help="of the first one (default: 1)")
    parser.add_argument("--workers", type=int, default=WORKERS, help="processes (default: 2)")
    asked = parser.parse_args(arguments)
    started = time.perf_counter()
    seeds = range(asked.seed, asked.seed + asked.count)
    with pool(asked.workers) as processes:
        played = dict(zip(seeds, processes.map(play, map(session, seeds)), strict=True))
    wrong = {seed: one for seed, one in played.items() if one.trouble}
    for seed, one in wrong.items():
        print(f"seed {seed}: {one.trouble[:300]}")
        for number, execution in enumerate(session(seed), 1):
            mark = " " if number in one.kept else "-"
            print(f"  {mark} {number:3} {execution.cell}: {execution.source!r}")
    print(json.dumps(summary(list(played.values())), indent=1))
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

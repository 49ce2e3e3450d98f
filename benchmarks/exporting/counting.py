"""Random sessions, exported: how many exports give their targets again, how small they are, and
whether what an export calls verified is right.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.exporting.playing import again_differs, play, pool
from benchmarks.exporting.sessions import session
from benchmarks.figures import Tally
from benchmarks.kernels import RECORDED, Kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.exporting.playing import Played
    from benchmarks.workplace import Workplace

WORKERS = 2


class _Checked(NamedTuple):
    """An export that was asked to verify itself."""

    kept: tuple[int, ...]
    verified: bool
    why: str


def random_sessions(workplace: Workplace) -> list[Tally]:
    """500 of them; and of a sample, the exports with ``--verify`` from a kernel."""
    seeds = range(1, workplace.runs(500, 20) + 1)
    sample = seeds[: workplace.runs(40, 4)]
    with ThreadPoolExecutor(WORKERS) as threads:
        checked = dict(zip(sample, threads.map(partial(_verified, workplace), sample), strict=True))
    with pool(WORKERS) as processes:
        played = dict(zip(seeds, processes.map(play, map(session, seeds)), strict=True))
        differs = {
            seed: processes.submit(again_differs, session(seed), one.kept)
            for seed, one in checked.items()
        }
        wrong = [seed for seed, found in differs.items() if found.result()]
    return [_all_of(played), _sample_of(checked, wrong)]


def _verified(workplace: Workplace, seed: int) -> _Checked:
    """Record the session in a kernel, and export it with ``--verify``."""
    folder = workplace.folder / f"seed-{seed}"
    folder.mkdir()
    target = workplace.folder / f"seed-{seed}.ipynb"
    kernel = Kernel(workplace, RECORDED, folder)
    kernel.start()
    try:
        for one in session(seed):
            kernel.try_cell(one.source, one.cell)
        kernel.try_cell(f"%session export -o {target} --verify=all", "export")
    finally:
        kernel.stop()
    made = json.loads(target.read_text(encoding="utf-8"))
    cells = [cell for cell in made["cells"] if cell["cell_type"] == "code"]
    kept = tuple(cell["metadata"]["ipysession"]["step"] for cell in cells)
    said = made["metadata"]["ipysession"]["verified"]
    return _Checked(kept, bool(said["verified"]), str(said.get("why", "")))


def _all_of(played: dict[int, Played]) -> Tally:
    figures = summary(list(played.values()))
    wrong = [f"seed {seed}: {one.trouble[:120]}" for seed, one in played.items() if one.trouble]
    share = figures["kept of searched"] / max(1, figures["smallest of searched"])
    counts: dict[str, int | str] = {
        "sessions": len(played),
        "reproduced": len(played) - len(wrong),
        "cells run": figures["executions"],
        "cells kept": figures["kept"],
        "of the smallest": f"{share:.2f} ×",
    }
    remark = f"the smallest was searched for {figures['searched']} short sessions"
    return Tally(
        "random sessions", counts, "all reproduced", not wrong, "; ".join([remark, *wrong])
    )


def _sample_of(checked: dict[int, _Checked], wrong: Sequence[int]) -> Tally:
    lying = [seed for seed in wrong if checked[seed].verified]
    refused = [f"seed {seed}: {one.why}" for seed, one in checked.items() if not one.verified]
    counts: dict[str, int | str] = {
        "sessions": len(checked),
        "reproduced": len(checked) - len(wrong),
        "said to be verified": len(checked) - len(refused),
        "of these wrong": len(lying),
    }
    remark = "; ".join([f"not verified: {', '.join(refused)}"] if refused else [])
    return Tally("exported with --verify", counts, "none verified is wrong", not lying, remark)


def summary(played: Sequence[Played]) -> dict[str, int]:
    """The figures of all plays."""
    searched = [one for one in played if one.smallest is not None]
    return {
        "sessions": len(played),
        "executions": sum(one.executions for one in played),
        "reproduced": sum(not one.trouble for one in played),
        "kept": sum(len(one.kept) for one in played),
        "searched": len(searched),
        "kept of searched": sum(len(one.kept) for one in searched),
        "smallest of searched": sum(one.smallest or 0 for one in searched),
        "exactly the smallest": sum(len(one.kept) == one.smallest for one in searched),
    }

"""Runs chosen executions again: each time in a process of its own and an empty folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.exporting.playing import fresh_folder, fresh_shell, run_cell

if TYPE_CHECKING:
    from benchmarks.lineage.cases import Case


@dataclass(frozen=True, slots=True)
class Ran:
    """What running executions came to."""

    shown: dict[int, str]
    """What each showed."""
    failed: frozenset[int]
    """Those that raised."""


def run_again(case: Case, chosen: tuple[int, ...], may_fail: frozenset[int] | None) -> Ran:
    """Run the ``chosen`` executions in that order, in the calling process.

    The first failure ends the run, as it does in a notebook, unless it is one of ``may_fail``,
    or that is None.
    """
    shown: dict[int, str] = {}
    failed: set[int] = set()
    with fresh_folder() as folder:
        os.environ["MPLBACKEND"] = "agg"
        shell = fresh_shell(folder)
        for number in chosen:
            shown[number] = run_cell(shell, case.sources[number - 1])
            if shell.last_execution_succeeded:
                continue
            failed.add(number)
            if may_fail is not None and number not in may_fail:
                break
    return Ran(shown, frozenset(failed))

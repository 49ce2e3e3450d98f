"""The table: rich on a terminal, plain text in a pipe; and the same as JSON."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure, Tally, duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.figures import Section

_PIPE_COLUMNS = 150


def show(sections: Sequence[Section], seconds: float) -> None:
    """Print all figures with their aims."""
    on_terminal = sys.stdout.isatty()
    console = Console(width=None if on_terminal else _PIPE_COLUMNS, highlight=False)
    console.print(", ".join(f"{name} {value}" for name, value in machine().items()))
    for section in sections:
        console.print()
        console.print(f"[bold]{section.title}[/bold]")
        if section.failure:
            console.print(f"could not be measured: {section.failure}", markup=False)
        else:
            timed = [figure for figure in section.figures if isinstance(figure, Figure)]
            counted = [figure for figure in section.figures if isinstance(figure, Tally)]
            if timed:
                console.print(_table(timed, on_terminal=on_terminal))
            if counted:
                console.print(_counts(counted, on_terminal=on_terminal))
            for tally in counted:
                if tally.remark:
                    console.print(f"{tally.what}: {tally.remark}", markup=False)
    figures = [figure for section in sections for figure in section.figures]
    aims = [figure for figure in figures if figure.met is not None]
    missed = [figure.what for figure in aims if not figure.met]
    console.print()
    console.print(
        f"{len(aims) - len(missed)} of {len(aims)} aims met"
        + (f"; missed: {'; '.join(missed)}" if missed else "")
        + f". Took {seconds:.0f} s.",
        markup=False,
    )


def _table(figures: Sequence[Figure], *, on_terminal: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD if on_terminal else None, pad_edge=False)
    table.add_column("", overflow="fold")
    for title in ("runs", "median", "p95", "worst", "×", "aim", "met"):
        table.add_column(title, justify="right", no_wrap=True)
    if any(figure.remark for figure in figures):
        table.add_column("", style="dim")
    for figure in figures:
        table.add_row(
            figure.what,
            f"{len(figure.samples):,}",
            duration(figure.median),
            duration(figure.p95),
            duration(figure.worst),
            "" if figure.times is None else f"{figure.times:.2f}",
            "" if figure.aim is None else str(figure.aim),
            _MET[figure.met],
            *([figure.remark] if figure.remark else []),
        )
    return table


def _counts(tallies: Sequence[Tally], *, on_terminal: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD if on_terminal else None, pad_edge=False)
    table.add_column("", overflow="fold")
    titles = list(dict.fromkeys(title for tally in tallies for title in tally.counts))
    for title in titles:
        table.add_column(title, justify="right")
    table.add_column("aim")
    table.add_column("met", justify="right", no_wrap=True)
    for tally in tallies:
        counts = (str(tally.counts.get(title, "")) for title in titles)
        table.add_row(tally.what, *counts, tally.aim, _MET[tally.met])
    return table


_MET = {None: "", True: "[green]yes[/green]", False: "[bold red]no[/bold red]"}


def document(sections: Sequence[Section], seconds: float) -> dict[str, Any]:
    """All figures as plain data; times in seconds."""
    return {
        "machine": machine(),
        "sections": [section.document() for section in sections],
        "seconds": seconds,
    }


def machine() -> dict[str, str]:
    """What it was measured on; nothing that names a person or a place."""
    return {
        "Python": platform.python_version(),
        "IPython": version("ipython"),
        "ipykernel": version("ipykernel"),
        "on": f"{platform.system()} {platform.machine()}",
        "with cores:": str(os.cpu_count()),
    }

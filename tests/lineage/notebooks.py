"""Runs cells in a real IPython, recorded, and slices of them again in a fresh one.

Each runs in a process of its own, forked from one that has imported IPython and the large
libraries, in an empty folder.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import re
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.exporting.playing import fresh_folder


@dataclass(frozen=True)
class Ran:
    """What running cells came to."""

    shown: tuple[str, ...]
    """Of each cell what it printed, and its result."""
    slice: tuple[int, ...] = ()
    """The steps, from 1, that the last one needs, by the recording."""
    facts: tuple[Any, ...] = ()


def recorded(sources: list[str]) -> Ran:
    """Run cells in a recorded shell, and ask the graph for the slice of the last one."""
    with fresh_folder() as folder:
        os.environ["IPYSESSION_STORE"] = str(folder / "store")
        shell = _shell(folder)
        with contextlib.redirect_stdout(io.StringIO()):
            shell.run_line_magic("load_ext", "ipysession")
        import ipysession
        from ipysession.record import lineage

        lineage._SECONDS = 5.0  # a machine with much to do must not make a difference
        shown = [_run(shell, source) for source in sources]
        from ipysession.lineage.graph import Graph

        session = ipysession.open("latest").session
        graph = Graph.of(session)
        last = graph.steps[-1].number
        first = graph.steps[0].number
        facts = tuple(graph.facts(step.number) for step in graph.steps)
        needed = tuple(number - first + 1 for number in graph.needs_step(last))
        assert len(graph.steps) == len(sources), [step.source for step in graph.steps]
        shell.run_line_magic("unload_ext", "ipysession")
        return Ran(tuple(shown), needed, facts)


def again(sources: list[str]) -> Ran:
    """Run cells in a fresh, plain shell."""
    with fresh_folder() as folder:
        shell = _shell(folder)
        return Ran(tuple(_run(shell, source) for source in sources))


def _shell(folder: Path) -> Any:
    os.environ["IPYTHONDIR"] = str(folder / "ipython")
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    return InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))


def _run(shell: Any, source: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        result = shell.run_cell(source, store_history=True)
    said = out.getvalue()
    said = re.sub(r"(?:Out|Cell In)\[\d+\]", "", said)
    said = re.sub(r"0x[0-9a-f]+", "0x", said)
    return f"{said.strip()}\n{type(result.error_in_exec).__name__}"


def pool(workers: int = 2) -> ProcessPoolExecutor:
    """Processes for `recorded` and `again`; each serves once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["IPython", "sqlite3", "ipysession", "ipysession.extension", "pandas", "matplotlib.pyplot"]
    )
    return ProcessPoolExecutor(workers, mp_context=context, max_tasks_per_child=1)

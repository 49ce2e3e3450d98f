"""Plays a session: records it in a real IPython, selects what its export keeps, and runs that in
a fresh IPython in an empty folder. Each play has a process of its own.
"""

from __future__ import annotations

import ast
import contextlib
import io
import itertools
import multiprocessing
import os
import random
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.exporting.sessions import Execution

SMALL = 9
"""Sessions of so many executions, or fewer, are searched for the smallest right answer."""

_COUNT = re.compile(r"In\[\d+\]")

_IGNORED = frozenset({"In", "Out", "exit", "quit", "get_ipython", "open"})


@dataclass(frozen=True, slots=True)
class State:
    """What running cells came to: the values of the user's names, which of them are one object,
    the files, and what each cell showed.
    """

    values: dict[str, str]
    shared: frozenset[tuple[str, str]]
    files: dict[str, bytes]
    shown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Played:
    """What came of one session. Steps are counted from 1."""

    executions: int
    kept: tuple[int, ...]
    trouble: str = ""
    """What the export gave otherwise, in words; empty where it gave the same."""
    smallest: int | None = None
    """How few executions would have done; None where nobody searched."""
    dropped: dict[int, str] = field(default_factory=dict)


def play(executions: Sequence[Execution]) -> Played:
    """Record the session, export it, run the export, compare; in the calling process."""
    with fresh_folder() as folder:
        shell = fresh_shell(folder)
        _say_nothing(shell, "%load_ext ipysession")
        shown = tuple(run_cell(shell, one.source, one.cell) for one in executions)
        end = _state(shell.user_ns, shown)
        _say_nothing(shell, "%unload_ext ipysession")
        kept, dropped, visible = _selected(folder / "store", len(executions))
    again = _again([executions[number - 1] for number in kept])
    shown_again = dict(zip(kept, again.shown, strict=True))
    trouble = _difference(end, again, visible, shown_again)
    smallest = None
    if len(executions) <= SMALL and not trouble:
        smallest = _smallest(executions, sorted(visible), len(kept))
    return Played(len(executions), kept, trouble, smallest, dropped)


def again_differs(executions: Sequence[Execution], kept: Sequence[int]) -> str:
    """What the ``kept`` executions, run alone, give otherwise than all of them, in words; in the
    calling process. What they show counts for the newest text of each cell.
    """
    whole = _again(executions)
    alone = _again([executions[number - 1] for number in kept])
    newest = {one.cell: number for number, one in enumerate(executions, 1)}
    visible = set(newest.values()).intersection(kept)
    return _difference(whole, alone, visible, dict(zip(kept, alone.shown, strict=True)))


def pool(workers: int = 2) -> ProcessPoolExecutor:
    """Processes for `play`; each serves once, from one that has imported what all need."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["IPython.core.interactiveshell", "ipysession.extension", "ipysession.export"]
    )
    return ProcessPoolExecutor(workers, mp_context=context, max_tasks_per_child=1)


def _selected(store: Path, count: int) -> tuple[tuple[int, ...], dict[int, str], set[int]]:
    """The executions that an export keeps, why others go, and those whose result is visible."""
    from ipysession.export import ExportOptions, select_steps
    from ipysession.model import Outcome
    from ipysession.store import Store

    session = Store(store).folder(Store(store).ids()[0]).read().session
    steps = [step for step in session.steps if not step.source.startswith("%")]
    if len(steps) != count:
        message = f"{count} cells ran, and {len(steps)} steps were recorded"
        raise RuntimeError(message)
    place = {step.number: number for number, step in enumerate(steps, 1)}
    selection = select_steps(session, ExportOptions())
    newest = {step.cell_id: step for step in steps}
    visible = {
        place[step.number] for step in newest.values() if step.events and step.outcome is Outcome.OK
    }
    kept = tuple(place[step.number] for step in selection.kept)
    dropped = {place[d.step]: d.reason for d in selection.dropped if d.step in place}
    return kept, dropped, visible


def _difference(end: State, again: State, visible: set[int], shown: dict[int, str]) -> str:
    """What is not as it was; a name more than there was is no harm."""
    other = [name for name, value in end.values.items() if again.values.get(name) != value]
    if other:
        told = [f"{n}: {again.values.get(n)} instead of {end.values[n]}" for n in other]
        return "; ".join(told)
    shared = {pair for pair in again.shared if end.values.keys() >= set(pair)}
    if shared != end.shared:
        return f"shared: {sorted(shared)} instead of {sorted(end.shared)}"
    if again.files != end.files:
        return f"files: {again.files} instead of {end.files}"
    for number in sorted(visible):
        text, expected = shown.get(number), end.shown[number - 1]
        if text is None or _without_counts(text) != _without_counts(expected):
            return f"step {number} showed {text!r}, not {expected!r}"
    return ""


def _without_counts(shown: str) -> str:
    """A traceback names its cell by its number, which is another where fewer cells run."""
    return _COUNT.sub("In[]", shown)


def _smallest(executions: Sequence[Execution], visible: Sequence[int], enough: int) -> int:
    """The least number of executions that gives the targets; ``enough`` are known to do. All
    subsets are tried, the small ones first, without IPython, which would take too long.
    """
    sources = [one.source for one in executions]
    end = _quick(sources)
    rest = [number for number in range(1, len(sources) + 1) if number not in visible]
    for more in range(max(0, enough - len(visible))):
        for added in itertools.combinations(rest, more):
            chosen = sorted((*visible, *added))
            found = _quick([sources[number - 1] for number in chosen])
            shown = dict(zip(chosen, found.shown, strict=True))
            if not _difference(end, found, set(visible), shown):
                return len(chosen)
    return enough


def _quick(sources: Sequence[str]) -> State:
    """Run cells with nothing but `exec`; the last expression of a cell is shown."""
    random.seed(4711)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    shown = []
    with fresh_folder():
        for source in sources:
            out = io.StringIO()
            tree = ast.parse(source)
            last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
            with contextlib.redirect_stdout(out), contextlib.suppress(Exception):
                exec(compile(tree, "<cell>", "exec"), namespace)
                if isinstance(last, ast.Expr):
                    value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), namespace)
                    print(re.sub(r"0x[0-9a-f]+", "0x", repr(value)))
            shown.append(out.getvalue())
        return _state(namespace, tuple(shown))


# -- running ---------------------------------------------------------------------------


def _again(executions: Sequence[Execution]) -> State:
    return _plain([one.source for one in executions])


def _plain(sources: Sequence[str]) -> State:
    """Run cells in a fresh IPython that nobody records, in an empty folder."""
    from IPython.core.interactiveshell import InteractiveShell

    with fresh_folder() as folder:
        InteractiveShell.clear_instance()
        shell = fresh_shell(folder)
        return _state(shell.user_ns, tuple(run_cell(shell, source) for source in sources))


def fresh_shell(folder: Path) -> Any:
    """IPython without its history, its files and our store in ``folder``; one per process."""
    import random

    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    random.seed(4711)
    os.environ["IPYTHONDIR"] = str(folder / "ipython")
    os.environ["IPYSESSION_STORE"] = str(folder / "store")
    os.environ["IPYSESSION_KEY"] = str(folder / "key")
    return InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))


def _say_nothing(shell: Any, source: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        shell.run_cell(source, store_history=False)


def run_cell(shell: Any, source: str, cell: str | None = None) -> str:
    """Run a cell, which may fail; what it showed, without counts and addresses."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        shell.run_cell(source, store_history=True, cell_id=cell)
    said = re.sub(r"(?:Out|Cell In)\s?\[\d+\]", "", out.getvalue())
    return re.sub(r"0x[0-9a-f]+", "0x", said)


def _state(namespace: dict[str, Any], shown: tuple[str, ...]) -> State:
    values = {
        name: value
        for name, value in namespace.items()
        if not name.startswith("_") and name not in _IGNORED
    }
    described = {name: _described(value) for name, value in values.items()}
    mutable = [name for name, value in values.items() if isinstance(value, (list, dict))]
    shared = frozenset(
        (one, other)
        for one, other in itertools.combinations(sorted(mutable), 2)
        if values[one] is values[other]
    )
    files = {path.name: path.read_bytes() for path in sorted(Path.cwd().iterdir())}
    return State(described, shared, files, shown)


def _described(value: Any, depth: int = 0) -> str:
    if depth > 20:
        return "…"
    if isinstance(value, dict):
        parts = (f"{key!r}: {_described(item, depth + 1)}" for key, item in value.items())
        return "{" + ", ".join(parts) + "}"
    if isinstance(value, (list, tuple)):
        inner = ", ".join(_described(item, depth + 1) for item in value)
        return f"{type(value).__name__}({inner})"
    code = getattr(value, "__code__", None)
    if code is not None:
        held = [cell.cell_contents for cell in getattr(value, "__closure__", None) or ()]
        defaults = getattr(value, "__defaults__", None)
        return f"function {code.co_code.hex()} {_described([held, defaults], depth + 1)}"
    if isinstance(value, type):
        return f"class {value.__name__} {getattr(value, 'count', '')}"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


@contextlib.contextmanager
def fresh_folder() -> Iterator[Path]:
    """A folder whose ``work``, which is empty, is the working directory."""
    with TemporaryDirectory(prefix="ipysession-play-") as name:
        before = Path.cwd()
        work = Path(name) / "work"
        work.mkdir()
        os.chdir(work)
        sys.path.insert(0, "")
        try:
            yield Path(name)
        finally:
            os.chdir(before)
            sys.path.remove("")

"""What each step of a session leaves behind in the namespace, and what it looks at.

Joins what was recorded (`Step.provenance`) with what the code says (`uses`, `changes`).
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipysession.export.changes import RANDOMNESS, Changes, changes
from ipysession.export.failures import executed
from ipysession.export.inputs import folder_of
from ipysession.export.known import Known, fresh_names
from ipysession.export.sources import clean_source
from ipysession.export.uses import Uses, parse, uses
from ipysession.lineage import is_internal
from ipysession.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ipysession.model import Session, Step

_HISTORY = re.compile(r"_{1,3}|_\d+|_i{1,3}|_i\d+|_[iod]h|In|Out")
"""IPython's own names for earlier inputs and outputs."""
_NOT_RUN = frozenset({"SyntaxError", "IndentationError", "TabError"})
_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Trace:
    """One step, as its neighbours see it.

    ``reads``: names whose earlier values it uses. ``binds``: names that it bound.
    ``by_products``: those that only its loops bind, which count where somebody reads them.
    ``overwrites``: names of which nothing earlier is left when it ends. ``leaves``: names that
    it bound, deleted or may have changed in place, with those that may share an object.
    ``keeps`` says why it must stay whatever follows it; None where nothing says so.
    ``uses_history``: it uses ``_``, ``Out`` or the like.
    """

    reads: frozenset[str]
    binds: frozenset[str]
    overwrites: frozenset[str]
    leaves: frozenset[str]
    by_products: frozenset[str] = _NOTHING
    keeps: str | None = None
    reads_anything: bool = False
    uses_history: bool = False


def bound_names(step: Step) -> frozenset[str]:
    """The user's names that the step bound, as recorded; ``_3`` for its output is none."""
    return _own(step.provenance.bound)


def _own(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name for name in names if not _HISTORY.fullmatch(name))


def traces(session: Session, steps: Sequence[Step]) -> dict[int, Trace]:
    """The trace of each of ``steps``, by number; they must be in order of execution."""
    walk = _Walk({step.run: folder_of(session, step) for step in steps})
    return {step.number: walk.take(step) for step in steps}


class _Walk:
    """Goes through the steps in order and remembers what they made of names."""

    def __init__(self, folders: dict[int, str]) -> None:
        self._known = Known()
        self._code: dict[str, frozenset[str]] = {}
        """For names that hold functions: the names that those functions use."""
        self._shares: dict[str, set[str]] = {}
        """For each name, all names that may share an object with it; one set per group."""
        self._folders = folders

    def take(self, step: Step) -> Trace:
        """The trace of the next step."""
        ok = step.outcome is Outcome.OK
        recorded = step.provenance
        tree = _tree(step)
        if tree is None:
            return self._unreadable(step)
        used = uses(tree)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `"\d"` in the user's code is the user's
            fresh = fresh_names(tree) & used.binds - used.reads
            changed = changes(tree if ok else executed(tree, step.error), self._known, fresh)
        bound, deleted = bound_names(step), _own(recorded.deleted)
        binds = bound | (used.binds if ok else _NOTHING)
        # What the text binds in a branch only, the recorder may have taken for bound.
        surely = used.binds | (bound - used.may_bind)
        overwrites = surely | deleted if ok else _NOTHING
        # A cell that failed may have bound less than its text says, or something else.
        self._known.forget(binds - used.binds if ok else binds | used.binds)
        reads = self._reads(step, used)
        data = {name for name in reads | binds if self._is_data(name)}
        self._share(tree, used, binds, data)
        leaves = binds | deleted | self._changed(changed, data)
        if RANDOMNESS in changed.hidden:
            reads |= {RANDOMNESS}
            leaves |= {RANDOMNESS}
        elif changed.anything:
            reads |= {RANDOMNESS}
        return Trace(
            reads=reads,
            binds=binds,
            by_products=used.in_loops,
            overwrites=overwrites,
            leaves=leaves,
            keeps=self._must_stay(step, used, changed),
            reads_anything=used.unbounded,
            uses_history=any(_HISTORY.fullmatch(name) for name in used.reads),
        )

    def _unreadable(self, step: Step) -> Trace:
        """The code says nothing to us: either it never ran, or it is no plain Python."""
        bound = bound_names(step)
        leaves = bound | _own(step.provenance.deleted)
        ran = not (step.error is not None and step.error.ename in _NOT_RUN)
        return Trace(
            reads=frozenset(step.provenance.reads),
            binds=bound,
            overwrites=_NOTHING,
            leaves=leaves | frozenset(step.provenance.reads) if ran else leaves,
            keeps="its code cannot be read" if ran else self._outside(step),
            reads_anything=ran,
        )

    def _reads(self, step: Step, used: Uses) -> frozenset[str]:
        through_code: set[str] = set()
        todo = list(used.reads)
        while todo:
            for name in self._code.get(todo.pop(), _NOTHING):
                if name not in through_code:
                    through_code.add(name)
                    todo.append(name)
        # What was recorded may come from the text, whose order `used` knows better, or from
        # functions that the cell called: those may have looked before the cell bound a name.
        through_code |= set(step.provenance.reads) - used.mentions
        return used.reads | (through_code - used.early)

    def _is_data(self, name: str) -> bool:
        return (
            name not in self._known.modules
            and name not in self._known.functions
            and not is_internal(name)
            and name != RANDOMNESS
        )

    def _changed(self, changed: Changes, data: set[str]) -> frozenset[str]:
        names = changed.names | (data if changed.anything else set())
        found: set[str] = set()
        for name in names:
            found |= self._shares.get(name, {name} if name in data else set())
        return frozenset(found)

    def _share(self, tree: ast.Module, used: Uses, binds: frozenset[str], data: set[str]) -> None:
        code = _code_names(tree, used).union(
            *(self._code.get(name, _NOTHING) for name in used.reads)
        )
        for name in binds if code else ():
            self._code[name] = code | self._code.get(name, _NOTHING)
        self._join(data)

    def _join(self, names: Iterable[str]) -> None:
        """From now on these names may share objects."""
        group: set[str] = set()
        for name in names:
            other = self._shares.get(name, {name})
            if other is group:
                continue
            group, other = (group, other) if len(group) >= len(other) else (other, group)
            group |= other
            for member in other:
                self._shares[member] = group
        for name in group:
            self._shares.setdefault(name, group)

    def _must_stay(self, step: Step, used: Uses, changed: Changes) -> str | None:
        hidden = sorted(changed.hidden - {RANDOMNESS})
        if hidden:
            return f"it may have changed {hidden[0]}"
        if used.unbounded:
            return "it may have changed anything"
        return self._outside(step)

    def _outside(self, step: Step) -> str | None:
        if step.provenance.outside:
            return f"it {step.provenance.outside[0]}"
        folder = step.provenance.cwd
        before = self._folders.get(step.run)
        if folder is not None and folder != before:
            self._folders[step.run] = folder
            return f"it changed the folder to {folder}"
        return None


def _tree(step: Step) -> ast.Module | None:
    tree = parse(step.python)
    if tree is None and step.transformed is None:
        # Recorded without the transformation: without our own lines it may be plain Python.
        tree = parse(clean_source(step.source).text)
    return tree


def _code_names(tree: ast.Module, used: Uses) -> frozenset[str]:
    """The names that functions and classes made here use when they are called."""
    holders = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    if any(isinstance(node, holders) for node in ast.walk(tree)):
        return used.mentions
    return frozenset()

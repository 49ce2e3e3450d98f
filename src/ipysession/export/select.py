"""Which steps an export keeps, and why each of the others is dropped.

What stays is decided by effect, not by status: the targets (by default the final values and
the visible results of the notebook as it stands) and all that they rest on, as the graph of
steps tells it. Steps keep their order of execution, which is always right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipysession.errors import InvalidRequest
from ipysession.export.sources import clean_source
from ipysession.lineage import is_internal
from ipysession.lineage.graph import Graph
from ipysession.model import Outcome
from ipysession.model.tree import branch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ipysession.export.options import ExportOptions
    from ipysession.model import Session, Step

_FAILURES = frozenset({Outcome.ERROR, Outcome.INTERRUPTED, Outcome.DIED})
_HOW_IT_FAILED = {
    Outcome.ERROR: "it ended with an error",
    Outcome.INTERRUPTED: "it was interrupted",
    Outcome.DIED: "the kernel died in it",
    Outcome.RUNNING: "it has not ended",
}
_HISTORY = re.compile(r"_{1,3}|_\d+|_i{1,3}|_i\d+|_[iod]h|In|Out")
"""IPython's own names for earlier inputs and outputs."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A step that is left out, and why, in words."""

    step: int
    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """The steps to export, in order of execution, and those that are left out. ``names`` are
    the names whose values, at the end, the kept steps must give.
    """

    kept: tuple[Step, ...]
    dropped: tuple[Dropped, ...]
    names: tuple[str, ...] = ()


def failed(step: Step) -> bool:
    """Did the step end with an error, an interrupt or the kernel's death?"""
    return step.outcome in _FAILURES


def select_steps(
    session: Session, options: ExportOptions, removed: Collection[str] = ()
) -> Selection:
    """Decide which steps of ``session`` to export.

    ``removed`` are the ids of cells that the notebook no longer has: they show nothing. Raises
    InvalidRequest where ``options`` names steps or names that the session does not have, or a
    step that only repeats another.
    """
    head = None
    if options.steps:
        _check_numbers(session, options.steps)
        if not set(options.steps) <= {step.number for step in branch(session)}:
            head = max(options.steps)
    chosen = _Chooser(session, Graph.of(session, head), removed)
    if options.steps:
        return chosen.steps(options.steps)
    if options.all:
        return chosen.all()
    if options.targets:
        return chosen.targets(options.targets)
    return chosen.notebook()


def widened(session: Session, selection: Selection) -> tuple[Selection, ...]:
    """Larger selections of the same branch, each holding the one before, the last one all that
    can run: what to try where ``selection`` does not give the same again.

    First come the steps that wrote anything which a kept step reads or writes, whether or not
    the graph says that it needs them, and those that reached outside the namespace.
    """
    last = selection.kept[-1].number if selection.kept else None
    graph = Graph.of(session, None if last is None else _tip(session, last))
    can_run = [
        step
        for step in graph.steps
        if step.outcome not in (Outcome.DIED, Outcome.RUNNING) and _own_lines(step) is None
    ]
    kept = {step.number for step in selection.kept}
    touched: set[str] = set()
    for step in selection.kept:
        facts = graph.facts(step.number)
        touched |= {_root(text) for part in facts for text in part}
    near = {
        step.number
        for step in can_run
        if step.provenance.outside
        or touched & {_root(t) for part in graph.facts(step.number)[1:] for t in part}
    }
    found: list[Selection] = []
    for wanted in (kept | near, {step.number for step in can_run}):
        if wanted > kept:
            kept = wanted
            dropped = tuple(item for item in selection.dropped if item.step not in kept)
            steps = tuple(step for step in session.steps if step.number in kept)
            found.append(Selection(steps, dropped, selection.names))
    return tuple(found)


def _tip(session: Session, number: int) -> int | None:
    """The head of a branch that holds step ``number``: where the session stands, if it does."""
    return None if any(step.number == number for step in branch(session)) else number


def _root(text: str) -> str:
    return re.split(r"[\[.]", text, maxsplit=1)[0] if ":" not in text else text


class _Chooser:
    """Knows the branch, and says of each of its steps why it goes."""

    def __init__(self, session: Session, graph: Graph, removed: Collection[str]) -> None:
        self._graph = graph
        self._removed = removed
        self._never: dict[int, str] = {}
        on_branch = {step.number for step in graph.steps}
        for step in session.steps:
            if step.replay_of is not None:
                said = f"it repeats step {step.replay_of} to bring values back"
            elif step.number not in on_branch:
                said = "it is on another branch of the session"
            else:
                said = _own_lines(step) or ""
            if said:
                self._never[step.number] = said

    def _selection(
        self, kept: Collection[int], why: dict[int, str], names: Iterable[str] = ()
    ) -> Selection:
        dropped = {number: said for number, said in why.items() if number not in kept}
        dropped.update(self._never)
        return Selection(
            tuple(s for s in self._graph.steps if s.number in kept and s.number not in dropped),
            tuple(Dropped(number, dropped[number]) for number in sorted(dropped)),
            tuple(names),
        )

    # -- what a user may ask for -------------------------------------------------------

    def all(self) -> Selection:
        """Every step of the branch."""
        return self._selection({s.number for s in self._graph.steps}, {}, self._living())

    def steps(self, wanted: Sequence[int]) -> Selection:
        """These steps and what makes them do what they did."""
        kept: set[int] = set()
        for number in wanted:
            if number not in self._graph:
                message = (
                    f"steps {', '.join(map(str, sorted(wanted)))} stand on different branches "
                    "of the session; export them one by one"
                )
                raise InvalidRequest(message)
            kept.update(self._graph.needs_step(number))
        shown = ", ".join(map(str, sorted(wanted)))
        said = f"step{'s' * (len(wanted) > 1)} {shown} can do without it"
        return self._selection(kept, {s.number: said for s in self._graph.steps})

    def targets(self, names: Sequence[str]) -> Selection:
        """What makes these names what they are at the end."""
        known = [name for name in self._graph.names() if _is_users(name)]
        for name in names:
            if name not in known:
                listed = ", ".join(known[:50]) + (" …" if len(known) > 50 else "")
                there = f"the names that it bound are {listed}" if known else "it bound no names"
                message = f"the session has no name {name!r}; {there}"
                raise InvalidRequest(message)
        kept = self._graph.needs(names)
        said = f"{', '.join(names)} can do without it"
        living = set(self._living())
        return self._selection(
            kept, {s.number: said for s in self._graph.steps}, [n for n in names if n in living]
        )

    def notebook(self) -> Selection:
        """The final values, the files as they were left, and what the notebook shows."""
        graph = self._graph
        names = self._living()
        files = [text for text in graph.things() if text.startswith("file:")]
        kept = set(graph.needs([*names, *files]))
        newest = self._newest_runs()
        for step in newest.values():
            if step.number not in kept and self._is_visible(step):
                kept.update(graph.needs_step(step.number))
        displays = self._displays(kept)
        while not displays <= kept:
            for number in displays - kept:
                kept.update(graph.needs_step(number))
            displays = self._displays(kept)
        why = {step.number: self._why_dropped(step, newest) for step in graph.steps}
        return self._selection(kept, why, names)

    # -- parts of the answer -----------------------------------------------------------

    def _living(self) -> list[str]:
        """The user's names that are bound at the end."""
        living: dict[str, None] = {}
        for step in self._graph.steps:
            if step.outcome in (Outcome.DIED, Outcome.RUNNING):
                continue
            for name in step.provenance.bound:
                living[name] = None
            for name in step.provenance.deleted:
                living.pop(name, None)
        return sorted(name for name in living if _is_users(name))

    def _newest_runs(self) -> dict[str, Step]:
        """The newest run of each cell that the notebook shows."""
        newest: dict[str, Step] = {}
        for step in self._graph.steps:
            if step.number in self._never or not step.store_history:
                continue
            if step.cell_id not in self._removed:
                newest[_cell(step)] = step
        return newest

    def _is_visible(self, step: Step) -> bool:
        """Does the notebook show a result of it, or did it do something to the world, or may it
        have, as far as is known?
        """
        if step.outcome is not Outcome.OK:
            return False
        did = step.provenance
        return bool(step.events or did.processes or did.connections or not did.exact)

    def _displays(self, kept: Collection[int]) -> set[int]:
        """The steps whose updates changed what a kept step shows."""
        owners: dict[str, int] = {}
        found: set[int] = set()
        for step in self._graph.steps:
            if step.outcome in (Outcome.DIED, Outcome.RUNNING) or step.number in self._never:
                continue
            for event in step.events:
                display = event.get("display_id")
                if not isinstance(display, str):
                    continue
                if event.get("event") == "update":
                    if owners.get(display, step.number) in kept:
                        found.add(step.number)
                else:
                    owners[display] = step.number
        return found

    def _why_dropped(self, step: Step, newest: dict[str, Step]) -> str:
        how = _HOW_IT_FAILED.get(step.outcome)
        again = newest.get(_cell(step))
        if again is not None and again.number > step.number:
            said = f"step {again.number} ran the same cell again"
        elif not step.store_history:
            said = "a program ran it in the background"
        elif step.cell_id in self._removed:
            said = "the notebook no longer has its cell"
        else:
            said = "it shows nothing"
        parts = [how, said] if how is not None and said != "it shows nothing" else [how or said]
        return f"{', '.join(parts)}, and nothing that stays needs what it did"


def _own_lines(step: Step) -> str | None:
    if clean_source(step.source, step.transformed).empty:
        return "it holds only ipysession's own lines" if step.source.strip() else "it is empty"
    return None


def _is_users(name: str) -> bool:
    return not is_internal(name) and _HISTORY.fullmatch(name) is None


def _cell(step: Step) -> str:
    """What makes two steps runs of the same cell: its id, or where there is none its text."""
    return f"source {step.source}" if step.cell_id is None else f"id {step.cell_id}"


def _check_numbers(session: Session, wanted: Iterable[int]) -> None:
    known = {step.number: step for step in session.steps}
    for number in wanted:
        step = known.get(number)
        if step is None:
            last = session.steps[-1].number if session.steps else 0
            there = f"its steps are 1 to {last}" if session.steps else "it has no steps"
            message = f"session {session.id} has no step {number}; {there}"
            raise InvalidRequest(message)
        if step.replay_of is not None:
            message = f"step {number} only repeats step {step.replay_of}; export that one"
            raise InvalidRequest(message)

"""Which steps an export keeps, and why each of the others is dropped.

A step is dropped only when a later successful run of the same cell binds the same names, and
when no trace of it is left that a kept step, or the end of the session, could see. Steps keep
their order of execution, which is always right. Slicing by effect belongs to later versions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipysession.errors import InvalidRequest
from ipysession.export.options import ExportOptions
from ipysession.export.sources import clean_source
from ipysession.export.traces import Trace, bound_names, traces
from ipysession.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ipysession.model import Session, Step

_FAILURES = frozenset({Outcome.ERROR, Outcome.INTERRUPTED, Outcome.DIED})
_HOW_IT_FAILED = {
    Outcome.ERROR: "it ended with an error",
    Outcome.INTERRUPTED: "it was interrupted",
    Outcome.DIED: "the kernel died in it",
}


@dataclass(frozen=True, slots=True)
class Dropped:
    """A step that is left out, and why, in words."""

    step: int
    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """The steps to export, in order of execution, and those that are left out."""

    kept: tuple[Step, ...]
    dropped: tuple[Dropped, ...]


def failed(step: Step) -> bool:
    """Did the step end with an error, an interrupt or the kernel's death?"""
    return step.outcome in _FAILURES


def select_steps(session: Session, options: ExportOptions) -> Selection:
    """Decide which steps of ``session`` to export.

    Raises InvalidRequest where ``options`` names steps or names that the session does not
    have, or a step that only repeats another.
    """
    steps = sorted(session.steps, key=lambda step: step.number)
    reasons: dict[int, str] = {}
    if options.steps:
        _check_numbers(session, steps, options.steps)
    for step in steps:
        reason = _never_exported(step)
        if reason is not None:
            reasons[step.number] = reason
    candidates = [step for step in steps if step.number not in reasons]
    if options.steps:
        wanted = set(options.steps)
        reasons.update({s.number: "not asked for" for s in candidates if s.number not in wanted})
    elif not options.all:
        reasons.update(_default_reasons(session, candidates, options.targets))
    return Selection(
        tuple(step for step in steps if step.number not in reasons),
        tuple(Dropped(number, reasons[number]) for number in sorted(reasons)),
    )


def _never_exported(step: Step) -> str | None:
    if step.replay_of is not None:
        return f"it repeats step {step.replay_of} to bring values back"
    if clean_source(step.source, step.transformed).empty:
        return "it holds only ipysession's own lines" if step.source.strip() else "it is empty"
    return None


def _check_numbers(session: Session, steps: Sequence[Step], wanted: Iterable[int]) -> None:
    known = {step.number: step for step in steps}
    for number in wanted:
        step = known.get(number)
        if step is None:
            last = steps[-1].number if steps else 0
            there = f"its steps are 1 to {last}" if steps else "it has no steps"
            message = f"session {session.id} has no step {number}; {there}"
            raise InvalidRequest(message)
        if step.replay_of is not None:
            message = f"step {number} only repeats step {step.replay_of}; export that one"
            raise InvalidRequest(message)


def _default_reasons(
    session: Session, steps: list[Step], targets: tuple[str, ...]
) -> dict[int, str]:
    reasons = {
        step.number: "a program ran it in the background, and it binds no names"
        for step in steps
        if not step.store_history and not bound_names(step)
    }
    steps = [step for step in steps if step.number not in reasons]
    superseded = _superseded(steps)
    if not targets and not superseded:
        return reasons
    seen = traces(session, steps)
    if targets:
        last = _last_for_targets(steps, seen, targets)
        names = ", ".join(targets)
        for step in steps:
            if step.number > last:
                reasons[step.number] = f"it ran after the last step that could change {names}"
        steps = [step for step in steps if step.number <= last]
    reasons.update(_drop_superseded(steps, seen))
    return reasons


def _cell(step: Step) -> str:
    """What makes two steps runs of the same cell: its id, or where there is none its text."""
    return f"source {step.source}" if step.cell_id is None else f"id {step.cell_id}"


def _superseded(steps: Iterable[Step]) -> bool:
    """Is there any cell that ran more than once?"""
    cells: set[str] = set()
    for step in steps:
        cell = _cell(step)
        if cell in cells:
            return True
        cells.add(cell)
    return False


def _last_for_targets(
    steps: Sequence[Step], seen: dict[int, Trace], targets: tuple[str, ...]
) -> int:
    """The number of the last step that bound, or may have changed, any of ``targets``."""
    known = sorted({name for step in steps for name in bound_names(step)})
    last = 0
    for target in targets:
        if target not in known:
            shown = ", ".join(known[:50]) + (" …" if len(known) > 50 else "")
            there = f"the names that it bound are {shown}" if known else "it bound no names"
            message = f"the session has no name {target!r}; {there}"
            raise InvalidRequest(message)
        touching = (s.number for s in steps if target in seen[s.number].leaves)
        last = max(last, *touching)
    return last


def _drop_superseded(steps: Sequence[Step], seen: dict[int, Trace]) -> dict[int, str]:
    """The steps whose every trace is gone before anybody looks, each with the reason.

    From the end backwards: when a step is judged, it is known which later ones stay.
    """
    reasons: dict[int, str] = {}
    if any(seen[step.number].uses_history for step in steps):
        return reasons  # `_`, `Out[3]`: to drop any step would change what they mean
    later: list[Step] = []  # the kept steps after the one that is judged, in order
    successes: dict[str, list[Step]] = {}  # the kept successful runs of each cell
    for step in reversed(steps):
        better = _successor(step, successes.get(_cell(step), ()), seen)
        trace = seen[step.number]
        if better is not None and (_is_forgotten(step) or _leaves_nothing(trace, later, seen)):
            how = _HOW_IT_FAILED.get(step.outcome)
            again = f"step {better.number} ran the same cell again and binds the same names"
            reasons[step.number] = f"{how}, and {again}" if how else again
            continue
        later.insert(0, step)
        if step.outcome is Outcome.OK:
            successes.setdefault(_cell(step), []).insert(0, step)
    return reasons


def _successor(step: Step, runs: Iterable[Step], seen: dict[int, Trace]) -> Step | None:
    """The first later successful run of the same cell that binds at least the same names."""
    bound = bound_names(step)
    for run in runs:
        if bound <= seen[run.number].binds:
            return run
    return None


def _is_forgotten(step: Step) -> bool:
    """Did all that the step did die with its kernel? What comes later rests on a resume.

    A step that reached outside the kernel is another matter, and has ``keeps``.
    """
    return step.outcome is Outcome.DIED and not step.provenance.outside


def _leaves_nothing(trace: Trace, later: Sequence[Step], seen: dict[int, Trace]) -> bool:
    """Is every name that the step bound or changed made anew before a kept step reads it?"""
    if trace.keeps is not None:
        return False
    left = set(trace.leaves)
    for step in later:
        if not left:
            return True
        other = seen[step.number]
        if other.reads_anything or left & other.reads:
            return False
        left -= other.overwrites
    return left <= trace.by_products

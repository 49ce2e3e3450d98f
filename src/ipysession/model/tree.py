"""The tree of steps: each grew from another one, and the session stands on one of them.

Going back to an earlier step and working on makes a branch, not a rewrite. Replays are no
part of the tree: they make again what a step of it had made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipysession.model.session import Session, Step

ROOT = 0
"""The beginning, before the first step: where a session stands after undoing everything."""


def head(session: Session) -> int | None:
    """The step that the session stands on: the newest one, or the one that the user went to
    since. `ROOT` where all was undone, None where no step was ever run.
    """
    return _stands_on(session)


def _stands_on(session: Session) -> int | None:
    if session.head is not None:
        return session.head
    numbers = [step.number for step in session.steps if step.replay_of is None]
    return max(numbers, default=None)


def branch(session: Session, head: int | None = None) -> tuple[Step, ...]:
    """The steps on the path from the beginning to ``head`` (default: where the session stands),
    in order, replays left out. Steps in which a kernel died are among them.
    """
    parents = parents_of(session)
    current = _stands_on(session) if head is None else head
    path: list[Step] = []
    while current:
        if current in parents:
            path.append(session.step(current))
        current = parents.get(current, ROOT)
    return tuple(reversed(path))


def parents_of(session: Session) -> dict[int, int]:
    """The step that each step of the tree grew from, `ROOT` for those at the beginning.

    Where the log lacks the step that a step names (it was damaged), the newest one before it
    stands in; a parent is always older than its child, so there are no cycles.
    """
    parents: dict[int, int] = {}
    replays: dict[int, int | None] = {}
    before = ROOT
    for step in sorted(session.steps, key=lambda step: step.number):
        parent = step.parent
        if step.replay_of is not None:
            replays[step.number] = parent
            continue
        while parent in replays:  # logs of version 0.1 have replays as parents
            parent = replays[parent]
        if parent is None:
            parent = before
        elif parent not in parents and parent != ROOT:
            parent = max((number for number in parents if number < parent), default=ROOT)
        parents[step.number] = parent
        before = step.number
    return parents


def children_of(session: Session) -> dict[int, tuple[int, ...]]:
    """The steps that grew from each step, in order; those at the beginning under `ROOT`."""
    found: dict[int, list[int]] = {}
    for number, parent in parents_of(session).items():
        found.setdefault(parent, []).append(number)
    return {parent: tuple(numbers) for parent, numbers in found.items()}

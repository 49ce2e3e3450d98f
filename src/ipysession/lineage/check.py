"""Whether edges between steps make sense: no cycle, no missing step, none that needs itself.

A graph that we build is acyclic; what a log says of parents may be damaged or forged.
"""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from ipysession.model import Session


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with some edges. ``path`` are the steps, from one that needs to one needed."""

    kind: Literal["cycle", "missing step", "self-dependency"]
    path: tuple[int, ...]

    def __str__(self) -> str:
        way = " → ".join(f"step {number}" for number in self.path)
        match self.kind:
            case "cycle":
                return f"a cycle: {way}"
            case "missing step":
                return f"a missing step: {way}, which the log does not hold"
            case _:
                return f"a step that depends on itself: {way}"


def edge_problems(
    numbers: Collection[int], needs: Mapping[int, Iterable[int]]
) -> tuple[Problem, ...]:
    """What is wrong with edges from each step to those that it ``needs``. All missing steps and
    self-dependencies are told, and every cycle that shares no step with one told before.
    """
    known = set(numbers)
    problems: list[Problem] = []
    sound: dict[int, set[int]] = {}
    for step in sorted(needs):
        for other in sorted(set(needs[step])):
            if other == step:
                problems.append(Problem("self-dependency", (step, step)))
            elif other not in known:
                problems.append(Problem("missing step", (step, other)))
            else:
                sound.setdefault(step, set()).add(other)
    while True:
        try:
            TopologicalSorter(sound).prepare()
        except CycleError as error:
            cycle = tuple(reversed(error.args[1]))  # graphlib tells it from needed to needing
            problems.append(Problem("cycle", cycle))
            for step in cycle:
                sound.pop(step, None)
            continue
        return tuple(problems)


def parent_problems(session: Session) -> tuple[Problem, ...]:
    """What is wrong with the steps that the steps of ``session`` grew from or replay."""
    numbers = {step.number for step in session.steps}
    needs = {
        step.number: [number for number in (step.parent, step.replay_of) if number]
        for step in session.steps
    }
    if all(other < step and other in numbers for step, named in needs.items() for other in named):
        return ()  # the usual case: where every edge goes back, there is no cycle
    return edge_problems(numbers, needs)

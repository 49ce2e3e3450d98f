"""Which steps make a value again that cannot be loaded: the smallest slice of the graph, cut off
where a value can be loaded as it stood before a step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ipysession.lineage import is_internal
from ipysession.lineage.graph import Graph
from ipysession.lineage.things import kind_of, thing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipysession.checkpoint.course import Course, GroupKey, Status
    from ipysession.model.payloads import SavedGroup

_AT_HAND = frozenset({"cwd", "file", "numbering", "random"})
"""Kinds of hidden things for which no step is replayed: random states and the folder come from the
checkpoint, files are as they are, and cells keep their numbers."""


@dataclass(frozen=True, slots=True)
class Load:
    """One saved group to load, and which of its names are wanted from it."""

    step: int
    group: SavedGroup
    wanted: tuple[str, ...]
    key: GroupKey


@dataclass(frozen=True, slots=True)
class ReplayStep:
    """A step to replay, and what it needs of what was saved, as it stood before the step."""

    number: int
    inputs: tuple[Load, ...]
    makes: frozenset[str]
    """The names that it bound, deleted or may have changed."""


class Slices:
    """Finds slices along one branch.

    ``together``: what shares an object with a name that a step made or changed counts as made
    by it, too, where none of them was saved after it. So they come from one replay, as one object.
    """

    def __init__(self, course: Course, graph: Graph, *, together: bool = True) -> None:
        self._course = course
        self._graph = graph
        self._together = together
        self._writers: dict[str, list[int]] = {}
        self._needs: dict[int, set[str]] = {}
        self._slices: dict[int, tuple[int, ...]] = {}
        for number in course.position:
            for name in self._made(number):
                self._writers.setdefault(name, []).append(number)

    @property
    def things(self) -> tuple[str, ...]:
        """All that the steps of the branch wrote; see `Graph.things`."""
        return tuple(self._graph.things())

    def source(self, name: str, position: int) -> Status | int | None:
        """Where the value of ``name`` at ``position`` comes from: what it can be loaded from, or
        else the step that made it, or None where neither is known.
        """
        status = self._course.at(name, position)
        if status is None or status.group is not None:
            return status
        for number in reversed(self._writers.get(name, ())):
            written = self._course.position[number]
            if written <= position:
                # What only read it since left it as it was, whether it was saved again or not.
                return self._course.saved_between(name, written, position) or number
        return status.step if status.step in self._course.position else None

    def slice(self, name: str, position: int, *, anew: bool = False) -> tuple[int, ...]:
        """The steps to replay, in order, for ``name`` as it stood at ``position``; empty where it
        can be loaded, or where no step made it. ``anew``: also where it can be loaded.
        """
        first = self.source(name, position)
        if isinstance(first, int):
            return self._slice(first)
        if anew:
            for number in reversed(self._writers.get(name, ())):
                if self._course.position[number] <= position:
                    return self._slice(number)
        return ()

    def _slice(self, last: int) -> tuple[int, ...]:
        """What it takes to run step ``last`` again, itself included."""
        known = self._slices.get(last)
        if known is not None:
            return known
        found: set[int] = set()
        todo = [last]
        while todo:
            number = todo.pop()
            if number in found:
                continue
            found.add(number)
            before = self._course.position[number] - 1
            sources = (self.source(needed, before) for needed in self._needed(number))
            todo.extend(source for source in sources if isinstance(source, int))
            todo.extend(self._hidden(number))
        steps = tuple(sorted(found, key=self._course.position.__getitem__))
        self._slices[last] = steps
        return steps

    def step(self, number: int) -> ReplayStep:
        """What it takes to replay a step."""
        before = self._course.position[number] - 1
        return ReplayStep(
            number,
            tuple(self.loads(sorted(self._needed(number)), before)),
            frozenset(self._made(number)),
        )

    def loads(self, names: Iterable[str], position: int) -> list[Load]:
        """The groups that ``names`` can be loaded from as they stood at ``position``, oldest
        first, each with all of its names that it still holds the values of.
        """
        sources: dict[int, tuple[Status, set[str]]] = {}
        for name in names:
            status = self.source(name, position)
            if isinstance(status, int) or status is None or status.group is None:
                continue
            # By identity: a group may have thousands of names, and its key is made of them.
            sources.setdefault(id(status.group), (status, set()))[1].add(name)
        return list(
            merged(
                Load(
                    status.step,
                    status.group,
                    tuple(wanted.union(self._course.names_of(status, position))),
                    status.key,
                )
                for status, wanted in sources.values()
                if status.group is not None and status.key is not None
            )
        )

    def _needed(self, number: int) -> set[str]:
        """The names that a step needs to be there."""
        if number not in self._graph:
            return set()
        if number not in self._needs:
            facts = self._graph.facts(number)
            before = self._course.position[number] - 1
            shared = {name for name in self._sharing(number) if self._course.at(name, before)}
            self._needs[number] = _names((*facts.read, *facts.changed)) | shared
        return self._needs[number]

    def _made(self, number: int) -> set[str]:
        return self._made_alone(number) | self._sharing(number)

    def _made_alone(self, number: int) -> set[str]:
        if number not in self._graph:
            return set()
        facts = self._graph.facts(number)
        return _names((*facts.made, *facts.changed))

    def _sharing(self, number: int) -> set[str]:
        """The names that may share an object with what a step made or changed, and that cannot
        be loaded as they stood after it.
        """
        if not self._together:
            return set()
        made = self._made_alone(number)
        return self._course.unsaved_partners(made, self._course.position[number]) - made

    def _hidden(self, number: int) -> list[int]:
        """The steps that set what no name holds, and that the step asked."""
        found = []
        for edge in self._graph.direct(number) if number in self._graph else ():
            kinds = {kind_of(text) for text in edge.things} - _AT_HAND - {""}
            if kinds and edge.before in self._course.position:
                found.append(edge.before)
        return found


def merged(loads: Iterable[Load]) -> tuple[Load, ...]:
    """Each group once, with all that is wanted of it, oldest first."""
    found: dict[GroupKey, Load] = {}
    for load in loads:
        known = found.get(load.key)
        wanted = {*load.wanted, *(() if known is None else known.wanted)}
        found[load.key] = replace(load, wanted=tuple(sorted(wanted)))
    return tuple(sorted(found.values(), key=lambda load: load.key))


def _names(things: Iterable[str]) -> set[str]:
    roots = {thing(text).root for text in things}
    return {root for root in roots if ":" not in root and not is_internal(root)}

"""Which steps to run again, and in which order, in a kernel that stands at the end of a branch.

What a step needs is run again, too, unless it is there as the step found it; a cell that ran
again since counts in the place of its earlier execution. Steps that made names what they are at
the end follow, so that nothing is left in an earlier state but what was asked for.
"""

from __future__ import annotations

import heapq
import itertools
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ipysession.lineage.names import is_output
from ipysession.lineage.stale import cell_of, newest_runs
from ipysession.lineage.things import KEYS, kind_of, thing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from ipysession.lineage.graph import Graph

_AT_HAND = frozenset({"cwd", "numbering"})
"""Kinds for which no step is run again: each step finds the folder that it found, and cells keep
their numbers."""
_RANDOM = "random"
"""The kind whose recorded states are set, where no step that runs again drew from them."""


@dataclass(slots=True)
class RerunPlan:
    """The steps to run again, in order, each with the reason in words."""

    steps: dict[int, str] = field(default_factory=dict)
    held_back: dict[int, str] = field(default_factory=dict)
    """Steps that would have to run, but rest on one that must not, and on which."""
    barred: tuple[int, ...] = ()
    """Those of the steps that must not run."""
    random: dict[int, frozenset[str]] = field(default_factory=dict)
    """Of each step the random generators that it finds as they were recorded."""


def plan_rerun(
    graph: Graph,
    asked: Mapping[int, str],
    *,
    follow: bool = False,
    barred: Collection[int] = (),
    stale: Collection[int] = (),
) -> RerunPlan:
    """Plan to run the steps ``asked`` again (each with the reason), and what they need.

    With ``follow``, what rests on a step that runs again runs again, too. Without it, what the
    asked steps write stays as they leave it. ``barred`` steps must not run, and what needs them
    is held back. What a step needs of ``stale`` ones is not there as it should be. Raises
    LookupError for a step off the branch.
    """
    return _Planner(graph, asked, stale, follow=follow).plan(barred)


class _Planner:
    def __init__(
        self, graph: Graph, asked: Mapping[int, str], stale: Collection[int], *, follow: bool
    ) -> None:
        self._graph = graph
        self._follow = follow
        self._why = dict(asked)
        self._stale = frozenset(stale)
        self._cells = {step.number: cell_of(step) for step in graph.steps}
        self._newest = newest_runs(graph.steps)
        self._last = max(self._newest, default=0)
        for number in asked:
            graph.facts(number)  # raises where it is not on the branch
            if not follow:
                cell = self._cells[number]
                self._newest.update((n, number) for n in self._newest if self._cells[n] == cell)
        self._current = frozenset(self._newest.values())
        self._kept = frozenset(
            thing(text).root for number in asked for text in self._written(number) if not follow
        )
        """What stays as the asked steps leave it."""
        self._new: list[int] = []
        """Of the steps that run again: those that were not looked at since they are known."""
        self._resting: set[int] = set()
        """What rests on steps that run again."""
        self._writers: dict[str, set[int]] = {}
        """Of the steps that run again: who writes each root."""
        self._needs: dict[int, set[int]] = {}
        self._restored_by: dict[int, set[int]] = {}
        self._random: dict[int, frozenset[str]] = {}

    def plan(self, barred: Collection[int]) -> RerunPlan:
        """The whole plan."""
        users = self._users() if self._follow else {}
        for number in self._why:
            self._note_writes(number)
        size = 0
        while size != len(self._why):  # what is added may be the reason to add more
            size = len(self._why)
            self._new = list(self._why)
            while self._new:
                number = self._new.pop()
                self._take_needs(number)
                self._take_restorers(number)
                self._add_all(users.get(number, ()), f"it rests on step {number}")
        held = self._held_back(barred)
        order = [n for n in self._order() if n not in held]
        return RerunPlan(
            {n: self._why[n] for n in order if n not in barred},
            held,
            tuple(n for n in order if n in barred),
            self._random,
        )

    # -- which -------------------------------------------------------------------------

    def _written(self, number: int) -> tuple[str, ...]:
        facts = self._graph.facts(number)
        return (*facts.made, *facts.changed)

    def _add_all(self, numbers: Iterable[int], said: str) -> None:
        for number in numbers:
            if number not in self._why:
                self._why[number] = said
                self._new.append(number)
                self._note_writes(number)

    def _note_writes(self, number: int) -> None:
        if number not in self._resting:
            self._resting.update(self._graph.uses(number))
        for text in self._written(number):
            self._writers.setdefault(thing(text).root, set()).add(number)

    def _users(self) -> dict[int, set[int]]:
        """Of each step that counts, the steps that count and rest on it at first hand."""
        found: dict[int, set[int]] = {}
        for number in self._current:
            for edge in self._graph.direct(number):
                before = self._stands_for(edge.before, number, "")
                if before != number:
                    found.setdefault(before, set()).add(number)
        return found

    def _stands_for(self, before: int, number: int, text: str) -> int:
        """Which step stands now for ``before``, that step ``number`` needs ``text`` from. Earlier
        executions of its own cell stand for themselves (``n += 1``, run three times), and so do
        those that a numbered output came from.
        """
        if self._cells[before] == self._cells[number] or is_output(text):
            return before
        return self._newest[before]

    def _makers(self, number: int, text: str, *, whole: bool) -> set[int]:
        """The steps that must have made ``text`` what it is, before step ``number`` runs."""
        makers = self._graph.makers(text, number - 1, whole=whole)
        return {self._stands_for(before, number, text) for before in makers} - {number}

    def _take_needs(self, number: int) -> None:
        facts = self._graph.facts(number)
        needs: set[int] = set()
        random: set[str] = set()
        # Who changes only a part in place needs what the part is put into, not the part.
        wholes = [text for text in facts.changed if text not in facts.read]
        for text in (*facts.read, *wholes):
            root, part = thing(text)
            whole = bool(part) and text not in facts.read
            kind = kind_of(text)
            if kind in _AT_HAND:
                continue
            makers = self._makers(number, text, whole=whole)
            if not makers:
                continue
            remade = self._remade(root, part, number, whole=whole)
            if kind == _RANDOM and self._is_as_recorded(number, text, makers):
                random.add(text)
                continue
            now = set(self._graph.makers(text, self._last, whole=whole))
            remade |= self._outdated(makers)
            if makers == now and not remade:
                continue
            if part and not remade.intersection(self._wholes(text)):
                makers -= now - remade  # the part is put into what is there
            needs |= makers
        self._needs[number] = needs
        self._random[number] = frozenset(random)
        self._add_all(needs, f"step {number} needs what it made")

    def _is_as_recorded(self, number: int, text: str, makers: set[int]) -> bool:
        if self._outdated(makers) or not makers.isdisjoint(self._why):
            return False
        return makers == set(self._graph.makers(text, number - 1)) - {number}

    def _outdated(self, numbers: set[int]) -> set[int]:
        """Those of the steps that did not find what they should have."""
        return {n for n in numbers if n in self._stale or n in self._resting}

    def _wholes(self, text: str) -> tuple[int, ...]:
        return self._graph.makers(text, self._last, whole=True)

    def _remade(self, root: str, part: str, number: int, *, whole: bool) -> set[int]:
        """The steps that run again and write the part (or, where ``whole``, what holds it)."""
        if not part:
            return self._writers.get(root, set()) - {number}
        found = set()
        for other in self._writers.get(root, ()):
            if other == number:
                continue
            for text in self._written(other):
                its_root, its_part = thing(text)
                if its_root == root and (not its_part or (not whole and its_part in (part, KEYS))):
                    found.add(other)
        return found

    def _take_restorers(self, number: int) -> None:
        """Who made what the step writes as it is at the end: the kernel is to stand there again."""
        last: set[int] = set()
        for text in self._written(number):
            root, part = thing(text)
            kind = kind_of(text)
            if root in self._kept or part == KEYS or kind in _AT_HAND or kind == _RANDOM:
                continue
            makers = self._graph.makers(text, self._last)
            last.update([max(makers)] if part and makers else makers)
        last.discard(number)
        self._restored_by[number] = last
        self._add_all(last, f"step {number} is run again, and what it writes was changed later")

    # -- in which order, and which not -------------------------------------------------

    def _key(self, number: int, slots: Mapping[int, int]) -> tuple[int, int]:
        return slots.get(number, number), number

    def _slots(self) -> dict[int, int]:
        """Cells that ran again stand where those find them that rest on them."""
        slots: dict[int, int] = {}
        for number in self._current:
            for edge in self._graph.direct(number):
                newest = self._newest[edge.before]
                if self._cells[edge.before] != self._cells[number]:
                    slots[newest] = min(slots.get(newest, newest), edge.before)
        return slots

    def _order(self) -> Iterator[int]:
        slots = self._slots()
        after = self._followers(slots)
        waits = dict.fromkeys(self._why, 0)
        for other in itertools.chain.from_iterable(after.values()):
            waits[other] += 1
        ready = [self._key(n, slots) for n, count in waits.items() if not count]
        heapq.heapify(ready)
        while waits:
            if ready:
                number = heapq.heappop(ready)[1]
            else:  # cells that rest on one another, each run again since: as they ran
                number = min(waits, key=lambda n: self._key(n, slots))
            del waits[number]
            yield number
            for other in after[number] & waits.keys():
                waits[other] -= 1
                if not waits[other]:
                    heapq.heappush(ready, self._key(other, slots))

    def _followers(self, slots: Mapping[int, int]) -> dict[int, set[int]]:
        """Of each step that runs again those that must come after it."""
        after: dict[int, set[int]] = {number: set() for number in self._why}
        for number, needs in self._needs.items():
            for before in needs:
                after[before].add(number)
        readers: dict[str, dict[int, set[str]]] = {}
        for number in self._needs:
            for root, part in map(thing, self._graph.facts(number).read):
                readers.setdefault(root, {}).setdefault(number, set()).add(part)
        for root, numbers in self._writers.items():
            writers = sorted(numbers, key=lambda n: self._key(n, slots))
            for first, second in itertools.pairwise(writers):
                after[first].add(second)
            keys = [self._key(n, slots) for n in writers]
            # Whoever reads what a step makes runs before the next one that writes it.
            for reader, parts in readers.get(root, {}).items():
                makers = self._needs[reader] & numbers
                if makers:
                    last = max(self._key(n, slots) for n in makers)
                    later = writers[bisect_right(keys, last) :]
                    after[reader].update(self._next_writer(root, parts, later))
                    after[reader].discard(reader)
        return after

    def _next_writer(self, root: str, parts: set[str], writers: Iterable[int]) -> Iterable[int]:
        """The first of ``writers`` that writes what overlaps with ``parts``; others follow it."""
        for number in writers:
            written = {part for its, part in map(thing, self._written(number)) if its == root}
            if "" in parts or "" in written or not parts.isdisjoint(written):
                return (number,)
        return ()

    def _held_back(self, barred: Collection[int]) -> dict[int, str]:
        """What rests on a barred step, or would have to be mended by one."""
        held: dict[int, str] = {}
        grows = True
        while grows:
            grows = False
            for number in self._why:
                if number in held or number in barred:
                    continue
                for others, said in (
                    (self._needs.get(number, set()), "it needs step {}"),
                    (self._restored_by.get(number, set()), "step {} would have to follow it"),
                ):
                    found = [n for n in sorted(others) if n in barred or n in held]
                    if found:
                        held[number] = said.format(found[0])
                        grows = True
                        break
        return held

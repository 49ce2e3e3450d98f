"""The graph of steps: which step used what which other step made. Imports nothing heavy.

Its nodes are executions, never cells. A step depends on the last step along its branch that
made each thing that it reads, and on those that changed it in place since. It is acyclic by
construction: every edge goes back in the order of execution.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ipysession.lineage.check import Problem, parent_problems
from ipysession.lineage.facts import NOTHING, FactReader, Facts, checkpoints_by_step
from ipysession.lineage.things import KEYS, kind_of, of_kind, thing
from ipysession.model.collecting import no_collections
from ipysession.model.tree import branch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from ipysession.model import Session, Step

_MANY = 16
"""So many steps that a reader needs are joined into one node, so that the next reader of the
same thing does not name them all again."""

_NUMBERING = "numbering"
"""The kind of what ``Out[3]`` reads besides the output: which cells were counted before."""


@dataclass(slots=True)
class _Versions:
    """Who made a thing what it is, while the branch is walked; all are nodes."""

    base: int | None = None
    """Who made or changed it as a whole last."""
    parts: dict[str, int] = field(default_factory=dict)
    """Of each part that was written since, who did last."""
    joined: int | None = None
    """What stands for the base and for all that was written to parts, but the recent."""
    recent: dict[str, int] = field(default_factory=dict)
    keys: list[int] = field(default_factory=list)
    """Who added or removed parts, recently."""

    def whole(self) -> set[int]:
        """All that a reader of the whole needs."""
        first = self.base if self.joined is None else self.joined
        return {*self.recent.values(), *self.keys, *(() if first is None else (first,))}


class _Write:
    """One write to a thing, for questions about earlier steps."""

    __slots__ = ("node", "part", "step")

    def __init__(self, step: int, node: int, part: str) -> None:
        self.step = step
        self.node = node
        self.part = part


@dataclass(frozen=True, slots=True)
class Edge:
    """``after`` needs ``before``, for ``things``."""

    before: int
    after: int
    things: tuple[str, ...]


class Graph:
    """The lineage of one branch of a session. Immutable for its readers; `add` takes in the
    next step, at a cost that does not grow with the session.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.problems: tuple[Problem, ...] = ()
        self._facts: list[Facts] = []
        self._dependencies: list[dict[int, str]] = []
        """Of each node the nodes that it needs, each with the first thing that it needs it for.
        """
        self._number: list[int] = []
        """Of each node its step; 0 for one that only joins others."""
        self._node: dict[int, int] = {}
        self._versions: dict[str, _Versions] = {}
        self._history: dict[str, list[_Write]] = {}
        self._users: list[list[int]] = []
        """Of each node those that need it."""
        self._last = 0
        self._counted: list[tuple[int, int]] = []
        """Execution count and node of each step that was counted."""
        self._by_kind: dict[str, dict[str, None]] = {}
        """The things of each kind that were ever written."""

    @classmethod
    def of(cls, session: Session, head: int | None = None) -> Graph:
        """The lineage of the branch of ``session`` that ends in step ``head`` (default: where
        the session stands).
        """
        graph = cls()
        reader = FactReader(checkpoints_by_step(session))
        with no_collections():
            for step in branch(session, head):
                graph.add(step, reader.take(step))
            graph.problems = parent_problems(session)
        return graph

    # -- building ----------------------------------------------------------------------

    def add(self, step: Step, facts: Facts = NOTHING) -> None:
        """Take in the next step of the branch."""
        needed: dict[int, str] = {}
        for text in facts.read:
            self._depend(needed, text)
        for text in facts.changed:
            # Whoever changes a whole in place rests on what it was; a part needs to be put
            # somewhere.
            self._depend(needed, text, shell=bool(thing(text).part))
        node = self._new_node(step.number, needed)
        self._node[step.number] = node
        self._last = max(self._last, step.number)
        self.steps.append(step)
        self._facts.append(facts)
        for text in (*facts.made, *facts.changed):
            self._write(text, node, step.number)
        if step.store_history and step.execution_count is not None:
            self._counted.append((step.execution_count, node))

    def _new_node(self, number: int, needed: dict[int, str]) -> int:
        node = len(self._number)
        self._dependencies.append(needed)
        self._number.append(number)
        self._users.append([])
        for other in needed:
            self._users[other].append(node)
        return node

    def _depend(self, needed: dict[int, str], text: str, *, shell: bool = False) -> None:
        for node in self._writers(text, shell=shell):
            needed.setdefault(node, text)

    def _writers(self, text: str, *, shell: bool = False) -> Iterable[int]:
        """The nodes that made ``text`` what it is now; ``shell``: only what holds its parts."""
        root, part = thing(text)
        if root.startswith(_NUMBERING):
            return self._numbering(root.partition(":")[2])
        versions = self._versions.get(root)
        found: Iterable[int] = ()
        if versions is not None:
            if part or shell:
                nodes = (versions.base, None if shell else versions.parts.get(part))
                found = [node for node in nodes if node is not None]
            else:
                found = versions.whole()
                if len(found) > _MANY:
                    versions.joined = self._new_node(0, dict.fromkeys(found, ""))
                    versions.recent, versions.keys = {}, []
                    found = (versions.joined,)
        if ":" in root:
            found = {*found, *self._others_of_kind(root)}
        return found

    def _others_of_kind(self, root: str) -> Iterator[int]:
        """``file:*`` stands for any file; reading ``file:x`` rests on who may have written any."""
        kind, _, what = root.partition(":")
        if what == "*":
            for other in self._by_kind.get(kind, ()):
                yield from self._versions[other].whole()
        elif what:
            any_of = self._versions.get(of_kind(kind, "*"))
            if any_of is not None:
                yield from any_of.whole()

    def _numbering(self, count: str) -> Iterator[int]:
        """All cells that were counted, up to ``count``: without them the numbers would shift."""
        last = int(count) if count else None
        nodes = [node for number, node in self._counted if last is None or number <= last]
        if nodes:
            yield self._new_node(0, dict.fromkeys(nodes, ""))

    def _write(self, text: str, node: int, number: int) -> None:
        root, part = thing(text)
        versions = self._versions.get(root)
        if versions is None:
            versions = self._versions[root] = _Versions()
            if ":" in root:
                self._by_kind.setdefault(kind_of(root), {})[root] = None
        self._history.setdefault(root, []).append(_Write(number, node, part))
        if not part:
            # A whole that was changed is read by who changed it: it stands for all before it.
            self._versions[root] = _Versions(base=node)
        elif part == KEYS:
            versions.keys.append(node)
        else:
            versions.parts[part] = versions.recent[part] = node

    # -- asking ------------------------------------------------------------------------

    def __contains__(self, number: int) -> bool:
        return number in self._node

    def facts(self, number: int) -> Facts:
        """What a step read, made and changed. Raises LookupError for one off the branch."""
        node = self._known(number)
        index = bisect_right(self.steps, number, key=lambda step: step.number) - 1
        assert self._number[node] == self.steps[index].number  # noqa: S101 - steps are in order
        return self._facts[index]

    def names(self) -> list[str]:
        """The names, without their parts, that steps of this branch wrote."""
        return sorted(root for root in self._versions if ":" not in root)

    def things(self) -> list[str]:
        """All that steps of this branch wrote, parts left out."""
        return sorted(self._versions)

    def needs(self, names: Collection[str], at: int | None = None) -> tuple[int, ...]:
        """The steps, in order, that make ``names`` (or other things) as they stood after step
        ``at``; by default at the end of the branch. A name that no step made needs none.
        """
        until = self._last if at is None else at
        return self._closure({node for text in names for node in self._writers_at(text, until)})

    def makers(self, text: str, at: int, *, whole: bool = False) -> tuple[int, ...]:
        """The steps that made a thing at first hand what it was after step ``at``; ``whole``:
        only those that made what holds its parts.
        """
        nodes = self._writers_at(thing(text).root if whole else text, at, whole=whole)
        return tuple(sorted({self._number[node] for node in nodes}))

    def needs_step(self, number: int) -> tuple[int, ...]:
        """The steps, in order, that make step ``number`` do what it did; itself the last."""
        return self._closure([self._known(number)])

    def uses(self, number: int) -> tuple[int, ...]:
        """The steps, in order, that rest on step ``number``, directly or not; it is not among
        them.
        """
        node = self._known(number)
        return tuple(step for step in self._reached([node]) if step != number)

    def uses_of(self, text: str, at: int | None = None) -> tuple[int, ...]:
        """The steps, in order, that rest on a thing as it stood after step ``at`` (by default
        as any step made it).
        """
        root, part = thing(text)
        writes = self._history.get(root, [])
        if at is not None:
            wanted = set(self._writers_at(text, at))
        else:
            wanted = {w.node for w in writes if not part or w.part in (part, "") or w.part == KEYS}
        readers: set[int] = set()
        for node in self._through_joins(wanted):
            number = self._number[node]
            if number and self._reads(number, root, part):
                readers.add(node)
        return tuple(self._reached(readers))

    def direct(self, number: int) -> tuple[Edge, ...]:
        """What a step needs at first hand, and for what."""
        node = self._known(number)
        reasons: dict[int, dict[str, None]] = {}
        todo = list(self._dependencies[node].items())
        while todo:
            other, what = todo.pop()
            step = self._number[other]
            if step == 0:
                todo.extend((inner, what) for inner in self._dependencies[other])
            elif step != number:
                reasons.setdefault(step, {})[what] = None
        facts = self.facts(number)
        for step, whats in reasons.items():
            written = self.facts(step)
            for text in (*facts.read, *facts.changed):
                if text in written.made or text in written.changed:
                    whats[text] = None
        return tuple(
            Edge(step, number, tuple(sorted(filter(None, whats))))
            for step, whats in sorted(reasons.items())
        )

    def edges(self) -> tuple[Edge, ...]:
        """All edges between steps, by the later step."""
        return tuple(edge for step in self.steps for edge in self.direct(step.number))

    def order(self) -> tuple[Edge, ...]:
        """What besides `edges` must stay in order: writers of one thing, and a reader before
        the next writer.
        """
        found: dict[tuple[int, int], dict[str, None]] = {}
        readers: dict[str, list[int]] = {}
        writer: dict[str, int] = {}
        for step, facts in zip(self.steps, self._facts, strict=True):
            number = step.number
            for text in (*facts.made, *facts.changed):
                root = thing(text).root
                before = [*readers.pop(root, ()), *([writer[root]] if root in writer else ())]
                for earlier in before:
                    if earlier != number:
                        found.setdefault((earlier, number), {})[root] = None
                writer[root] = number
            for text in facts.read:
                readers.setdefault(thing(text).root, []).append(number)
        return tuple(Edge(a, b, tuple(things)) for (a, b), things in sorted(found.items()))

    def chain(self, first: int, last: int) -> tuple[int, ...]:
        """A shortest way from step ``first`` to step ``last``, which rests on it; empty where it
        does not.
        """
        start, goal = self._known(first), self._known(last)
        came_from: dict[int, int] = {goal: goal}
        todo = [goal]
        for node in todo:
            if node == start:
                way = [node]
                while came_from[way[-1]] != way[-1]:
                    way.append(came_from[way[-1]])
                return tuple(self._number[n] for n in way if self._number[n])
            for other in self._dependencies[node]:
                if other not in came_from:
                    came_from[other] = node
                    todo.append(other)
        return ()

    # -- inside ------------------------------------------------------------------------

    def _known(self, number: int) -> int:
        if number not in self._node:
            message = f"step {number} is not on this branch of the session"
            raise LookupError(message)
        return self._node[number]

    def _reads(self, number: int, root: str, part: str) -> bool:
        facts = self.facts(number)
        for text in (*facts.read, *facts.changed):
            other, its_part = thing(text)
            if other == root and (not part or not its_part or its_part == part):
                return True
        return False

    def _writers_at(self, text: str, at: int, *, whole: bool = False) -> Iterator[int]:
        """As `_writers`, after step ``at``."""
        root, part = thing(text)
        writes = self._history.get(root, [])
        index = bisect_right(writes, at, key=lambda write: write.step)
        seen: set[str] = set()
        while index:
            index -= 1
            write = writes[index]
            if not write.part:
                yield write.node
                break
            if whole or part not in ("", write.part):
                continue
            if write.part == KEYS or write.part not in seen:
                seen.add(write.part)
                yield write.node
        if ":" in root and not root.endswith(":*"):
            any_of = of_kind(kind_of(root), "*")
            if any_of in self._history:
                yield from self._writers_at(any_of, at)

    def _closure(self, nodes: Iterable[int]) -> tuple[int, ...]:
        """The steps of ``nodes`` and of all that they need, in order."""
        wanted = bytearray(len(self._number))
        for node in nodes:
            wanted[node] = 1
        found: list[int] = []
        # Whatever a node needs stands before it.
        node = wanted.rfind(1)
        while node >= 0:
            if self._number[node]:
                found.append(self._number[node])
            for other in self._dependencies[node]:
                wanted[other] = 1
            node = wanted.rfind(1, 0, node)
        found.reverse()
        return tuple(found)

    def _reached(self, nodes: Iterable[int]) -> list[int]:
        """The steps of ``nodes`` and of all that need them, in order."""
        found = set(nodes)
        todo = list(found)
        while todo:
            for other in self._users[todo.pop()]:
                if other not in found:
                    found.add(other)
                    todo.append(other)
        return sorted(number for node in found if (number := self._number[node]))

    def _through_joins(self, nodes: Iterable[int]) -> set[int]:
        """The nodes that use ``nodes`` at first hand; joins count as what they join."""
        found: set[int] = set()
        todo = list(nodes)
        while todo:
            for other in self._users[todo.pop()]:
                if other not in found:
                    found.add(other)
                    if self._number[other] == 0:
                        todo.append(other)
        return found

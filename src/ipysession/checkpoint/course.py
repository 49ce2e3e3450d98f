"""Where each name's value is, at every step along a branch: saved in a group, or not.

Walks the log once; imports no IPython, runs nothing, unpickles nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING

from ipysession.lineage import is_internal
from ipysession.lineage.things import thing
from ipysession.model import Outcome, tree

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ipysession.model import Session, Step
    from ipysession.model.payloads import CheckpointSaved, SavedGroup


GroupKey = tuple[int, tuple[str, ...]]
"""Tells a saved group from all others of its session: the step that saved it, and its names."""

_POSITION = itemgetter(0)


@dataclass(frozen=True, slots=True)
class Status:
    """Where the value of a name is, as it stood after a step."""

    step: int
    """The step that made it so, as far as the log tells."""
    group: SavedGroup | None = None
    """What it can be loaded from."""
    reason: str = ""
    """Why there is no group."""
    partners: Sequence[str] = ()
    """The names that may share an object with it, as far as the log tells; itself among them."""
    key: GroupKey | None = None


@dataclass(slots=True)
class _Saved:
    """What the log says was saved after a step."""

    own: list[CheckpointSaved] = field(default_factory=list)
    """By the step itself, first in its own time and then by idle time."""
    after: list[CheckpointSaved] = field(default_factory=list)
    """By replays that were made while the session stood on the step."""


class Course:
    """What became of each name along the branch to ``head`` (default: where the session stands).

    A *position* counts steps along the branch: 0 is the beginning, ``n`` is after the n-th.
    ``untrusted`` are steps whose checkpoint records cannot be verified, ``broken`` are groups
    that were found to be unloadable: neither is offered.
    """

    def __init__(
        self,
        session: Session,
        untrusted: Collection[int] = (),
        *,
        head: int | None = None,
        broken: Collection[GroupKey] = (),
    ) -> None:
        self.session = session
        self.latest: dict[str, Status] = {}
        """At the end of the branch."""
        self.position: dict[int, int] = {}
        """Where each step stands that counts."""
        self.saved_step = 0
        """The last step after which anything was saved."""
        self.execution_count = 1
        self._untrusted = untrusted
        self._broken = broken
        self._before: dict[str, Status] = {}
        self._history: dict[str, list[tuple[int, Status | None]]] = {}
        self._states: list[tuple[int, SavedGroup]] = []
        self._cwds: list[tuple[int, str]] = []
        saved = _saved_by_step(session)
        nothing = _Saved()
        counted = tree.ROOT
        for step in tree.branch(session, head):
            found = saved.get(step.number, nothing)
            # What a step that died did is gone with its kernel: the state is that before it.
            if step.outcome not in (Outcome.DIED, Outcome.RUNNING):
                counted = step.number
                self.position[counted] = len(self.position) + 1
                self._take(step, found)
            for replayed in found.after:
                self._saved(counted, replayed.step, replayed)
        alive = [s for s in session.steps if s.outcome not in (Outcome.DIED, Outcome.RUNNING)]
        counts = [s.execution_count for s in alive if s.store_history]
        self.execution_count = max((count + 1 for count in counts if count), default=1)

    @property
    def end(self) -> int:
        """The last position."""
        return len(self.position)

    def at(self, name: str, position: int) -> Status | None:
        """Where the value of ``name`` is, as it stood at ``position``; None: there was none."""
        history = self._history.get(name, [])
        index = bisect_right(history, position, key=_POSITION)
        return history[index - 1][1] if index else None

    def saved_between(self, name: str, earliest: int, latest: int) -> Status | None:
        """The newest that was saved of ``name`` from position ``earliest`` to ``latest``."""
        history = self._history.get(name, [])
        for position, status in reversed(history[: bisect_right(history, latest, key=_POSITION)]):
            if position < earliest:
                break
            if status is not None and status.group is not None:
                return status
        return None

    def unsaved_partners(self, names: Iterable[str], position: int) -> set[str]:
        """The names that may share an object with one of ``names``, as far as neither can be
        loaded as it stood at ``position``.
        """
        statuses = {id(status): status for name in names if (status := self.at(name, position))}
        found: set[str] = set()
        for status in statuses.values():
            if status.group is None:
                found.update(status.partners)
        return {name for name in found if self._is_unsaved(name, position)}

    def _is_unsaved(self, name: str, position: int) -> bool:
        status = self.at(name, position)
        return status is not None and status.group is None

    def names_of(self, status: Status, position: int) -> tuple[str, ...]:
        """The names of the group of ``status`` whose values at ``position`` are those in it."""
        names = () if status.group is None else status.group.names
        found = (name for name in names if _same(self.at(name, position), status))
        return tuple(sorted(found))

    def state(self, position: int) -> SavedGroup | None:
        """The random states at ``position``."""
        index = bisect_right(self._states, position, key=_POSITION)
        return self._states[index - 1][1] if index else None

    def cwd(self, position: int) -> str | None:
        """The working directory at ``position``."""
        index = bisect_right(self._cwds, position, key=_POSITION)
        return self._cwds[index - 1][1] if index else None

    # -- walking -----------------------------------------------------------------------

    def _take(self, step: Step, saved: _Saved) -> None:
        touched = self._touched(step, saved.own[0] if saved.own else None)
        for name in step.provenance.deleted:
            self._set(name, None)
        if saved.own:
            self._saved(step.number, step.number, saved.own[0])
        else:
            # There was nothing to save, or the kernel died before it was: who can tell?
            for name in touched:
                if not is_internal(name):
                    before = self.latest.get(name)
                    partners = () if before is None else before.partners
                    reason = "nothing was saved after its step"
                    self._set(name, Status(step.number, reason=reason, partners=partners))
        for late in saved.own[1:]:
            # What idle time found out of names that the step's own record skipped.
            self._saved(step.number, step.number, late)
            together = {name for group in late.groups for name in group.names}
            for name in late.unchanged:
                # As it was last saved, unless it was saved anew with what shares an object with it.
                if name in self._before and name not in together:
                    self._set(name, self._before[name])

    def _touched(self, step: Step, saved: CheckpointSaved | None) -> set[str]:
        """The names that the step bound, or whose values it may have changed."""
        touched: set[str] = set()
        unchanged: frozenset[str] = frozenset()
        if saved is not None:
            unchanged = frozenset(saved.unchanged)
            for group in saved.groups:
                if not group.plain:
                    touched.update(group.names)
            for skipped in saved.skipped:
                touched.update(skipped.names)
            touched.difference_update(unchanged)
        touched.update(step.provenance.bound)
        lineage = step.provenance.lineage
        changed = () if lineage is None else lineage.changed
        roots = {thing(text).root for text in changed}
        touched.update(root for root in roots if ":" not in root and root not in unchanged)
        partners: dict[int, Sequence[str]] = {}
        for name in step.provenance.reads:
            status = self.latest.get(name)
            if status is None or name in unchanged:
                continue
            if status.group is None or not status.group.plain:
                touched.add(name)
                partners[id(status.partners)] = status.partners
        for names in partners.values():
            # What the step did to one, it did to those that share an object with it.
            touched.update(
                other
                for other in names
                if other in self.latest and self.latest[other].partners is names
            )
        return touched

    def _saved(self, step: int, saved_as: int, saved: CheckpointSaved) -> None:
        """What a record of ``saved_as`` says was so after ``step``."""
        trusted = saved_as not in self._untrusted
        position = self.end
        self.saved_step = step
        if saved.cwd is not None:
            self._cwds.append((position, saved.cwd))
        if saved.state is not None and trusted and self._is_kept(saved_as, saved.state):
            self._states.append((position, saved.state))
        for skipped in saved.skipped:
            for name in skipped.names:
                known = self.latest.get(name)
                if known is not None and known.group is not None:
                    self._before[name] = known
                self._set(name, Status(step, None, skipped.reason, skipped.names))
        for group in saved.groups:
            partners = () if group.plain else group.names
            reason, key = "", (saved_as, tuple(group.names))
            if not trusted:
                reason = "the log's record of it cannot be verified"
            elif key in self._broken:
                reason = "what was saved of it cannot be loaded"
            elif not self._is_kept(saved_as, group):
                reason = "what was saved of it is no longer kept"
            status = Status(step, None if reason else group, reason, partners, key)
            for name in group.names:
                self._set(name, status)
        for name in saved.deleted:
            self._set(name, None)

    def _is_kept(self, step: int, group: SavedGroup) -> bool:
        alone = group.inline is not None and not group.parts and group.table is None
        return alone or step not in self.session.dropped

    def _set(self, name: str, status: Status | None) -> None:
        if status is None:
            self.latest.pop(name, None)
        else:
            self.latest[name] = status
        self._history.setdefault(name, []).append((self.end, status))


def _same(one: Status | None, other: Status) -> bool:
    return one is not None and one.group is not None and one.group is other.group


def _saved_by_step(session: Session) -> dict[int, _Saved]:
    """Checkpoint records by the step whose state they hold: what a replay made was saved as that
    of the step that the session stood on.
    """
    replays = {step.number: step.parent for step in session.steps if step.replay_of is not None}
    found: dict[int, _Saved] = {}
    for checkpoint in session.checkpoints:
        step: int | None = checkpoint.step
        while step in replays:
            step = replays[step]
        if step is not None:
            saved = found.setdefault(step, _Saved())
            (saved.own if step == checkpoint.step else saved.after).append(checkpoint)
    return found

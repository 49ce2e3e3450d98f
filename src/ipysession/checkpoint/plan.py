"""What a resume will do, per name: load, replay, or give up with the reason.

First version: a value that was saved after the last step that may have changed it is
loaded; any other is made again by replaying, in order, every step that bound or may have
changed it or what it rests on. Imports no IPython, runs nothing, unpickles nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from ipysession.lineage import is_internal
from ipysession.model import Outcome
from ipysession.model.payloads import CheckpointSaved, SavedGroup

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ipysession.model import Session, Step


_REDACTED = "[redacted:"
"""Stands in a source where a secret was taken out: what would run is not what ran."""


class ReplayPolicy(StrEnum):
    """Which steps a resume may run again."""

    SAFE = "safe"
    """All but those that did something outside the namespace."""
    ALL = "all"
    NONE = "none"


class Action(StrEnum):
    """What a plan does for a name."""

    LOAD = "load"
    REPLAY = "replay"
    GIVE_UP = "give up"


@dataclass(frozen=True, slots=True)
class NamePlan:
    """The plan for one name."""

    name: str
    action: Action
    step: int
    """The step that the value comes from."""
    type: str = ""
    size: int | None = None
    """Bytes of the pickle that the value is part of."""
    reason: str = ""
    replays: tuple[int, ...] = ()
    """The steps to replay for it, in order."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """A step that will not be replayed, because it did something outside the namespace."""

    step: int
    source: str
    effects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Load:
    """One saved group to load, and which of its names are wanted from it."""

    step: int
    group: SavedGroup
    wanted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a resume will do."""

    names: tuple[NamePlan, ...]
    loads: tuple[Load, ...]
    """Groups to load, oldest first: a later definition of a class wins."""
    replays: tuple[int, ...]
    blocked: tuple[Blocked, ...]
    seconds: float
    """How long the replayed steps took when they ran first."""
    bytes: int
    died_in: int | None
    last_step: int
    execution_count: int
    """The count that the next cell gets."""
    cwd: str | None
    state: SavedGroup | None
    saved_step: int
    """The last step after which anything was saved, random states and folder among it."""
    trusted: bool
    """False where values were left alone because the log cannot be verified."""


@dataclass(slots=True)
class _Status:
    """Where the newest value of a name is, while the log is walked."""

    step: int
    group: SavedGroup | None = None
    reason: str = ""
    partners: Sequence[str] = ()
    """The names that may share an object with it, as far as the log tells; itself among them."""


@dataclass(slots=True)
class _Walk:
    latest: dict[str, _Status] = field(default_factory=dict)
    before: dict[str, _Status] = field(default_factory=dict)
    """Where the value was saved of a name that was skipped since."""
    changed: dict[int, set[str]] = field(default_factory=dict)
    """The names that each step bound, deleted or may have changed."""
    saved_step: int = 0
    """The last step after which anything was saved."""
    state: SavedGroup | None = None
    cwd: str | None = None
    execution_count: int = 1

    def take(self, step: Step, saved: CheckpointSaved | None, *, trusted: bool) -> None:
        """What the step did to names."""
        if step.store_history and step.execution_count is not None:
            self.execution_count = max(self.execution_count, step.execution_count + 1)
        provenance = step.provenance
        touched = self._touched(step, saved)
        self.changed[step.number] = touched.union(provenance.deleted)
        for name in provenance.deleted:
            self.latest.pop(name, None)
        if saved is not None:
            self._saved(step.number, saved, trusted=trusted)
            return
        # There was nothing to save, or the kernel died before it was: who can tell?
        for name in touched:
            if not is_internal(name):
                before = self.latest.get(name)
                self.latest[name] = _Status(
                    step.number,
                    reason="nothing was saved after its step",
                    partners=() if before is None else before.partners,
                )

    def _touched(self, step: Step, saved: CheckpointSaved | None) -> set[str]:
        """The names that the step bound, or whose values it may have changed."""
        touched = set(step.provenance.bound)
        unchanged: Sequence[str] = ()
        if saved is not None:
            unchanged = saved.unchanged
            for group in saved.groups:
                if not group.plain:
                    touched.update(group.names)
            for skipped in saved.skipped:
                touched.update(skipped.names)
        for name in step.provenance.reads:
            status = self.latest.get(name)
            if status is None or name in unchanged:
                continue
            if status.group is None or not status.group.plain:
                touched.add(name)
                # What the step did to one, it did to those that share an object with it.
                touched.update(
                    other
                    for other in status.partners
                    if other in self.latest and self.latest[other].partners is status.partners
                )
        return touched

    def take_late(self, step: int, saved: CheckpointSaved, *, trusted: bool) -> None:
        """What idle time found out of names that the step's own record skipped."""
        self._saved(step, saved, trusted=trusted)
        for name in saved.unchanged:
            before = self.before.get(name)
            if before is not None:  # as it was last saved
                self.latest[name] = before

    def _saved(self, step: int, saved: CheckpointSaved, *, trusted: bool) -> None:
        self.saved_step = step
        if saved.cwd is not None:
            self.cwd = saved.cwd
        if saved.state is not None and trusted:
            self.state = saved.state
        for skipped in saved.skipped:
            for name in skipped.names:
                known = self.latest.get(name)
                if known is not None and known.group is not None:
                    self.before[name] = known
                self.latest[name] = _Status(step, None, skipped.reason, skipped.names)
        for group in saved.groups:
            partners = () if group.plain else group.names
            for name in group.names:
                self.latest[name] = (
                    _Status(step, group, partners=partners)
                    if trusted
                    else _Status(step, None, "the log's record of it cannot be verified", partners)
                )
        for name in saved.deleted:
            self.latest.pop(name, None)


def walk(session: Session, untrusted: Collection[int] = (), *, until: int | None = None) -> _Walk:
    """Where each name's newest value is after step ``until`` (default: the last one).

    ``untrusted`` are steps whose checkpoint records cannot be verified.
    """
    saved: dict[int, list[CheckpointSaved]] = {}
    for checkpoint in session.checkpoints:
        saved.setdefault(checkpoint.step, []).append(checkpoint)
    result = _Walk()
    for step in session.steps:
        if until is not None and step.number > until:
            break
        if step.outcome in (Outcome.DIED, Outcome.RUNNING):
            continue  # what it did died with the kernel: the state is that before it
        trusted = step.number not in untrusted
        records = saved.get(step.number, [])
        result.take(step, records[0] if records else None, trusted=trusted)
        for late in records[1:]:  # what its budget left over, saved while the kernel was idle
            result.take_late(step.number, late, trusted=trusted)
    return result


def make_plan(
    session: Session,
    *,
    untrusted: Collection[int] = (),
    replay: ReplayPolicy = ReplayPolicy.SAFE,
) -> Plan:
    """Plan the resume of ``session``. ``untrusted`` are steps whose checkpoint records cannot
    be verified: their values are not loaded.
    """
    found = walk(session, untrusted)
    names: list[NamePlan] = []
    blocked: dict[int, Blocked] = {}
    for name, status in sorted(found.latest.items()):
        if status.group is not None:
            kind, size = status.group.types.get(name, ""), status.group.size
            names.append(NamePlan(name, Action.LOAD, status.step, kind, size))
        else:
            names.append(
                plan_replay(
                    session,
                    name,
                    status.step,
                    status.reason,
                    policy=replay,
                    blocked=blocked,
                    changed=found.changed,
                )
            )
    loads = _loads(found)
    replays = tuple(sorted({n for plan in names for n in plan.replays}))
    return Plan(
        names=tuple(names),
        loads=loads,
        replays=replays,
        blocked=tuple(blocked[number] for number in sorted(blocked)),
        seconds=sum(session.step(number).duration or 0.0 for number in replays),
        bytes=sum(load.group.size for load in loads),
        died_in=_died_in(session),
        last_step=max((step.number for step in session.steps), default=0),
        execution_count=found.execution_count,
        cwd=found.cwd,
        state=found.state,
        saved_step=found.saved_step,
        trusted=not untrusted,
    )


def _loads(found: _Walk) -> tuple[Load, ...]:
    wanted: dict[int, tuple[_Status, list[str]]] = {}
    for name, status in found.latest.items():
        if status.group is not None:
            wanted.setdefault(id(status.group), (status, []))[1].append(name)
    loads = [
        Load(status.step, status.group, tuple(sorted(names)))
        for status, names in wanted.values()
        if status.group is not None
    ]
    return tuple(sorted(loads, key=lambda load: load.step))


def _died_in(session: Session) -> int | None:
    """The step that the last kernel died in."""
    last = session.steps[-1] if session.steps else None
    return last.number if last is not None and last.outcome is Outcome.DIED else None


def plan_replay(
    session: Session,
    name: str,
    until: int,
    why: str,
    *,
    policy: ReplayPolicy,
    blocked: dict[int, Blocked],
    changed: Mapping[int, Collection[str]] | None = None,
) -> NamePlan:
    """The plan for a name whose value cannot be loaded, ``why``; it stood last after step
    ``until``. Steps that may not be replayed are added to ``blocked``. For ``changed`` see
    `slice_for`.
    """
    steps = slice_for(session, name, until, changed)
    if policy is ReplayPolicy.NONE:
        reason = f"{why}; replaying was ruled out. Run step {until} again"
        return NamePlan(name, Action.GIVE_UP, until, reason=reason)
    if not steps:
        reason = f"{why}, and no recorded step made it"
        return NamePlan(name, Action.GIVE_UP, until, reason=reason)
    secret = [step for step in steps if step.redacted and _REDACTED in step.python]
    for step in secret:
        blocked[step.number] = Blocked(step.number, step.source, ("held a secret, now taken out",))
    if secret:
        told = ", ".join(f"step {step.number}" for step in secret[:3])
        reason = f"{why}, and the source of {told} held a secret that was not recorded"
        return NamePlan(name, Action.GIVE_UP, until, reason=reason)
    if policy is ReplayPolicy.SAFE:
        unsafe = [step for step in steps if step.provenance.outside]
        for step in unsafe:
            blocked[step.number] = Blocked(step.number, step.source, step.provenance.outside)
        if unsafe:
            told = "; ".join(
                f"step {step.number} {step.provenance.outside[0]}" for step in unsafe[:3]
            )
            reason = f"{why}, and making it again would repeat effects: {told}"
            return NamePlan(name, Action.GIVE_UP, until, reason=reason)
    numbers = tuple(step.number for step in steps)
    return NamePlan(name, Action.REPLAY, until, reason=why, replays=numbers)


def slice_for(
    session: Session, name: str, until: int, changed: Mapping[int, Collection[str]] | None = None
) -> list[Step]:
    """The steps, in order, that made ``name`` as it stood after step ``until``: all that bound
    or may have changed it, or anything that those read or deleted.

    ``changed`` says what each step bound or may have changed; by default the log is walked for it.
    """
    if changed is None:
        changed = walk(session).changed
    needed = {name}
    chosen: list[Step] = []
    for step in reversed(session.steps):
        if step.number > until or step.replay_of is not None:
            continue
        if not needed.isdisjoint(changed.get(step.number, ())):
            chosen.append(step)
            # A step can delete only what is there.
            used = (*step.provenance.reads, *step.provenance.deleted)
            needed |= {name for name in used if not is_internal(name)}
    return chosen[::-1]

"""What a resume or checkout will do, per name: load, replay, or give up with the reason.

A value that was saved is loaded, unless to make it again is much cheaper; any other is made
again by the smallest slice of steps, each of which finds its inputs as they were before it.
Imports no IPython, runs nothing, unpickles nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ipysession.checkpoint.course import Course
from ipysession.checkpoint.slices import Load, ReplayStep, Slices, merged
from ipysession.lineage.graph import Graph
from ipysession.model import Outcome, tree

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ipysession.checkpoint.course import GroupKey
    from ipysession.model import Session, Step
    from ipysession.model.payloads import SavedGroup

__all__ = ["Action", "Blocked", "Load", "NamePlan", "Plan", "ReplayPolicy", "make_plan"]

_REDACTED = "[redacted:"
"""Stands in a source where a secret was taken out: what would run is not what ran."""

_TAKEN_OUT = "held a secret, now taken out"

_LOAD_SPEED = 300e6
"""Bytes per second that loading is reckoned with, where nothing large was saved."""

_MEASURED_BYTES = 1_000_000
"""Groups of this size tell how fast the machine is: how long saving them took is recorded, and
loading takes about as long.
"""

_SLOWEST, _FASTEST = 20e6, 2e9

_LONG_LOAD = 5.0
"""Seconds that a load must take before replaying in its place is considered."""

_CHEAPER = 10.0
"""How many times faster the replay must be: what was saved is the truth, a replay a good copy."""


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
    """Bytes of the group that the value is part of."""
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
class Plan:
    """What a resume will do."""

    names: tuple[NamePlan, ...]
    loads: tuple[Load, ...]
    """Groups to load, oldest first."""
    steps: tuple[ReplayStep, ...]
    """Steps to replay, in order."""
    blocked: tuple[Blocked, ...]
    seconds: float
    """How long the replayed steps took when they ran first."""
    bytes: int
    died_in: int | None
    head: int
    """The step that the session will stand on; 0 is the beginning."""
    execution_count: int
    """The count that the next cell gets."""
    cwd: str | None
    state: SavedGroup | None
    saved_step: int
    """The last step after which anything was saved, random states and folder among it."""
    trusted: bool
    """False where values were left alone because the log cannot be verified."""
    course: Course
    things: tuple[str, ...]
    """All that the steps on the way wrote, hidden things and files among it."""

    @property
    def replays(self) -> tuple[int, ...]:
        """The numbers of the steps to replay."""
        return tuple(step.number for step in self.steps)


def make_plan(
    session: Session,
    *,
    untrusted: Collection[int] = (),
    unproven: Collection[int] = (),
    replay: ReplayPolicy = ReplayPolicy.SAFE,
    head: int | None = None,
    broken: Collection[GroupKey] = (),
) -> Plan:
    """Plan the way to the state after step ``head`` (default: where ``session`` stands).

    ``untrusted`` are steps whose checkpoint records cannot be verified: their values are not
    loaded. ``unproven`` are steps whose own records cannot be: they are not replayed.
    ``broken`` are groups that were found to be unloadable.
    """
    course = Course(session, untrusted, head=head, broken=broken)
    return _Planner(course, Graph.of(session, head), replay, unproven).plan(
        tree.head(session) if head is None else head, trusted=not untrusted
    )


class _Planner:
    def __init__(
        self, course: Course, graph: Graph, policy: ReplayPolicy, unproven: Collection[int]
    ) -> None:
        self._course = course
        self._session = course.session
        self._slices = Slices(course, graph)
        self._apart = Slices(course, graph, together=False)
        self._policy = policy
        self._unproven = unproven
        self._blocked: dict[int, Blocked] = {}
        self._load_speed = _load_speed(course.session)

    def plan(self, head: int | None, *, trusted: bool) -> Plan:
        """The whole plan."""
        names, loads = self._for_names()
        wanted = {number for item in names for number in item.replays}
        steps = tuple(
            self._slices.step(number)
            for number in sorted(wanted, key=self._course.position.__getitem__)
        )
        return Plan(
            names=names,
            loads=loads,
            steps=steps,
            blocked=tuple(self._blocked[number] for number in sorted(self._blocked)),
            seconds=sum(self._session.step(step.number).duration or 0.0 for step in steps),
            bytes=sum(load.group.size for load in loads),
            died_in=_died_in(self._session),
            head=head or tree.ROOT,
            execution_count=self._course.execution_count,
            cwd=self._course.cwd(self._course.end),
            state=self._course.state(self._course.end),
            saved_step=self._course.saved_step,
            trusted=trusted,
            course=self._course,
            things=self._slices.things,
        )

    def _for_names(self) -> tuple[tuple[NamePlan, ...], tuple[Load, ...]]:
        """Names that share an object come from one replay. Where that cannot be made, what they
        would have shared it with is lost, and each is planned by itself.
        """
        found: list[NamePlan] = []
        to_load: dict[Slices, list[str]] = {self._slices: [], self._apart: []}
        for name in sorted(self._course.latest):
            slices = self._slices
            planned = self._for_name(name, slices)
            if planned.action is Action.GIVE_UP:
                slices = self._apart
                planned = self._for_name(name, slices)
            if planned.action is Action.LOAD:
                to_load[slices].append(name)
            found.append(planned)
        loads = [
            load
            for slices, names in to_load.items()
            for load in slices.loads(names, self._course.end)
        ]
        return tuple(found), merged(loads)

    def _for_name(self, name: str, slices: Slices) -> NamePlan:
        source = slices.source(name, self._course.end)
        status = self._course.latest[name]
        if source is None or isinstance(source, int) or source.group is None:
            until = source if isinstance(source, int) else status.step
            steps = slices.slice(name, self._course.end)
            return self._for_replay(name, until, status.reason, steps)
        kind, size = source.group.types.get(name, ""), source.group.size
        if size / self._load_speed > _LONG_LOAD and len(source.group.names) == 1:
            steps = slices.slice(name, self._course.end, anew=True)
            if self._is_cheap_and_safe(steps, size / self._load_speed / _CHEAPER):
                why = "to make it again is quicker than to load it"
                return NamePlan(name, Action.REPLAY, source.step, kind, size, why, tuple(steps))
        return NamePlan(name, Action.LOAD, source.step, kind, size)

    def _is_cheap_and_safe(self, numbers: Sequence[int], seconds: float) -> bool:
        """May these steps be replayed in place of a load, within ``seconds``?"""
        steps = [self._session.step(number) for number in numbers]
        return (
            bool(steps)
            and self._policy is not ReplayPolicy.NONE
            and sum(step.duration or 0.0 for step in steps) < seconds
            and all(
                step.outcome is Outcome.OK
                and not (step.provenance.outside or step.provenance.files or step.redacted)
                and step.number not in self._unproven
                for step in steps
            )
        )

    def _for_replay(self, name: str, until: int, why: str, steps: Sequence[int]) -> NamePlan:
        """A name whose value cannot be loaded, ``why``; it stood last after step ``until``."""

        def give_up(reason: str) -> NamePlan:
            return NamePlan(name, Action.GIVE_UP, until, reason=f"{why}{reason}")

        if self._policy is ReplayPolicy.NONE:
            return give_up(f"; replaying was ruled out. Run step {until} again")
        if not steps:
            return give_up(", and no recorded step made it")
        chosen = [self._session.step(number) for number in steps]
        forged = [step for step in chosen if step.number in self._unproven]
        if forged:
            return give_up(f", and nothing proves that {_told(forged)} is what you ran")
        secret = [step for step in chosen if step.redacted and _REDACTED in step.python]
        for step in secret:
            self._block(step, (_TAKEN_OUT,))
        if secret:
            return give_up(
                f", and the source of {_told(secret)} held a secret that was not recorded"
            )
        if self._policy is ReplayPolicy.SAFE:
            unsafe = [step for step in chosen if step.provenance.outside]
            for step in unsafe:
                self._block(step, step.provenance.outside)
            if unsafe:
                told = "; ".join(
                    f"step {step.number} {step.provenance.outside[0]}" for step in unsafe[:3]
                )
                return give_up(f", and making it again would repeat effects: {told}")
        return NamePlan(name, Action.REPLAY, until, reason=why, replays=tuple(steps))

    def _block(self, step: Step, effects: tuple[str, ...]) -> None:
        self._blocked[step.number] = Blocked(step.number, step.source, effects)


def effects_of(step: Step, policy: ReplayPolicy, unproven: Collection[int] = ()) -> tuple[str, ...]:
    """In words, why the cell of ``step`` must not be run again unasked; empty where it may."""
    if step.number in unproven:
        return ("is not proven to be what you ran",)
    if step.redacted and _REDACTED in step.python:
        return (_TAKEN_OUT,)
    return step.provenance.outside if policy is not ReplayPolicy.ALL else ()


def _load_speed(session: Session) -> float:
    """Bytes per second, as far as what was saved tells."""
    size, seconds = 0, 0.0
    for saved in session.checkpoints:
        for group in saved.groups:
            if group.size >= _MEASURED_BYTES and group.seconds > 0:
                size += group.size
                seconds += group.seconds
    return min(max(size / seconds, _SLOWEST), _FASTEST) if seconds else _LOAD_SPEED


def _told(steps: Sequence[Step]) -> str:
    return ", ".join(f"step {step.number}" for step in steps[:3])


def _died_in(session: Session) -> int | None:
    """The step that the last kernel died in."""
    last = session.steps[-1] if session.steps else None
    return last.number if last is not None and last.outcome is Outcome.DIED else None

"""Carrying out a plan inside a kernel: small values at once, the large ones wait, and what was
not saved is replayed.

What fails to load is planned anew without it. Replays run apart from the user's names, before
anything enters the namespace.
"""

from __future__ import annotations

import base64
import re
import sys
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ipysession.checkpoint import hidden
from ipysession.checkpoint.groups import is_plain
from ipysession.checkpoint.history import Outputs
from ipysession.checkpoint.load import load_group
from ipysession.checkpoint.plan import Action, NamePlan, Plan
from ipysession.checkpoint.preview import type_name
from ipysession.checkpoint.scratch import Replayer
from ipysession.checkpoint.unpickler import is_imported, reason
from ipysession.checkpoint.waiting import Errand, Waiting
from ipysession.checkpoint.ways import IMPORTS, asked_by, words_of
from ipysession.lineage import is_internal, is_output

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from types import CodeType

    from ipysession.checkpoint.course import Course, GroupKey
    from ipysession.checkpoint.plan import Load
    from ipysession.log import Blobs
    from ipysession.model import Outcome
    from ipysession.model.payloads import SavedGroup
    from ipysession.record.recorder import Recorder

_SMALL_BYTES = 256 * 1024
"""A group up to this size is loaded at once, as far as the time for that reaches."""


class How(StrEnum):
    """How a name came back."""

    RESTORED = "restored"
    WAITING = "waiting"
    """In the store; it comes before the first cell that can reach it, or in idle time."""
    KEPT = "kept"
    """It is in the kernel as it should be."""
    REPLAYED = "replayed"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of one name."""

    name: str
    how: How
    step: int
    type: str = ""
    note: str = ""


@dataclass(slots=True)
class ResumeResult:
    """What a resume or checkout did."""

    session: str
    names: list[Restored] = field(default_factory=list)
    replayed: list[tuple[int, Outcome, float, str]] = field(default_factory=list)
    """Step, outcome, seconds, and what it raised."""
    removed: list[str] = field(default_factory=list)
    """Names that the state does not have."""
    notes: list[str] = field(default_factory=list)
    bytes: int = 0
    waiting_bytes: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    waiting: Waiting | None = None


class Restorer:
    """Carries out a plan in one shell. ``replan`` makes one that leaves out the groups that were
    found to be unloadable. ``kept`` are the groups whose values are in the namespace
    already, and ``left`` the names of the state that is left, where this is a way back.
    """

    def __init__(
        self,
        recorder: Recorder,
        blobs: Blobs,
        plan: Plan,
        replan: Callable[[Collection[GroupKey]], Plan],
        *,
        kept: Collection[GroupKey] = (),
        left: Collection[str] = (),
    ) -> None:
        self._recorder = recorder
        self._namespace: dict[str, Any] = recorder.shell.user_ns
        self._blobs = blobs
        self._replan = replan
        self._kept = kept
        self._left = left
        self._broken: set[GroupKey] = set()
        self._why: dict[GroupKey, str] = {}
        self._loaded: dict[GroupKey, dict[str, Any]] = {}
        self._codes: dict[GroupKey, list[CodeType]] = {}
        self.plan = plan
        self._result = ResumeResult(self.plan.course.session.id)

    def run(self) -> ResumeResult:
        """Carry out the plan. Never raises for a value or a step that fails: that is told."""
        started = time.perf_counter()
        there_before = dict(self._namespace)
        states = self._hidden_states()
        later = self._load_small(started + self._recorder.settings.restore_at_once_seconds)
        replayer = Replayer(self._recorder, self.plan.course, self._load)
        replayer.run(self.plan.names, self.plan.steps)
        result = self._result
        result.replayed, result.interrupted = replayer.done, replayer.interrupted
        errands: list[Errand] = []
        if not self._replayed_the_end():
            errands = self._restore_hidden(states, self.plan.cwd)
        waiting = Waiting(
            self._namespace,
            (load for load in later if not replayer.holds(load)),
            lambda load, codes, pace: load_group(
                load.group, self._blobs, self._namespace, codes=codes, pace=pace
            ),
            arrived=Outputs(self._recorder.shell).came,
            when_idle=self._recorder.settings.restore_when_idle,
            errands=errands,
        )
        self._settle(replayer, waiting, there_before)
        self._lead(waiting, there_before)
        shared = (load.wanted for load in self.plan.loads if not load.group.plain)
        self._recorder.adopt_groups([list(names) for names in shared])
        self._recorder.adopt_things(self.plan.things)
        self._save_replayed(replayer)
        result.waiting, result.waiting_bytes = waiting, waiting.bytes
        result.seconds = time.perf_counter() - started
        return result

    # -- loading -----------------------------------------------------------------------

    def _load_small(self, deadline: float) -> list[Load]:
        """Unpickle what is small; a failure costs only its own group. Returns what is left."""
        while True:
            later: list[Load] = []
            failed = False
            for load in self.plan.loads:
                if load.key in self._kept or load.key in self._loaded:
                    continue
                if not _is_small(load.group) or time.perf_counter() > deadline:
                    later.append(load)
                    continue
                codes: list[CodeType] = []
                try:
                    values = load_group(load.group, self._blobs, self._namespace, codes=codes)
                except Exception as error:  # noqa: BLE001 - unpickling runs code that may raise anything
                    self._broken.add(load.key)
                    self._why[load.key] = f"it could not be loaded: {reason(error)}"
                    failed = True
                    continue
                self._loaded[load.key], self._codes[load.key] = values, codes
            if not failed:
                return later
            self.plan = self._replan(self._broken)

    def _load(self, group: SavedGroup) -> dict[str, Any]:
        return load_group(group, self._blobs, self._namespace)

    def _replayed_the_end(self) -> bool:
        """Was a step replayed after which nothing was saved any more, not even random states?
        Then they are as it left them just now.
        """
        position = self.plan.course.position
        saved = position.get(self.plan.saved_step, 0)
        return any(position.get(number, 0) > saved for number, *_ in self._result.replayed)

    def _save_replayed(self, replayer: Replayer) -> None:
        """So that they need not be replayed again, and that what they share stays known."""
        names = [item.name for item in self._result.names if item.how is How.REPLAYED]
        if names:
            self._recorder.save_replayed(names, replayer.input_names, replayer.seconds)

    # -- settling ----------------------------------------------------------------------

    def _settle(self, replayer: Replayer, waiting: Waiting, there_before: dict[str, Any]) -> None:
        plans = {plan.name: plan for plan in self.plan.names}
        values: dict[str, Any] = {}
        kept: set[str] = set()
        for load in self.plan.loads:
            if replayer.holds(load):
                # What was replayed shares objects with these, and classes, not with others
                # that are equal.
                values.update((name, replayer.inputs[load.key][name]) for name in load.wanted)
            elif load.key in self._kept:
                kept.update(load.wanted)
            elif load.key in self._loaded:
                self._result.bytes += load.group.size
                values.update((name, self._loaded[load.key][name]) for name in load.wanted)
        waits = set(waiting.names)
        self._remove(name for name in self._left if name not in plans)
        for name, plan in plans.items():
            note = ""
            ours = name in self._left or is_output(name)
            if name in there_before and not ours:
                note = "replaced the one of this kernel"
            if name in kept:
                self._tell(name, How.KEPT, plan, "")
                continue
            self._namespace.pop(name, None)
            if name in values:
                self._namespace[name] = values[name]
                self._tell(name, How.RESTORED, plan, note)
            elif name in waits:
                self._tell(name, How.WAITING, plan, note)
            elif name in replayer.values:
                self._namespace[name] = replayer.values[name]
                self._tell(name, How.REPLAYED, plan, note)
            else:
                self._tell(name, How.LOST, plan, self._why_lost(plan, replayer))
                if name in there_before and name not in self._left:
                    self._namespace[name] = there_before[name]

    def _remove(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self._namespace:
                del self._namespace[name]
                self._result.removed.append(name)

    def _why_lost(self, plan: NamePlan, replayer: Replayer) -> str:
        reason = plan.reason
        for key, said in self._why.items():
            if plan.name in key[1]:
                reason = f"{said}; {reason}"
        why = next((replayer.failed[n] for n in plan.replays if n in replayer.failed), "")
        if why:
            return f"{reason}; replaying step failed: {why}"
        return f"{reason}; replaying did not make it" if plan.action is Action.REPLAY else reason

    def _tell(self, name: str, how: How, plan: NamePlan, note: str) -> None:
        there = how in (How.RESTORED, How.REPLAYED, How.KEPT)
        kind = type_name(self._namespace[name]) if there else plan.type
        self._result.names.append(Restored(name, how, plan.step, kind, note))

    def _lead(self, waiting: Waiting, there_before: dict[str, Any]) -> None:
        """Tell what is reached through the functions that are there."""
        for load in self.plan.loads:
            if load.key in self._codes:
                waiting.ways.add(load.group.names, asked_by(self._codes[load.key]))
        session = self.plan.course.session
        for plan in self.plan.names:
            if plan.action is Action.REPLAY:
                words = (words_of(session.step(number).python) for number in plan.replays)
                waiting.ways.add([plan.name], set().union(*words))
        # What this kernel's own cells made before may ask for anything.
        came = {item.name for item in self._result.names if item.how is not How.KEPT}
        stayed = [
            name
            for name, value in self._namespace.items()
            if name in there_before
            and name not in came
            and not is_internal(name)
            and not is_plain(value)
        ]
        waiting.ways.add(stayed, ["globals"])

    # -- what is no variable -----------------------------------------------------------

    def _hidden_states(self) -> dict[str, Any]:
        if self.plan.state is None:
            return {}
        try:
            states = self._load(self.plan.state)
            hidden.add_paths(states)
        except Exception as error:  # noqa: BLE001 - from a blob: it may be damaged in any way
            self._note(f"the random states could not be restored: {error}")
            return {}
        return states

    def _restore_hidden(self, states: dict[str, Any], cwd: str | None) -> list[Errand]:
        """Returns what is to be done when libraries come of which a state was saved."""
        self._note(hidden.enter_folder(cwd))
        if not states:
            return []
        try:
            return [_errand(library) for library in hidden.write_states_at_hand(states)]
        except Exception as error:  # noqa: BLE001 - another version of a library may refuse it
            self._note(f"the random states could not be restored: {error}")
            return []

    def _note(self, text: str) -> None:
        if text and text not in self._result.notes:
            self._result.notes.append(text)


def _errand(library: str) -> Errand:
    """Give a library its random state, or its settings, before anything can ask for them."""
    return Errand(
        IMPORTS | {library},
        lambda: is_imported(library),
        lambda pace: hidden.import_library(library, pace),
        lambda: hidden.write_waiting_state(library),
    )


def kept_groups(current: Course, plan: Plan, namespace: Mapping[str, Any]) -> set[GroupKey]:
    """The groups of ``plan`` whose values are in ``namespace`` as they should be, in a kernel that
    is in the state at the end of ``current``.
    """
    kept = set()
    for load in plan.loads:
        statuses = [current.latest.get(name) for name in load.wanted]
        if all(name in namespace for name in load.wanted) and all(
            status is not None and status.group == load.group and status.key == load.key
            for status in statuses
        ):
            kept.add(load.key)
    return kept


def _is_small(group: SavedGroup) -> bool:
    """Is it loaded sooner than a person would notice? What a library that is not imported yet has
    a part in brings the library along, which takes long.
    """
    if group.size > _SMALL_BYTES or group.inline is None or group.parts or group.table:
        return False
    libraries = {kind.partition(".")[0] for kind in group.types.values() if "." in kind}
    pickled = base64.b64decode(group.inline)
    libraries.update(name.partition(b".")[0].decode() for name in _GLOBAL.findall(pickled))
    return b"subimport" not in pickled and libraries <= sys.modules.keys()


_GLOBAL = re.compile(rb"\x8c.([A-Za-z_][\w.]*)\x94(?:\x8c.[^\x94]*\x94|h.|j....)\x93", re.DOTALL)
"""Where a pickle asks a module for a class or a function, the first time that it names it."""

"""Replaying steps without disturbing anything else: the user's names are set aside, each step
finds its inputs as they were before it, and afterwards all is as it was.

The namespace stays the same object, so that functions and generators that a replay makes read
the live globals afterwards, as they did when they were made first.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

from ipysession.checkpoint import hidden
from ipysession.checkpoint.history import Outputs
from ipysession.checkpoint.plan import Action
from ipysession.checkpoint.replay import replay_cell
from ipysession.checkpoint.unpickler import reason
from ipysession.lineage import is_internal, is_output
from ipysession.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ipysession.checkpoint.course import Course, GroupKey
    from ipysession.checkpoint.plan import NamePlan
    from ipysession.checkpoint.slices import Load, ReplayStep
    from ipysession.model.payloads import SavedGroup
    from ipysession.record.recorder import Recorder


class Scratch:
    """The namespace of ``shell`` without the user's names and outputs, for as long as the context
    is open.
    """

    def __init__(self, shell: Any) -> None:
        self._namespace: dict[str, Any] = shell.user_ns
        self._hidden: Mapping[str, Any] = shell.user_ns_hidden
        self.outputs = Outputs(shell)
        self._aside: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._seen = self.outputs.state()
        self._aside = self._take_out()
        return self

    def __exit__(self, *exception: object) -> None:
        self._take_out()
        self._namespace.update(self._aside)
        self.outputs.restore(self._seen)

    def _take_out(self) -> dict[str, Any]:
        namespace, ipythons = self._namespace, self._hidden
        users = [
            name
            for name, value in list(namespace.items())
            if not is_internal(name) and not (name in ipythons and ipythons[name] is value)
        ]
        return {name: namespace.pop(name) for name in users}


class Replayer:
    """Replays the steps of one plan. ``load`` loads a group for a step's inputs."""

    def __init__(
        self, recorder: Recorder, course: Course, load: Callable[[SavedGroup], dict[str, Any]]
    ) -> None:
        self._recorder = recorder
        self._course = course
        self._load = load
        self._held: dict[str, GroupKey] = {}
        """The names whose values are those that were loaded, and what from."""
        self.values: dict[str, Any] = {}
        """What was made, by name."""
        self.inputs: dict[GroupKey, dict[str, Any]] = {}
        """What was loaded for the steps and is as it was loaded, by name: `values` may hold the
        same objects, and instances of the same classes."""
        self.done: list[tuple[int, Outcome, float, str]] = []
        """Step, outcome, seconds, and what it raised."""
        self.failed: dict[int, str] = {}
        """The steps that failed, and why."""
        self.interrupted = False

    @property
    def seconds(self) -> float:
        """How long the replays took."""
        return sum(seconds for _, _, seconds, _ in self.done)

    @property
    def input_names(self) -> list[str]:
        """The names of `inputs`."""
        return sorted({name for values in self.inputs.values() for name in values})

    def holds(self, load: Load) -> bool:
        """Are all names that are wanted of ``load`` among `inputs`?"""
        return self.inputs.get(load.key, {}).keys() >= set(load.wanted)

    def run(self, plans: Iterable[NamePlan], steps: Iterable[ReplayStep]) -> None:
        """Replay ``steps``, in order, for those of ``plans`` that need it. Never raises for a
        step that fails: the names that rest on it are then not among `values`.
        """
        wanted = [plan for plan in plans if plan.action is Action.REPLAY]
        if not wanted:
            return
        namespace = self._recorder.shell.user_ns
        with Scratch(self._recorder.shell) as scratch:
            for step in steps:
                useful = any(
                    step.number in plan.replays and self.failed.keys().isdisjoint(plan.replays)
                    for plan in wanted
                )
                if not useful:
                    continue  # everything that needed it is lost already
                said = self._one(step, namespace, scratch.outputs)
                if said:
                    self.failed[step.number] = said
                    self._drop_inputs(step)
                for plan in wanted:
                    if (
                        plan.replays[-1] == step.number
                        and self.failed.keys().isdisjoint(plan.replays)
                        and plan.name in namespace
                    ):
                        self.values[plan.name] = namespace[plan.name]
            for name, key in self._held.items():
                if name in namespace:
                    self.inputs.setdefault(key, {})[name] = namespace[name]

    def _one(self, step: ReplayStep, namespace: dict[str, Any], outputs: Outputs) -> str:
        """Replay one step; returns why it failed, or nothing."""
        if self.interrupted:
            return "the resume was interrupted"
        try:
            self._bring_inputs(step, namespace)
        except KeyboardInterrupt:
            self.interrupted = True
            return "the resume was interrupted"
        except Exception as error:  # noqa: BLE001 - unpickling runs code that may raise anything
            return f"its inputs could not be loaded: {reason(error)}"
        # Those that it asks for are among its inputs, or were made by replays before it.
        outputs.reset([name for name in namespace if is_output(name)])
        try:
            return self._replay(step, namespace)
        except KeyboardInterrupt:
            self.interrupted = True
            return "the resume was interrupted"
        finally:
            for name in step.makes:
                self._held.pop(name, None)

    def _bring_inputs(self, step: ReplayStep, namespace: dict[str, Any]) -> None:
        for load in step.inputs:
            if all(self._held.get(name) == load.key for name in load.wanted):
                continue
            values = self._load(load.group)
            for name in load.wanted:
                namespace[name] = values[name]
                self._held[name] = load.key

    def _drop_inputs(self, step: ReplayStep) -> None:
        """A step that failed may have done half of its work on what it was given."""
        keys = {load.key for load in step.inputs}
        self._held = {name: key for name, key in self._held.items() if key not in keys}

    def _replay(self, replayed: ReplayStep, namespace: dict[str, Any]) -> str:
        step = self._course.session.step(replayed.number)
        before = self._course.position[step.number] - 1
        state = self._course.state(before)
        if state is not None:
            hidden.write_states(self._load(state))
        hidden.enter_folder(self._course.cwd(before))
        finished = self._recorder.record_replay(step.number, step.source, step.transformed)
        started = time.perf_counter()
        try:
            result = replay_cell(self._recorder.shell, step.source, step.execution_count)
        except KeyboardInterrupt:
            finished(Outcome.INTERRUPTED, time.perf_counter() - started, None)
            raise
        finished(result.outcome, result.seconds, result.error)
        said = ""
        if result.error is not None:
            said = f"{result.error.ename}: {result.error.evalue}"
        elif result.value is not None and step.execution_count is not None:
            namespace[f"_{step.execution_count}"] = result.value
        self.done.append((step.number, result.outcome, result.seconds, said))
        # A step that raised when it ran first may raise again: it did its part.
        return "" if result.outcome is step.outcome else said

"""Carrying out a plan inside a kernel.

Saved values are unpickled first, into a staging area; what fails there is replayed instead.
Then steps are replayed in order, and only then do the staged values enter the namespace: a
replay may pass through older values of names that were saved later.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ipysession.checkpoint import hidden
from ipysession.checkpoint.load import load_group
from ipysession.checkpoint.plan import Action, NamePlan, Plan, ReplayPolicy, plan_replay, walk
from ipysession.checkpoint.preview import type_name
from ipysession.checkpoint.replay import replay_cell
from ipysession.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Collection

    from ipysession.checkpoint.plan import Load
    from ipysession.log import Blobs
    from ipysession.model import Session, Step
    from ipysession.model.payloads import SavedGroup
    from ipysession.record.recorder import Recorder

_OUTPUT_NAME = re.compile(r"_(\d+)")


class How(StrEnum):
    """How a name came back."""

    RESTORED = "restored"
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
    """What a resume did."""

    session: str
    names: list[Restored] = field(default_factory=list)
    replayed: list[tuple[int, Outcome, float, str]] = field(default_factory=list)
    """Step, outcome, seconds, and what it raised."""
    notes: list[str] = field(default_factory=list)
    bytes: int = 0
    seconds: float = 0.0
    interrupted: bool = False


class Restorer:
    """Carries out one plan in one shell."""

    def __init__(
        self,
        recorder: Recorder,
        session: Session,
        blobs: Blobs,
        plan: Plan,
        *,
        policy: ReplayPolicy,
        untrusted: Collection[int],
    ) -> None:
        self._recorder = recorder
        self._shell = recorder.shell
        self._namespace: dict[str, Any] = recorder.shell.user_ns
        self._session = session
        self._blobs = blobs
        self._plan = plan
        self._policy = policy
        self._untrusted = untrusted
        self._result = ResumeResult(session.id)

    def run(self) -> ResumeResult:
        """Carry out the plan. Never raises for a value or a step that fails: that is told."""
        started = time.perf_counter()
        there_before = set(self._namespace)
        staged, plans = self._stage()
        failed = self._replay(plans)
        self._settle(staged, plans, failed, there_before)
        if not self._replayed_the_end():
            self._restore_hidden(self._plan.state, self._plan.cwd)
        self._save_replayed()
        self._restore_history()
        self._restore_outputs()
        self._result.seconds = time.perf_counter() - started
        return self._result

    # -- loading -----------------------------------------------------------------------

    def _stage(self) -> tuple[dict[str, Any], dict[str, NamePlan]]:
        """Unpickle every group that is wanted; a failure costs only its own names."""
        staged: dict[str, Any] = {}
        plans = {plan.name: plan for plan in self._plan.names}
        groups: list[list[str]] = []
        for load in self._plan.loads:
            try:
                values = load_group(load.group, self._blobs, self._namespace)
            except Exception as error:  # noqa: BLE001 - unpickling runs code that may raise anything
                self._replan(
                    load, f"it could not be loaded: {type(error).__name__}: {error}", plans
                )
                continue
            self._result.bytes += load.group.size
            for name in load.wanted:
                staged[name] = values[name]
            groups.append(list(load.wanted))
        self._recorder.adopt_groups(groups)
        return staged, plans

    def _replan(self, load: Load, reason: str, plans: dict[str, NamePlan]) -> None:
        for name in load.wanted:
            plans[name] = plan_replay(
                self._session, name, load.step, reason[:300], policy=self._policy, blocked={}
            )

    # -- replaying ---------------------------------------------------------------------

    def _replay(self, plans: dict[str, NamePlan]) -> dict[int, str]:
        """Replay what the plans need, in order. Returns the steps that failed, and why."""
        failed: dict[int, str] = {}
        wanted = sorted({number for plan in plans.values() for number in plan.replays})
        for number in wanted:
            useful = any(
                number in plan.replays and not failed.keys() & set(plan.replays)
                for plan in plans.values()
            )
            if not useful:
                continue  # everything that needed it is lost already
            if self._result.interrupted:
                failed[number] = "the resume was interrupted"
                continue
            step = self._session.step(number)
            try:
                said = self._replay_step(step)
            except KeyboardInterrupt:
                self._result.interrupted = True
                said = "the resume was interrupted"
            if said:
                failed[number] = said
        return failed

    def _replay_step(self, step: Step) -> str:
        """Replay one step; returns why it failed, or nothing."""
        before = walk(self._session, self._untrusted, until=step.number - 1)
        self._restore_hidden(before.state, before.cwd)
        finished = self._recorder.record_replay(step.number, step.source, step.transformed)
        try:
            replayed = replay_cell(self._shell, step.source, step.execution_count)
        except KeyboardInterrupt:
            finished(Outcome.INTERRUPTED, 0.0, None)
            raise
        finished(replayed.outcome, replayed.seconds, replayed.error)
        said = ""
        if replayed.error is not None:
            said = f"{replayed.error.ename}: {replayed.error.evalue}"
        elif replayed.value is not None and step.execution_count is not None:
            self._namespace[f"_{step.execution_count}"] = replayed.value
        self._result.replayed.append((step.number, replayed.outcome, replayed.seconds, said))
        # A step that raised when it ran first may raise again: it did its part.
        return "" if replayed.outcome is step.outcome else said

    def _replayed_the_end(self) -> bool:
        """Was a step replayed after which nothing was saved any more, not even random states?
        Then they are as it left them just now.
        """
        return any(number > self._plan.saved_step for number, *_ in self._result.replayed)

    def _save_replayed(self) -> None:
        """So that they need not be replayed again, and that what they share stays known."""
        names = [item.name for item in self._result.names if item.how is How.REPLAYED]
        if names:
            seconds = sum(seconds for _, _, seconds, _ in self._result.replayed)
            self._recorder.save_replayed(names, seconds)

    # -- settling ----------------------------------------------------------------------

    def _settle(
        self,
        staged: dict[str, Any],
        plans: dict[str, NamePlan],
        failed: dict[int, str],
        there_before: set[str],
    ) -> None:
        for name in set(self._namespace) - there_before - plans.keys():
            if not name.startswith("_"):
                del self._namespace[name]  # a step on the way made it; the session had deleted it
        for name, plan in plans.items():
            note = ""
            if name in there_before and not _OUTPUT_NAME.fullmatch(name):
                note = "replaced the one of this kernel"
            if name in staged:
                self._namespace[name] = staged[name]
                self._tell(name, How.RESTORED, plan, note)
                continue
            why = next((failed[number] for number in plan.replays if number in failed), "")
            if plan.action is Action.REPLAY and not why and name in self._namespace:
                self._tell(name, How.REPLAYED, plan, note)
                continue
            if name not in there_before:
                # Whatever a replay left there is not the value that the session had.
                self._namespace.pop(name, None)
            reason = plan.reason
            if why:
                reason = f"{reason}; replaying step failed: {why}"
            elif plan.action is Action.REPLAY:
                reason = f"{reason}; replaying did not make it"
            self._tell(name, How.LOST, plan, reason)

    def _tell(self, name: str, how: How, plan: NamePlan, note: str) -> None:
        kind = plan.type if how is How.LOST else type_name(self._namespace[name])
        self._result.names.append(Restored(name, how, plan.step, kind, note))

    # -- what is no variable -----------------------------------------------------------

    def _restore_hidden(self, state: SavedGroup | None, cwd: str | None) -> None:
        if cwd is not None and cwd != hidden.working_directory():
            try:
                os.chdir(cwd)
            except OSError as error:
                self._note(f"the working directory {cwd} could not be entered: {error.strerror}")
        if state is not None:
            try:
                missing = hidden.write_random_states(
                    load_group(state, self._blobs, self._namespace)
                )
            except Exception as error:  # noqa: BLE001 - from a blob: it may be damaged in any way
                self._note(f"the random states could not be restored: {error}")
            else:
                for library in missing:
                    self._note(f"the random state of {library} waits for its import")

    def _note(self, text: str) -> None:
        if text not in self._result.notes:
            self._result.notes.append(text)

    def _restore_history(self) -> None:
        """``In``, Up-arrow and the execution count, as if the kernel had never ended."""
        shell = self._shell
        history = shell.history_manager
        sources: dict[int, Step] = {}
        for step in self._session.steps:
            if step.store_history and step.execution_count and step.replay_of is None:
                sources[step.execution_count] = step
        self._recorder.next_execution_count = self._plan.execution_count
        if history is None:
            return
        history.reset(new_session=True)
        for count in range(1, self._plan.execution_count):
            found = sources.get(count)
            if found is not None:
                history.store_inputs(count, found.python, found.source)
            # A cell that was no step (%session itself), or that IPython keeps out of its history
            # (exit): its line stays empty, so that In[n] stays the n-th.
            for lines in (history.input_hist_parsed, history.input_hist_raw):
                lines.extend([""] * (count + 1 - len(lines)))
        application = getattr(shell, "pt_app", None)
        if application is not None:
            for step in sources.values():
                application.history.append_string(step.source.rstrip("\n"))

    def _restore_outputs(self) -> None:
        """``Out``, ``_``, ``__`` and ``___``."""
        outputs: dict[int, Any] = {}
        for restored in self._result.names:
            match = _OUTPUT_NAME.fullmatch(restored.name)
            if match is not None and restored.how is not How.LOST:
                outputs[int(match[1])] = self._namespace[restored.name]
        shell = self._shell
        shell.user_ns["_oh"].clear()
        shell.user_ns["_oh"].update(sorted(outputs.items()))
        newest = [outputs[count] for count in sorted(outputs, reverse=True)[:3]]
        newest += [""] * (3 - len(newest))
        for name, value in zip(("_", "__", "___"), newest, strict=True):
            setattr(shell.displayhook, name, value)
            shell.user_ns[name] = value

"""Running steps again inside the kernel that made them, each as a new, recorded step."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ipysession.checkpoint import hidden
from ipysession.checkpoint.course import Course
from ipysession.checkpoint.history import Outputs
from ipysession.checkpoint.load import load_group
from ipysession.checkpoint.plan import Blocked, ReplayPolicy, effects_of
from ipysession.checkpoint.trust import trust_in
from ipysession.documents import blocked_table, counted
from ipysession.errors import InvalidRequest
from ipysession.lineage import is_output
from ipysession.lineage.graph import Graph
from ipysession.lineage.rerun import plan_rerun
from ipysession.lineage.stale import changed_inputs, stale_steps
from ipysession.live.kernel import KernelSessions
from ipysession.live.running import run_aloud
from ipysession.model import Outcome
from ipysession.report import Report, Table, duration, first_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipysession.lineage.rerun import RerunPlan
    from ipysession.model import Step
    from ipysession.store import Reading


class Rerunning(KernelSessions):
    """Rerun."""

    def rerun(
        self,
        steps: Sequence[int] = (),
        *,
        stale: bool = False,
        replay: str = "safe",
        plan_only: bool = False,
    ) -> Report:
        """Run ``steps`` again, with what they need and is not there as they found it; or, with
        ``stale``, the steps that rest on what changed since. Each becomes a new step that names
        the one whose cell it ran. The first that fails, and did not fail then, ends it.

        ``replay`` as in a resume: ``safe`` leaves out steps with effects outside the namespace,
        and what rests on them. Raises InvalidRequest, and NotRecording.
        """
        if stale == bool(steps):
            message = "say which steps to run again: --stale, or their numbers"
            raise InvalidRequest(message)
        if replay not in (ReplayPolicy.SAFE, ReplayPolicy.ALL):
            message = f"--replay is safe or all here, not {replay}"
            raise InvalidRequest(message)
        self.recorder.recording()
        if self.recorder.paused:
            message = "recording is paused: %session continue first"
            raise InvalidRequest(message)
        reading = self.read(None, verify=True)
        graph = Graph.of(reading.session)
        plan, blocked = self._planned(reading, graph, steps, ReplayPolicy(replay), stale=stale)
        if plan_only or not plan.steps:
            return _plan_report(graph, plan, blocked, stale=stale)
        if self.recorder.in_step:
            message = "%session rerun makes new steps: say it in a cell of its own"
            raise InvalidRequest(message)
        return self._carry_out(reading, graph, plan, blocked)

    @staticmethod
    def _planned(
        reading: Reading, graph: Graph, steps: Sequence[int], policy: ReplayPolicy, *, stale: bool
    ) -> tuple[RerunPlan, list[Blocked]]:
        found = stale_steps(graph, changed_inputs(graph.steps))
        if stale:
            asked = {number: reasons[0] for number, reasons in found.items()}
        else:
            asked = dict.fromkeys(steps, "asked for")
        unproven = trust_in(reading).unproven
        barred = {
            step.number: effects
            for step in graph.steps
            if (effects := effects_of(step, policy, unproven))
        }
        try:
            plan = plan_rerun(graph, asked, follow=stale, stale=found, barred=barred)
        except LookupError as error:
            raise InvalidRequest(str(error)) from error
        session = reading.session
        blocked = [
            Blocked(number, session.step(number).source, barred[number]) for number in plan.barred
        ]
        return plan, blocked

    def _carry_out(
        self, reading: Reading, graph: Graph, plan: RerunPlan, blocked: list[Blocked]
    ) -> Report:
        again = _Again(self, reading, graph, plan)
        again.run_all()
        now = Graph.of(self.read(None).session)
        return _done_report(plan, blocked, again, stale_steps(now))


class _Again:
    """Runs steps again, one after the other."""

    def __init__(
        self, sessions: KernelSessions, reading: Reading, graph: Graph, plan: RerunPlan
    ) -> None:
        self._sessions = sessions
        self._shell = sessions.recorder.shell
        self._reading = reading
        self._graph = graph
        self._course = Course(reading.session)
        self._plan = plan
        self.done: dict[int, tuple[int, Outcome, float]] = {}
        """Of each step that ran again: the new one, its outcome and seconds."""
        self.failed = ""
        """Why it stopped."""

    @property
    def head(self) -> int:
        """The step that the session stood on before."""
        return self._graph.steps[-1].number

    @property
    def left(self) -> list[int]:
        """The steps that are still to run."""
        return [number for number in self._plan.steps if number not in self.done]

    def run_all(self) -> None:
        """Run them all, or up to the first that fails."""
        folder = hidden.working_directory()
        try:
            for number in self._plan.steps:
                self.failed = self._run(self._reading.session.step(number))
                if self.failed:
                    break
        except KeyboardInterrupt:
            self.failed = "it was interrupted"
        finally:
            hidden.enter_folder(folder)

    def _run(self, step: Step) -> str:
        """Run one; returns why nothing more should, or nothing."""
        self._prepare(step)
        failures: list[BaseException | None] = []

        def run(info: Any) -> Any:
            result = run_aloud(self._shell, info, step.execution_count)
            failures.append(result.error_before_exec or result.error_in_exec)
            return result

        began = time.perf_counter()
        number = self._sessions.recorder.run_again(step, run)
        error = failures[0] if failures else None
        outcome = Outcome.OK if error is None else Outcome.ERROR
        if isinstance(error, KeyboardInterrupt):
            outcome = Outcome.INTERRUPTED
        self.done[step.number] = number, outcome, time.perf_counter() - began
        # A step that failed when it ran first may fail again: it does its part.
        if outcome is Outcome.OK or (outcome is Outcome.ERROR and outcome is step.outcome):
            return ""
        return f"{type(error).__name__}: {error}".rstrip(": ")

    def _prepare(self, step: Step) -> None:
        """Bring what waits, and what no step makes: random states, the folder, ``_``."""
        self._sessions.arrivals.bring_for(step.python)
        before = self._course.position.get(step.number, 1) - 1
        libraries = {text.partition(":")[2] for text in self._plan.random.get(step.number, ())}
        state = self._course.state(before)
        if libraries and state is not None:
            states = load_group(state, self._reading.blobs, self._shell.user_ns)
            hidden.write_random_states(states, libraries)
        hidden.enter_folder(self._course.cwd(before))
        read = self._graph.facts(step.number).read
        shown = [int(t[1:]) for t, by in read.items() if by == "hidden" and is_output(t)]
        names = [f"_{count}" for count in sorted(shown, reverse=True)]
        if all(name in self._shell.user_ns for name in names):
            Outputs(self._shell).set_newest(self._shell.user_ns[name] for name in names)


def _plan_report(
    graph: Graph, plan: RerunPlan, blocked: Sequence[Blocked], *, stale: bool
) -> Report:
    sources = {step.number: step.source for step in graph.steps}
    data = {
        "plan": [{"step": number, "why": why} for number, why in plan.steps.items()],
        **_not_run(plan, blocked),
    }
    headline = f"{counted(len(plan.steps), 'step')} to run again"
    if not plan.steps:
        headline = "No step is stale." if stale and not blocked else "No step is run again."
    rows = tuple((str(n), why, first_line(sources[n])) for n, why in plan.steps.items())
    tables = (
        Table(("Step", "Why", "Source"), rows, right=frozenset({"Step"})),
        *_not_run_tables(plan, blocked),
    )
    return Report(data, headline, tables, failed=not plan.steps and bool(blocked))


def _done_report(
    plan: RerunPlan,
    blocked: Sequence[Blocked],
    again: _Again,
    stale: dict[int, tuple[str, ...]],
) -> Report:
    done, failed, left = again.done, again.failed, again.left
    data = {
        "reran": [
            {"step": new, "rerun_of": old, "outcome": str(outcome), "seconds": seconds}
            for old, (new, outcome, seconds) in done.items()
        ],
        "failed": failed or None,
        "left": left,
        "stale": sorted(stale),
        **_not_run(plan, blocked),
    }
    rows = tuple(
        (str(new), str(old), str(outcome), duration(seconds), plan.steps[old])
        for old, (new, outcome, seconds) in done.items()
    )
    said = f"{counted(len(done), 'step')} run again"
    hint = ""
    if failed:
        last = list(done)[-1] if done else left[0]
        said += f"; stopped at step {last}: {failed}"
        not_run = f"Not run again: {_numbered(left)}. " if left else ""
        hint = (
            f"{not_run}Nothing is lost: mend the cause and say %session rerun --stale, or go back "
            f"to how it was: %session checkout {again.head}"
        )
    elif stale:
        hint = f"Stale now: {_numbered(sorted(stale))} (%session rerun --stale)"
    tables = (
        Table(
            ("Step", "Runs again", "Outcome", "Time", "Why"),
            rows,
            right=frozenset({"Step", "Runs again"}),
            state="Outcome",
        ),
        *_not_run_tables(plan, blocked),
    )
    return Report(data, said, tables, hint=hint, failed=bool(failed))


def _numbered(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:12])) + (" …" if len(numbers) > 12 else "")
    return f"step{'s' if len(numbers) > 1 else ''} {shown}"


def _not_run(plan: RerunPlan, blocked: Sequence[Blocked]) -> dict[str, Any]:
    return {
        "blocked": [
            {"step": b.step, "source": b.source, "effects": list(b.effects)} for b in blocked
        ],
        "held_back": [{"step": n, "why": why} for n, why in sorted(plan.held_back.items())],
    }


def _not_run_tables(plan: RerunPlan, blocked: Sequence[Blocked]) -> tuple[Table, Table]:
    held = tuple((str(n), why) for n, why in sorted(plan.held_back.items()))
    title = "Not run again, because of these"
    return blocked_table(blocked, "run again"), Table(("Step", "Why"), held, title)

"""Bringing values into this kernel: what resume, checkout and branch have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ipysession.checkpoint.history import Outputs, restore_history
from ipysession.checkpoint.load import load_group
from ipysession.checkpoint.restore import How, Restorer, kept_groups
from ipysession.checkpoint.scratch import Replayer
from ipysession.documents import blocked_table
from ipysession.errors import InvalidRequest
from ipysession.live.kernel import KernelSessions
from ipysession.report import Report, Table, duration, first_line
from ipysession.sessions.reading import replay_policy

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ipysession.checkpoint.course import Course, GroupKey
    from ipysession.checkpoint.plan import Plan
    from ipysession.checkpoint.restore import ResumeResult
    from ipysession.model import Session
    from ipysession.store import Reading


@dataclass(slots=True)
class _Made:
    """What was made again, what could not be and why, and how to say it."""

    replayed: list[str] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)
    rows: list[tuple[str, str, str]] = field(default_factory=list)
    tables: tuple[Table, ...] = ()


class Restoring(KernelSessions):
    """Values into the namespace."""

    def _restore(
        self,
        reading: Reading,
        replay: str,
        *,
        current: Course | None = None,
        head: int | None = None,
        plan: Plan | None = None,
    ) -> tuple[Plan, ResumeResult]:
        """Bring the state of the session that is recorded now, as it stood after step ``head``
        (default: where it stands); large values wait. ``current`` is the course of the state that
        the kernel is in, where that is one of the same session: what does not differ is kept,
        and so are ``In`` and the history. ``plan`` is the one for that, where it is made already.
        """
        recorder = self.recorder
        namespace = recorder.shell.user_ns

        def plan_without(broken: Collection[GroupKey]) -> Plan:
            return self.plan(reading, replay, head=head, broken=broken)

        plan = plan_without(()) if plan is None else plan
        restorer = Restorer(
            recorder,
            reading.blobs,
            plan,
            plan_without,
            kept=set() if current is None else kept_groups(current, plan, namespace),
            left=() if current is None else list(current.latest),
        )
        self.arrivals.end()
        result = restorer.run()
        if current is None:
            self._restore_history(reading.session, restorer.plan)
        Outputs(recorder.shell).reset(item.name for item in result.names)
        if result.waiting is not None:
            self.arrivals.begin(result.waiting)
        return restorer.plan, result

    def _restore_history(self, session: Session, plan: Plan) -> None:
        """``In``, Up-arrow and the count of the next cell, as if this kernel had run it all."""
        self.recorder.next_execution_count = plan.execution_count
        restore_history(self.recorder.shell, session, plan.execution_count)

    def restore(self, names: Sequence[str] = (), *, replay: str = "safe") -> Report:
        """Bring variables that wait, and make those again that could not be loaded or were lost.

        ``names`` defaults to all that wait or could not be loaded. Raises InvalidRequest.
        """
        replay_policy(replay)
        namespace = self.recorder.shell.user_ns
        wanted = list(names) or [*self.arrivals.names, *self.arrivals.failed]
        there = [name for name in names if name in namespace]
        if there:
            message = f"{', '.join(there)}: there already; delete it first to get it back"
            raise InvalidRequest(message)
        self.arrivals.bring(wanted)
        came = [name for name in wanted if name in namespace]
        rows = [(name, str(How.RESTORED), "") for name in came]
        made = _Made()
        if len(came) < len(wanted):
            made = self._make_again([name for name in wanted if name not in came], replay)
        data = {"restored": came, "replayed": made.replayed, "lost": made.lost}
        headline = f"{len(came)} restored, {len(made.replayed)} replayed, {len(made.lost)} lost"
        table = Table(("Name", "How", "Note"), (*rows, *made.rows), state="How")
        return Report(data, headline, (table, *made.tables), failed=bool(made.lost))

    def _make_again(self, wanted: Sequence[str], replay: str) -> _Made:
        """Replay what makes these names."""
        namespace = self.recorder.shell.user_ns
        reading = self.read(None, verify=True)
        plan = self.plan(reading, replay, broken=self.arrivals.broken)
        plans = {item.name: item for item in plan.names if item.name in wanted}
        unknown = [name for name in wanted if name not in plans]
        if unknown:
            message = f"the session has no variable {', '.join(unknown)} where it stands"
            raise InvalidRequest(message)
        replayer = Replayer(
            self.recorder, plan.course, lambda group: load_group(group, reading.blobs, namespace)
        )
        replayer.run([plans[name] for name in wanted], plan.steps)
        for load in plan.loads:
            if replayer.holds(load):
                # As in a resume: what was replayed shares objects and classes with these.
                namespace.update({name: replayer.inputs[load.key][name] for name in load.wanted})
        made = _Made(tables=(blocked_table(plan.blocked),))
        for name in wanted:
            item = plans[name]
            if name in replayer.values:
                namespace[name] = replayer.values[name]
                made.replayed.append(name)
                made.rows.append((name, str(How.REPLAYED), f"steps {item.replays}"))
            else:
                why = next((replayer.failed[n] for n in item.replays if n in replayer.failed), "")
                made.lost[name] = f"{item.reason}; {why}" if why else item.reason
                made.rows.append((name, str(How.LOST), made.lost[name]))
        self.arrivals.forget(made.replayed)
        if made.replayed:
            self.recorder.save_replayed(made.replayed, replayer.input_names, replayer.seconds)
        return made


def came_tables(session: Session, plan: Plan, result: ResumeResult) -> tuple[Table, ...]:
    """What became of each name, which steps were replayed, and which were not."""
    order = {How.LOST: 0, How.REPLAYED: 1, How.WAITING: 2, How.RESTORED: 3, How.KEPT: 4}
    rows = tuple(
        (item.name, str(item.how), str(item.step), item.type, item.note)
        for item in sorted(result.names, key=lambda item: (order[item.how], item.name))
    )
    replays = tuple(
        (
            str(number),
            str(outcome),
            duration(seconds),
            said or first_line(session.step(number).source),
        )
        for number, outcome, seconds, said in result.replayed
    )
    return (
        Table(("Name", "How", "Step", "Type", "Note"), rows, "", frozenset({"Step"}), "How"),
        Table(
            ("Step", "Outcome", "Time", "Cell"), replays, "Replayed", frozenset({"Step"}), "Outcome"
        ),
        blocked_table(plan.blocked),
    )


def foreign_message(session: str, command: str) -> str:
    """Why a session of somebody else's is not brought back, and how it would be."""
    return (
        f"session {session} was not recorded with your key, but by another user or on another "
        "machine: to unpickle its values or to replay its cells is to run their code. You can look "
        "at it (%session show) and export it. If you trust whoever recorded it, go on in a copy "
        f"of your own: {command} --trust"
    )

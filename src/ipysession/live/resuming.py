"""Bringing a session back into this kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipysession.checkpoint.differences import environment_differences
from ipysession.checkpoint.history import Outputs, restore_history
from ipysession.checkpoint.load import load_group
from ipysession.checkpoint.plan import ReplayPolicy, make_plan
from ipysession.checkpoint.restore import How, Restorer
from ipysession.checkpoint.scratch import Replayer
from ipysession.checkpoint.trust import trust_in
from ipysession.documents import blocked_table, differences_table, plan_report
from ipysession.errors import (
    InvalidRequest,
    InvalidTransition,
    ResumeRefused,
    SessionBusy,
    SessionNotFound,
)
from ipysession.live.kernel import KernelSessions
from ipysession.model import SessionState
from ipysession.report import Report, Table, byte_size, duration, first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ipysession.checkpoint.plan import Plan
    from ipysession.checkpoint.restore import ResumeResult
    from ipysession.model import Session
    from ipysession.store import Reading


class Resuming(KernelSessions):
    """Going on in a session whose kernel is gone."""

    def resume(
        self,
        reference: str | None = None,
        *,
        replay: str = "safe",
        plan_only: bool = False,
        announce: Callable[[Report], None] = lambda report: None,  # noqa: ARG005
    ) -> Report:
        """Bring a session's variables back and go on recording in it.

        ``reference`` defaults to the newest session of this notebook. ``announce`` shows what
        differs in the environment before anything runs. Raises ResumeRefused or SessionBusy
        with the way out.
        """
        session_id = self._to_resume(reference)
        if plan_only:
            return self.resume_plan(session_id, replay=replay)
        folder = self.store.folder(session_id)
        holder = folder.writer()
        if self.live is not None and self.live.id == session_id:
            message = f"session {session_id} is the one that this kernel records; nothing to resume"
            raise ResumeRefused(message)
        if holder is not None:
            message = (
                f"session {session_id} is being recorded by another kernel (process {holder.pid} "
                f"on {holder.host}). Shut that kernel down first, or export the session and run "
                f"it here: %session export {session_id}"
            )
            raise SessionBusy(message)
        reading = folder.read(self.store.key())
        session = reading.session
        if session.summary.state in (SessionState.COMPLETED, SessionState.FAILED):
            message = (
                f"session {session_id} is {session.summary.state} for good and cannot be resumed. "
                f"Export it and run it here: %session export {session_id}"
            )
            raise ResumeRefused(message)
        if trust_in(reading).foreign:
            message = (
                f"session {session_id} was not recorded with your key, but by another user or on "
                "another machine: to unpickle its values or to replay its cells is to run their "
                "code. You can look at it (%session show) and export it. If you trust whoever "
                f"recorded it: %session resume {session_id} --trust"
            )
            raise ResumeRefused(message)
        planned = self.plan(reading, replay)
        differences = environment_differences(session, planned.cwd)
        if differences:
            announce(Report(None, tables=(differences_table(differences),)))
        try:
            self.recorder.resume_into(session_id, planned.head)
        except InvalidTransition as error:
            raise ResumeRefused(str(error)) from error
        result = self._restore(reading, replay)
        document = plan_report(session, planned, differences).data
        return _resume_report(session, planned, result, document)

    def _restore(self, reading: Reading, replay: str) -> ResumeResult:
        """Bring the state of a session that was just taken up; large values wait."""
        trust = trust_in(reading)
        recorder = self.recorder
        restorer = Restorer(
            recorder,
            reading.blobs,
            lambda broken: make_plan(
                reading.session,
                untrusted=trust.untrusted,
                unproven=trust.unproven,
                replay=ReplayPolicy(replay),
                broken=broken,
            ),
        )
        self.arrivals.end()
        result = restorer.run()
        recorder.next_execution_count = restorer.plan.execution_count
        restore_history(recorder.shell, reading.session, restorer.plan.execution_count)
        Outputs(recorder.shell).reset(item.name for item in result.names)
        if result.waiting is not None:
            self.arrivals.begin(result.waiting)
        return result

    def restore(self, names: Sequence[str] = (), *, replay: str = "safe") -> Report:
        """Bring variables that wait, and make those again that could not be loaded or were lost.

        ``names`` defaults to all that wait or could not be loaded.
        """
        namespace = self.recorder.shell.user_ns
        wanted = list(names) or [*self.arrivals.names, *self.arrivals.failed]
        there = [name for name in names if name in namespace]
        if there:
            message = f"{', '.join(there)}: there already; delete it first to get it back"
            raise InvalidRequest(message)
        self.arrivals.bring(wanted)
        came = [name for name in wanted if name in namespace]
        reading = self.read(None, verify=True)
        trust = trust_in(reading)
        plan = make_plan(
            reading.session,
            untrusted=trust.untrusted,
            unproven=trust.unproven,
            replay=ReplayPolicy(replay),
            broken=self.arrivals.broken,
        )
        plans = {item.name: item for item in plan.names if item.name not in came}
        unknown = [name for name in wanted if name not in came and name not in plans]
        if unknown:
            message = f"the session has no variable {', '.join(unknown)} where it stands"
            raise InvalidRequest(message)
        chosen = [plans[name] for name in wanted if name not in came]
        replayer = Replayer(
            self.recorder, plan.course, lambda group: load_group(group, reading.blobs, namespace)
        )
        replayer.run(chosen, plan.steps)
        rows, lost = [(name, str(How.RESTORED), "") for name in came], {}
        for item in chosen:
            if item.name in replayer.values:
                namespace[item.name] = replayer.values[item.name]
                rows.append((item.name, str(How.REPLAYED), f"steps {item.replays}"))
            else:
                why = next((replayer.failed[n] for n in item.replays if n in replayer.failed), "")
                lost[item.name] = f"{item.reason}; {why}" if why else item.reason
                rows.append((item.name, str(How.LOST), lost[item.name]))
        replayed = [item.name for item in chosen if item.name in replayer.values]
        self.arrivals.forget(replayed)
        if replayed:
            self.recorder.save_replayed(replayed, replayer.seconds)
        data = {"restored": came, "replayed": replayed, "lost": lost}
        headline = f"{len(came)} restored, {len(replayed)} replayed, {len(lost)} lost"
        tables = (Table(("Name", "How", "Note"), tuple(rows), state="How"), blocked_table(plan))
        return Report(data, headline, tables, failed=bool(lost))

    def _to_resume(self, reference: str | None) -> str:
        if reference is not None:
            return self.store.resolve(reference)
        found = self.resumable()
        if found is not None:
            return found.id
        message = (
            "there is no earlier session of this notebook to resume. Choose one from "
            "%session list and say: %session resume ID"
        )
        raise SessionNotFound(message)


def _resume_report(session: Session, plan: Plan, result: ResumeResult, planned: Any) -> Report:
    count = {how: sum(item.how is how for item in result.names) for how in How}
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
    headline = (
        f"Resumed {session.id} “{session.summary.title}”: {count[How.RESTORED]} restored "
        f"({byte_size(result.bytes)}), {count[How.WAITING]} waiting "
        f"({byte_size(result.waiting_bytes)}), {count[How.REPLAYED]} replayed, "
        f"{count[How.LOST]} lost, in {duration(result.seconds)}. "
        f"Recording goes on after step {plan.head}."
    )
    notes = list(result.notes)
    if plan.died_in is not None:
        died = session.step(plan.died_in)
        notes.insert(0, f"The kernel died in step {died.number}. Its cell:\n{died.source}")
    if result.interrupted:
        notes.append(
            "The resume was interrupted: what was not replayed by then is lost here, "
            "not in the session. Restart the kernel and resume again to get it."
        )
    tables = (
        Table(("Name", "How", "Step", "Type", "Note"), rows, "", frozenset({"Step"}), "How"),
        Table(
            ("Step", "Outcome", "Time", "Cell"), replays, "Replayed", frozenset({"Step"}), "Outcome"
        ),
        blocked_table(plan),
    )
    data = {
        **planned,
        "restored": [item.name for item in result.names if item.how is How.RESTORED],
        "waiting": [item.name for item in result.names if item.how is How.WAITING],
        "replayed": [item.name for item in result.names if item.how is How.REPLAYED],
        "lost": {item.name: item.note for item in result.names if item.how is How.LOST},
        "notes": notes,
        "seconds": result.seconds,
        "waiting_bytes": result.waiting_bytes,
    }
    return Report(data, headline, tables, text="\n".join(notes))

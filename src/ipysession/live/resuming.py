"""Bringing a session back into this kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipysession.checkpoint.differences import environment_differences
from ipysession.checkpoint.plan import ReplayPolicy
from ipysession.checkpoint.restore import How, Restorer
from ipysession.documents import blocked_table, differences_table, plan_report, untrusted_steps
from ipysession.errors import InvalidTransition, ResumeRefused, SessionBusy, SessionNotFound
from ipysession.live.kernel import KernelSessions
from ipysession.model import SessionState
from ipysession.report import Report, Table, byte_size, duration, first_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipysession.checkpoint.plan import Plan
    from ipysession.checkpoint.restore import ResumeResult
    from ipysession.model import Session


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
        plan = self.plan(reading, replay)
        differences = environment_differences(session, plan.cwd)
        if differences:
            announce(Report(None, tables=(differences_table(differences),)))
        last_step = plan.last_step
        try:
            self.recorder.resume_into(session_id, last_step)
        except InvalidTransition as error:
            raise ResumeRefused(str(error)) from error
        restorer = Restorer(
            self.recorder,
            session,
            reading.blobs,
            plan,
            policy=ReplayPolicy(replay),
            untrusted=untrusted_steps(reading),
        )
        result = restorer.run()
        planned = plan_report(session, plan, differences).data
        return _resume_report(session, plan, result, planned)

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
    order = {How.LOST: 0, How.REPLAYED: 1, How.RESTORED: 2}
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
        f"({byte_size(result.bytes)}), {count[How.REPLAYED]} replayed, {count[How.LOST]} lost, "
        f"in {duration(result.seconds)}. Recording goes on after step {plan.last_step}."
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
        "replayed": [item.name for item in result.names if item.how is How.REPLAYED],
        "lost": {item.name: item.note for item in result.names if item.how is How.LOST},
        "notes": notes,
        "seconds": result.seconds,
    }
    return Report(data, headline, tables, text="\n".join(notes))

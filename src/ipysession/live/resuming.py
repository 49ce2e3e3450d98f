"""Bringing a session back into this kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipysession.checkpoint.differences import environment_differences
from ipysession.checkpoint.restore import How
from ipysession.checkpoint.trust import trust_in
from ipysession.documents import differences_table, plan_report
from ipysession.errors import InvalidTransition, ResumeRefused, SessionBusy, SessionNotFound
from ipysession.live.branching import Branching
from ipysession.live.restoring import came_tables, foreign_message
from ipysession.model import SessionState
from ipysession.report import Report, byte_size, duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipysession.checkpoint.plan import Plan
    from ipysession.checkpoint.restore import ResumeResult
    from ipysession.model import Session


class Resuming(Branching):
    """Going on in a session whose kernel is gone."""

    def resume(
        self,
        reference: str | None = None,
        *,
        replay: str = "safe",
        plan_only: bool = False,
        trust: bool = False,
        announce: Callable[[Report], None] = lambda report: None,  # noqa: ARG005
    ) -> Report:
        """Bring a session's variables back and go on recording in it.

        ``reference`` defaults to the session of this notebook in which a kernel worked last.
        ``announce`` shows what differs in the environment before anything runs. ``trust``: go on
        in a copy of a session that somebody else recorded. Raises ResumeRefused or SessionBusy
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
                f"on {holder.host}). Shut that kernel down first, or go on in a branch: "
                f"%session branch --session {session_id}"
            )
            raise SessionBusy(message)
        reading = folder.read(self.store.key())
        session = reading.session
        if session.summary.state in (SessionState.COMPLETED, SessionState.FAILED):
            message = (
                f"session {session_id} is {session.summary.state} for good and cannot be resumed. "
                f"Go on in a branch of it: %session branch --session {session_id}"
            )
            raise ResumeRefused(message)
        if trust_in(reading).foreign:
            if trust:
                return self.branch(None, session_id, replay=replay, trust=True)
            raise ResumeRefused(foreign_message(session_id, f"%session resume {session_id}"))
        planned = self.plan(reading, replay)
        differences = environment_differences(session, planned.cwd)
        if differences:
            announce(Report(None, tables=(differences_table(differences),)))
        try:
            self.recorder.resume_into(session_id, planned.head)
        except InvalidTransition as error:
            raise ResumeRefused(str(error)) from error
        _, result = self._restore(reading, replay, plan=planned)
        document = plan_report(session, planned, differences).data
        return _resume_report(session, planned, result, document)

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
    changed = [d for d in planned["differences"] if d["what"].startswith("file ")]
    if changed:
        notes.append(
            "Files changed since they were read. %session stale says which steps rest on them, "
            "%session rerun --stale runs these again."
        )
    tables = came_tables(session, plan, result)
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

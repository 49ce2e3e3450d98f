"""The verbs that need a kernel that records: status, resume, pause, continue, complete.

`LiveSessions` has all verbs of `ipysession.sessions` besides; its default is the kernel's
own session.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ipysession.checkpoint.differences import environment_differences
from ipysession.checkpoint.plan import ReplayPolicy
from ipysession.checkpoint.restore import How, Restorer
from ipysession.documents import (
    blocked_table,
    differences_table,
    plan_report,
    summary_document,
    untrusted_steps,
)
from ipysession.errors import InvalidTransition, ResumeRefused, SessionBusy, SessionNotFound
from ipysession.model import SessionState
from ipysession.record import cells
from ipysession.report import Report, Table, ago, byte_size, duration, first_line
from ipysession.sessions import RESUMABLE, Sessions

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipysession.checkpoint.plan import Plan
    from ipysession.checkpoint.restore import ResumeResult
    from ipysession.model import Session, Summary
    from ipysession.record.recorder import Recorder
    from ipysession.store import SessionWriter

_LOOK_BACK = 50
"""So many of the newest sessions are looked at for one that can be resumed."""


class LiveSessions(Sessions):
    """The verbs inside a kernel that records."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder.store)
        self.recorder = recorder

    @property
    def live(self) -> SessionWriter | None:
        """The session that this kernel is recording."""
        return self.recorder.writer

    def status(self) -> Report:
        """What is being recorded, and where."""
        writer = self.live
        if writer is None:
            earlier = self.resumable()
            data: dict[str, Any] = {
                "recording": not self.recorder.paused,
                "session": None,
                "store": str(self.store.path),
                "resumable": None if earlier is None else earlier.id,
            }
            headline = "Recording · the session begins with the next cell"
            return Report(data, headline, hint="" if earlier is None else offer(earlier))
        summary = writer.summary()
        waiting = writer.log.waiting
        data = {
            "recording": not self.recorder.paused,
            "session": summary_document(summary),
            "store": str(self.store.path),
            "path": str(writer.folder.path),
            "records_waiting": waiting,
            "resumable": None,
        }
        rows = [
            ("Session", f"{summary.id} “{summary.title}”"),
            ("State", str(summary.state)),
            ("Steps", f"{summary.steps} ({summary.failures} failed)"),
            ("Cells ran", duration(summary.cell_seconds)),
            ("Run", str(summary.runs)),
            ("Kept in", str(writer.folder.path)),
        ]
        if summary.notebook:
            rows.insert(1, ("Notebook", summary.notebook))
        if waiting:
            rows.append(("Waiting for the disk", f"{waiting} records"))
        unsaved = self.recorder.waiting_to_be_saved
        if unsaved:
            rows.append(("Waiting to be saved", ", ".join(unsaved)))
        data["waiting_to_be_saved"] = unsaved
        what = "Paused" if self.recorder.paused else "Recording"
        headline = f"{what} · {summary.title} · step {writer.last_step}"
        return Report(data, headline, (Table(("", " "), tuple(rows)),))

    def resumable(self) -> Summary | None:
        """The newest session of this notebook that can be resumed here, or None.

        Where no notebook is known: the newest of the same kind of frontend in this folder.
        """
        notebook = cells.notebook_path(self.recorder.shell.user_ns)
        key = self.store.key()
        own = self.live.id if self.live is not None else None
        for session_id in reversed(self.store.ids()[-_LOOK_BACK:]):
            if session_id == own:
                continue
            summary = self.store.folder(session_id).summary(key)
            if notebook is not None:
                fits = summary.notebook == notebook
            else:
                fits = summary.notebook is None and summary.cwd == os.getcwd()  # noqa: PTH109
            if fits:
                return summary if summary.state in RESUMABLE and summary.steps else None
        return None

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

    def pause(self) -> Report:
        """Stop recording until ``continue``."""
        self.recorder.pause("paused by the user")
        session = self.recorder.recording().id
        data = {"session": session, "state": "paused"}
        return Report(data, f"paused {session}; cells are not recorded")

    def go_on(self) -> Report:
        """Record again."""
        self.recorder.go_on()
        session = self.recorder.recording().id
        return Report({"session": session, "state": "running"}, f"recording {session} again")

    def complete(self) -> Report:
        """Close the session for good; the next cell begins a new one."""
        session = self.recorder.complete("completed by the user")
        return Report({"session": session, "state": "completed"}, f"{session} is completed")


def offer(summary: Summary) -> str:
    """The sentence that offers to bring an earlier session back."""
    how = (
        "ended when its kernel died"
        if summary.state is SessionState.INTERRUPTED or "died" in summary.reason
        else "ended"
    )
    steps = f"{summary.steps} step{'' if summary.steps == 1 else 's'}"
    return (
        f"An earlier session of this notebook {how}, {steps}, {ago(summary.age)}. "
        "Bring it back: %session resume"
    )


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

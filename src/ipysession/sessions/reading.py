"""Reading one session: its steps, outputs, plan, log and place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipysession.checkpoint.differences import environment_differences
from ipysession.checkpoint.plan import Plan, ReplayPolicy, make_plan
from ipysession.checkpoint.trust import trust_in
from ipysession.documents import (
    counted,
    damage_table,
    output_text,
    plan_report,
    session_document,
    step_outputs,
)
from ipysession.errors import InvalidRequest
from ipysession.report import Report, Table, duration, first_line
from ipysession.sessions.finding import Finding, chosen_steps

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ipysession.checkpoint.course import GroupKey
    from ipysession.store import Reading


class ReadingVerbs(Finding):
    """The verbs that read one session and change nothing."""

    def show(self, reference: str | None = None, *, steps: Sequence[int] = ()) -> Report:
        """One session: its steps, runs, notes, and whatever is wrong with its log."""
        reading = self.read(reference)
        session = reading.session
        chosen = chosen_steps(session, steps)
        rows = tuple(
            (
                str(step.number),
                "" if step.execution_count is None else f"[{step.execution_count}]",
                str(step.outcome),
                duration(step.duration),
                first_line(step.source)
                + ("" if step.replay_of is None else f"  (replay of {step.replay_of})")
                + ("" if step.rerun_of is None else f"  (step {step.rerun_of} again)"),
            )
            for step in chosen
        )
        columns = ("Step", "Cell", "Outcome", "Time", "Source")
        tables = [
            Table(columns, rows, "Steps", frozenset({"Step", "Cell", "Time"}), "Outcome"),
            Table(
                ("After step", "Note"),
                tuple((str(note.step or ""), note.text) for note in session.notes),
                "Notes",
            ),
            damage_table(reading),
        ]
        summary = session.summary
        replays = sum(step.replay_of is not None for step in session.steps)
        headline = (
            f"{summary.title} · {summary.id} · {summary.state}"
            + (f" ({summary.reason})" if summary.reason else "")
            + f" · {counted(summary.steps, 'step')} in {counted(summary.runs, 'run')}"
            + (f", {counted(replays, 'replay')}" if replays else "")
            + (f" · {summary.notebook}" if summary.notebook else "")
        )
        return Report(session_document(reading, chosen), headline, tuple(tables))

    def outputs(self, reference: str | None = None, *, steps: Sequence[int] = ()) -> Report:
        """What the steps showed, as recorded; also of a notebook whose browser was closed."""
        reading = self.read(reference)
        chosen = chosen_steps(reading.session, steps)
        outputs = step_outputs(reading)
        documents, parts = [], []
        for step in chosen:
            shown = outputs.get(step.number, [])
            if not shown:
                continue
            documents.append({"step": step.number, "cell_id": step.cell_id, "outputs": shown})
            parts.append(f"── step {step.number}: {first_line(step.source)}")
            parts += [output_text(output) for output in shown]
        text = "\n".join(part.rstrip("\n") for part in parts)
        headline = f"{counted(len(documents), 'step')} with outputs in {reading.session.id}"
        return Report(documents, headline, text=text)

    def resume_plan(self, reference: str | None = None, *, replay: str = "safe") -> Report:
        """What a resume would do, without doing it."""
        reading = self.read(reference, verify=True)
        plan = self.plan(reading, replay)
        differences = environment_differences(reading.session, plan.cwd)
        return plan_report(reading.session, plan, differences)

    def plan(
        self,
        reading: Reading,
        replay: str = "safe",
        *,
        head: int | None = None,
        broken: Collection[GroupKey] = (),
    ) -> Plan:
        """The plan for a session that was read with ``verify``; the rest as for `make_plan`."""
        trust = trust_in(reading)
        return make_plan(
            reading.session,
            untrusted=trust.untrusted,
            unproven=trust.unproven,
            replay=replay_policy(replay),
            head=head,
            broken=broken,
        )

    def verify_log(self, reference: str | None = None) -> Report:
        """Check every line of the log: damage, gaps, authenticity."""
        reading = self.read(reference, verify=True)
        session, contents = reading.session, reading.contents
        damage = [str(item) for item in contents.damage]
        authentic = contents.unproven is not None and not contents.unproven
        data = {
            "session": session.id,
            "records": len(contents.records),
            "steps": session.summary.steps,
            "whole": not damage,
            "authentic": authentic if contents.unproven is not None else None,
            "damage": damage,
            "contradictions": list(session.problems),
            "unknown_types": list(session.unknown),
        }
        if contents.unproven is None:
            how = "authenticity not checked: this user has no key"
        else:
            how = "written with your key" if authentic else "not all written with your key"
        bad = bool(damage or session.problems)
        headline = (
            f"{counted(len(contents.records), 'record')} of {session.id}: "
            + (f"{counted(len(damage) + len(session.problems), 'problem')}" if bad else "whole")
            + f", {how}"
        )
        return Report(data, headline, (damage_table(reading),), failed=bad)

    def where(self, reference: str | None = None) -> Report:
        """Where the store and a session lie."""
        if reference is None and self.live is None and not self.store.ids():
            return Report({"store": str(self.store.path), "session": None}, str(self.store.path))
        folder = self.store.folder(self.resolve(reference))
        data = {"store": str(self.store.path), "session": folder.id, "path": str(folder.path)}
        return Report(data, str(folder.path))


def replay_policy(word: str) -> ReplayPolicy:
    """Which steps may run again, as a user says it. Raises InvalidRequest."""
    try:
        return ReplayPolicy(word)
    except ValueError as error:
        message = f"--replay is one of {', '.join(ReplayPolicy)}, not {word!r}"
        raise InvalidRequest(message) from error

"""What the verbs say about sessions: documents for programs, tables for people.

`ipysession.sessions` has the verbs; here is the form of their answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipysession.checkpoint.plan import Action, Plan
from ipysession.errors import BlobDamaged, BlobMissing
from ipysession.model.outputs import fold_outputs
from ipysession.report import Report, Table, byte_size, duration, first_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipysession.checkpoint.differences import Difference
    from ipysession.checkpoint.plan import Blocked
    from ipysession.model import Session, Step, Summary
    from ipysession.store import Reading


def summary_document(summary: Summary) -> dict[str, Any]:
    """A summary as JSON data."""
    return summary.model_dump(mode="json")


def session_document(reading: Reading, steps: Sequence[Step] | None = None) -> dict[str, Any]:
    """A whole session as JSON data: every step with its source, outcome and outputs."""
    session = reading.session
    outputs = step_outputs(reading)
    chosen = session.steps if steps is None else steps
    return {
        **summary_document(session.summary),
        "runs": [run.model_dump(mode="json") for run in session.runs],
        "steps": [step_document(step, outputs.get(step.number, [])) for step in chosen],
        "notes": [note.model_dump(mode="json") for note in session.notes],
        "transitions": [item.model_dump(mode="json") for item in session.transitions],
        "damage": [str(item) for item in reading.damage],
        "contradictions": list(session.problems),
        "unknown_types": list(session.unknown),
    }


def step_document(step: Step, outputs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A step as JSON data."""
    # Built field by field: pydantic's JSON mode refuses lone surrogates, which sources may hold.
    plain = step.model_dump(mode="python", exclude={"events", "provenance", "started", "finished"})
    return {
        **plain,
        "outcome": str(step.outcome),
        "started": step.started.isoformat(),
        "finished": None if step.finished is None else step.finished.isoformat(),
        "provenance": step.provenance.model_dump(mode="python"),
        "outputs": list(outputs),
    }


def step_outputs(reading: Reading) -> dict[int, list[dict[str, Any]]]:
    """The nbformat outputs of each step. A blob that is gone becomes a text that says so."""

    def resolve(ref: Any) -> Any:
        try:
            return reading.blobs.resolve(ref)
        except (BlobMissing, BlobDamaged) as error:
            return f"[lost: {error}]"

    return fold_outputs({step.number: step.events for step in reading.session.steps}, resolve)


def output_text(output: dict[str, Any]) -> str:
    """An output as plain text; images and the like by their types."""
    kind = output.get("output_type")
    if kind == "stream":
        return str(output["text"])
    if kind == "error":
        return "\n".join(str(line) for line in output["traceback"])
    data = output.get("data", {})
    plain = str(data.get("text/plain", ""))
    others = [mime for mime in data if mime != "text/plain"]
    return plain + (f"  [{', '.join(others)}]" if others else "")


def plan_report(session: Session, plan: Plan, differences: Sequence[Difference]) -> Report:
    """A resume plan for people and programs."""
    rows = tuple(
        (
            item.name,
            str(item.action),
            str(item.step),
            item.type,
            item.reason or ("" if not item.replays else f"steps {_numbers(item.replays)}"),
        )
        for item in plan.names
    )
    tables = (
        differences_table(differences),
        Table(
            ("Name", "Plan", "Step", "Type", "Why"), rows, "Variables", frozenset({"Step"}), "Plan"
        ),
        blocked_table(plan.blocked),
    )
    count = {action: sum(item.action is action for item in plan.names) for action in Action}
    replayed = f"{counted(len(plan.replays), 'step')}, {duration(plan.seconds)} when they ran first"
    headline = (
        f"{session.id} “{session.summary.title}”: "
        f"{counted(count[Action.LOAD], 'variable')} to load ({byte_size(plan.bytes)}), "
        f"{count[Action.REPLAY]} to replay ({replayed}), {count[Action.GIVE_UP]} to give up"
    )
    hint = ""
    if plan.died_in is not None:
        died = session.step(plan.died_in)
        hint = f"The kernel died in step {died.number}: {first_line(died.source)}"
    data = {
        "session": session.id,
        "names": [
            {
                "name": item.name,
                "action": str(item.action),
                "step": item.step,
                "type": item.type,
                "size": item.size,
                "reason": item.reason,
                "replays": list(item.replays),
            }
            for item in plan.names
        ],
        "replays": list(plan.replays),
        "blocked": [
            {"step": b.step, "source": b.source, "effects": list(b.effects)} for b in plan.blocked
        ],
        "bytes": plan.bytes,
        "replay_seconds": plan.seconds,
        "died_in": plan.died_in,
        "execution_count": plan.execution_count,
        "cwd": plan.cwd,
        "differences": [{"what": d.what, "then": d.then, "now": d.now} for d in differences],
    }
    return Report(data, headline, tables, hint=hint)


def differences_table(differences: Sequence[Difference]) -> Table:
    """What differs in the environment."""
    rows = tuple((item.what, item.then, item.now) for item in differences)
    return Table(("What", "Then", "Now"), rows, "Different since it was recorded")


def blocked_table(blocked: Sequence[Blocked], what: str = "replayed") -> Table:
    """Steps that are not replayed, or what else is not done to them, with the cell to run."""
    rows = tuple((str(b.step), "; ".join(b.effects), b.source) for b in blocked)
    title = f"Not {what}, because it would repeat effects (run the cell, or say --replay=all)"
    return Table(("Step", "It", "Cell"), rows, title, frozenset({"Step"}))


def damage_table(reading: Reading) -> Table:
    """Whatever is wrong with a session's log."""
    rows = [(str(item),) for item in reading.damage]
    rows += [(text,) for text in reading.session.problems]
    return Table(("Problem",), tuple(rows), "Damage")


def counted(number: int, noun: str) -> str:
    """``1 step``, ``2 steps``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _numbers(numbers: Sequence[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:8])
    return shown + (f" and {len(numbers) - 8} more" if len(numbers) > 8 else "")

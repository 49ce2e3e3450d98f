"""A step while it runs, and the records that its start and its end are made of."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ipysession.model import Outcome
from ipysession.model import payloads as p
from ipysession.model.provenance import Connection, ProcessUse
from ipysession.record import cells
from ipysession.record.effects import EffectsSeen, describe_files

if TYPE_CHECKING:
    from ipysession.model.provenance import GitState, Lineage
    from ipysession.record.redact import Redactor


class Changes(NamedTuple):
    """What a cell did to names, and which it could reach."""

    bound: frozenset[str] = frozenset()
    deleted: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()
    reachable: frozenset[str] = frozenset()
    lineage: Lineage | None = None
    exact: bool = False
    """These say all that there is to say."""
    inert: bool = False
    """It ran no code but its own, and that only made values of Python's own, so that saving them
    cannot crash."""
    still: bool = False
    """It has not changed what no variable holds: random states, settings, the folder."""


@dataclass(slots=True)
class OpenStep:
    """A step that is running: what was known before it, and what is known of its end."""

    info: Any
    key: str | None
    python: str | None
    number: int = 0
    began: float = field(default_factory=time.perf_counter)
    before: frozenset[str] = frozenset()
    execution_count: int | None = None
    store_history: bool = True
    rerun_of: int | None = None
    asked_input: bool = False
    error: dict[str, Any] | None = None
    duration: float | None = None
    seen: EffectsSeen | None = None
    changes: Changes | None = None
    finished: bool = False

    def forget(self) -> None:
        """Its record is written: of thousands of steps only what late outputs need is kept."""
        self.info = self.python = self.seen = None
        self.before, self.changes = frozenset(), Changes()


def start_record(
    step: OpenStep, parent: int | None, user_ns: dict[str, Any], redactor: Redactor
) -> p.StepStarted:
    """What is written before the cell runs."""
    info = step.info
    source, redacted = redactor.text(info.raw_cell)
    transformed = None
    if step.python is not None and step.python.rstrip("\n") != info.raw_cell.rstrip("\n"):
        transformed, _ = redactor.text(step.python)
        transformed = None if transformed.rstrip("\n") == source.rstrip("\n") else transformed
    return p.StepStarted(
        step=step.number,
        parent=parent,
        source=source,
        transformed=transformed,
        cell_id=getattr(info, "cell_id", None),
        notebook=cells.notebook_path(user_ns),
        execution_count=step.execution_count,
        store_history=step.store_history,
        rerun_of=step.rerun_of,
        redacted=redacted,
    )


def end_record(step: OpenStep, result: Any, changes: Changes, redactor: Redactor) -> p.StepFinished:
    """What is written when the cell has ended. ``result`` is IPython's, None when cancelled."""
    outcome, error = _outcome(step, result, redactor)
    count = getattr(result, "execution_count", None)
    return p.StepFinished(
        step=step.number,
        outcome=outcome,
        duration=step.duration or 0.0,
        execution_count=count if step.store_history and count else step.execution_count,
        error=error,
        bound=sorted(changes.bound),
        deleted=sorted(changes.deleted),
        reads=sorted(changes.reads),
        exact=changes.exact,
    )


def _outcome(step: OpenStep, result: Any, redactor: Redactor) -> tuple[Outcome, p.StepError | None]:
    """From the result and from the ``error`` that was shown: a repr that raises shows an
    error while the result says success, and a cancelled cell has no result.
    """
    raised = None
    if result is not None:
        raised = result.error_before_exec or result.error_in_exec
    if raised is None and step.error is None and result is not None:
        return Outcome.OK, None
    error = _step_error(step, raised, redactor)
    if isinstance(raised, KeyboardInterrupt) or (result is None and step.error is None):
        return Outcome.INTERRUPTED, error
    if raised is None and step.error is not None and step.error["ename"] == "KeyboardInterrupt":
        return Outcome.INTERRUPTED, error
    return Outcome.ERROR, error


def _step_error(
    step: OpenStep, raised: BaseException | None, redactor: Redactor
) -> p.StepError | None:
    shown = step.error
    if shown is not None:
        lines, _ = redactor.value(shown["traceback"])
        value, _ = redactor.text(shown["evalue"])
        return p.StepError(ename=shown["ename"], evalue=value, traceback=lines)
    if raised is None:
        return None
    value, _ = redactor.text(str(raised))
    lines, _ = redactor.value(
        traceback.format_exception(type(raised), raised, raised.__traceback__)
    )
    return p.StepError(ename=type(raised).__name__, evalue=value, traceback=lines)


def effects_record(
    step: OpenStep,
    seen: EffectsSeen,
    redactor: Redactor,
    *,
    git: GitState | None,
    packages: dict[str, str],
    digest_seconds: float,
    lineage: Lineage | None = None,
) -> p.StepEffects | None:
    """What the step did outside the namespace; None where that is nothing."""
    happened = (
        seen.reads or seen.writes or seen.deleted or seen.processes or seen.connections
        or seen.environ_changed or seen.cwd or git or packages or step.asked_input or lineage
    )  # fmt: skip
    if not happened:
        return None
    return p.StepEffects(
        step=step.number,
        files=describe_files(seen.reads, seen.writes, seen.deleted, budget_seconds=digest_seconds),
        processes=[ProcessUse(command=redactor.text(command)[0]) for command in seen.processes],
        connections=[
            Connection(kind=kind, address=redactor.text(address)[0])
            for kind, address in seen.connections
        ],
        packages=packages,
        git=git,
        cwd=seen.cwd,
        environ_changed=list(seen.environ_changed),
        asked_input=step.asked_input,
        lineage=None if lineage is None else _redacted(lineage, redactor),
        omitted=seen.omitted,
    )


def _redacted(lineage: Lineage, redactor: Redactor) -> Lineage:
    """A key or a path may hold a secret; a name of the user's does not."""

    def texts(things: dict[str, str]) -> dict[str, str]:
        return {
            text if text.isidentifier() else redactor.text(text)[0]: by
            for text, by in things.items()
        }

    return lineage.model_copy(
        update={
            "read": texts(lineage.read),
            "made": texts(lineage.made),
            "changed": texts(lineage.changed),
        }
    )

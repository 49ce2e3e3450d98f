"""A session as readers see it: steps, runs, notes, checkpoints; all immutable.

A session is a fold over records (`ipysession.model.fold`); no code edits one in place.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from ipysession.model.payloads import CheckpointSaved, ParentStep, StepError
from ipysession.model.provenance import Environment, Frozen, Provenance
from ipysession.model.state import Outcome, SessionState


class Step(Frozen):
    """One executed cell: its source, outputs, outcome, timing and provenance."""

    number: int
    """1, 2, 3 … in the session; the word that users type for a step."""
    run: int
    parent: int | None = None
    """The step that it grew from; see `ipysession.model.tree` for 0 and None."""
    source: str
    transformed: str | None = None
    cell_id: str | None = None
    notebook: str | None = None
    execution_count: int | None = None
    store_history: bool = True
    replay_of: int | None = None
    rerun_of: int | None = None
    """The step whose cell was run again, by `%session rerun`, as this one."""
    started: datetime
    finished: datetime | None = None
    duration: float | None = None
    """Seconds, by the monotonic clock."""
    outcome: Outcome = Outcome.RUNNING
    error: StepError | None = None
    events: tuple[dict[str, Any], ...] = Field(default=(), repr=False)
    """Output events as recorded; `ipysession.model.outputs.fold_outputs` makes outputs of them."""
    provenance: Provenance = Provenance()
    redacted: dict[str, int] = Field(default_factory=dict)

    @property
    def python(self) -> str:
        """The Python that ran: the transformed source."""
        return self.source if self.transformed is None else self.transformed


class Run(Frozen):
    """One kernel's share of a session."""

    number: int
    started: datetime
    ended: datetime | None = None
    end_reason: str | None = None
    kernel_id: str | None = None
    notebook: str | None = None
    environment: Environment


class Note(Frozen):
    """A remark of the user's, after a step."""

    text: str
    step: int | None
    time: datetime


class Transition(Frozen):
    """One arrow of the state machine that the session took."""

    state: SessionState
    reason: str
    time: datetime


class Summary(Frozen):
    """What a listing needs; ``session.json`` holds it, derived from the log."""

    id: str
    title: str
    state: SessionState
    notebook: str | None = None
    kernel_id: str | None = None
    tags: tuple[str, ...] = ()
    created: datetime
    updated: datetime
    """When it was worked in last: titles, tags, notes and what was tidied away do not count."""
    steps: int = 0
    """Executed cells, replays not counted."""
    failures: int = 0
    runs: int = 0
    busy: int | None = None
    """The step that runs, or that the kernel died in."""
    cell_seconds: float = 0.0
    """Seconds that cells ran, in all."""
    records: int = 0
    parent: ParentStep | None = None
    imported: str | None = None
    """The file that the session was imported from."""
    user: str = ""
    host: str = ""
    cwd: str = ""
    reason: str = ""
    """Why the session is in its state, in the words of its last transition."""

    @property
    def age(self) -> timedelta:
        """Time since it was worked in."""
        return datetime.now(self.updated.tzinfo) - self.updated


class Session(Frozen):
    """A whole session, as folded from its log."""

    summary: Summary
    steps: tuple[Step, ...]
    runs: tuple[Run, ...]
    notes: tuple[Note, ...]
    transitions: tuple[Transition, ...]
    checkpoints: tuple[CheckpointSaved, ...]
    dropped: frozenset[int] = frozenset()
    """Steps after which what was saved is no longer kept."""
    unknown: tuple[str, ...] = ()
    """Types of records that this reader does not know."""
    problems: tuple[str, ...] = ()
    head: int | None = None
    """The step that the session stands on; see `ipysession.model.tree`."""
    """Records that contradict the state machine, in words; the log was damaged or forged."""

    @property
    def id(self) -> str:
        """The session's id."""
        return self.summary.id

    def step(self, number: int) -> Step:
        """The step of that number. Raises LookupError if there is none."""
        index = number - 1
        if 0 <= index < len(self.steps) and self.steps[index].number == number:
            return self.steps[index]
        for step in self.steps:  # a damaged log may lack some
            if step.number == number:
                return step
        message = f"session {self.id} has no step {number}; it has {len(self.steps)} steps"
        raise LookupError(message)

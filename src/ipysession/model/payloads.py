"""The payload of each record type, format version 1.

Must be kept backwards compatible: a field is never renamed, retyped or removed; a new
field has a default. See docs/log-format.md for the rule on newer versions.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from ipysession.model.provenance import (
    Connection,
    Environment,
    FileUse,
    Frozen,
    GitState,
    ProcessUse,
    Seconds,
)
from ipysession.model.state import Outcome


class Payload(Frozen):
    """Base of all payloads; ``type`` is the record type that carries it."""

    type: ClassVar[str]


class ParentStep(Frozen):
    """The step of another session from which a branch grows."""

    session: str
    step: int


class SessionCreated(Payload):
    """The first record of every session."""

    type: ClassVar[str] = "session.created"
    session: str
    title: str
    notebook: str | None = None
    parent: ParentStep | None = None
    user: str = ""
    host: str = ""
    created_by: str = ""


class RunStarted(Payload):
    """A kernel takes up (or takes up again) the session."""

    type: ClassVar[str] = "run.started"
    number: int
    environment: Environment
    kernel_id: str | None = None
    notebook: str | None = None


class RunEnded(Payload):
    """The kernel's share of the session ended in an orderly way."""

    type: ClassVar[str] = "run.ended"
    reason: str = ""


class StepStarted(Payload):
    """Written before the cell runs, so that a kernel that dies in it still names it."""

    type: ClassVar[str] = "step.started"
    step: int
    parent: int | None = None
    """The step that it grew from; 0 is the beginning. None where the log does not tell: then it
    is the step before."""
    source: str
    transformed: str | None = None
    """The Python that IPython made of the source; None where they are the same."""
    cell_id: str | None = None
    notebook: str | None = None
    execution_count: int | None = None
    store_history: bool = True
    replay_of: int | None = None
    redacted: dict[str, int] = Field(default_factory=dict)
    """How many secrets of each kind were taken out of the source."""


class StepOutput(Payload):
    """Outputs as they arrived, in order. Each event is one of

    ``{"event": "output", "output": <nbformat output>, "display_id": str?}``,
    ``{"event": "update", "display_id": str, "data": {…}, "metadata": {…}}``,
    ``{"event": "clear", "wait": bool}``.
    """

    type: ClassVar[str] = "step.output"
    step: int
    events: list[dict[str, Any]]
    redacted: dict[str, int] = Field(default_factory=dict)


class StepError(Frozen):
    """An exception that ended a cell."""

    ename: str
    evalue: str
    traceback: list[str] = Field(default_factory=list)


class StepFinished(Payload):
    """The cell ended."""

    type: ClassVar[str] = "step.finished"
    step: int
    outcome: Outcome
    duration: Seconds
    execution_count: int | None = None
    error: StepError | None = None
    bound: list[str] = Field(default_factory=list)
    deleted: list[str] = Field(default_factory=list)
    reads: list[str] = Field(default_factory=list)
    redacted: dict[str, int] = Field(default_factory=dict)


class StepEffects(Payload):
    """What the step did outside the namespace; only written where there is something."""

    type: ClassVar[str] = "step.effects"
    step: int
    files: list[FileUse] = Field(default_factory=list)
    processes: list[ProcessUse] = Field(default_factory=list)
    connections: list[Connection] = Field(default_factory=list)
    packages: dict[str, str] = Field(default_factory=dict)
    git: GitState | None = None
    cwd: str | None = None
    environ_changed: list[str] = Field(default_factory=list)
    asked_input: bool = False
    omitted: int = 0
    """How many further effects were seen and left out (a cap per step)."""


class SavedGroup(Frozen):
    """Names whose values were saved together, because they may share mutable objects.

    Exactly one of ``inline`` and ``blob`` is set. ``inline`` is a small pickle in base64.
    """

    names: list[str]
    size: int
    """Bytes of the pickle."""
    inline: str | None = None
    blob: str | None = None
    types: dict[str, str] = Field(default_factory=dict)
    plain: bool = False
    """The values can neither change nor share anything: who only reads them leaves them as they
    are."""
    seconds: Seconds = 0.0


class SkippedGroup(Frozen):
    """Names whose values may have changed and were not saved, and why."""

    names: list[str]
    reason: str


class CheckpointSaved(Payload):
    """The values of variables after a step. Appended only when its blobs are durable."""

    type: ClassVar[str] = "checkpoint.saved"
    step: int
    groups: list[SavedGroup] = Field(default_factory=list)
    unchanged: list[str] = Field(default_factory=list)
    """Candidates whose pickle was the same as the one saved before."""
    skipped: list[SkippedGroup] = Field(default_factory=list)
    deleted: list[str] = Field(default_factory=list)
    state: SavedGroup | None = None
    """Random states, folder and the like, where they changed."""
    cwd: str | None = None
    execution_count: int | None = None
    seconds: Seconds = 0.0


class SessionPaused(Payload):
    """Recording stopped; it can be taken up again."""

    type: ClassVar[str] = "session.paused"
    reason: str = ""


class SessionResumed(Payload):
    """Recording goes on."""

    type: ClassVar[str] = "session.resumed"
    reason: str = ""


class SessionCompleted(Payload):
    """The user closed the session for good."""

    type: ClassVar[str] = "session.completed"
    reason: str = ""


class SessionFailed(Payload):
    """Recording itself could not go on."""

    type: ClassVar[str] = "session.failed"
    reason: str = ""


class SessionTitled(Payload):
    """The session has a new title."""

    type: ClassVar[str] = "session.titled"
    title: str


class SessionTagged(Payload):
    """A tag was added."""

    type: ClassVar[str] = "session.tagged"
    tag: str


class SessionUntagged(Payload):
    """A tag was removed."""

    type: ClassVar[str] = "session.untagged"
    tag: str


class NoteAdded(Payload):
    """A remark of the user's, after a step."""

    type: ClassVar[str] = "note.added"
    text: str
    step: int | None = None


class ArtifactSaved(Payload):
    """A named piece of data that a user or a library saved into the session."""

    type: ClassVar[str] = "artifact.saved"
    name: str
    blob: str
    size: int
    media_type: str = "application/octet-stream"
    step: int | None = None


class BranchCreated(Payload):
    """Another session grows from a step of this one."""

    type: ClassVar[str] = "branch.created"
    session: str
    step: int


class SessionMoved(Payload):
    """The user went to another step of the session: the next step grows from there."""

    type: ClassVar[str] = "session.moved"
    step: int
    """0 is the beginning, before the first step."""
    left: int | None = None
    """The step that the session stood on before."""


class UnknownPayload(Frozen):
    """The payload of a record whose type or format version this reader does not know."""

    type_name: str
    raw: dict[str, Any]
    kind: Literal["unknown"] = "unknown"


PAYLOADS: dict[str, type[Payload]] = {
    cls.type: cls
    for cls in (
        SessionCreated,
        RunStarted,
        RunEnded,
        StepStarted,
        StepOutput,
        StepFinished,
        StepEffects,
        CheckpointSaved,
        SessionPaused,
        SessionResumed,
        SessionCompleted,
        SessionFailed,
        SessionTitled,
        SessionTagged,
        SessionUntagged,
        NoteAdded,
        ArtifactSaved,
        BranchCreated,
        SessionMoved,
    )
}
"""Every record type of format version 1, in the order in which the docs list them."""

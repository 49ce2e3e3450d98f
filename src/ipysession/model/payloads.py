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
    Lineage,
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
    rerun_of: int | None = None
    """The step whose cell the user had run again by its number; otherwise it is a step as any."""
    imported: bool = False
    """It came with an imported notebook and never ran here."""
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
    exact: bool = False
    """``bound``, ``deleted`` and ``reads`` tell all that the step read and wrote, unless its
    ``step.effects`` has a ``lineage``."""
    redacted: dict[str, int] = Field(default_factory=dict)


class StepEffects(Payload):
    """What the step did outside the namespace, and what it read and wrote, to the letter; only
    written where there is something.
    """

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
    lineage: Lineage | None = None
    """Where it says more than ``bound``, ``deleted`` and ``reads`` of ``step.finished``."""
    omitted: int = 0
    """How many further effects were seen and left out (a cap per step)."""


class SavedPart(Frozen):
    """Bytes that stand outside a group's pickle, cut into pieces: a buffer, or a page of a large
    container. Each piece is a blob; an unchanged one has the name that it had before.
    """

    size: int
    pieces: list[str]


class Preview(Frozen):
    """What can be told of a value without unpickling it."""

    type: str
    """In words: ``list``, ``pandas.DataFrame``."""
    size: int | None = None
    """Bytes in memory, about; None where that is not known at no cost."""
    shape: list[int] | None = None
    """Of an array or a table; of a container or a text its length alone."""
    text: str | None = None
    """A short repr, secrets taken out; only of types whose repr runs no code of the user's."""


class SavedGroup(Frozen):
    """Names whose values were saved together, because they may share mutable objects.

    The pickle is ``inline`` (in base64) or a ``blob``; where neither is set, it is the first of
    the parts. The parts are in ``parts``, or in the blob ``table``: JSON, a list of the same
    objects.
    """

    names: list[str]
    size: int
    """Bytes of the pickle and its parts."""
    inline: str | None = None
    blob: str | None = None
    parts: list[SavedPart] = Field(default_factory=list)
    table: str | None = None
    types: dict[str, str] = Field(default_factory=dict)
    previews: dict[str, Preview] = Field(default_factory=dict)
    plain: bool = False
    """The values can neither change nor share anything: who only reads them leaves them as they
    are."""
    seconds: Seconds = 0.0


class SkippedGroup(Frozen):
    """Names whose values may have changed and were not saved, and why."""

    names: list[str]
    reason: str


class CheckpointSaved(Payload):
    """The values of variables after a step. Appended only when its blobs are durable.

    Further records of the same step tell what idle time found out about names that were
    ``skipped``: a name in ``groups`` is saved, one in ``unchanged`` is as it was last saved, and
    one in ``skipped`` is so for good.
    """

    type: ClassVar[str] = "checkpoint.saved"
    step: int
    groups: list[SavedGroup] = Field(default_factory=list)
    changed: list[str] = Field(default_factory=list)
    """Names whose values are known to differ from before the step. Of a name in ``groups`` that
    is in neither this nor ``unchanged`` that is not known: it may."""
    unchanged: list[str] = Field(default_factory=list)
    """Names whose values are known not to differ."""
    skipped: list[SkippedGroup] = Field(default_factory=list)
    """Names whose values may differ."""
    deleted: list[str] = Field(default_factory=list)
    state: SavedGroup | None = None
    """Random states, folder and the like, where they changed."""
    cwd: str | None = None
    execution_count: int | None = None
    written: int | None = None
    """Bytes of blobs that were written anew."""
    seconds: Seconds = 0.0


class CheckpointsDropped(Payload):
    """What was saved after these steps is no longer kept: its blobs may be gone, where nothing
    else names them.
    """

    type: ClassVar[str] = "checkpoints.dropped"
    steps: list[int]
    reason: str = ""


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


class SessionImported(Payload):
    """The session came from a file: a bundle (all records before this one), or a notebook (its
    steps say so themselves).
    """

    type: ClassVar[str] = "session.imported"
    kind: Literal["bundle", "notebook"]
    origin: str
    """The file's name."""
    digest: str
    """BLAKE3 of the file, in hex."""
    inputs: list[str] = Field(default_factory=list)
    """Blobs that hold files which the session read: named by the digests in its effects."""


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
        CheckpointsDropped,
        SessionPaused,
        SessionResumed,
        SessionCompleted,
        SessionFailed,
        SessionTitled,
        SessionTagged,
        SessionUntagged,
        NoteAdded,
        ArtifactSaved,
        SessionImported,
        BranchCreated,
        SessionMoved,
    )
}
"""Every record type of format version 1, in the order in which the docs list them."""

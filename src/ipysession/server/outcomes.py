"""What the routes answer that resume, export and delete, and those about a notebook, the store
and its settings, as classes; what a session is like stands in `ipysession.server.answers`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from ipysession.checkpoint.plan import ReplayPolicy
from ipysession.model import Outcome, SessionState, Summary
from ipysession.preferences import OfferResume
from ipysession.server.answers import EnvironmentDifference, Output


class PlannedName(BaseModel):
    """What a resume would do for a variable."""

    name: str
    action: str
    step: int
    type: str
    size: int | None
    reason: str
    replays: list[int]


class BlockedStep(BaseModel):
    """A step that would not be run again."""

    step: int
    source: str
    effects: list[str]


class ResumePlan(BaseModel):
    """What a resume would do."""

    session: str
    names: list[PlannedName]
    replays: list[int]
    blocked: list[BlockedStep]
    bytes: int
    replay_seconds: float
    died_in: int | None
    cwd: str | None
    differences: list[EnvironmentDifference]


class Resumed(BaseModel):
    """How a resume went."""

    session: str
    kernel_id: str
    said: str
    """The headline that the magic shows."""
    restored: list[str]
    waiting: list[str]
    """They come before the first cell that can reach them, or in idle time."""
    replayed: list[str]
    lost: dict[str, str]
    """Name → why."""
    notes: list[str]
    seconds: float


class Exported(BaseModel):
    """An export that was written to ``path``."""

    session: str
    path: str
    """In this server, as in its contents API."""
    said: str
    kept: list[int]
    dropped: list[dict[str, Any]]
    verified: bool | None
    """None where it was not to be verified."""
    verification: dict[str, Any] | None
    """What came of it: ``verdict``, ``why``, ``step``, ``diff`` …"""


class Cancelled(BaseModel):
    """An export that was to be cancelled."""

    job: str
    cancelled: bool
    """False where no export of this name runs: it may have ended."""


class Deleted(BaseModel):
    """A session that is gone."""

    session: str
    bytes: int


class StoredSession(Summary):
    """A session and what it takes on the disk."""

    bytes: int


class Storage(BaseModel):
    """What the store takes."""

    path: str
    sessions: int
    bytes: int
    free: int
    """Bytes free on the disk."""
    by_state: dict[str, int]
    """Bytes by the sessions' states."""
    largest: list[StoredSession]


class ExportFormat(BaseModel):
    """What a session can be exported as."""

    name: str
    suffix: str
    """How the file's name must end, with the dot."""
    what: str


class Settings(BaseModel):
    """What kernels, server and shell have agreed on, and what there is to choose from."""

    offer_resume: OfferResume
    auto_load: bool
    """Every new kernel records."""
    formats: list[ExportFormat]
    replay: list[ReplayPolicy]


class RestorableCell(BaseModel):
    """A cell whose recorded outputs are newer than the file's."""

    cell_id: str
    """In the file, or, where its cells have no ids, as recorded."""
    index: int
    """The cell's place in the file, from 0."""
    step: int
    same_source: bool
    """Whether the cell in the file still has the source that ran."""
    source: str
    execution_count: int | None
    outcome: Outcome
    finished: datetime | None
    outputs: list[Output]


class Restorable(BaseModel):
    """The outputs that a notebook can get back."""

    path: str
    session: str | None
    cells: list[RestorableCell]


class Recording(BaseModel):
    """The session that the notebook's kernel records."""

    session: str
    title: str
    state: SessionState
    steps: int
    busy: int | None
    """The step that runs."""
    trouble: str | None
    """What keeps the kernel from recording: as it says, or as it shows from outside."""
    updated: datetime


class Resumable(BaseModel):
    """The session of a notebook that can be resumed."""

    session: str
    title: str
    state: SessionState
    reason: str
    steps: int
    variables: int
    bytes: int
    seconds: float
    """How long it will take, as far as can be told."""
    updated: datetime
    age: float
    """Seconds since the last record."""


class NotebookDocument(BaseModel):
    """What there is for a notebook."""

    path: str
    kernel_id: str | None
    recording: Recording | None
    resumable: Resumable | None
    restorable: int
    """How many cells have recorded outputs that are newer than the file's."""
    offer_resume: OfferResume

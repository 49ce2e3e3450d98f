"""What the routes answer about sessions, as classes that the OpenAPI document is made of.

The documents themselves come from `ipysession.documents` and `ipysession.sessions`; the tests
hold every answer against these.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from ipysession.model import Outcome, Summary
from ipysession.model.payloads import StepError
from ipysession.model.provenance import FileUse, Provenance
from ipysession.model.session import Note, Run, Transition

Output = dict[str, Any]
"""An nbformat output."""


class Problem(BaseModel):
    """A problem document (RFC 9457). Rely on ``type``; ``detail`` is what a magic prints."""

    type: str
    title: str
    status: int
    detail: str


class ConfirmationNeeded(Problem):
    """Nothing was deleted: ask again with ``?confirm=``."""

    type: Literal["urn:ipysession:problem:confirmation-needed"]
    confirm: str
    session: Summary
    bytes: int


class Kernel(BaseModel):
    """A kernel of this server."""

    id: str
    alive: bool
    """Whether its process runs. It may record another session by now: `state` tells."""
    notebook: str | None
    """The notebook's path in the file system."""
    path: str | None
    """The notebook's path in this server."""


class SessionEntry(Summary):
    """A session in a listing."""

    kernel: Kernel | None
    current_notebook: str | None
    """Where the notebook lies now, in the file system."""
    path: str | None
    """The same in this server; None where it lies outside."""
    bytes: int
    """What the session takes on the disk."""
    resumable: bool


class SessionPage(BaseModel):
    """A page of a listing."""

    sessions: list[SessionEntry]
    next: str | None
    """The ``after`` of the next page; None on the last one."""
    total: int
    """How many match, on all pages."""


class StepEntry(BaseModel):
    """A step."""

    number: int
    run: int
    parent: int | None = None
    source: str
    transformed: str | None = None
    cell_id: str | None = None
    notebook: str | None = None
    execution_count: int | None = None
    store_history: bool = True
    replay_of: int | None = None
    rerun_of: int | None = None
    started: datetime
    finished: datetime | None
    duration: float | None
    """Seconds."""
    outcome: Outcome
    error: StepError | None
    provenance: Provenance
    redacted: dict[str, int]
    on_branch: bool
    """It is on the path from the beginning to where the session stands."""
    output_count: int
    outputs: list[Output] | None = None
    """None where they were not asked for."""


class StepPage(BaseModel):
    """A page of a session's steps."""

    steps: list[StepEntry]
    next: int | None
    """The ``after`` of the next page; None on the last one."""
    total: int


class SessionFile(FileUse):
    """A file that the session's steps read or wrote, as its last use left it."""

    steps: list[int]
    """The steps that did."""


class SessionDetails(BaseModel):
    """What a session's page shows besides its steps."""

    head: int | None
    """The step that the session stands on; 0 is the beginning."""
    runs: list[Run]
    """Each with the environment that it ran in."""
    notes: list[Note]
    transitions: list[Transition]
    files: list[SessionFile]
    damage: list[str]
    contradictions: list[str]
    unknown_types: list[str]


class SessionDocument(SessionEntry):
    """One session."""

    details: SessionDetails


class Variable(BaseModel):
    """A variable after a step, as it was saved; nothing is unpickled for it."""

    name: str
    type: str
    step: int
    """The step that its value comes from."""
    bytes: int | None
    """In memory, about; None where that is not known."""
    saved_bytes: int | None
    """Of the saved group that it is part of."""
    shared_with: list[str]
    """Names that were saved with it, because they may share mutable objects."""
    shape: list[int] | None
    """Of an array or a table; of a container or a text its length alone."""
    preview: str | None
    """A short text of the value, secrets taken out; None where there is none."""
    saved: bool
    reason: str
    """Why there is no value to load; empty where there is one."""


class Variables(BaseModel):
    """The variables after a step."""

    session: str
    step: int | None
    variables: list[Variable]


class GraphStep(BaseModel):
    """A step as a node of the graph."""

    step: int
    cell_id: str | None
    execution_count: int | None
    outcome: Outcome
    title: str
    """The first line of its source."""
    binds: list[str]
    """The names that it made."""
    stale: bool
    """Something that it used was made anew since."""
    marked: bool
    """It is needed for the names that were asked for."""


class GraphEdge(BaseModel):
    """One step used what another made."""

    source: int
    """The step that made it."""
    target: int
    """The step that used it."""
    names: list[str]
    """What for: names, parts of them, and what is no name, such as ``file:data.csv``."""
    kind: str
    """``name``; or ``file``, ``random`` and the like where no name is among them."""


class GraphDocument(BaseModel):
    """The lineage of the steps on the branch that a session stands on."""

    session: str
    steps: list[GraphStep]
    edges: list[GraphEdge]
    names: list[str]
    """All names that the steps made."""


class CellVersion(BaseModel):
    """A cell as it ran once."""

    step: int
    source: str
    outcome: Outcome
    execution_count: int | None = None
    started: datetime
    duration: float | None = None
    diff: str
    """A unified diff from the version before; empty for the first and for a mere repetition."""


class CellHistory(BaseModel):
    """The versions of a cell, oldest first."""

    cell_id: str | None
    versions: list[CellVersion]


class History(BaseModel):
    """The versions of cells."""

    session: str
    cells: list[CellHistory]


class CellDifference(BaseModel):
    """A cell in two sessions."""

    kind: Literal["same", "changed", "added", "removed"]
    left: int | None
    """The step in this session."""
    right: int | None
    """The step in the other session."""
    left_source: str | None
    right_source: str | None
    diff: str


class NameDifference(BaseModel):
    """A variable in two sessions."""

    name: str
    left: str | None
    right: str | None


class EnvironmentDifference(BaseModel):
    """What differs in the environments."""

    what: str
    then: str
    now: str


class Diff(BaseModel):
    """Two sessions beside each other."""

    session: str
    other: str
    cells: list[CellDifference]
    variables: list[NameDifference]
    environment: list[EnvironmentDifference]

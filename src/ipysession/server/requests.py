"""What a client may send: the query parameters and the bodies of the routes.

The OpenAPI document is made of these classes, and the handlers read requests with them: what
one knows, the other knows.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, WithJsonSchema

from ipysession.checkpoint.plan import ReplayPolicy
from ipysession.export.formats import FORMATS
from ipysession.model import SessionState
from ipysession.preferences import OfferResume
from ipysession.sessions import MAX_PAGE, Sort

SESSION_ID = "^[0-9]{8}-[0-9]{6}-[0-9a-z]{6}$"
"""As `ipysession.store.ids` has it; what does not match is refused before it touches a path."""

JOB = "^[A-Za-z0-9-]{1,64}$"

_BIG = 2**31 - 1


class Query(BaseModel):
    """Query parameters. Unknown ones are passed over: Jupyter's own (``token``) and those that
    only keep a browser from using its cache.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")


class Body(BaseModel):
    """The JSON object that a change is asked for with. An unknown member is an error: it was
    meant to do something.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


def _whole(value: object) -> object:
    """Python's ``int`` takes more than digits, and so does pydantic."""
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]{1,12}", value):
        message = f"must be a whole number, not {value[:80]!r}"
        raise ValueError(message)
    return value


Whole = Annotated[int, BeforeValidator(_whole)]

SessionId = Annotated[str, WithJsonSchema({"type": "string", "pattern": SESSION_ID})]
"""Validated by the one function that stands before every path, in its words."""

State = Annotated[str, WithJsonSchema({"type": "string", "enum": list(map(str, SessionState))})]
"""Validated by the verb, in its words."""

FormatName = Annotated[
    str, WithJsonSchema({"type": "string", "enum": [made.name for made in FORMATS.values()]})
]
"""Validated by the export, in its words; a suffix is a name, too."""

Text = Annotated[str, Field(min_length=1, max_length=10_000)]
Name = Annotated[str, Field(min_length=1, max_length=1000)]
StepNumber = Annotated[int, Field(ge=1, le=_BIG), BeforeValidator(_whole)]


class Order(StrEnum):
    """Which end of a sorted listing comes first."""

    ASCENDING = "asc"
    DESCENDING = "desc"


class ListingQuery(Query):
    """Which sessions, in which order."""

    limit: Whole = Field(100, ge=1, le=MAX_PAGE, description="sessions on the page")
    after: SessionId | None = Field(
        None,
        description="the id after which the page begins: the `next` of the page before",
    )
    sort: Sort = Field(Sort.UPDATED, description="what the listing is sorted by")
    order: Order | None = Field(
        None,
        description="which end comes first; if not given, titles and states from A to Z, else "
        "the newest and largest first",
    )
    state: list[State] = Field([], description="only sessions in this state; repeat it for several")
    notebook: str | None = Field(
        None,
        description="only sessions of this notebook: a whole path, or its end. Where the "
        "notebook lies now counts, see `current_notebook`",
    )
    tag: list[str] = Field([], description="only sessions with this tag; repeat it for several")
    text: str | None = Field(
        None,
        description="only sessions with this text in title, notebook, tags, id or a step's "
        "source; case does not matter",
    )


class StepsQuery(Query):
    """Which steps, and how much of them."""

    after: Whole = Field(0, ge=0, le=_BIG, description="the number after which the page begins")
    limit: Whole = Field(100, ge=1, le=MAX_PAGE, description="steps on the page")
    outputs: bool = Field(False, description="with outputs; else only how many there are")


class VariablesQuery(Query):
    """After which step."""

    step: StepNumber | None = Field(
        None, description="the step after which they are told; if not given, the newest"
    )


class GraphQuery(Query):
    """Which part to mark."""

    name: list[Name] = Field([], description="mark the steps that make this name; repeatable")
    at: StepNumber | None = Field(
        None, description="as the names stood after this step; if not given, at the end"
    )


class HistoryQuery(Query):
    """Of which cell."""

    cell: Name | None = Field(
        None, description="only this cell's versions; if not given, those of all cells"
    )


class DiffQuery(Query):
    """What to compare with."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    other: SessionId = Field(alias="with", description="the session to compare this one with")


class PlanQuery(Query):
    """How a resume would treat what must run again."""

    replay: ReplayPolicy = Field(ReplayPolicy.SAFE, description="which steps may run again")


class NotebookQuery(Query):
    """Which notebook, and which kernel it has."""

    path: Name = Field(description="the notebook's path in this server, as in its contents API")
    kernel_id: str | None = Field(
        None,
        pattern=JOB,
        description="its kernel; if not given, the one that the server's sessions tell",
    )


class RestoreQuery(Query):
    """Which notebook."""

    path: Name = Field(description="the notebook's path in this server, as in its contents API")
    session: SessionId | None = Field(
        None, description="from this session; if not given, the newest of the notebook"
    )


class DeleteQuery(Query):
    """The second step of a deletion."""

    confirm: str | None = Field(
        None, max_length=200, description="the `confirm` of the first answer, to delete for good"
    )


class Change(Body):
    """What is to be changed; what is not given stays."""

    title: Text | None = Field(None, description="the new title")
    tags: list[Text] | None = Field(None, max_length=100, description="all tags from now on")


class NewNote(Body):
    """A remark."""

    text: Text
    step: StepNumber | None = Field(
        None, description="after which step; if not given, after the newest"
    )


class ExportRequest(Body):
    """What to export, how, and where to. ``all``, ``steps`` and ``targets`` say different
    things about what to keep: at most one of them may be given.
    """

    format: FormatName = Field("notebook", description="what to make of it")
    all: StrictBool = Field(False, description="every step, failures included")
    steps: list[StepNumber] = Field([], max_length=100_000, description="exactly these steps")
    targets: list[Name] = Field([], max_length=10_000, description="only what these variables need")
    verify: StrictBool = Field(False, description="run it in a fresh kernel and compare")
    consent: StrictBool = Field(
        False,
        description="with `verify`: run also what used the network, started processes or wrote "
        "outside its folder",
    )
    path: Name | None = Field(
        None,
        description="write the file here, a path in this server, and tell about it, instead of "
        "sending it",
    )
    force: StrictBool = Field(False, description="replace a file that exists at `path`")
    kernel_id: str | None = Field(
        None, pattern=JOB, description="let this kernel write it; needs `path`"
    )
    job: str | None = Field(
        None, pattern=JOB, description="the name of this export in the events of its progress"
    )


class ResumeRequest(Body):
    """Where and how to resume."""

    kernel_id: str = Field(pattern=JOB, description="a kernel of this server")
    replay: ReplayPolicy = Field(ReplayPolicy.SAFE, description="which steps may run again")


class SettingsChange(Body):
    """The settings to change; what is not given stays."""

    offer_resume: OfferResume | None = None
    auto_load: StrictBool | None = Field(None, description="record in every new kernel")

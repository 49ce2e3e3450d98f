"""Finding sessions: by reference, by what a listing asks for, in pages.

The base of all verbs: which store, which session is meant, and reading it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipysession.documents import counted, summary_document
from ipysession.errors import InvalidRequest, SessionNotFound
from ipysession.model import SessionState, Summary
from ipysession.report import Report, Table, ago, duration
from ipysession.store import LATEST, SessionFolder, Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ipysession.model import Session, Step
    from ipysession.store import Reading, SessionWriter
    from ipysession.store.rows import Listed

MAX_PAGE = 1000
"""Sessions that one page of a listing holds at most."""


class Sort(StrEnum):
    """What a listing is sorted by."""

    UPDATED = "updated"
    CREATED = "created"
    TITLE = "title"
    STATE = "state"
    STEPS = "steps"
    DURATION = "duration"
    """How long the cells ran."""
    SIZE = "size"
    """On the disk."""

    @property
    def ascending(self) -> bool:
        """Which end comes first where nobody says: A, but the newest and the largest."""
        return self in {Sort.TITLE, Sort.STATE}


NotebookNow = Callable[[Summary], str | None]
"""Where a session's notebook lies by now."""


def _as_recorded(summary: Summary) -> str | None:
    return summary.notebook


_SORTED_BY: dict[Sort, Callable[[Listed], Any]] = {
    Sort.UPDATED: lambda item: (item.summary.updated, item.summary.id),
    Sort.CREATED: lambda item: (item.summary.created, item.summary.id),
    Sort.TITLE: lambda item: (item.summary.title.casefold(), item.summary.id),
    Sort.STATE: lambda item: (item.summary.state, item.summary.id),
    Sort.STEPS: lambda item: (item.summary.steps, item.summary.id),
    Sort.DURATION: lambda item: (item.summary.cell_seconds, item.summary.id),
    Sort.SIZE: lambda item: (item.bytes, item.summary.id),
}


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing."""

    sessions: tuple[Listed, ...]
    next: str | None
    """The id after which the next page begins; None on the last page."""
    total: int
    """How many sessions match, on all pages."""


class Finding:
    """The verbs that find sessions, over one store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @property
    def live(self) -> SessionWriter | None:
        """The session that this process is recording."""
        return None

    def resolve(self, reference: str | None = None) -> str:
        """The id that ``reference`` means; see `Store.resolve`. None means this kernel's own
        session, or the latest one where there is none.
        """
        if reference is None:
            return self.store.resolve(LATEST) if self.live is None else self.live.id
        return self.store.resolve(reference)

    def read(self, reference: str | None = None, *, verify: bool = False) -> Reading:
        """Read a session. ``reference`` may also be the path of a session's folder. With
        ``verify`` the log's authenticity is checked too.
        """
        key = self.store.key() if verify else None
        if reference is not None and "/" in reference:
            path = Path(reference).expanduser()
            if not (path / "log").is_dir():
                message = f"{path} is not a session's folder: it has no folder named log"
                raise SessionNotFound(message)
            return SessionFolder(path).read(key)
        if self.live is not None:
            self.live.log.sync()
        return self.store.folder(self.resolve(reference)).read(key)

    def read_id(self, session_id: str) -> Reading:
        """Read the session with exactly this id; prefixes, titles and paths are refused.

        What programs should use. Raises InvalidSessionId or SessionNotFound.
        """
        folder = self.store.folder(session_id)
        try:
            return folder.read()
        finally:
            self.store.folder(session_id)  # raises where it was deleted while it was read

    def listed(self) -> list[Listed]:
        """All sessions, oldest first, with what they take on the disk."""
        return self.store.listed()

    def listed_id(self, session_id: str) -> Listed:
        """The session with exactly this id, as in a listing.

        Raises InvalidSessionId or SessionNotFound.
        """
        return self.store.listed_id(session_id)

    def select(
        self,
        *,
        states: Iterable[str] = (),
        notebook: str | None = None,
        tags: Iterable[str] = (),
        text: str | None = None,
        notebook_now: NotebookNow = _as_recorded,
        sort: Sort = Sort.UPDATED,
        ascending: bool | None = None,
    ) -> list[Listed]:
        """The sessions that match, sorted. ``text`` is looked for in titles, notebooks, tags,
        ids and the sources of steps; ``notebook`` matches a whole path or its end.
        ``notebook_now`` says where a session's notebook lies by now, for a caller that knows
        better than the record. Where ``ascending`` is not given, words come from A to Z, and
        else the newest and largest first.
        """
        found = self.listed()
        wanted, labels = {_state(state) for state in states}, set(tags)
        if wanted:
            found = [item for item in found if item.summary.state in wanted]
        if notebook is not None:
            found = [i for i in found if _same_notebook(notebook_now(i.summary), notebook)]
        if labels:
            found = [item for item in found if labels.issubset(item.summary.tags)]
        if text:
            in_source = self.store.with_source(text)
            needle = text.casefold()
            found = [
                item
                for item in found
                if item.summary.id in in_source
                or needle in _words_of(item.summary, notebook_now(item.summary))
            ]
        forwards = sort.ascending if ascending is None else ascending
        return sorted(found, key=_SORTED_BY[sort], reverse=not forwards)

    def page(
        self,
        *,
        states: Iterable[str] = (),
        notebook: str | None = None,
        tags: Iterable[str] = (),
        text: str | None = None,
        notebook_now: NotebookNow = _as_recorded,
        sort: Sort = Sort.UPDATED,
        ascending: bool | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page:
        """A page of `select`: at most ``limit`` (1 to `MAX_PAGE`) sessions, beginning behind
        the one with the id ``after``.

        A session that is recorded to meanwhile moves to the front: pages may then repeat
        sessions. Raises InvalidRequest, also where ``after`` was deleted meanwhile.
        """
        if not 1 <= limit <= MAX_PAGE:
            message = f"limit must be a whole number from 1 to {MAX_PAGE}, not {limit}"
            raise InvalidRequest(message)
        last = None if after is None else self._last(after)
        found = self.select(
            states=states,
            notebook=notebook,
            tags=tags,
            text=text,
            notebook_now=notebook_now,
            sort=sort,
            ascending=ascending,
        )
        rest = found
        if last is not None:
            place = _SORTED_BY[sort]
            forwards = sort.ascending if ascending is None else ascending
            behind = place(last)
            rest = [i for i in found if (place(i) > behind if forwards else place(i) < behind)]
        shown = tuple(rest[:limit])
        return Page(shown, shown[-1].summary.id if len(rest) > limit else None, len(found))

    def _last(self, after: str) -> Listed:
        """The session that the page before ended with."""
        try:
            return self.store.listed_id(after)
        except SessionNotFound as error:
            message = f"session {after} is gone; list again from the first page"
            raise InvalidRequest(message) from error

    def list_sessions(
        self,
        *,
        states: Iterable[str] = (),
        notebook: str | None = None,
        tag: str | None = None,
        text: str | None = None,
        limit: int | None = None,
    ) -> Report:
        """All sessions, the newest first."""
        if limit is not None and limit < 1:
            message = f"--limit must be at least 1, not {limit}"
            raise InvalidRequest(message)
        tags = () if tag is None else (tag,)
        found = [
            item.summary
            for item in self.select(states=states, notebook=notebook, tags=tags, text=text)
        ]
        shown = found if limit is None else found[:limit]
        rows = tuple(
            (
                summary.id,
                summary.title,
                str(summary.state),
                str(summary.steps),
                duration(summary.cell_seconds),
                ago(summary.age),
                ", ".join(summary.tags),
            )
            for summary in shown
        )
        columns = ("Session", "Title", "State", "Steps", "Cells ran", "Last step", "Tags")
        table = Table(columns, rows, right=frozenset({"Steps"}), state="State")
        headline = counted(len(found), "session") + (
            f", the newest {len(shown)}" if len(shown) < len(found) else ""
        )
        hint = (
            "" if found else f"Nothing is recorded in {self.store.path} yet: %load_ext ipysession"
        )
        return Report([summary_document(s) for s in shown], headline, (table,), hint=hint)


def chosen_steps(session: Session, steps: Sequence[int]) -> tuple[Step, ...]:
    """The steps with these numbers, or all. Raises InvalidRequest where one does not exist."""
    if not steps:
        return session.steps
    try:
        return tuple(session.step(number) for number in steps)
    except LookupError as error:
        raise InvalidRequest(str(error)) from error


def _state(word: str) -> SessionState:
    try:
        return SessionState(word)
    except ValueError as error:
        message = f"a state is one of {', '.join(SessionState)}, not {word!r}"
        raise InvalidRequest(message) from error


def _words_of(summary: Summary, notebook: str | None) -> str:
    return "\n".join((summary.title, notebook or "", summary.id, *summary.tags)).casefold()


def _same_notebook(path: str | None, wanted: str) -> bool:
    return path is not None and (path == wanted or path.endswith("/" + wanted.lstrip("/")))

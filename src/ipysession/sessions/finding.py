"""Finding sessions: by reference, by what a listing asks for, in pages.

The base of all verbs: which store, which session is meant, and reading it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ipysession.documents import counted, summary_document
from ipysession.errors import InvalidRequest, SessionNotFound
from ipysession.model import SessionState
from ipysession.report import Report, Table, ago, duration
from ipysession.store import LATEST, SessionFolder, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from ipysession.model import Session, Step, Summary
    from ipysession.store import Reading, SessionWriter

RESUMABLE = frozenset({SessionState.PAUSED, SessionState.INTERRUPTED})
"""States from which a session can be resumed."""

MAX_PAGE = 1000
"""Sessions that one page of a listing holds at most."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing, the newest first."""

    sessions: tuple[Summary, ...]
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

    def select(
        self,
        *,
        states: Iterable[str] = (),
        notebook: str | None = None,
        tag: str | None = None,
        text: str | None = None,
        notebook_now: Callable[[Summary], str | None] = lambda summary: summary.notebook,
    ) -> list[Summary]:
        """Summaries that match, the newest first. ``text`` is looked for in titles, notebooks
        and ids; ``notebook`` matches a whole path or its end. ``notebook_now`` says where a
        session's notebook lies by now, for a caller that knows better than the record.
        """
        wanted = {_state(state) for state in states}
        found = sorted(self.store.summaries(), key=_recency, reverse=True)
        if wanted:
            found = [s for s in found if s.state in wanted]
        if notebook is not None:
            found = [s for s in found if _same_notebook(notebook_now(s), notebook)]
        if tag is not None:
            found = [s for s in found if tag in s.tags]
        if text is not None:
            needle = text.casefold()
            found = [
                s
                for s in found
                if needle in f"{s.title}\n{notebook_now(s) or ''}\n{s.id}".casefold()
            ]
        return found

    def page(
        self,
        *,
        states: Iterable[str] = (),
        notebook: str | None = None,
        tag: str | None = None,
        text: str | None = None,
        notebook_now: Callable[[Summary], str | None] = lambda summary: summary.notebook,
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
        last = None
        if after is not None:
            try:
                last = _recency(self.store.folder(after).summary(self.store.key()))
            except (SessionNotFound, FileNotFoundError) as error:
                message = f"session {after} is gone; list again from the first page"
                raise InvalidRequest(message) from error
        found = self.select(
            states=states, notebook=notebook, tag=tag, text=text, notebook_now=notebook_now
        )
        rest = found if last is None else [s for s in found if _recency(s) < last]
        shown = tuple(rest[:limit])
        return Page(shown, shown[-1].id if len(rest) > limit else None, len(found))

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
        found = self.select(states=states, notebook=notebook, tag=tag, text=text)
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


def _recency(summary: Summary) -> tuple[datetime, str]:
    return summary.updated, summary.id


def _same_notebook(path: str | None, wanted: str) -> bool:
    return path is not None and (path == wanted or path.endswith("/" + wanted.lstrip("/")))

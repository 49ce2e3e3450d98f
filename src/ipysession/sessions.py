"""The verbs, once, for all faces and for ``import ipysession``.

Each verb takes plain arguments and answers with a `Report`: data for programs, a headline
and tables for people. The faces (magics, shell, server) translate and hold no logic.
Verbs that need a recording kernel are in `ipysession.live`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipysession.checkpoint.differences import environment_differences
from ipysession.checkpoint.plan import Plan, ReplayPolicy, make_plan
from ipysession.documents import (
    counted,
    damage_table,
    output_text,
    plan_report,
    session_document,
    step_outputs,
    summary_document,
    untrusted_steps,
)
from ipysession.errors import InvalidRequest, SessionNotFound
from ipysession.model import SessionState
from ipysession.model import payloads as p
from ipysession.report import Report, Table, ago, byte_size, duration, first_line
from ipysession.store import LATEST, SessionFolder, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from ipysession.export import ExportOptions
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


class Sessions:
    """The verbs over one store. ``live`` is the session that this process records, if any:
    the default of every verb is then that one, else ``latest``.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    @property
    def live(self) -> SessionWriter | None:
        """The session that this process is recording."""
        return None

    # -- finding -----------------------------------------------------------------------

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

    # -- reading -----------------------------------------------------------------------

    def show(self, reference: str | None = None, *, steps: Sequence[int] = ()) -> Report:
        """One session: its steps, runs, notes, and whatever is wrong with its log."""
        reading = self.read(reference)
        session = reading.session
        chosen = _chosen(session, steps)
        rows = tuple(
            (
                str(step.number),
                "" if step.execution_count is None else f"[{step.execution_count}]",
                str(step.outcome),
                duration(step.duration),
                first_line(step.source)
                + ("" if step.replay_of is None else f"  (replay of {step.replay_of})"),
            )
            for step in chosen
        )
        columns = ("Step", "Cell", "Outcome", "Time", "Source")
        tables = [
            Table(columns, rows, "Steps", frozenset({"Step", "Cell", "Time"}), "Outcome"),
            Table(
                ("After step", "Note"),
                tuple((str(note.step or ""), note.text) for note in session.notes),
                "Notes",
            ),
            damage_table(reading),
        ]
        summary = session.summary
        replays = sum(step.replay_of is not None for step in session.steps)
        headline = (
            f"{summary.title} · {summary.id} · {summary.state}"
            + (f" ({summary.reason})" if summary.reason else "")
            + f" · {counted(summary.steps, 'step')} in {counted(summary.runs, 'run')}"
            + (f", {counted(replays, 'replay')}" if replays else "")
            + (f" · {summary.notebook}" if summary.notebook else "")
        )
        return Report(session_document(reading, chosen), headline, tuple(tables))

    def outputs(self, reference: str | None = None, *, steps: Sequence[int] = ()) -> Report:
        """What the steps showed, as recorded; also of a notebook whose browser was closed."""
        reading = self.read(reference)
        chosen = _chosen(reading.session, steps)
        outputs = step_outputs(reading)
        documents, parts = [], []
        for step in chosen:
            shown = outputs.get(step.number, [])
            if not shown:
                continue
            documents.append({"step": step.number, "cell_id": step.cell_id, "outputs": shown})
            parts.append(f"── step {step.number}: {first_line(step.source)}")
            parts += [output_text(output) for output in shown]
        text = "\n".join(part.rstrip("\n") for part in parts)
        headline = f"{counted(len(documents), 'step')} with outputs in {reading.session.id}"
        return Report(documents, headline, text=text)

    def resume_plan(self, reference: str | None = None, *, replay: str = "safe") -> Report:
        """What a resume would do, without doing it."""
        reading = self.read(reference, verify=True)
        plan = self.plan(reading, replay)
        differences = environment_differences(reading.session, plan.cwd)
        return plan_report(reading.session, plan, differences)

    def plan(self, reading: Reading, replay: str = "safe") -> Plan:
        """The plan for a session that was read with ``verify``."""
        policy = _replay_policy(replay)
        return make_plan(reading.session, untrusted=untrusted_steps(reading), replay=policy)

    def verify_log(self, reference: str | None = None) -> Report:
        """Check every line of the log: damage, gaps, authenticity."""
        reading = self.read(reference, verify=True)
        session, contents = reading.session, reading.contents
        damage = [str(item) for item in contents.damage]
        authentic = contents.unproven is not None and not contents.unproven
        data = {
            "session": session.id,
            "records": len(contents.records),
            "steps": session.summary.steps,
            "whole": not damage,
            "authentic": authentic if contents.unproven is not None else None,
            "damage": damage,
            "contradictions": list(session.problems),
            "unknown_types": list(session.unknown),
        }
        if contents.unproven is None:
            how = "authenticity not checked: this user has no key"
        else:
            how = "written with your key" if authentic else "not all written with your key"
        bad = bool(damage or session.problems)
        headline = (
            f"{counted(len(contents.records), 'record')} of {session.id}: "
            + (f"{counted(len(damage) + len(session.problems), 'problem')}" if bad else "whole")
            + f", {how}"
        )
        return Report(data, headline, (damage_table(reading),), failed=bad)

    def where(self, reference: str | None = None) -> Report:
        """Where the store and a session lie."""
        if reference is None and self.live is None and not self.store.ids():
            return Report({"store": str(self.store.path), "session": None}, str(self.store.path))
        folder = self.store.folder(self.resolve(reference))
        data = {"store": str(self.store.path), "session": folder.id, "path": str(folder.path)}
        return Report(data, str(folder.path))

    # -- exporting ---------------------------------------------------------------------

    def export(
        self,
        reference: str | None = None,
        *,
        output: str | None = None,
        options: ExportOptions | None = None,
    ) -> Report:
        """Write a session as a clean notebook. ``output`` defaults to its title."""
        # Imported when it is wanted: nbformat takes longer than all the rest of %load_ext.
        from ipysession.export import ExportOptions, export_session

        options = options or ExportOptions()
        reading = self.read(reference)
        name = output or f"{_file_name(reading.session.summary.title)}-clean.ipynb"
        result = export_session(reading, Path(name), options)
        dropped = tuple((str(d.step), d.reason) for d in result.dropped)
        data: dict[str, Any] = {
            "session": reading.session.id,
            "path": str(result.path),
            "kept": list(result.kept),
            "dropped": [{"step": d.step, "reason": d.reason} for d in result.dropped],
            "verified": None,
        }
        said = "not verified"
        failed = False
        if result.verification is not None:
            data["verified"] = result.verification.verdict == "verified"
            data["verification"] = result.verification.document()
            said = result.verification.summary
            failed = options.verify and not data["verified"]
        headline = f"{result.path}: {counted(len(result.kept), 'cell')}, {said}"
        table = Table(("Step", "Left out because"), dropped, right=frozenset({"Step"}))
        return Report(data, headline, (table,), failed=failed)

    # -- changing ----------------------------------------------------------------------

    def rename(self, title: str, reference: str | None = None) -> Report:
        """Give a session a new title."""
        title = _text(title, "a title")
        session = self._append(reference, p.SessionTitled(title=title))
        return Report({"session": session, "title": title}, f"{session} is now “{title}”")

    def note(self, text: str, reference: str | None = None) -> Report:
        """Add a remark after the newest step."""
        text = _text(text, "a note")
        with _Writer(self, reference) as writer:
            step = writer.last_step or None
            writer.append(p.NoteAdded(text=text, step=step))
            session = writer.id
        return Report({"session": session, "step": step, "note": text}, f"noted in {session}")

    def tag(self, tag: str, reference: str | None = None) -> Report:
        """Add a tag."""
        tag = _text(tag, "a tag")
        session = self._append(reference, p.SessionTagged(tag=tag))
        return Report({"session": session, "tag": tag}, f"{session} is tagged {tag}")

    def untag(self, tag: str, reference: str | None = None) -> Report:
        """Remove a tag."""
        tag = _text(tag, "a tag")
        session = self._append(reference, p.SessionUntagged(tag=tag))
        return Report({"session": session, "tag": tag}, f"{session} is no longer tagged {tag}")

    def delete(self, reference: str | None = None, *, yes: bool = False) -> Report:
        """Delete a session for good.

        A whole id says exactly what is meant. For a prefix, a title or ``latest`` it only says
        what would be deleted, unless ``yes``.
        """
        if reference is None:
            message = "say which session to delete: its id, a prefix or its title"
            raise InvalidRequest(message)
        folder = self.store.folder(self.resolve(reference))
        summary = folder.summary(self.store.key())
        sure = yes or reference.strip() == folder.id
        data: dict[str, Any] = {"session": folder.id, "title": summary.title, "deleted": sure}
        if not sure:
            headline = (
                f"would delete {folder.id} “{summary.title}” with {counted(summary.steps, 'step')}"
            )
            hint = "Nothing was deleted. Say it again with --yes, or with the whole id."
            return Report(data, headline, hint=hint, failed=True)
        freed = self.store.delete(folder.id)
        data["bytes"] = freed
        return Report(data, f"deleted {folder.id} “{summary.title}”, {byte_size(freed)}")

    def _append(self, reference: str | None, payload: p.Payload) -> str:
        with _Writer(self, reference) as writer:
            writer.append(payload)
            return writer.id


class _Writer:
    """The writer of a session: this process's own, or one opened for a moment.

    A session that another kernel writes raises SessionBusy.
    """

    def __init__(self, sessions: Sessions, reference: str | None) -> None:
        session_id = sessions.resolve(reference)
        live = sessions.live
        self._own = live is None or live.id != session_id
        self._writer = sessions.store.open_for_append(session_id) if self._own else live

    def __enter__(self) -> SessionWriter:
        assert self._writer is not None  # noqa: S101 - the constructor chose one of two
        return self._writer

    def __exit__(self, *exception: object) -> None:
        if self._own and self._writer is not None:
            self._writer.close()


def _chosen(session: Session, steps: Sequence[int]) -> tuple[Step, ...]:
    if not steps:
        return session.steps
    try:
        return tuple(session.step(number) for number in steps)
    except LookupError as error:
        raise InvalidRequest(str(error)) from error


def _replay_policy(word: str) -> ReplayPolicy:
    try:
        return ReplayPolicy(word)
    except ValueError as error:
        message = f"--replay is one of {', '.join(ReplayPolicy)}, not {word!r}"
        raise InvalidRequest(message) from error


def _state(word: str) -> SessionState:
    try:
        return SessionState(word)
    except ValueError as error:
        message = f"a state is one of {', '.join(SessionState)}, not {word!r}"
        raise InvalidRequest(message) from error


def _text(text: str, what: str) -> str:
    text = text.strip()
    if not text:
        message = f"{what} must not be empty"
        raise InvalidRequest(message)
    return text


def _recency(summary: Summary) -> tuple[datetime, str]:
    return summary.updated, summary.id


def _same_notebook(path: str | None, wanted: str) -> bool:
    return path is not None and (path == wanted or path.endswith("/" + wanted.lstrip("/")))


def _file_name(title: str) -> str:
    safe = "".join(char if char.isalnum() or char in " ._-" else "_" for char in title).strip(" .")
    return safe or "session"

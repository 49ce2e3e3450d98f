"""Changing a session: by appending a record, or by deleting it whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipysession.documents import counted
from ipysession.errors import InvalidRequest, StepNotFound
from ipysession.model import payloads as p
from ipysession.report import Report, byte_size
from ipysession.sessions.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipysession.store import SessionWriter


class ChangingVerbs(Finding):
    """The verbs that append to a session's log, and the one that deletes it."""

    def rename(self, title: str, reference: str | None = None) -> Report:
        """Give a session a new title."""
        title = _text(title, "a title")
        session = self._append(reference, p.SessionTitled(title=title))
        return Report({"session": session, "title": title}, f"{session} is now “{title}”")

    def note(self, text: str, reference: str | None = None, *, step: int | None = None) -> Report:
        """Add a remark after ``step``, or after the newest one. Raises StepNotFound."""
        text = _text(text, "a note")
        with _Writer(self, reference) as writer:
            last = writer.last_step
            if step is not None and not 1 <= step <= last:
                message = f"session {writer.id} has no step {step}; it has {last} steps"
                raise StepNotFound(message)
            step = step or last or None
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

    def retag(self, tags: Sequence[str], reference: str | None = None) -> Report:
        """Give a session exactly these tags."""
        wanted = list(dict.fromkeys(_text(tag, "a tag") for tag in tags))
        with _Writer(self, reference) as writer:
            had = writer.summary().tags
            for tag in had:
                if tag not in wanted:
                    writer.append(p.SessionUntagged(tag=tag))
            for tag in wanted:
                if tag not in had:
                    writer.append(p.SessionTagged(tag=tag))
            session = writer.id
        said = f"is tagged {', '.join(wanted)}" if wanted else "has no tags"
        return Report({"session": session, "tags": wanted}, f"{session} {said}")

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

    def __init__(self, sessions: Finding, reference: str | None) -> None:
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


def _text(text: str, what: str) -> str:
    text = text.strip()
    if not text:
        message = f"{what} must not be empty"
        raise InvalidRequest(message)
    return text

"""Changing a session: by appending a record, or by deleting it whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipysession.documents import counted
from ipysession.errors import InvalidRequest, SessionBusy, StepNotFound
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
        session = self._append(self.resolve(reference), p.SessionTitled(title=title))
        return Report({"session": session, "title": title}, f"{session} is now “{title}”")

    def note(self, text: str, reference: str | None = None, *, step: int | None = None) -> Report:
        """Add a remark after ``step``, or after the newest one. Raises StepNotFound."""
        text = _text(text, "a note")
        session = self.resolve(reference)
        last = self._last_step(session)
        if step is not None and not 1 <= step <= last:
            message = f"session {session} has no step {step}; it has {last} steps"
            raise StepNotFound(message)
        step = step or last or None
        self._append(session, p.NoteAdded(text=text, step=step))
        return Report({"session": session, "step": step, "note": text}, f"noted in {session}")

    def tag(self, tag: str, reference: str | None = None) -> Report:
        """Add a tag."""
        tag = _text(tag, "a tag")
        session = self._append(self.resolve(reference), p.SessionTagged(tag=tag))
        return Report({"session": session, "tag": tag}, f"{session} is tagged {tag}")

    def untag(self, tag: str, reference: str | None = None) -> Report:
        """Remove a tag."""
        tag = _text(tag, "a tag")
        session = self._append(self.resolve(reference), p.SessionUntagged(tag=tag))
        return Report({"session": session, "tag": tag}, f"{session} is no longer tagged {tag}")

    def retag(self, tags: Sequence[str], reference: str | None = None) -> Report:
        """Give a session exactly these tags."""
        wanted = list(dict.fromkeys(_text(tag, "a tag") for tag in tags))
        session = self.resolve(reference)
        own = self._own(session)
        folder = self.store.folder(session)
        had = (folder.summary(self.store.key()) if own is None else own.summary()).tags
        gone = [p.SessionUntagged(tag=tag) for tag in had if tag not in wanted]
        new = [p.SessionTagged(tag=tag) for tag in wanted if tag not in had]
        self._append(session, *gone, *new)
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

    def _append(self, session_id: str, *payloads: p.Payload) -> str:
        """Append to a session: to this process's own, to one that nobody writes, or by asking
        the kernel that writes it. Raises SessionBusy where that does not answer.
        """
        own = self._own(session_id)
        if own is not None:
            for payload in payloads:
                own.append(payload)
            return session_id
        try:
            self._append_alone(session_id, payloads)
        except SessionBusy:
            if not self.store.ask(session_id, payloads):
                self._append_alone(session_id, payloads)  # it may have died meanwhile
        return session_id

    def _append_alone(self, session_id: str, payloads: Sequence[p.Payload]) -> None:
        if not payloads:
            return
        writer = self.store.open_for_append(session_id)
        try:
            for payload in payloads:
                writer.append(payload)
        finally:
            writer.close()

    def _own(self, session_id: str) -> SessionWriter | None:
        """This process's own writer, where it is that session's."""
        live = self.live
        return live if live is not None and live.id == session_id else None

    def _last_step(self, session_id: str) -> int:
        own = self._own(session_id)
        if own is not None:
            return own.last_step
        records = self.store.folder(session_id).read_last(1)
        steps = [r.payload.step for r in records if isinstance(r.payload, p.StepStarted)]
        return max(steps, default=0)


def _text(text: str, what: str) -> str:
    text = text.strip()
    if not text:
        message = f"{what} must not be empty"
        raise InvalidRequest(message)
    return text

"""Giving back room: what the store takes, and removing what no session needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipysession.checkpoint.tidying import HOUR, tidy
from ipysession.documents import counted
from ipysession.errors import InvalidRequest, LogDamaged, SessionBusy
from ipysession.report import Report, Table, byte_size
from ipysession.sessions.browsing import BrowsingVerbs

if TYPE_CHECKING:
    from ipysession.store import SessionWriter
    from ipysession.store.garbage import Swept


class TidyingVerbs(BrowsingVerbs):
    """The verbs about room on the disk."""

    def storage_report(self) -> Report:
        """What the store takes, and which sessions take most of it."""
        data = self.storage()
        rows = tuple(
            (item["id"], item["title"], item["state"], byte_size(item["bytes"]))
            for item in data["largest"]
        )
        headline = (
            f"{counted(data['sessions'], 'session')} take {byte_size(data['bytes'])} in "
            f"{data['path']}; {byte_size(data['free'])} are free"
        )
        table = Table(
            ("Session", "Title", "State", "Size"), rows, "The largest", frozenset({"Size"}), "State"
        )
        hint = "Give back what no session needs: gc. Delete a session: delete SESSION"
        return Report(data, headline, (table,), hint=hint)

    def collect(
        self,
        reference: str | None = None,
        *,
        keep: int | None = None,
        now: bool = False,
        dry_run: bool = False,
    ) -> Report:
        """Remove saved values that nothing needs; of one session, or of all.

        ``keep`` drops checkpoints but the last so many, those of steps with a note, the ends of
        branches, and what these rest on. What is not needed is noted and removed an hour later,
        or at once with ``now``. Raises InvalidRequest.
        """
        if keep is not None and keep < 1:
            message = f"--keep must be at least 1, not {keep}: the newest state is always kept"
            raise InvalidRequest(message)
        chosen = self.store.ids() if reference is None else [self.resolve(reference)]
        done: list[dict[str, Any]] = []
        for session_id in chosen:
            document: dict[str, Any] = {"session": session_id, "passed_over": None}
            try:
                document |= self._collect(session_id, keep, 0.0 if now else HOUR, dry_run=dry_run)
            except (SessionBusy, LogDamaged) as error:
                document["passed_over"] = str(error)
            done.append(document)
        return _report(done, dry_run=dry_run)

    def _collect(
        self, session_id: str, keep: int | None, age: float, *, dry_run: bool
    ) -> dict[str, Any]:
        if self.live is not None and self.live.id == session_id:
            return self._collect_in(self.live, keep, age, dry_run=dry_run)
        # The lock is held until the end: no kernel begins to write meanwhile.
        writer = self.store.open_for_append(session_id)
        try:
            return self._collect_in(writer, keep, age, dry_run=dry_run)
        finally:
            writer.close()

    def _collect_in(
        self, writer: SessionWriter, keep: int | None, age: float, *, dry_run: bool
    ) -> dict[str, Any]:
        fresh, swept = tidy(writer, self.store.key(), keep=keep, age=age, only_tell=dry_run)
        return {"dropped": fresh, **_document(swept)}


def _document(swept: Swept) -> dict[str, Any]:
    return {
        "kept_bytes": swept.kept,
        "unneeded_bytes": swept.unnamed,
        "removed_bytes": swept.removed,
        "removed_files": swept.files,
    }


def _report(done: list[dict[str, Any]], *, dry_run: bool) -> Report:
    looked = [item for item in done if item["passed_over"] is None]
    removed = sum(item["removed_bytes"] for item in looked)
    unneeded = sum(item["unneeded_bytes"] for item in looked)
    rows = tuple(
        (
            item["session"],
            str(len(item["dropped"])),
            byte_size(item["kept_bytes"]),
            byte_size(item["unneeded_bytes"]),
            byte_size(item["removed_bytes"]),
        )
        for item in looked
        if item["dropped"] or item["unneeded_bytes"] or item["removed_bytes"]
    )
    columns = ("Session", "Checkpoints dropped", "Kept", "Not needed", "Removed")
    passed = tuple(
        (item["session"], item["passed_over"]) for item in done if item["passed_over"] is not None
    )
    headline = f"{counted(len(looked), 'session')}: {byte_size(removed)} removed"
    if unneeded:
        headline += f", {byte_size(unneeded)} " + (
            "would be" if dry_run else "will be an hour from now, at the next gc; --now does it now"
        )
    tables = (
        Table(columns, rows, right=frozenset(columns[1:])),
        Table(("Session", "Passed over because"), passed),
    )
    return Report(done, headline, tables)

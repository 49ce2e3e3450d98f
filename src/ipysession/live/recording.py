"""The verbs about recording itself: status, pause, continue, complete."""

from __future__ import annotations

from typing import Any

from ipysession.documents import summary_document
from ipysession.live.kernel import KernelSessions
from ipysession.offers import offer
from ipysession.report import Report, Table, byte_size, duration


class Recording(KernelSessions):
    """What is being recorded, and whether."""

    def status(self) -> Report:
        """What is being recorded, and where."""
        writer = self.live
        if writer is None:
            earlier = self.resumable()
            data: dict[str, Any] = {
                "recording": not self.recorder.paused,
                "session": None,
                "store": str(self.store.path),
                "resumable": None if earlier is None else earlier.id,
            }
            headline = "Recording · the session begins with the next cell"
            return Report(data, headline, hint="" if earlier is None else offer(earlier))
        summary = writer.summary()
        waiting = writer.log.waiting
        data = {
            "recording": not self.recorder.paused,
            "session": summary_document(summary),
            "store": str(self.store.path),
            "path": str(writer.folder.path),
            "records_waiting": waiting,
            "trouble": writer.trouble,
            "resumable": None,
        }
        rows = [
            ("Session", f"{summary.id} “{summary.title}”"),
            ("State", str(summary.state)),
            ("Steps", f"{summary.steps} ({summary.failures} failed)"),
            ("Cells ran", duration(summary.cell_seconds)),
            ("Run", str(summary.runs)),
            ("Kept in", str(writer.folder.path)),
        ]
        if summary.notebook:
            rows.insert(1, ("Notebook", summary.notebook))
        if writer.trouble is not None:
            rows.append(("The disk refuses", writer.trouble))
        if waiting:
            rows.append(("Waiting for the disk", f"{waiting} records"))
        saved = self.recorder.saved()
        count = len(saved.names.keys() - saved.missing.keys() - set(saved.waiting))
        rows.append(("Values saved", f"{count} in this run, {byte_size(saved.written)} written"))
        if saved.waiting:
            rows.append(("Waiting to be saved", ", ".join(saved.waiting)))
        rows += [(f"Not saved: {name}", why) for name, why in saved.missing.items()]
        data["saved"] = saved.names
        data["saved_bytes_written"] = saved.written
        data["waiting_to_be_saved"] = saved.waiting
        data["not_saved"] = saved.missing
        coming, failed = self.arrivals.names, self.arrivals.failed
        data["waiting_to_be_loaded"] = coming
        data["not_loaded"] = failed
        if coming:
            rows.append(("Waiting to be loaded", ", ".join(coming)))
        if failed:
            rows.append(("Could not be loaded", ", ".join(failed)))
        what = "Paused" if self.recorder.paused else "Recording"
        headline = f"{what} · {summary.title} · step {writer.last_step}"
        return Report(data, headline, (Table(("", " "), tuple(rows)),))

    def collect(
        self,
        reference: str | None = None,
        *,
        keep: int | None = None,
        now: bool = False,
        dry_run: bool = False,
    ) -> Report:
        """Remove saved values that nothing needs; this kernel looks for its own again."""
        report = super().collect(reference, keep=keep, now=now, dry_run=dry_run)
        self.recorder.blobs_removed()
        return report

    def pause(self) -> Report:
        """Stop recording until ``continue``."""
        self.recorder.pause("paused by the user")
        session = self.recorder.recording().id
        data = {"session": session, "state": "paused"}
        return Report(data, f"paused {session}; cells are not recorded")

    def go_on(self) -> Report:
        """Record again."""
        self.recorder.go_on()
        session = self.recorder.recording().id
        return Report({"session": session, "state": "running"}, f"recording {session} again")

    def complete(self) -> Report:
        """Close the session for good; the next cell begins a new one."""
        self.arrivals.bring_all()
        session = self.recorder.complete("completed by the user")
        return Report({"session": session, "state": "completed"}, f"{session} is completed")

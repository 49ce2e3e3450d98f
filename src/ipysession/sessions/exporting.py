"""Exporting a session as a clean notebook."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipysession.documents import counted
from ipysession.report import Report, Table
from ipysession.sessions.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipysession.export import ExportOptions


class ExportingVerbs(Finding):
    """The verb that hands a session over."""

    def export(
        self,
        reference: str | None = None,
        *,
        output: str | None = None,
        options: ExportOptions | None = None,
        progress: Callable[[str], None] = lambda _: None,
    ) -> Report:
        """Write a session as a clean notebook, or as what is made of one. ``output`` defaults to
        its title; ``progress`` is told what is going on while it verifies.
        """
        # Imported when it is wanted: nbformat takes longer than all the rest of %load_ext.
        from ipysession.export import ExportOptions, export_session
        from ipysession.export.formats import NOTEBOOK, format_named

        options = options or ExportOptions()
        reading = self.read(reference, verify=options.verify)
        kind = NOTEBOOK if options.format is None else format_named(options.format)
        name = output or f"{file_name(reading.session.summary.title)}-clean{kind.suffix}"
        result = export_session(reading, Path(name), options, progress=progress)
        dropped = tuple((str(d.step), d.reason) for d in result.dropped)
        data: dict[str, Any] = {
            "session": reading.session.id,
            "path": str(result.path),
            "kept": list(result.kept),
            "dropped": [{"step": d.step, "reason": d.reason} for d in result.dropped],
            "verified": None,
            "changed_inputs": list(result.changed),
        }
        said = "not verified"
        failed = False
        if result.verification is not None:
            data["verified"] = result.verification.verdict == "verified"
            data["verification"] = result.verification.document()
            said = result.verification.summary
            if result.verification.added:
                added = ", ".join(map(str, result.verification.added))
                said += f" once these steps were added: {added}"
            failed = options.verify and not data["verified"]
        headline = f"{result.path}: {counted(len(result.kept), 'cell')}, {said}"
        table = Table(("Step", "Left out because"), dropped, right=frozenset({"Step"}))
        hint = ""
        if result.changed:
            hint = (
                f"Changed since its cells read it: {', '.join(result.changed)}. The notebook will "
                "show something else, unless it is run again first: %session rerun --stale"
            )
        return Report(data, headline, (table,), hint=hint, failed=failed)


def file_name(title: str) -> str:
    """A name for a file, made of a session's title."""
    safe = "".join(char if char.isalnum() or char in " ._-" else "_" for char in title).strip(" .")
    return safe or "session"

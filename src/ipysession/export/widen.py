"""Verify, then widen: a selection that does not give the same again gets the steps that it most
likely lacks, then all of them. What even then differs is not deterministic.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ipysession.export.notebook import assemble
from ipysession.export.select import widened
from ipysession.export.verify import Progress, Verification, verify_notebook

if TYPE_CHECKING:
    from pathlib import Path

    from nbformat import NotebookNode

    from ipysession.export.select import Selection
    from ipysession.store import Reading


def verified(
    reading: Reading,
    selection: Selection,
    notebook: Path | None = None,
    *,
    consent: bool = False,
    progress: Progress = lambda _: None,
) -> tuple[Selection, NotebookNode, Verification]:
    """The selection that re-runs, or the first one where none does; its notebook; the verdict.

    ``consent`` allows steps to run again that reach beyond their folder. Each attempt runs in
    a kernel of its own.
    """
    made = assemble(reading, selection, notebook)

    def check(wanted: NotebookNode, attempt: str) -> Verification:
        return verify_notebook(
            wanted,
            reading,
            names=selection.names,
            consent=consent,
            progress=lambda said: progress(f"verifying{attempt}: {said}"),
        )

    first = last = check(made, "")
    if first.ok or first.step is None or first.verdict == "not run":
        return selection, made, first
    wider = widened(reading.session, selection)
    for larger in wider:
        again = assemble(reading, larger, notebook)
        added = len(larger.kept) - len(selection.kept)
        last = check(again, f", with {added} more steps")
        if last.ok:
            before = {step.number for step in selection.kept}
            more = tuple(s.number for s in larger.kept if s.number not in before)
            return larger, again, replace(last, added=more)
        if last.verdict == "not run":
            said = f"{first.why}; more steps could not be tried: {last.why}"
            return selection, made, replace(first, why=said)
    if last.verdict != "differs":
        return selection, made, replace(first, why=f"{first.why}; so it is with all steps")
    said = (
        f"all {len((wider or (selection,))[-1].kept)} steps of the session, "
        f"run again, differ from step {last.step} on ({last.why})"
    )
    return selection, made, replace(last, verdict="not deterministic", why=said)

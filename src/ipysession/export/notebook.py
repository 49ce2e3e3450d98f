"""A recorded session as a notebook: cells, recorded outputs, and where each came from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ipysession.export import nb
from ipysession.export.outputs import mime_bundle, recorded_outputs, valid_count
from ipysession.export.plain import Plain
from ipysession.export.requirements import requirements
from ipysession.export.select import failed, select_steps
from ipysession.export.sources import CellIds, clean_source
from ipysession.export.surroundings import (
    Surroundings,
    note_positions,
    notebook_path,
    removed_cells,
    surroundings,
)
from ipysession.lineage.things import kind_of, thing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nbformat import NotebookNode

    from ipysession.export.options import ExportOptions
    from ipysession.export.select import Selection
    from ipysession.model import Note, Session, Step
    from ipysession.store import Reading

MAY_RAISE = "raises-exception"
"""Jupyter's tag for a cell whose error does not stop a run of the notebook."""

NOT_VERIFIED = {"verified": False, "why": "not checked; export with --verify to check it"}


def build_notebook(
    reading: Reading, options: ExportOptions, notebook: Path | None = None
) -> NotebookNode:
    """The session of ``reading`` as a valid notebook (nbformat 4.5) with its recorded outputs.

    ``notebook`` is the file whose headings and text are taken over; by default the one that
    the session names. Needs no kernel, and works while another process records the session.
    Raises InvalidRequest where ``options`` names steps or names that do not exist.
    """
    return assemble(reading, select(reading, options, notebook), notebook)


def select(reading: Reading, options: ExportOptions, notebook: Path | None = None) -> Selection:
    """The steps to export, cells that the notebook file no longer has left aside; see
    `select_steps`.
    """
    session = reading.session
    path = notebook_path(session, session.steps) if notebook is None else notebook
    return select_steps(session, options, removed_cells(path, session.steps))


def assemble(reading: Reading, selection: Selection, notebook: Path | None = None) -> NotebookNode:
    """The notebook of a selection; see `build_notebook`."""
    session, kept = reading.session, selection.kept
    plain = Plain()
    outputs, incomplete = recorded_outputs(kept, session.steps, reading.blobs, plain)
    path = notebook_path(session, kept) if notebook is None else notebook
    around = surroundings(path, kept)
    notes = note_positions(session.notes, kept)
    newest = {step.cell_id: step.number for step in kept if step.cell_id is not None}
    ids = CellIds(frozenset(newest))
    missing = _missing_counts(kept)
    cells: list[dict[str, Any]] = []
    for position in range(len(kept) + 1):
        cells += _notes(session, notes.get(position, []), ids, plain)
        cells += _texts(around.texts.get(position, []), ids, plain)
        if position < len(kept):
            step = kept[position]
            for number in missing.get(step.number, ()):
                cells.append(_stand_in(number, ids))
            wanted = step.cell_id if newest.get(step.cell_id or "") == step.number else None
            cell = _code_cell(session, step, outputs.get(step.number, []), plain)
            cell["id"] = ids.take(wanted, f"step-{step.number}", owner=True)
            if step.number in incomplete:
                cell["metadata"]["ipysession"]["incomplete"] = True
            cells.append(cell)
    made = nb.node(
        {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": _metadata(reading, selection, around, plain),
            "cells": cells,
        }
    )
    nb.check(made)
    return made


def _missing_counts(kept: tuple[Step, ...]) -> dict[int, range]:
    """The numbers that IPython gave to cells which are not among those exported (ours, for the
    most part), by the step that comes after them; as far as a kept step asks for an output by its
    number, which would be another one otherwise.
    """
    last = max(map(_asks_for_count, kept), default=0)
    found: dict[int, range] = {}
    counted = 0
    for step in kept:
        count = step.execution_count or 0
        if not step.store_history or counted >= count:
            continue
        if counted >= last:
            break
        found[step.number] = range(counted + 1, count)
        counted = count
    return found


def _asks_for_count(step: Step) -> int:
    """Up to which number the numbers of outputs must be as they were for a step; 0: none need."""
    lineage = step.provenance.lineage
    asked = [thing(text).root for text in ({} if lineage is None else lineage.read)]
    counts = [text.partition(":")[2] for text in asked if kind_of(text) == "numbering"]
    here = step.execution_count or 0
    return max((int(count) if count else here for count in counts), default=0)


def _stand_in(number: int, ids: CellIds) -> dict[str, Any]:
    """A cell that does nothing but to be counted."""
    return {
        "cell_type": "code",
        "id": ids.take(None, f"number-{number}"),
        "source": f"# In [{number}] is not part of this export; this keeps the numbers of outputs.",
        "execution_count": number,
        "metadata": {"ipysession": {"stands_in": True}},
        "outputs": [],
    }


def _code_cell(
    session: Session, step: Step, outputs: list[dict[str, Any]], plain: Plain
) -> dict[str, Any]:
    source = clean_source(step.source, step.transformed)
    origin: dict[str, Any] = {
        "session": session.id,
        "step": step.number,
        "run": step.run,
        "started": step.started.isoformat(),
        "duration": step.duration,
        "execution_count": step.execution_count,
        "outcome": str(step.outcome),
    }
    if outputs:
        origin["outputs"] = "recorded"
    if step.redacted:
        origin["redacted"] = dict(step.redacted)
    if source.removed:
        origin["removed"] = list(source.removed)
    metadata: dict[str, Any] = {"ipysession": plain.value(origin)}
    if failed(step):
        metadata["tags"] = [MAY_RAISE]
    return {
        "cell_type": "code",
        "source": plain.text(source.text),
        "execution_count": valid_count(step.execution_count),
        "metadata": metadata,
        "outputs": outputs,
    }


def _notes(
    session: Session, notes: list[Note], ids: CellIds, plain: Plain
) -> Iterator[dict[str, Any]]:
    for note in notes:
        origin = {"session": session.id, "note": True, "written": note.time.isoformat()}
        if note.step is not None:
            origin["step"] = note.step
        yield {
            "cell_type": "markdown",
            "id": ids.take(None, f"note-{note.step or 0}"),
            "source": plain.text(note.text),
            "metadata": {"ipysession": origin},
        }


def _texts(cells: list[dict[str, Any]], ids: CellIds, plain: Plain) -> Iterator[dict[str, Any]]:
    for cell in cells:
        source = cell.get("source", "")
        made: dict[str, Any] = {
            "cell_type": cell["cell_type"],
            "id": ids.take(str(cell.get("id")), "text"),
            "source": plain.text(source if isinstance(source, str) else str(source)),
            "metadata": plain.value(cell.get("metadata", {})),
        }
        attachments = cell.get("attachments")
        if isinstance(attachments, dict) and attachments:
            made["attachments"] = {
                plain.text(name): mime_bundle(data, plain) for name, data in attachments.items()
            }
        if not nb.is_valid_cell(made):
            made["metadata"] = {}  # what the file says there is not what nbformat wants
        yield made


def _metadata(
    reading: Reading, selection: Selection, around: Surroundings, plain: Plain
) -> dict[str, Any]:
    session = reading.session
    environment = _environment(session, selection)
    about: dict[str, Any] = {
        "session": session.id,
        "title": session.summary.title,
        "exported": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": _version(),
        "steps": [step.number for step in selection.kept],
        "dropped": [{"step": d.step, "reason": d.reason} for d in selection.dropped],
        "environment": environment,
        "requirements": requirements(selection.kept, environment.get("packages", {})),
        "outputs": "recorded",
        "verified": NOT_VERIFIED,
    }
    if around.path is not None or around.problem is not None:
        about["notebook"] = {
            "path": None if around.path is None else str(around.path),
            "problem": around.problem,
        }
    if session.summary.parent is not None:
        about["parent"] = session.summary.parent.model_dump(mode="json")
    said = [*(str(damage) for damage in reading.damage), *session.problems]
    if said:
        about["damage"] = said
    about = plain.value(about)
    if plain.replaced:
        about["replaced"] = dict(sorted(plain.replaced.items()))
    python = str(environment.get("python") or "")
    return {
        "kernelspec": {
            "name": "python3",
            "display_name": "Python 3 (ipykernel)",
            "language": "python",
        },
        "language_info": {
            "name": "python",
            "version": plain.text(python),
            "mimetype": "text/x-python",
            "file_extension": ".py",
            "pygments_lexer": "ipython3",
            "nbconvert_exporter": "python",
            "codemirror_mode": {"name": "ipython", "version": 3},
        },
        "ipysession": about,
    }


def _environment(session: Session, selection: Selection) -> dict[str, Any]:
    """Python and the packages' versions as they were when the last kept step ran."""
    last = selection.kept[-1].run if selection.kept else None
    if not session.runs:
        return {}
    run = next((run for run in session.runs if run.number == last), session.runs[-1])
    packages = dict(run.environment.packages)
    for step in selection.kept:
        if step.run == last:
            packages.update(step.provenance.packages)
    return {
        "python": run.environment.python,
        "implementation": run.environment.implementation,
        "platform": run.environment.platform,
        "packages": dict(sorted(packages.items())),
    }


def _version() -> str:
    from ipysession import __version__

    return __version__

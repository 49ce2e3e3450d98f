"""What stands around the code cells: text from the notebook file, and the user's notes.

The log records what ran. Headings and explanations never run, so they come from the notebook
file, where it is known and can be read; they are attached to the code cell that follows them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipysession.export import nb
from ipysession.export.inputs import folder_of
from ipysession.export.sources import clean_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipysession.model import Note, Session, Step

_MAX_BYTES = 200 * 1024 * 1024
"""A notebook file larger than this is not read for its headings."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Cells of text, by the position among the kept steps before which they stand.

    The position after the last step holds what trails. ``path`` is the file that was meant,
    and ``problem`` says in words why nothing came from it; None where all is well.
    """

    texts: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    path: Path | None = None
    problem: str | None = None


def notebook_path(session: Session, steps: Sequence[Step]) -> Path | None:
    """The notebook file that the session was recorded from, as far as it is known."""
    for step in reversed(steps):
        if step.notebook:
            return _located(step.notebook, folder_of(session, step))
    if session.summary.notebook:
        return _located(session.summary.notebook, session.summary.cwd)
    return None


def _located(notebook: str, folder: str) -> Path:
    """Some frontends name the file relative to the kernel's folder, some relative to Jupyter's
    own folder; then its name alone is right in the kernel's folder.
    """
    try:
        path = Path(folder, notebook)
        near = Path(folder, path.name)
        return near if not path.exists() and near.exists() else path
    except (OSError, ValueError):
        return Path(notebook)


def surroundings(path: Path | None, steps: Sequence[Step]) -> Surroundings:
    """The text cells of the notebook file, each once, in the order of the file."""
    if path is None:
        return Surroundings(problem="the notebook file is not known")
    try:
        cells = _read(path)
    except Exception as error:  # noqa: BLE001 - the file is the user's; whatever is wrong with it, the export goes on
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        said = f"{path} cannot be read as a notebook: {reason or type(error).__name__}"
        return Surroundings(path=path, problem=said[:500])
    found = _Anchors(steps)
    texts: dict[int, list[dict[str, Any]]] = {}
    waiting: list[dict[str, Any]] = []
    for cell in cells:
        if cell.get("cell_type") in {"markdown", "raw"}:
            waiting.append(cell)
        elif cell.get("cell_type") == "code" and waiting:
            position = found.position(cell)
            if position is not None:
                texts.setdefault(position, []).extend(waiting)
                waiting = []
    if waiting:
        texts.setdefault(len(steps), []).extend(waiting)
    return Surroundings(texts, path)


def _read(path: Path) -> list[dict[str, Any]]:
    size = path.stat().st_size
    if size > _MAX_BYTES:
        message = f"it has {size} bytes, more than {_MAX_BYTES}"
        raise ValueError(message)
    notebook = nb.read(path.read_text(encoding="utf-8"))
    return [cell for cell in notebook.cells if isinstance(cell, dict)]


def removed_cells(path: Path | None, steps: Sequence[Step]) -> frozenset[str]:
    """The ids of cells that ran and that the notebook file no longer has.

    Only a file that was saved after a cell ran can tell that of it. Empty where the file
    cannot be read, or gives its cells other ids than those that were recorded.
    """
    if path is None:
        return frozenset()
    try:
        status = path.stat()
        if status.st_size > _MAX_BYTES:
            return frozenset()
        cells = json.loads(path.read_bytes())["cells"]
        there = {str(cell.get("id")) for cell in cells}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return frozenset()  # the export says why, where it reads the file for its headings
    ran: dict[str, float] = {}
    for step in steps:
        if step.cell_id is not None:
            ran[step.cell_id] = (step.finished or step.started).timestamp()
    if there.isdisjoint(ran):
        return frozenset()
    return frozenset(cell for cell, when in ran.items() if when < status.st_mtime) - there


class _Anchors:
    """Finds the step that a code cell of the file became: by its id, else by its text."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._by_id: dict[str, int] = {}
        self._by_source: dict[str, list[int]] = {}
        for position, step in enumerate(steps):
            if step.cell_id is not None:
                self._by_id.setdefault(step.cell_id, position)
            self._by_source.setdefault(_text(step.source), []).append(position)

    def position(self, cell: dict[str, Any]) -> int | None:
        """The position of the first step that ran the cell; None where none did."""
        position = self._by_id.get(str(cell.get("id")))
        if position is None:
            same = self._by_source.get(_text(str(cell.get("source", ""))), [])
            # Cells of equal text are told apart by their order.
            position = same.pop(0) if len(same) > 1 else next(iter(same), None)
        return position


def _text(source: str) -> str:
    return clean_source(source).text.strip()


def note_positions(notes: Sequence[Note], steps: Sequence[Step]) -> dict[int, list[Note]]:
    """The user's notes, by the position among the kept steps before which each stands: after
    its own step, or after the last one before that where its own is not kept.
    """
    placed: dict[int, list[Note]] = {}
    for note in notes:
        number = note.step or 0
        position = sum(step.number <= number for step in steps)
        placed.setdefault(position, []).append(note)
    return placed

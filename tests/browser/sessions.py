"""Sessions that lie in a store already, for pages and terminals to show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipysession.log import SyncPolicy
from ipysession.model import Outcome
from ipysession.model import payloads as p
from ipysession.model.provenance import Environment
from ipysession.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def record(
    store: Path,
    title: str,
    cells: Sequence[tuple[str, str, str]],
    *,
    end: p.Payload | None = None,
    tags: Sequence[str] = (),
    notes: Sequence[str] = (),
    notebook: str | None = None,
) -> str:
    """Record a session into ``store`` and return its id. ``cells`` are source, output, outcome."""
    created = p.SessionCreated(session="", title=title, notebook=notebook)
    writer = Store(store).create(created, policy=SyncPolicy.OFF)
    environment = Environment(python="3.13.1", cwd="/home/me")
    writer.append(p.RunStarted(number=1, environment=environment, notebook=notebook))
    for tag in tags:
        writer.append(p.SessionTagged(tag=tag))
    for number, (source, text, outcome) in enumerate(cells, start=1):
        output = {"output_type": "stream", "name": "stdout", "text": text}
        writer.append(
            p.StepStarted(
                step=number, source=source, cell_id=f"cell-{number}", execution_count=number
            )
        )
        if text:
            writer.append(p.StepOutput(step=number, events=[{"event": "output", "output": output}]))
        writer.append(
            p.StepFinished(step=number, outcome=Outcome(outcome), duration=0.04 * number**3)
        )
    for note in notes:
        writer.append(p.NoteAdded(text=note, step=len(cells)))
    writer.append(end or p.SessionPaused(reason="kernel shutdown"))
    writer.close()
    return writer.id

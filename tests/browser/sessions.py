"""Sessions that lie in a store already, for pages and terminals to show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipysession.lineage import cell_names
from ipysession.log import SyncPolicy
from ipysession.model import Outcome
from ipysession.model import payloads as p
from ipysession.model.provenance import Environment, FileUse
from ipysession.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from integration.kernels import Home


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
        names = cell_names(source)
        writer.append(
            p.StepFinished(
                step=number,
                outcome=Outcome(outcome),
                duration=0.04 * number**3,
                bound=sorted(names.bound) if outcome == "ok" else [],
                reads=sorted(names.reads),
            )
        )
    for note in notes:
        writer.append(p.NoteAdded(text=note, step=len(cells)))
    writer.append(end or p.SessionPaused(reason="kernel shutdown"))
    writer.close()
    return writer.id


MARKUP = [
    "<script>window.struck = 1</script>",
    '<img src="x" onerror="window.struck = 2">',
    '<svg onload="window.struck = 3"></svg>',
    '"><iframe srcdoc="<script>parent.struck = 4</script>"></iframe>',
    "</style></table></div><script>window.struck = 5</script>",
    '<a href="javascript:window.struck = 6">click me</a>',
    "javascript:window.struck=7",
    "<style>body { display: none }</style>",
    "{{constructor.constructor('window.struck = 8')()}}",
    "$\\href{javascript:window.struck=9}{x}$",
]


def write_marked_up(home: Home) -> str:
    """A session that holds markup wherever a session holds text."""
    store = Store(home.store)
    writer = store.create(p.SessionCreated(session="", title=MARKUP[0], notebook=MARKUP[1]))
    writer.append(p.RunStarted(number=1, environment=Environment(python=MARKUP[2])))
    for number, text in enumerate(MARKUP, start=1):
        output = {"output_type": "display_data", "metadata": {}, "data": {"text/plain": text}}
        html = {"output_type": "display_data", "metadata": {}, "data": {"text/html": text}}
        stream = {"output_type": "stream", "name": "stdout", "text": text + "\n"}
        error = p.StepError(ename=text, evalue=text, traceback=[text])
        shown = {"output_type": "error", **error.model_dump()}
        events = [{"event": "output", "output": it} for it in (output, html, stream, shown)]
        for payload in [
            p.SessionTitled(title=text),
            p.SessionTagged(tag=text),
            p.NoteAdded(text=text),
            p.StepStarted(step=number, source=text, cell_id=text, execution_count=number),
            p.StepOutput(step=number, events=events),
            p.StepEffects(step=number, files=[FileUse(path=text, action="written")]),
            p.StepFinished(
                step=number, outcome=Outcome.ERROR, duration=1, error=error, bound=[text]
            ),
        ]:
            writer.append(payload)
    writer.append(p.SessionTitled(title=MARKUP[3]))
    writer.append(p.SessionPaused(reason=MARKUP[4]))
    writer.close()
    return writer.id

"""How long a user waits for an export that is not verified."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.figures import Aim, Figure
from ipysession.export import ExportOptions, export_session
from ipysession.model import Outcome
from ipysession.model import payloads as p
from ipysession.model.provenance import Environment, Lineage
from ipysession.store import Store

if TYPE_CHECKING:
    from benchmarks.workplace import Workplace
    from ipysession.store import SessionFolder

_STEPS = 1_000
_KEY = bytes(32)


def exporting(workplace: Workplace) -> list[Figure]:
    """A session of 1,000 steps, as a notebook and as a script."""
    folder = _session(workplace)
    figures = []
    for suffix, aim in ((".ipynb", Aim(seconds=0.2)), (".prov.json", None), (".py", None)):
        taken = []
        for _ in range(workplace.runs(20, 3)):
            began = time.perf_counter()
            target = workplace.folder / f"clean{suffix}"
            result = export_session(folder.read(), target, ExportOptions(force=True))
            taken.append(time.perf_counter() - began)
        remark = f"{len(result.kept)} cells kept"
        figures.append(Figure(f"export of {_STEPS:,} steps as {suffix}", tuple(taken), None, aim,
                              remark))  # fmt: skip
    return figures


def _session(workplace: Workplace) -> SessionFolder:
    """Each fourth step is run again later; a list grows in every tenth."""
    store = Store(workplace.folder / "store", key=_KEY)
    writer = store.create(p.SessionCreated(session="", title="bench"))
    writer.log.run = 1
    writer.append(
        p.RunStarted(number=1, environment=Environment(python="3.12", cwd=str(workplace.folder)))
    )
    for number in range(1, _STEPS + 1):
        name, grows = f"v{number % 300}", number % 10 == 0
        source = f"total.append({name})" if grows else f"{name} = v{(number - 7) % 300}\n{name}"
        if number == 1:
            source = "total = []"
        writer.append(p.StepStarted(
            step=number, source=source, cell_id=f"cell-{number % 750}", execution_count=number,
        ))  # fmt: skip
        shown = {"text/plain": f"Result {number}\n" * 5}
        output = {"output_type": "execute_result", "data": shown, "metadata": {}}
        if not grows:
            event = {"event": "output", "output": {**output, "execution_count": number}}
            writer.append(p.StepOutput(step=number, events=[event]))
        else:
            read = {"total": "code", name: "code"}
            lineage = Lineage(read=read, changed={"total": "value"})
            writer.append(p.StepEffects(step=number, lineage=lineage))
        writer.append(p.StepFinished(
            step=number, outcome=Outcome.OK, duration=0.01, exact=True,
            bound=["total"] if number == 1 else [] if grows else [name],
            reads=[] if number == 1 else [f"v{(number - 7) % 300}"],
        ))  # fmt: skip
    writer.close()
    return store.folder(writer.id)

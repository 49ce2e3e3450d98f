"""What is kept of a session, by each way to choose: our export, ipyflow's slices, and none."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import nbformat

from benchmarks.environments import python_of
from benchmarks.kernels import RECORDED, Kernel, Kind

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.lineage.cases import Case
    from benchmarks.workplace import Workplace

_SLICE = """\
import ipyflow as _flow, json as _json
_seed = _flow.cells().at_counter({count})
_slice = _flow.cells().make_multi_slice([_seed])
print(_json.dumps([cell.timestamp.cell_num for cell in _slice]))
"""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The executions that are kept, in the order in which they are to run."""

    executions: tuple[int, ...]
    verified: bool | None = None
    """What the export says of itself; None where it was not asked to check."""
    why: str = ""


def everything(case: Case) -> Chosen:
    """All that ran."""
    return Chosen(tuple(range(1, case.last + 1)))


def notebook(case: Case) -> Chosen:
    """The notebook as it stands at the end: the newest text of each cell, from top to bottom."""
    newest = {cell: number for number, cell in enumerate(case.cells, 1)}
    return Chosen(tuple(newest.values()))


def exported(workplace: Workplace, case: Case) -> tuple[Chosen, Chosen]:
    """Record the session in a kernel, and export what its last execution needs, as a user does:
    without and with ``--verify``.
    """
    kernel = _kernel(workplace, RECORDED, case)
    try:
        for source, cell in zip(case.sources, case.cells, strict=True):
            kernel.try_cell(source, cell)
        chosen = []
        for name, verify in (("plain", ""), ("verified", "--verify=all")):
            file = workplace.folder / f"{case.name}-{name}.ipynb"
            # The cell that loads us is no step, so that steps count as executions do.
            kernel.try_cell(f"%session export -o {file} --step {case.last} {verify}", "export")
            chosen.append(_read(file))
        return chosen[0], chosen[1]
    finally:
        kernel.stop()


def _kernel(workplace: Workplace, kind: Kind, case: Case) -> Kernel:
    folder = workplace.folder / f"{kind.name}-{case.name}"
    folder.mkdir()
    kernel = Kernel(workplace, kind, folder)
    kernel.start()
    return kernel


def _read(file: Path) -> Chosen:
    made = nbformat.read(file, as_version=4)
    cells = [cell for cell in made.cells if cell.cell_type == "code"]
    steps = tuple(cell.metadata.ipysession.step for cell in cells)
    said = made.metadata.ipysession.get("verified")
    if not isinstance(said, dict) or "verdict" not in said:
        return Chosen(steps)
    return Chosen(steps, bool(said["verified"]), str(said.get("why", "")))


def sliced_by_ipyflow(workplace: Workplace, case: Case) -> Chosen:
    """Run the session in ipyflow's kernel, and ask it for the slice of the last execution."""
    kind = Kind("ipyflow", python=python_of("ipyflow"), module="ipyflow.kernel")
    kernel = _kernel(workplace, kind, case)
    try:
        counts = {
            kernel.try_cell(source, cell): number
            for number, (source, cell) in enumerate(zip(case.sources, case.cells, strict=True), 1)
        }
        kept = json.loads(kernel.ask(_SLICE.format(count=max(counts))))
    finally:
        kernel.stop()
    return Chosen(tuple(counts[count] for count in kept))

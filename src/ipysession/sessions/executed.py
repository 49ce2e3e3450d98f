"""An executed notebook as the records that its kernel would have left, as far as it tells."""

from __future__ import annotations

import ast
import warnings
from datetime import datetime
from typing import TYPE_CHECKING, Any

from IPython.core.inputtransformer2 import TransformerManager

from ipysession.errors import ImportRefused
from ipysession.export import nb
from ipysession.lineage import cell_names
from ipysession.model import Outcome
from ipysession.model import payloads as p
from ipysession.model.provenance import Environment
from ipysession.record.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from nbformat import NotebookNode

_TIMES = (
    ("iopub.execute_input", "shell.execute_reply.started"),
    ("shell.execute_reply", "iopub.status.idle"),
)
"""Where JupyterLab notes when a cell began and ended, if it is told to."""


def read_notebook(path: Path, data: bytes) -> NotebookNode:
    """The notebook in ``data``, as version 4. Raises ImportRefused."""
    try:
        notebook = nb.read(data.decode("utf-8"))
        nb.check(notebook)
    except Exception as error:  # whatever is wrong with the file, it is told
        said = str(error).strip().partition("\n")[0][:300] or type(error).__name__
        message = f"{path} cannot be read as a notebook: {said}"
        raise ImportRefused(message) from error
    return notebook


def executed_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The code cells that ran, in the order of their execution counts."""
    ran = [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code"
        and cell.source.strip()
        and (cell.execution_count is not None or cell.outputs)
    ]
    if all(cell.execution_count is not None for cell in ran):
        ran.sort(key=lambda cell: cell.execution_count)
    return ran


def payloads_of(
    notebook: NotebookNode, cells: Sequence[NotebookNode], folder: str
) -> Iterator[p.Payload]:
    """The run and its steps. Secrets are taken out, as when recording."""
    redactor = Redactor()
    transformer = TransformerManager()  # type: ignore[no-untyped-call]
    info = notebook.metadata.get("language_info", {})
    yield p.RunStarted(
        number=1,
        environment=Environment(
            python=str(info.get("version") or ""),
            frontend="imported",
            cwd=folder,
            packages=_packages(notebook.metadata),
        ),
    )
    known: set[str] = set()
    for number, cell in enumerate(cells, 1):
        source, redacted = redactor.text(cell.source)
        python = _python(transformer, cell.source)
        names = None if python is None else cell_names(python)
        shown = None if python is None or python == cell.source else redactor.text(python)[0]
        yield p.StepStarted(
            step=number,
            source=source,
            transformed=shown,
            parent=number - 1 or None,
            cell_id=cell.get("id"),
            execution_count=cell.execution_count,
            imported=True,
            redacted=redacted,
        )
        outputs, counts = redactor.value([dict(output) for output in cell.outputs])
        if outputs:
            events = [{"event": "output", "output": output} for output in outputs]
            yield p.StepOutput(step=number, events=events, redacted=counts)
        error = _error(outputs)
        yield p.StepFinished(
            step=number,
            outcome=Outcome.OK if error is None else Outcome.ERROR,
            duration=_seconds(cell.metadata.get("execution", {})),
            execution_count=cell.execution_count,
            error=error,
            bound=[] if names is None else sorted(names.bound),
            deleted=[] if names is None else sorted(names.deleted),
            reads=[] if names is None else sorted(names.reads & known),
        )
        known |= frozenset() if names is None else names.bound


def _python(transformer: TransformerManager, source: str) -> str | None:
    """What IPython would have run; None where it is no Python."""
    try:
        python: str = transformer.transform_cell(source)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `"\d"` in somebody's code is theirs
            ast.parse(python)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return source if python.rstrip("\n") == source.rstrip("\n") else python


def _packages(metadata: Mapping[str, Any]) -> dict[str, str]:
    """What an export of ours says of the packages."""
    about = metadata.get("ipysession")
    environment = about.get("environment") if isinstance(about, dict) else None
    packages = environment.get("packages") if isinstance(environment, dict) else None
    if not isinstance(packages, dict):
        return {}
    return {str(name)[:100]: str(version)[:100] for name, version in packages.items()}


def _error(outputs: Sequence[Mapping[str, Any]]) -> p.StepError | None:
    for output in outputs:
        if output.get("output_type") == "error":
            return p.StepError(
                ename=str(output.get("ename", "")),
                evalue=str(output.get("evalue", "")),
                traceback=[str(line) for line in output.get("traceback", ())],
            )
    return None


def _seconds(execution: Any) -> float:
    """How long the cell took, if the notebook tells."""
    times = []
    for names in _TIMES:
        said = next((execution.get(name) for name in names if execution.get(name)), None)
        try:
            times.append(datetime.fromisoformat(str(said)))
        except ValueError:
            return 0.0
    try:
        return max(0.0, (times[1] - times[0]).total_seconds())
    except TypeError:  # one tells its time zone, the other does not
        return 0.0

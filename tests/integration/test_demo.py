"""The demo ends well where all is well, and never where something differs."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import psutil
import pytest

from ipysession.demo import run_demo, tour_notebook
from ipysession.errors import InvalidRequest

# The whole demo starts three kernels and computes for some seconds; slow machines need longer.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

PARTS = ["1. Run", "2. Kill", "3. Resume", "4. Finish", "5. Export", "6. Verify"]
FEWER = ("years = 5_000", "years = 1_500")
"""What the tour's slow cell says, and what it says here: the kill comes after 500."""
SLOW = 'import time\nprint("begun", flush=True)\ntime.sleep(1.5)\nslept = True'


def write_notebook(path: Path, *sources: str) -> Path:
    """A notebook of these cells that loads the extension first; the kill comes in the last."""
    cells = [
        nbformat.v4.new_code_cell(source, id=f"cell-{number}")
        for number, source in enumerate(["%load_ext ipysession", *sources])
    ]
    cells[-1].metadata["tags"] = ["kill-here"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def kernels_of_this_process() -> list[psutil.Process]:
    """Kernels that this test process started and that still run."""
    children = psutil.Process(os.getpid()).children(recursive=True)
    return [
        child
        for child in children
        if child.status() != psutil.STATUS_ZOMBIE and "ipykernel_launcher" in child.cmdline()
    ]


def test_the_tour_survives_its_kernel_and_its_export_runs_again(tmp_path):
    """``make demo``: 0, every part told with its time, and the exported notebook lies there. Its
    slow cell draws fewer years; all else is as packaged.
    """
    text = tour_notebook().read_text()
    assert FEWER[0] in text
    notebook = tmp_path / "tour.ipynb"
    notebook.write_text(text.replace(*FEWER))
    told = []
    code = run_demo(folder=tmp_path / "demo", echo=told.append, notebook=notebook)
    story = "\n".join(told)
    assert code == 0, story
    for part in PARTS:
        assert f"\n{part}:" in story
        assert f"{part.split()[1]} took " in story
    (room,) = (tmp_path / "demo").iterdir()
    assert str(room / "clean.ipynb") in story
    exported = nbformat.read(room / "clean.ipynb", as_version=4)
    nbformat.validate(exported)
    plots = [
        output
        for cell in exported.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert len(plots) == 4
    assert not kernels_of_this_process()


def test_whatever_comes_out_differently_is_told_and_ends_the_demo_with_1(tmp_path):
    """A cell that prints another text each time, a value whose pickle lies; and nothing else."""
    notebook = write_notebook(
        tmp_path / "clock.ipynb",
        "import time\nprint(time.time_ns())",
        "x = 1\nx + 1",
        "class Liar:\n"
        "    def __init__(self, value):\n"
        "        self.value = value\n"
        "    def __reduce__(self):\n"
        "        return Liar, (self.value + 1,)",
        "liar = Liar(1)",
        SLOW,
    )
    told = []
    assert run_demo(folder=tmp_path / "demo", echo=told.append, notebook=notebook) == 1
    found = told[told.index("   Something came out differently:") + 1 :]
    # The liar lies at each pickling, and the end is compared with the end before the kill.
    assert found[0].strip().startswith("after the resume, variable liar is not what it was")
    verdicts = [line for line in found if "the export was not verified" in line]
    assert len(verdicts) == 1
    assert "not deterministic: all 5 steps of the session" in verdicts[0]
    others = [line for line in found if "variable" in line and "variable liar" not in line]
    assert others == [], "everything else was in order"


def test_a_demo_that_is_not_kept_leaves_nothing(tmp_path):
    """``keep=False`` removes the folder that it made, and only that."""
    notebook = write_notebook(tmp_path / "small.ipynb", "x = [1, 2]", "x.append(3)\nx", SLOW)
    told = []
    folder = tmp_path / "demo"
    code = run_demo(folder=folder, keep=False, echo=told.append, notebook=notebook)
    assert code == 0, "\n".join(told)
    assert list(folder.iterdir()) == []


def test_a_kernel_that_dies_by_itself_ends_the_demo_with_1(tmp_path):
    """It is told, nothing waits for ever, and no kernel stays behind."""
    notebook = write_notebook(tmp_path / "dies.ipynb", "import os\nos._exit(3)", SLOW)
    told = []
    assert run_demo(folder=tmp_path / "demo", echo=told.append, notebook=notebook) == 1
    assert "died by itself" in "\n".join(told)
    assert not kernels_of_this_process()


def test_a_cell_that_raises_ends_the_demo_with_1(tmp_path):
    """An error in the notebook is told with its cell."""
    notebook = write_notebook(tmp_path / "raises.ipynb", "1 / 0", SLOW)
    told = []
    assert run_demo(folder=tmp_path / "demo", echo=told.append, notebook=notebook) == 1
    assert "cell cell-1 raised ZeroDivisionError" in "\n".join(told)


def test_a_notebook_without_a_cell_to_die_in_is_refused(tmp_path):
    """Before anything is made or started."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    nbformat.write(notebook, tmp_path / "unmarked.ipynb")
    with pytest.raises(InvalidRequest, match="kill-here"):
        run_demo(folder=tmp_path / "demo", notebook=tmp_path / "unmarked.ipynb")
    assert not (tmp_path / "demo").exists()


def test_the_tour_is_a_clean_notebook():
    """Valid, without outputs, with ids that name the cells, and one cell to die in."""
    notebook = nbformat.read(tour_notebook(), as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code[0].source == "%load_ext ipysession"
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert sum("kill-here" in cell.metadata.get("tags", []) for cell in code) == 1

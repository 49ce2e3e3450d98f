"""The demo as a story in parts: run, kill, resume, finish, export, verify; each is checked.

Everything that it shows happens for real. How kernels are driven stands in ``kernel.py``, what
is compared before and after in ``fingerprints.py``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipysession.demo.kernel import CELL_SECONDS, DemoFailed, DemoKernel
from ipysession.demo.teller import Teller
from ipysession.errors import InvalidRequest
from ipysession.export import nb

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipysession.demo.fingerprints import Fingerprints
    from ipysession.demo.kernel import CellResult

KILL_TAG = "kill-here"
"""The tag of the cell in whose middle the kernel is killed."""
EXPORTED = "clean.ipynb"
_LOAD = "%load_ext ipysession"
_OURS = ("%session", _LOAD)


PAUSE_SECONDS = 0.5
"""Between cells, as a person makes one: in it the kernel saves what was too large to save in
a cell's own time."""


def run_demo(
    *,
    folder: Path | None = None,
    keep: bool = True,
    echo: Callable[[str], None] = print,
    notebook: Path | None = None,
) -> int:
    """Kill a kernel in the middle of a notebook, bring it back, export, re-run, compare.

    Args:
        folder: Where the demo makes its own new folder; by default the system's temporary one.
        keep: Leave the demo's folder, with the exported notebook, when all went well. A demo
            that found a difference always leaves it.
        echo: Takes each line of what the demo tells.
        notebook: Another notebook than the tour; one of its cells, which has to print something
            early, carries the tag ``kill-here``.

    Returns:
        0, or 1 if anything came out differently; what, is told through ``echo``.
    """
    source = tour_notebook() if notebook is None else notebook
    cells = _code_cells(source)
    if sum(map(_is_marked, cells)) != 1:
        raise InvalidRequest(
            f"{source} cannot be shown: exactly one code cell must carry the tag {KILL_TAG}"
        )
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    room = Path(tempfile.mkdtemp(prefix="ipysession-demo-", dir=folder)).resolve()
    teller = Teller(echo)
    demo = _Demo(room, Path(shutil.copy(source, room)), cells, teller)
    try:
        demo.tell()
    except DemoFailed as failure:
        demo.differences.append(str(failure))
    teller.times()
    if demo.differences:
        teller.failed("Something came out differently:")
        for difference in demo.differences:
            teller.failed(f"  {difference}")
        teller.line(f"Everything is left for you to look at in {room}")
        return 1
    if keep:
        teller.line(f"The exported notebook: {room / EXPORTED}")
        teller.line(f"The recorded session:  IPYSESSION_STORE={demo.store} jupyter session show")
    else:
        shutil.rmtree(room)
    teller.good("Nothing was lost.")
    return 0


def tour_notebook() -> Path:
    """The tour: as packaged in the wheel, else in the checkout that an editable install is."""
    packaged = Path(str(resources.files("ipysession"))) / "data" / "tour.ipynb"
    checkout = Path(__file__).resolve().parents[3] / "notebooks" / "tour.ipynb"
    for path in (packaged, checkout):
        if path.is_file():
            return path
    raise FileNotFoundError(f"the tour notebook is neither at {packaged} nor at {checkout}")


@dataclass
class _Demo:
    """What the parts of the story hand on to each other."""

    room: Path
    notebook: Path
    cells: list[Any]
    teller: Teller
    differences: list[str] = field(default_factory=list)
    our_numbers: list[int | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = self.room / "sessions"
        self.kill_at = next(n for n, cell in enumerate(self.cells) if _is_marked(cell))
        self.environment = {
            # The kernel chooses how plots are shown, as it does in a notebook.
            **{name: value for name, value in os.environ.items() if name != "MPLBACKEND"},
            "IPYSESSION_STORE": str(self.store),
            # The user's own profile stays as it is: its startup files, and its history.
            "IPYTHONDIR": str(self.room / "ipython"),
            # What the servers of Jupyter tell a kernel about its notebook.
            "JPY_SESSION_NAME": str(self.notebook),
            # Kernels of this environment, not others of the same name elsewhere.
            "JUPYTER_PREFER_ENV_PATH": "1",
        }

    def tell(self) -> None:
        """The whole story. Raises DemoFailed where it cannot go on."""
        teller = self.teller
        teller.line(f"A real analysis ({self.notebook.name}) in real kernels, in {self.room}")
        self._prepare()
        with ExitStack() as kernels:
            with teller.part("Run", "a new kernel runs the notebook, recorded"):
                kernel = kernels.enter_context(self._kernel())
                for cell in self.cells[: self.kill_at]:
                    self._run(kernel, cell)
                    time.sleep(PAUSE_SECONDS)
                before = self._without_our_inputs(kernel.fingerprints())
            with teller.part("Kill", f"SIGKILL for the kernel, process {kernel.pid}, in a cell"):
                self._kill(kernel)
        with ExitStack() as kernels:
            with teller.part("Resume", "another kernel brings the session back"):
                kernel = kernels.enter_context(self._kernel())
                self._resume(kernel, before)
            with teller.part("Finish", "the cell that died, and all after it"):
                for cell in self.cells[self.kill_at :]:
                    self._run(kernel, cell)
            with teller.part("Export", f"the session becomes {EXPORTED}"):
                teller.text(self._magic(kernel, f"%session export {EXPORTED}"))
                self._compare_cells()
        with teller.part("Verify", "the export runs in a fresh kernel; its outputs are compared"):
            self._verify()

    def _without_our_inputs(self, found: Fingerprints) -> Fingerprints:
        """Cells with nothing but our own lines are no steps, so nothing brings them back."""
        ours = {str(number) for number in self.our_numbers}
        return replace(found, inputs={n: d for n, d in found.inputs.items() if n not in ours})

    def _kernel(self) -> DemoKernel:
        return DemoKernel(folder=self.room, environment=self.environment)

    def _prepare(self) -> None:
        """Let matplotlib find the fonts now: on a new machine it would tell of it in a cell."""
        command = [sys.executable, "-c", "import matplotlib.font_manager"]
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=CELL_SECONDS,
            env=self.environment,
        )
        if done.returncode:
            hint = 'pip install "ipysession[demo]"'
            raise DemoFailed(f"the tour needs matplotlib; {hint}\n{done.stderr.strip()}")

    def _run(self, kernel: DemoKernel, cell: Any) -> None:
        result = kernel.run(cell.source, cell_id=cell.id)
        if result.error is not None:
            raise DemoFailed(f"cell {cell.id} raised {result.error}")
        self.teller.cell(result.execution_count, cell.source, result.seconds)
        if _is_ours(cell.source):
            self.our_numbers.append(result.execution_count)
        if cell.source.startswith(_OURS):
            self.teller.text("".join(result.texts))
        self._heed(cell.id, result)

    def _magic(self, kernel: DemoKernel, line: str) -> str:
        result = kernel.run(line)
        if result.error is not None:
            raise DemoFailed(f"{line} raised {result.error}")
        self.teller.cell(result.execution_count, line, result.seconds)
        self._heed(line, result)
        return "\n".join(result.texts)

    def _heed(self, cell: str, result: CellResult) -> None:
        """Tell warnings; ours, of an error within ipysession, is no good end of a demo."""
        self.teller.text(result.warnings)
        if "an internal error; recording goes on" in result.warnings:
            self.differences.append(f"ipysession told of an error of its own after {cell}")

    def _kill(self, kernel: DemoKernel) -> None:
        cell = self.cells[self.kill_at]
        number, words = kernel.run_until_it_prints(cell.source, cell_id=cell.id)
        self.teller.cell(number, cell.source, None)
        self.teller.text(words)
        seconds = kernel.kill()
        self.teller.line(f"The process was gone after {seconds * 1000:.0f} ms.")

    def _resume(self, kernel: DemoKernel, before: Fingerprints) -> None:
        self.teller.text(self._magic(kernel, _LOAD))
        self.teller.text(self._magic(kernel, "%session resume"))
        found = before.differences(kernel.fingerprints())
        self.differences += [f"after the resume, {difference}" for difference in found]
        if not found:
            self.teller.good(
                f"{len(before.variables)} variables, {len(before.inputs)} inputs, "
                f"{len(before.results)} results, the random states, the folder and the "
                "numbers of the cells are what they were before the kill"
            )

    def _compare_cells(self) -> None:
        """The export holds each cell of the notebook once, in order, without our own lines."""
        exported = [cell.source for cell in _code_cells(self.room / EXPORTED)]
        theirs = [source for source in exported if not _is_ours(source)]
        mine = [cell.source for cell in self.cells if not _is_ours(cell.source)]
        if theirs == mine:
            self.teller.good(f"{len(mine)} cells: each once, in its order, as it was typed")
            return
        self.differences += [
            f"the export lacks a cell: {_title(source)}" for source in mine if source not in theirs
        ]
        self.differences += [
            f"the export has a cell too many: {_title(source)}"
            for source in theirs
            if source not in mine
        ]
        if sorted(theirs) == sorted(mine):
            self.differences.append("the export's cells stand in another order")
        elif set(theirs) == set(mine):
            self.differences.append("the export holds some cells more than once")

    def _verify(self) -> None:
        sessions = self._session("list", "--json")
        if len(sessions) != 1:
            ids = ", ".join(session["id"] for session in sessions)
            self.differences.append(f"the kernels made {len(sessions)} sessions, not one: {ids}")
            return
        session = sessions[0]["id"]
        output = str(self.room / EXPORTED)
        report = self._session("export", session, "-o", output, "--verify", "--force", "--json")
        found = report.get("verification", {})
        if report.get("verified") is True and found.get("verdict") == "verified":
            self.teller.good(f"{len(report['kept'])} cells ran again, with the recorded outputs")
            return
        self.differences.append(
            f"the export was not verified: {found.get('verdict')}: {found.get('why')}"
        )
        self.differences += [line for line in (found.get("diff") or "").splitlines() if line]

    def _session(self, *arguments: str) -> Any:
        """What ``jupyter session …`` answers."""
        self.teller.line(f"$ jupyter session {' '.join(arguments)}")
        done = subprocess.run(
            [sys.executable, "-m", "ipysession.cli", *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=CELL_SECONDS,
            cwd=self.room,
            env=self.environment,
        )
        if done.returncode not in {0, 1} or not done.stdout:  # 1: done, and the answer is no
            said = (done.stderr or done.stdout).strip()
            raise DemoFailed(f"jupyter session {arguments[0]} ended with {done.returncode}: {said}")
        return json.loads(done.stdout)


def _code_cells(path: Path) -> list[Any]:
    """The code cells of a valid notebook, without blank ones."""
    notebook = nb.read(path.read_text(encoding="utf-8"))
    nb.check(notebook)
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def _is_marked(cell: Any) -> bool:
    """Whether the kernel is to be killed in the middle of this cell."""
    return KILL_TAG in cell.metadata.get("tags", [])


def _is_ours(source: str) -> bool:
    """Nothing but lines for ipysession itself, which are no steps."""
    lines = [line for line in source.splitlines() if line.strip()]
    return all(line.startswith(_OURS) for line in lines)


def _title(source: str) -> str:
    return source.strip().splitlines()[0] if source.strip() else "an empty cell"

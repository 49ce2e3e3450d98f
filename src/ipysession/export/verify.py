"""Does an exported notebook really re-run? The only way to know is to run it.

A fresh kernel runs it in a scratch folder with copies of the recorded inputs; its outputs are
compared with the recorded ones. nbclient is imported only here, and only when asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import os
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from subprocess import DEVNULL
from typing import TYPE_CHECKING, Any, Literal

from ipysession.errors import ExportCancelled
from ipysession.export import nb
from ipysession.export.compare import difference, readable, tolerant
from ipysession.export.consent import needs_consent
from ipysession.export.inputs import Inputs, copy_inputs, folder_of
from ipysession.export.saved import foreign_steps, saved_values
from ipysession.export.values import MIME, Same

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from nbclient import NotebookClient
    from nbformat import NotebookNode

    from ipysession.model import Session, Step
    from ipysession.model.payloads import SavedGroup
    from ipysession.store import Reading

DISABLE_VARIABLE = "IPYSESSION_DISABLE"
"""Set for the kernel that verifies, so that it does not record a session of its own."""

SECONDS_PER_CELL = 600.0

Verdict = Literal["verified", "differs", "failed", "not run", "not deterministic"]

Progress = Callable[[str], None]
"""Is told what is going on, in words, while something takes time: the same again, several times
a second, while a cell runs. What it raises ends the work, and nothing of it is left."""

_TELL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of running a notebook again.

    ``verdict``: *verified* (every output and value is the same), *differs* (``step`` is the
    first that showed something else, ``diff`` says what, or a value is another one), *failed*
    (``step`` ended otherwise than recorded, or no kernel could run it), *not run* (``step``
    reaches beyond its folder) or *not deterministic* (all steps of the session, run again,
    give something else, ``step`` the first). ``why`` says it in words, ``seconds`` is how long
    the run took. ``added`` are steps that had to be added to the selection.
    """

    verdict: Verdict
    why: str
    step: int | None = None
    diff: str | None = None
    seconds: float = 0.0
    added: tuple[int, ...] = ()

    @property
    def ok(self) -> bool:
        """Did the notebook re-run with the recorded outputs?"""
        return self.verdict == "verified"

    @property
    def summary(self) -> str:
        """The verdict in one line."""
        if self.verdict == "not deterministic":
            return f"not verified, as the session is not deterministic: {self.why}"
        return "verified" if self.ok else f"not verified: {self.why}"

    def document(self) -> dict[str, Any]:
        """For the notebook's metadata, and for ``--json``."""
        said = {name: value for name, value in asdict(self).items() if value not in (None, ())}
        said["seconds"] = round(self.seconds, 3)
        checked = datetime.now(UTC).isoformat(timespec="seconds")
        return {"verified": self.ok, **said, "checked": checked}


def verify_notebook(
    notebook: NotebookNode,
    reading: Reading,
    *,
    names: Collection[str] = (),
    timeout: float = SECONDS_PER_CELL,
    consent: bool = False,
    progress: Progress = lambda _: None,
) -> Verification:
    """Run ``notebook``, which was built from the session of ``reading``, and compare the outputs
    and the values of ``names``. Values are compared only where ``reading`` was checked with the
    user's key: to compare them is to unpickle them.

    ``timeout`` is in seconds, for each cell; a cell that took long when it was recorded gets
    five times as long. Without ``consent`` a notebook is not run at all where a step of it
    used the network, started processes, or wrote outside its folder. ``notebook`` itself is
    not changed. Whatever goes wrong in the run is a verdict, not an exception.
    """
    session = reading.session
    numbers = {_step(cell) for cell in notebook.cells if cell.cell_type == "code"}
    steps = [step for step in session.steps if step.number in numbers]
    if not consent:
        reaching = needs_consent(session, steps, foreign_steps(reading))
        if reaching is not None:
            number, reason = reaching
            why = (
                f"step {number} {reason}, so nothing was re-run without your consent "
                "(--verify=all gives it)"
            )
            return Verification("not run", why, number)
    began = time.monotonic()
    groups, written = saved_values(reading, names)
    with tempfile.TemporaryDirectory(
        prefix="ipysession-verify-", ignore_cleanup_errors=True
    ) as scratch:
        inputs = copy_inputs(session, steps, Path(os.path.realpath(scratch)), reading.blobs)
        rerun = copy.deepcopy(notebook)
        asking = _values_cell(str(reading.blobs.folder), groups)
        rerun.cells.append(asking)
        trouble = _run(rerun, session, inputs, steps, timeout=timeout, progress=progress)
        rerun.cells.pop()
        values = _values_said(asking)
        found = trouble or _compare(notebook, rerun, session, steps, inputs)
        if found.ok and values is None and groups:
            found = replace(found, why=f"{found.why}; the values could not be compared")
        elif found.ok and values is not None:
            found = _with_values(found, values, names, written)
    return replace(found, seconds=time.monotonic() - began)


# -- values ----------------------------------------------------------------------------


def _values_cell(folder: str, groups: Iterable[tuple[list[str], SavedGroup]]) -> NotebookNode:
    """A cell that compares values in the kernel, where they are; it binds no name."""
    saved = [(names, group.model_dump(mode="json")) for names, group in groups]
    source = (
        "try:\n"
        "    __import__('IPython').display.display("
        f"{{{MIME!r}: __import__('ipysession.export.values', fromlist=['_'])"
        f".compare_namespace(globals(), {folder!r}, {saved!r})}}, raw=True)\n"
        "except ImportError:\n"
        "    pass\n"
    )
    return nb.node(
        {
            "cell_type": "code",
            "id": "ipysession-values",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": source if saved else "",
        }
    )


def _values_said(cell: NotebookNode) -> dict[str, str] | None:
    for output in cell.outputs:
        said = output.get("data", {}).get(MIME)
        if isinstance(said, dict):
            return {str(name): str(word) for name, word in said.items()}
    return None


def _with_values(
    found: Verification, values: dict[str, str], names: Collection[str], written: dict[str, int]
) -> Verification:
    other = sorted(name for name in names if values.get(name) == Same.NO.value)
    if other:
        step = min(written.get(name, 0) for name in other)
        shown = ", ".join(other[:5]) + (" …" if len(other) > 5 else "")
        have = "has another value" if len(other) == 1 else "have other values"
        return Verification("differs", f"{shown} {have} after it was run again", step or None)
    alike = sum(word == Same.YES.value for word in values.values())
    unknown = len(names) - alike
    said = f"{alike} of {len(names)} values are the same"
    if unknown:
        said += f", {unknown} could not be compared"
    return replace(found, why=f"{found.why}; {said}")


def _step(cell: NotebookNode) -> int | None:
    number = cell.metadata.get("ipysession", {}).get("step")
    return number if isinstance(number, int) else None


# -- running ---------------------------------------------------------------------------


def _run(
    notebook: NotebookNode,
    session: Session,
    inputs: Inputs,
    steps: list[Step],
    *,
    timeout: float,
    progress: Progress,
) -> Verification | None:
    """Run the notebook in place; what stopped it, or None where it came to its end."""
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    took = {step.number: step.duration or 0.0 for step in steps}
    at: list[int | None] = [None]
    told = [""]
    done = [0]

    def patience(cell: NotebookNode) -> int:
        return max(1, round(max(timeout, 5 * took.get(_step(cell) or 0, 0.0))))

    def tell(said: str) -> None:
        told[0] = said
        progress(said)

    def note_cell(cell: NotebookNode, cell_index: int) -> None:  # noqa: ARG001 - nbclient's names
        if cell.get("id") == "ipysession-values":
            tell("comparing values")
            return
        if _step(cell) is None:
            return
        at[0] = _step(cell)
        done[0] += 1
        tell(f"running cell {done[0]} of {len(steps)} (step {at[0]})")

    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout_func=patience,
        startup_timeout=60,
        allow_errors=False,
        store_widget_state=False,
        shutdown_kernel="immediate",
        on_cell_start=note_cell,
        resources={"metadata": {"path": str(inputs.folder)}},
    )
    environment = _environment(session, steps)
    hint = f" ({'; '.join(inputs.problems)})" if inputs.problems else ""
    tell("starting a kernel")
    try:
        _execute(client, environment, lambda: progress(told[0]))
    except CellExecutionError as error:
        folders = (str(inputs.folder),)
        said = tolerant(f"{error.ename}: {error.evalue}", folders).strip().partition("\n")[0]
        why = f"step {at[0]} failed when it was run again: {said[:300]}{hint}"
        return Verification("failed", why, at[0])
    except CellTimeoutError:
        return Verification("failed", f"step {at[0]} did not end in time{hint}", at[0])
    except DeadKernelError:
        return Verification("failed", f"the kernel died in step {at[0]}{hint}", at[0])
    except NoSuchKernel:
        why = "there is no kernel named python3 here; python -m ipykernel install --user makes one"
        return Verification("failed", why)
    except ExportCancelled:
        raise
    except Exception as error:  # noqa: BLE001 - a kernel can fail to start in any way
        why = f"no kernel could run it: {type(error).__name__}: {str(error)[:300]}"
        return Verification("failed", why, at[0])
    return None


def _environment(session: Session, steps: list[Step]) -> dict[str, str]:
    """Ours, with recording off, and with the folder of the session to import modules from."""
    environment = {**os.environ, DISABLE_VARIABLE: "1"}
    folder = folder_of(session, steps[-1]) if steps else ""
    if folder:
        paths = [folder, environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    return environment


def _execute(
    client: NotebookClient, environment: dict[str, str], tell_again: Callable[[], None]
) -> None:
    """Run the client on a thread of its own, and call ``tell_again`` while it runs.

    There it works whether or not the caller has an event loop, and nbclient does not take
    over Ctrl-C, which it would answer by killing the kernel and going on.
    """
    raised: list[BaseException] = []
    handle: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []
    started, ended = threading.Event(), threading.Event()

    async def run() -> None:
        task = asyncio.ensure_future(
            client.async_execute(env=environment, stdout=DEVNULL, stderr=DEVNULL)
        )
        handle.append((asyncio.get_running_loop(), task))
        started.set()
        await task

    def work() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            raised.append(error)
        finally:
            started.set()
            ended.set()

    threading.Thread(target=work, name="ipysession-verify", daemon=True).start()
    try:
        # Not join: a join that Ctrl-C ended once never waits again (CPython 3.11).
        while not ended.wait(_TELL_SECONDS):
            tell_again()
    except BaseException:  # Ctrl-C: the kernel must not outlive who waits for it
        started.wait()
        for loop, task in handle:
            with contextlib.suppress(RuntimeError):  # the loop closed meanwhile
                loop.call_soon_threadsafe(task.cancel)
        ended.wait(timeout=30)  # until the kernel is gone
        raise
    if raised:
        raise raised[0]


# -- comparing -------------------------------------------------------------------------


def _compare(
    recorded: NotebookNode,
    rerun: NotebookNode,
    session: Session,
    steps: list[Step],
    inputs: Inputs,
) -> Verification:
    folders = {folder_of(session, step) for step in steps}
    then = [folder for folder in sorted(folders) if len(folder) > 1]
    now = [str(inputs.folder)]
    compared = 0
    for old, new in zip(recorded.cells, rerun.cells, strict=True):
        if old.cell_type != "code":
            continue
        number = _step(old)
        trouble = _other_outcome(number, steps, new)
        if trouble is not None:
            return trouble
        if _cannot_compare(old):
            continue
        compared += 1
        diff = difference(readable(old.outputs, then), readable(new.outputs, now))
        if diff is not None:
            changed = f" ({'; '.join(inputs.problems)})" if inputs.problems else ""
            why = f"step {number} showed something else when it was run again{changed}"
            return Verification("differs", why, number, diff)
    said = f"all {len(steps)} steps ran again, and {compared} showed the same"
    return Verification("verified", "; ".join([said, *inputs.problems]))


def _other_outcome(number: int | None, steps: list[Step], new: NotebookNode) -> Verification | None:
    """A cell that failed when it was recorded must fail again."""
    error = next((step.error for step in steps if step.number == number), None)
    raises = any(output.output_type == "error" for output in new.outputs)
    if error is not None and not raises:
        why = f"step {number} ended with {error.ename}; run again, it ends without an error"
        return Verification("failed", why, number)
    return None


def _cannot_compare(cell: NotebookNode) -> bool:
    """Were the recorded outputs of more, or of less, than the cell as it stands now?"""
    origin = cell.metadata.get("ipysession", {})
    return any(origin.get(key) for key in ("removed", "redacted", "incomplete"))

"""Real kernels to measure: plain, recorded in two ways, and with IPython's own log."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import KernelManager

from benchmarks.workplace import bytes_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from jupyter_client.blocking.client import BlockingKernelClient

    from benchmarks.workplace import Workplace

_TIMEOUT = 120.0
"""Seconds for one cell; a kernel that takes longer is broken, not slow."""

_QUIETLY = "--IPKernelApp.log_level=ERROR"
"""Each kernel would warn that its TCP connection to us is not encrypted."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to run a kernel: what its first cell does, and its arguments."""

    name: str
    first_cell: str = ""
    arguments: tuple[str, ...] = ()
    python: str | None = None
    """The interpreter of another environment."""
    module: str = "ipykernel_launcher"
    """The kernel, as a module of that environment."""


PLAIN = Kind("plain kernel")
RECORDED = Kind("recorded", "%load_ext ipysession")
NO_VALUES = Kind(
    "recorded, values not saved", "%load_ext ipysession", ("--Recording.save_values=False",)
)
LOGSTART = Kind("plain with %logstart -o", "%logstart -o ipython_log.py over")


class _Interpreter(KernelSpecManager):
    """The one kernel that a given interpreter runs."""

    def __init__(self, python: str, module: str) -> None:
        super().__init__()
        self._python = python
        self._module = module

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """What starts it."""
        argv = [self._python, "-m", self._module, "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name=kernel_name, language="python")


class _Run(NamedTuple):
    """What came of a cell."""

    seconds: float
    printed: str
    reply: dict[str, Any]


class Kernel:
    """A running kernel. Its folder, which is its working directory, holds its store too;
    ``folder`` is that of a kernel that was stopped.
    """

    def __init__(self, workplace: Workplace, kind: Kind, folder: Path | None = None) -> None:
        self.kind = kind
        number = sum(1 for _ in workplace.folder.glob("kernel-*"))
        self.folder = folder or workplace.folder / f"kernel-{number}"
        self.folder.mkdir(exist_ok=folder is not None)
        self.store = self.folder / "store"
        self._environment = workplace.environment(self.store)
        self._manager = KernelManager(kernel_name="python3")
        if kind.python is not None:
            self._manager.kernel_spec_manager = _Interpreter(kind.python, kind.module)
        self._client: BlockingKernelClient = self._manager.client()

    def start(self) -> None:
        """Start the kernel and run its first cell."""
        self._manager.start_kernel(
            extra_arguments=[_QUIETLY, *self.kind.arguments],
            env=self._environment,
            cwd=str(self.folder),
        )
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=_TIMEOUT)
        if self.kind.first_cell:
            self.run(self.kind.first_cell)

    def stop(self) -> None:
        """End the kernel."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    def run(self, code: str) -> float:
        """Run a cell; seconds from the request until the kernel replied and was idle again."""
        return self._done(self._run(code)).seconds

    def ask(self, code: str) -> str:
        """Run a cell and return what it printed."""
        return self._done(self._run(code)).printed

    def try_cell(self, code: str, cell_id: str) -> int:
        """Run the cell of a notebook, which may fail; its execution count."""
        return int(self._run(code, cell_id).reply["execution_count"])

    def _done(self, run: _Run) -> _Run:
        if run.reply["status"] != "ok":
            failed = f"a cell failed in the {self.kind.name} kernel: {run.reply}"
            raise RuntimeError(failed)
        return run

    def _run(self, code: str, cell_id: str | None = None) -> _Run:
        printed: list[str] = []
        content: dict[str, Any] = {
            "code": code, "silent": False, "store_history": True, "user_expressions": {},
            "allow_stdin": False, "stop_on_error": False,
        }  # fmt: skip
        said = {} if cell_id is None else {"cellId": cell_id}
        started = time.perf_counter()
        sent = self._client.session.msg("execute_request", content, metadata=said)
        self._client.shell_channel.send(sent)
        request = sent["header"]["msg_id"]
        while True:
            message = self._client.get_iopub_msg(timeout=_TIMEOUT)
            if message["parent_header"].get("msg_id") != request:
                continue
            content = message["content"]
            if message["msg_type"] == "stream":
                printed.append(content["text"])
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                break
        while True:
            reply = self._client.get_shell_msg(timeout=_TIMEOUT)
            if reply["parent_header"].get("msg_id") == request:  # not the answer to who it is
                break
        elapsed = time.perf_counter() - started
        return _Run(elapsed, "".join(printed), reply["content"])

    def written_bytes(self) -> int:
        """Bytes that the process has written to files and pipes so far, also over older ones."""
        provisioner: Any = self._manager.provisioner
        said = Path(f"/proc/{provisioner.pid}/io").read_text(encoding="ascii")
        return int(said.split("wchar:")[1].split()[0])

    def stored_bytes(self) -> int:
        """Bytes in the kernel's store."""
        return bytes_below(self.store)


@contextmanager
def running(workplace: Workplace, *kinds: Kind) -> Iterator[list[Kernel]]:
    """A kernel of each kind, all running at once."""
    with ExitStack() as stack:
        kernels = []
        for kind in kinds:
            kernel = Kernel(workplace, kind)
            stack.callback(kernel.stop)
            kernel.start()
            kernels.append(kernel)
        yield kernels


def interleaved(
    kernels: Iterable[Kernel], cell: Callable[[int], str], *, rounds: int, block: int = 1
) -> dict[str, list[float]]:
    """Run ``rounds`` times ``block`` cells in each kernel in turn: A B C A B C …

    ``cell`` gives the code of the n-th cell. A block of several cells keeps what a kernel does
    in the background within its own turn. Returns the seconds of each cell by kind.
    """
    found: dict[str, list[float]] = {kernel.kind.name: [] for kernel in kernels}
    for turn in range(rounds):
        for kernel in kernels:
            times = found[kernel.kind.name]
            for number in range(turn * block, (turn + 1) * block):
                times.append(kernel.run(cell(number)))
    return found

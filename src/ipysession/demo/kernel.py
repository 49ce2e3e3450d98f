"""One real kernel, driven as a notebook's page drives it: cell by cell, with cell ids.

What the demo does with kernels, and what it expects of them, is told in ``story.py``.
"""

from __future__ import annotations

import ast
import json
import queue
import signal
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import KernelManager

from ipysession.demo.fingerprints import Fingerprints, expression

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from io import BufferedWriter
    from pathlib import Path

    from jupyter_client.blocking.client import BlockingKernelClient

START_SECONDS = 60.0
"""How long a kernel may take to answer at all."""
CELL_SECONDS = 300.0
"""How long one cell may take; the tour's slowest takes some seconds."""
_POLL_SECONDS = 0.5


class DemoFailed(Exception):
    """The demo cannot go on; the message says what happened, in words for its reader."""


class _ThisPython(KernelSpecManager):
    """Finds one kernel only: the Python that runs the demo, whatever else is installed."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """The kernel of this Python, under any name."""
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name=kernel_name, language="python")


@dataclass
class CellResult:
    """What one cell did, as its front end saw it."""

    seconds: float = 0.0
    execution_count: int | None = None
    texts: list[str] = field(default_factory=list)
    """The plain text of each output, in order, without what went to ``stderr``."""
    warnings: str = ""
    """What went to ``stderr``."""
    error: str | None = None
    """The last line of the traceback of a cell that raised."""


class DemoKernel:
    """A kernel process of its own; leaving the ``with`` block ends it, whatever happened."""

    def __init__(self, *, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = dict(environment)
        self._manager = KernelManager(kernel_spec_manager=_ThisPython())
        self._client: BlockingKernelClient | None = None
        self._log: BufferedWriter | None = None

    def __enter__(self) -> Self:
        """Start the kernel in the demo's folder and wait until it answers."""
        self._log = (self._folder / "kernel.log").open("ab")
        try:
            self._manager.start_kernel(
                cwd=str(self._folder), env=self._environment, stdout=self._log, stderr=self._log
            )
            self._client = self._manager.client()
            self._client.start_channels()
            self._client.wait_for_ready(timeout=START_SECONDS)
        except RuntimeError as error:
            self._end()
            raise DemoFailed(f"the kernel did not start: {error}; see {self._log.name}") from error
        except BaseException:  # Ctrl-C: no kernel stays behind
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the kernel in an orderly way, or by force where it does not listen."""
        self._end()

    def _end(self) -> None:
        try:
            if self._client is not None:
                self._client.stop_channels()
            if self._manager.has_kernel:
                self._manager.shutdown_kernel()
        finally:
            if self._log is not None:
                self._log.close()

    @property
    def client(self) -> BlockingKernelClient:
        """The connection to the running kernel."""
        if self._client is None:
            raise RuntimeError("the kernel was not started; use `with DemoKernel(…)`")
        return self._client

    @property
    def pid(self) -> int:
        """The kernel's process id."""
        return int(getattr(self._manager.provisioner, "pid", 0) or 0)

    def run(self, source: str, *, cell_id: str | None = None) -> CellResult:
        """Run a cell to its end. A cell that raises is a result; see `CellResult.error`."""
        began = time.monotonic()
        message_id = self._send(source, cell_id)
        result = CellResult()
        for message in self._published(message_id, CELL_SECONDS):
            content = message["content"]
            match message["msg_type"]:
                case "execute_input":
                    result.execution_count = content["execution_count"]
                case "stream" if content["name"] == "stderr":
                    result.warnings += content["text"]
                case "stream":
                    result.texts.append(content["text"])
                case "display_data" | "execute_result":
                    result.texts.append(content["data"].get("text/plain", ""))
                case "error":
                    result.error = f"{content['ename']}: {content['evalue']}"
        result.seconds = time.monotonic() - began
        return result

    def run_until_it_prints(self, source: str, *, cell_id: str) -> tuple[int, str]:
        """Start a cell; return while it still runs, with its number and its first words."""
        message_id = self._send(source, cell_id)
        number = 0
        for message in self._published(message_id, CELL_SECONDS):
            if message["msg_type"] == "execute_input":
                number = message["content"]["execution_count"]
            elif message["msg_type"] == "stream":
                return number, message["content"]["text"]
        raise DemoFailed(f"cell {cell_id} ended before it printed anything; nothing to kill")

    def fingerprints(self) -> Fingerprints:
        """What the namespace holds now. Asked silently: it is no step, and takes no number."""
        message_id = self._send("", None, {"fingerprints": expression()})
        for _ in self._published(message_id, CELL_SECONDS):
            pass
        reply = self._reply(message_id, CELL_SECONDS)["content"]
        answer = reply.get("user_expressions", {}).get("fingerprints", {})
        if answer.get("status") != "ok":
            raise DemoFailed(f"the kernel's variables cannot be read: {answer or reply}")
        return Fingerprints(**json.loads(ast.literal_eval(answer["data"]["text/plain"])))

    def kill(self) -> float:
        """SIGKILL, which no process can catch. Seconds until the process was gone."""
        began = time.monotonic()
        self._manager.signal_kernel(signal.SIGKILL)
        while self._manager.is_alive():
            if time.monotonic() - began > START_SECONDS:
                raise DemoFailed(f"kernel {self.pid} outlived its SIGKILL")
            time.sleep(0.01)
        return time.monotonic() - began

    def _send(
        self, source: str, cell_id: str | None, expressions: dict[str, str] | None = None
    ) -> str:
        # `client.execute` cannot name the cell, and the recorder learns the cell's id from here.
        silent = expressions is not None
        session = self.client.session
        message = session.msg(
            "execute_request",
            {
                "code": source,
                "silent": silent,
                "store_history": not silent,
                "user_expressions": expressions or {},
                "allow_stdin": False,
                "stop_on_error": True,
            },
        )
        if cell_id is not None:
            message["metadata"]["cellId"] = cell_id
        self.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def _published(self, message_id: str, timeout: float) -> Iterator[dict[str, Any]]:
        """What the kernel publishes for a request, until it is idle again."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=_POLL_SECONDS)
            except queue.Empty:
                self._check(deadline, timeout)
                continue
            if message["parent_header"].get("msg_id") != message_id:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return
            yield message

    def _reply(self, message_id: str, timeout: float) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        while True:
            try:
                message: dict[str, Any] = self.client.get_shell_msg(timeout=_POLL_SECONDS)
            except queue.Empty:
                self._check(deadline, timeout)
                continue
            if message["parent_header"].get("msg_id") == message_id:
                return message

    def _check(self, deadline: float, timeout: float) -> None:
        log = self._folder / "kernel.log"
        if not self._manager.is_alive():
            raise DemoFailed(f"kernel {self.pid} died by itself; see {log}")
        if time.monotonic() > deadline:
            raise DemoFailed(f"kernel {self.pid} gave no answer for {timeout:.0f} s; see {log}")

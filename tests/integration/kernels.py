"""Real kernels for the tests: start, run cells, kill, restart, and shut down for sure.

What lives here drives kernels from outside, the way a frontend does, over ZeroMQ; it knows
nothing of ipysession but its environment variables. Tests import it as ``integration.kernels``.

    with Kernel(Home(tmp_path)) as kernel:
        kernel.run("%load_ext ipysession")
        assert kernel.run("1 + 1", cell_id="a").result == "2"
        kernel.kill()
        kernel.restart()
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any, Self

import zmq
from integration import forkserver
from jupyter_client.manager import KernelManager
from nbformat.v4 import output_from_msg

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    import pytest
    from jupyter_client.blocking.client import BlockingKernelClient

START_SECONDS = 60.0
"""A machine that is busy with other tests may take long to start a kernel."""

RUN_SECONDS = 60.0

_OUTPUTS = frozenset({"stream", "display_data", "execute_result", "error"})


@dataclass(frozen=True)
class Home:
    """The folders of one imaginary user: nothing outside ``root`` is read or written.

    ``store`` and ``key`` are ipysession's, ``ipython`` is IPython's directory, ``work`` is the
    folder in which kernels start, and ``notebook`` the notebook that they believe to serve.
    """

    root: Path

    def __post_init__(self) -> None:
        for folder in (self.ipython, self.work, self.jupyter):
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def store(self) -> Path:
        """Where sessions are recorded."""
        return self.root / "store"

    @property
    def key(self) -> Path:
        """The user's key."""
        return self.root / "key"

    @property
    def ipython(self) -> Path:
        """IPython's profiles and history."""
        return self.root / "ipython"

    @property
    def jupyter(self) -> Path:
        """Jupyter's own folders."""
        return self.root / "jupyter"

    @property
    def work(self) -> Path:
        """The folder in which kernels start."""
        return self.root / "work"

    @property
    def notebook(self) -> Path:
        """The notebook that kernels believe to serve; no such file is made."""
        return self.work / "analysis.ipynb"

    @property
    def isolation(self) -> dict[str, str]:
        """The environment variables that keep a process inside this home, and no others."""
        return {
            "IPYSESSION_STORE": str(self.store),
            "IPYSESSION_KEY": str(self.key),
            "IPYTHONDIR": str(self.ipython),
            "JUPYTER_CONFIG_DIR": str(self.jupyter / "config"),
            "JUPYTER_DATA_DIR": str(self.jupyter / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.jupyter / "runtime"),
            "JPY_SESSION_NAME": str(self.notebook),
            # A debugger that is never used, and whose start takes a third of a kernel's.
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }

    def enter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """This process reads the same store with the same key."""
        for name, value in self.isolation.items():
            if name != "JPY_SESSION_NAME":
                monkeypatch.setenv(name, value)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """A whole environment for a kernel or another process of this user."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("IPYSESSION_", "JPY_", "PYTEST_")) and name != "IPYTHONDIR"
        }
        return {**inherited, **self.isolation, **(extra or {})}


@dataclass
class Answer:
    """All that a kernel sent for one cell, in the order in which it came."""

    code: str
    message_id: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    """Every message on the iopub channel that this cell caused."""
    reply: dict[str, Any] | None = None
    """The content of ``execute_reply``; None while it has not arrived."""
    idle: bool = False
    """All outputs that the cell's thread sent have arrived."""

    @property
    def status(self) -> str | None:
        """``ok``, ``error`` or ``aborted``; None without a reply."""
        return None if self.reply is None else str(self.reply["status"])

    @property
    def execution_count(self) -> int | None:
        """The number in the cell's brackets."""
        return None if self.reply is None else self.reply.get("execution_count")

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """What a notebook would hold: nbformat outputs, chunks of a stream joined. Updates by
        display id and ``clear_output`` are left to the test.
        """
        found: list[dict[str, Any]] = []
        for message in self.messages:
            if message["msg_type"] not in _OUTPUTS:
                continue
            output = dict(output_from_msg(message))  # type: ignore[no-untyped-call]
            last = found[-1] if found else {}
            if output["output_type"] == "stream" and output.get("name") == last.get("name"):
                last["text"] += output["text"]
            else:
                found.append(output)
        return found

    def stream(self, name: str) -> str:
        """What the cell wrote to ``stdout`` or ``stderr``."""
        return "".join(
            message["content"]["text"]
            for message in self.messages
            if message["msg_type"] == "stream" and message["content"]["name"] == name
        )

    @property
    def stdout(self) -> str:
        """What the cell wrote to stdout."""
        return self.stream("stdout")

    @property
    def stderr(self) -> str:
        """What the cell wrote to stderr."""
        return self.stream("stderr")

    def data(self, *, mime: str = "text/plain") -> list[str]:
        """The ``mime`` parts of all displays and results."""
        return [
            output["data"].get(mime, "")
            for output in self.outputs
            if output["output_type"] in {"display_data", "execute_result"}
        ]

    @property
    def result(self) -> str | None:
        """The text of the cell's value."""
        for output in self.outputs:
            if output["output_type"] == "execute_result":
                return str(output["data"]["text/plain"])
        return None

    @property
    def error(self) -> str | None:
        """``Name: message`` of the exception that was shown."""
        for output in self.outputs:
            if output["output_type"] == "error":
                return f"{output['ename']}: {output['evalue']}"
        return None

    @property
    def text(self) -> str:
        """All that a person would read, in order: streams, displays, results, errors."""
        parts = []
        for output in self.outputs:
            if output["output_type"] == "stream":
                parts.append(output["text"])
            elif output["output_type"] == "error":
                parts.append(f"{output['ename']}: {output['evalue']}\n")
            else:
                parts.append(output["data"].get("text/plain", "") + "\n")
        return "".join(parts)


class KernelDied(Exception):
    """The kernel ended while a cell ran. ``answer`` holds what had arrived until then."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"the kernel died in the cell {answer.code[:80]!r}")
        self.answer = answer


class Kernel:
    """One kernel process of ``home``, and the one client that talks to it.

    ``env`` adds to the environment, ``arguments`` to the kernel's command line (for example
    ``--IPKernelApp.…``), ``cwd`` names another folder than ``home.work``. With ``forked=False``
    the process starts as Jupyter starts it, else by a fork server, which is quicker and the same to
    whatever a test looks at (`integration.forkserver`). With ``wait=False`` the process is started
    and not waited for: call `wait` before the first cell. It is how a kernel starts in the
    background while another is at work.
    """

    def __init__(
        self,
        home: Home,
        *,
        env: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        cwd: Path | None = None,
        forked: bool = True,
        wait: bool = True,
    ) -> None:
        self.home = home
        self._env = home.environment(env)
        self._arguments = list(arguments)
        self._cwd = cwd or home.work
        self._forked = forked
        # Sockets are files here: ports of the machine are chosen before they are bound, and
        # tests that run in parallel would now and then choose the same. Their paths must be
        # short (108 bytes on Linux), which those of pytest's folders are not.
        self._sockets = Path(tempfile.mkdtemp(prefix="ipks-"))
        self._client: BlockingKernelClient | None = None
        self._manager: KernelManager | None = None
        self._ready = False
        try:
            self._start()
            if wait:
                self.wait()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        identity = str(uuid.uuid4())
        manager = KernelManager(
            kernel_name="python3",
            transport="ipc",
            ip=str(self._sockets / "s"),
            connection_file=str(self._sockets / f"kernel-{identity}.json"),
        )
        if self._forked:
            forkserver.use(manager)
        self.id = identity
        manager.start_kernel(
            cwd=str(self._cwd), env=self._env, extra_arguments=list(self._arguments)
        )
        self._manager, self._ready = manager, False

    def wait(self, seconds: float = START_SECONDS) -> Self:
        """Wait until the kernel answers."""
        if not self._ready:
            assert self._manager is not None
            client = self._manager.client()
            self._client = client
            client.start_channels()
            deadline = time.monotonic() + seconds
            # The shell answers, and what cells send arrives: the first message is the proof.
            while not self._ready:
                assert self.alive, "the kernel died while it started"
                assert time.monotonic() < deadline, f"no kernel after {seconds} s"
                client.kernel_info()
                with contextlib.suppress(Empty):
                    client.get_iopub_msg(timeout=0.1)
                    self._ready = True
        return self

    # -- cells -------------------------------------------------------------------------

    def send(
        self,
        code: str,
        *,
        cell_id: str | None = None,
        store_history: bool = True,
        silent: bool = False,
        expressions: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask for a cell to be run, and return at once; `receive` then fills the answer.

        ``expressions`` are evaluated after the cell; their values come with the reply.
        """
        client = self.wait()._client
        assert client is not None
        content = {
            "code": code,
            "silent": silent,
            "store_history": store_history,
            "user_expressions": dict(expressions or {}),
            "allow_stdin": True,
            "stop_on_error": True,
        }
        metadata = {} if cell_id is None else {"cellId": cell_id}
        message = client.session.msg("execute_request", content, metadata=metadata)
        client.shell_channel.send(message)
        return Answer(code, message["header"]["msg_id"])

    def receive(self, answer: Answer, seconds: float, *, typed: Sequence[str] = ()) -> Answer:
        """Take in what has come for ``answer``, until it is complete or ``seconds`` have passed.

        ``typed`` are the lines that the user types when the cell asks for input.
        """
        client = self._client
        assert client is not None
        lines = list(typed)
        poller = zmq.Poller()
        channels = (client.iopub_channel, client.shell_channel, client.stdin_channel)
        for channel in channels:
            poller.register(channel.socket, zmq.POLLIN)
        deadline = time.monotonic() + seconds
        while not (answer.idle and answer.reply is not None):
            left = deadline - time.monotonic()
            ready = dict(poller.poll(int(max(0.0, left) * 1000)))
            if not ready and left <= 0:
                break
            for channel in channels:
                if channel.socket in ready:
                    self._take(answer, channel.get_msg(timeout=0), lines)
        return answer

    def _take(self, answer: Answer, message: dict[str, Any], lines: list[str]) -> None:
        if message["parent_header"].get("msg_id") != answer.message_id:
            return
        kind, content = message["msg_type"], message["content"]
        if kind == "execute_reply":
            answer.reply = content
        elif kind == "input_request":
            assert self._client is not None
            self._client.input(lines.pop(0))
        elif kind == "status":
            answer.idle = content["execution_state"] == "idle"
        else:
            answer.messages.append(message)

    def run(
        self,
        code: str,
        *,
        cell_id: str | None = None,
        seconds: float = RUN_SECONDS,
        store_history: bool = True,
        typed: Sequence[str] = (),
        expressions: Mapping[str, str] | None = None,
        silent: bool = False,
    ) -> Answer:
        """Run a cell to its end and return all that it sent, also where it raised.

        ``cell_id`` is the notebook's id of the cell. Raises KernelDied, or TimeoutError after
        ``seconds``.
        """
        answer = self.send(
            code,
            cell_id=cell_id,
            store_history=store_history,
            silent=silent,
            expressions=expressions,
        )
        deadline = time.monotonic() + seconds
        typed = list(typed)
        while True:
            self.receive(answer, min(0.5, max(0.0, deadline - time.monotonic())), typed=typed)
            if answer.idle and answer.reply is not None:
                return answer
            if not self.alive:
                raise KernelDied(self.receive(answer, 0.1))
            if time.monotonic() > deadline:
                message = f"the cell {code[:80]!r} has not ended within {seconds} s"
                raise TimeoutError(message)

    def ok(self, code: str, **options: Any) -> Answer:
        """`run` a cell that must not raise."""
        answer = self.run(code, **options)
        assert answer.status == "ok", f"{code!r}: {answer.text}"
        return answer

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the namespace, which must have a literal for a repr.

        No cell runs: nothing is counted, bound or recorded.
        """
        reply = self.run(
            "", store_history=False, silent=True, expressions={"it": f"repr({expression})"}
        ).reply
        assert reply is not None
        value = reply["user_expressions"]["it"]
        assert value["status"] == "ok", "\n".join(value["traceback"])
        # The repr of the repr: IPython shortens a container's, never a string's.
        return ast.literal_eval(ast.literal_eval(value["data"]["text/plain"]))

    def history(self, count: int = 50) -> list[str]:
        """The newest sources in the order of Up-arrow, as a frontend asks for them."""
        client = self.wait()._client
        assert client is not None
        reply = client.history(
            raw=True, output=False, hist_access_type="tail", n=count, reply=True, timeout=10
        )
        return [source for _, _, source in reply["content"]["history"]]

    def complete(self, code: str) -> list[str]:
        """What the Tab key offers at the end of ``code``."""
        client = self.wait()._client
        assert client is not None
        reply = client.complete(code, reply=True, timeout=20)
        return [str(match) for match in reply["content"]["matches"]]

    def inspect(self, code: str) -> str:
        """What Shift-Tab shows at the end of ``code``, as text."""
        client = self.wait()._client
        assert client is not None
        reply = client.inspect(code, reply=True, timeout=20)
        return str(reply["content"]["data"].get("text/plain", ""))

    # -- life and death ----------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The id of the kernel's process."""
        provisioner: Any = self._manager and self._manager.provisioner
        return int(provisioner.pid)

    @property
    def alive(self) -> bool:
        """Does the process still run?"""
        return self._manager is not None and bool(self._manager.is_alive())

    def interrupt(self) -> None:
        """What the stop button does."""
        assert self._manager is not None
        self._manager.interrupt_kernel()

    def strike(self) -> None:
        """Send SIGKILL, and do nothing else: what had been sent can still be received."""
        os.kill(self.pid, signal.SIGKILL)

    def strike_after(self, answer: Answer, seconds: float) -> None:
        """Go on receiving ``answer``, and `strike` when ``seconds`` have passed (exactly)."""
        deadline = time.perf_counter() + seconds
        self.receive(answer, seconds)
        while (left := deadline - time.perf_counter()) > 0:
            if left > 0.002:
                time.sleep(left - 0.002)  # the rest is spun: a sleep may take a millisecond more
        self.strike()

    def kill(self) -> None:
        """End the kernel by SIGKILL, and wait until it is gone."""
        if self.alive:
            self.strike()
        self._wait_for_end(10)

    def shutdown(self, seconds: float = 20) -> None:
        """End the kernel in an orderly way, and wait until it is gone."""
        if self.alive and self._client is not None and self._ready:
            self._client.shutdown()
        self._wait_for_end(seconds)

    def restart(self) -> None:
        """Start another kernel in place of this one, which is shut down if it still lives."""
        self.shutdown()
        self._let_go()
        self._start()
        self.wait()

    def _wait_for_end(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.alive:
            if time.monotonic() > deadline:
                message = f"kernel {self.pid} still lives after {seconds} s"
                raise TimeoutError(message)
            time.sleep(0.005)

    def _let_go(self) -> None:
        if self._client is not None:
            self._client.stop_channels()
            self._client = None
        manager, self._manager = self._manager, None
        if manager is not None:
            with contextlib.suppress(Exception):  # a kernel that is gone already is as good
                manager.shutdown_kernel(now=True)
            manager.cleanup_resources()

    def close(self) -> None:
        """Make sure that no process and no file of this kernel is left. May be called twice."""
        self._let_go()
        shutil.rmtree(self._sockets, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Shut down in an orderly way where nothing went wrong, by force otherwise."""
        try:
            if kind is None and self.alive:
                self.shutdown()
        finally:
            self.close()


def command(*words: str) -> list[str]:
    """The command line of ``jupyter session`` with ``words``, in this environment's Python."""
    return [sys.executable, "-m", "ipysession.cli", *words]


def rest(kernel: Kernel) -> None:
    """A pause that is long enough to save everything. It leaves no count and no history."""
    deadline = time.monotonic() + 30
    while True:
        told = kernel.ok("%session status --json", store_history=False)
        if not json.loads(told.stdout)["waiting_to_be_saved"]:
            return
        assert time.monotonic() < deadline, "idle time saves what was left over"
        time.sleep(0.3)

"""A process that has imported what every kernel imports, and forks a kernel for each who asks.

Half of the time that hundreds of short tests took went into importing ipykernel, IPython and
debugpy once more for each kernel. Here a server imports them once, and each kernel is a fork of it,
made before anything of a kernel exists: no ZeroMQ context, no event loop, no thread. From there the
fork does what ``python -m ipykernel_launcher`` does, to its orderly end. ipysession and all that
users import are imported by the kernel itself.

What forks would share and processes of their own do not is the seed of ``hash()`` and the places of
objects in memory. A kernel and the one that resumes its session must differ in both, or faults
would stay hidden: so there are two servers, and kernels come from them in turn.

The kernels of servers and browsers, of ``make demo`` and of `test_kill` start as Jupyter does it.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_client.connect import KernelConnectionInfo
    from jupyter_client.manager import KernelManager

_SERVER = Path(__file__).with_name("forking.py")
_SERVERS = 2


class ForkServer:
    """One server, and the requests to it; it ends when this process does.

    ``options`` are the interpreter's. Threads must not share a server.
    """

    def __init__(self, options: tuple[str, ...]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, *options, str(_SERVER), str(theirs.fileno())],
                env={**os.environ, "PYDEVD_DISABLE_FILE_VALIDATION": "1"},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._channel = ours
        self._stream = ours.makefile("rw", encoding="utf-8")

    def ask(self, **request: Any) -> Any:
        """Send a request, and return its answer."""
        self._stream.write(json.dumps(request) + "\n")
        self._stream.flush()
        line = self._stream.readline()
        assert line, f"the fork server ended with {self._process.wait(10)}"
        return json.loads(line)


@cache
def _servers(options: tuple[str, ...]) -> Iterator[ForkServer]:
    """The servers in turn; they start when the first kernel is asked for."""
    return itertools.cycle([ForkServer(options) for _ in range(_SERVERS)])


class ForkedProcess:
    """What jupyter_client wants to know of a kernel's process: the part of `Popen` that it uses."""

    stdin = stdout = stderr = None

    def __init__(self, server: ForkServer, pid: int) -> None:
        self.pid = pid
        self._server = server
        self._code: int | None = None

    def poll(self) -> int | None:
        """The exit code; None while the process lives. Its parent, the server, has to ask."""
        if self._code is None:
            self._code = self._server.ask(end_of=self.pid)
        return self._code

    def wait(self) -> int | None:
        """The exit code. jupyter_client calls this only when the process has ended."""
        return self.poll()

    def send_signal(self, number: int) -> None:
        """Nothing is sent to a process that has ended: its id may be another's by now."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class ForkingProvisioner(LocalProvisioner):
    """Starts kernels by a fork server, and is as local as its base class in all else."""

    NAME = "tests-forking"

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """``cmd`` is ``python [options] -m ipykernel_launcher [arguments]``."""
        at = cmd.index("-m")
        assert cmd[at + 1] == "ipykernel_launcher"
        server = next(_servers(tuple(cmd[1:at])))
        forked = server.ask(
            arguments=cmd[at + 1 :], folder=str(kwargs["cwd"]), environment=kwargs["env"]
        )
        self.process = ForkedProcess(server, forked["pid"])
        self.pid = self.pgid = self.process.pid
        self.cwd = kwargs["cwd"]
        return self.connection_info


def use(manager: KernelManager) -> None:
    """Let the kernels of ``manager`` be forked."""
    factory = KernelProvisionerFactory.instance(parent=manager.parent)
    factory.provisioners[ForkingProvisioner.NAME] = EntryPoint(
        ForkingProvisioner.NAME,
        f"{ForkingProvisioner.__module__}:{ForkingProvisioner.__name__}",
        KernelProvisionerFactory.GROUP_NAME,
    )
    assert manager.kernel_spec is not None
    manager.kernel_spec.metadata["kernel_provisioner"] = {
        "provisioner_name": ForkingProvisioner.NAME
    }

"""A kernel that works through cells, may be killed at any moment, and can be looked into."""

from __future__ import annotations

import ast
import json
import os
import queue
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.kernels import Kernel
from benchmarks.working.look import LOOK

if TYPE_CHECKING:
    from pathlib import Path

_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Look:
    """What a kernel's names held at some moment; see `benchmarks.working.look`."""

    names: dict[str, str]
    shared: frozenset[tuple[str, ...]]
    random: str
    files: dict[str, bytes]


class Worker(Kernel):
    """A kernel that is worked with. Its files lie in its folder, below ``work``."""

    @property
    def work(self) -> Path:
        """The folder that its cells read and write."""
        return self.folder

    def send(self, source: str, cell_id: str) -> str:
        """Ask for a cell to be run, and return at once; what comes back belongs to the result."""
        content = {
            "code": source,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        session = self._client.session
        message = session.msg("execute_request", content, metadata={"cellId": cell_id})
        self._client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def answer(self, request: str, seconds: float = _PATIENCE) -> str | None:
        """``ok`` or ``error``, once the cell has ended; None where it does not within that."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                reply = self._client.get_shell_msg(timeout=left)
            except queue.Empty:
                break
            if reply["parent_header"].get("msg_id") == request:
                return str(reply["content"]["status"])
        return None

    def kill(self) -> None:
        """SIGKILL, at this very moment; nothing is asked or told before."""
        provisioner = self._manager.provisioner
        assert provisioner is not None
        os.kill(provisioner.pid, signal.SIGKILL)
        self.stop()

    def look(self) -> Look:
        """What its names and files hold. No cell runs: nothing is counted, bound or recorded."""
        request = self._client.execute(
            "", silent=True, store_history=False, user_expressions={"it": LOOK}
        )
        while True:
            reply = self._client.get_shell_msg(timeout=_PATIENCE)
            if reply["parent_header"].get("msg_id") == request:
                break
        value: dict[str, Any] = reply["content"]["user_expressions"]["it"]
        if value["status"] != "ok":
            message = "the look failed: " + "\n".join(value["traceback"])
            raise RuntimeError(message)
        told = json.loads(ast.literal_eval(value["data"]["text/plain"]))
        return Look(
            told["names"],
            frozenset(tuple(group) for group in told["shared"]),
            told["random"],
            {path.name: path.read_bytes() for path in self.work.iterdir() if path.is_file()},
        )

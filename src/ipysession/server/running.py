"""Running a verb in one of this server's kernels, as if the user had typed it, without a cell."""

from __future__ import annotations

import asyncio
import queue
import shlex
from typing import TYPE_CHECKING, Any

from jupyter_core.utils import ensure_async

from ipysession.errors import KernelBusy, KernelNotFound, SessionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_server.serverapp import ServerApp

ANSWER_MIME = "application/vnd.ipysession.answer+json"
"""Under which `ipysession.magics.Answer` shows itself to us."""

_LOOK_SECONDS = 1.0
"""So often we look whether the kernel still lives while it works."""


_PATIENCE_SECONDS = 1.0
"""A kernel that is busy for this long runs a cell; else it only has not said yet that it ended."""


async def _becomes_free(kernel: Any) -> bool:
    give_up = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
    while getattr(kernel, "execution_state", None) == "busy":
        if asyncio.get_running_loop().time() > give_up:
            return False
        await asyncio.sleep(0.05)
    return True


class KernelRunner:
    """Runs verbs in the kernels of one server."""

    def __init__(self, serverapp: ServerApp) -> None:
        self._serverapp = serverapp

    async def run(
        self, kernel_id: str, verb: str, words: Sequence[str], refusal: type[SessionError]
    ) -> dict[str, Any]:
        """Run ``%session verb words`` in the kernel, loading the extension where it is not
        loaded; returns what it says: ``headline`` and ``data``.

        The cell leaves no trace in the history, the execution count or the recording. Raises
        KernelNotFound, KernelBusy, or ``refusal`` with the text that the user would have seen.
        """
        manager = self._serverapp.kernel_manager
        if kernel_id not in manager:
            message = f"this server runs no kernel {kernel_id}; start the notebook's kernel first"
            raise KernelNotFound(message)
        kernel = manager.get_kernel(kernel_id)
        if not await _becomes_free(kernel):
            message = (
                "the kernel runs a cell just now; wait until it has ended, or interrupt it, and "
                "try again"
            )
            raise KernelBusy(message)
        client: Any = kernel.client()
        client.start_channels()
        try:
            line = " ".join(["%session", verb, *map(shlex.quote, words)])
            reply = await self._reply(kernel_id, client, f"%load_ext ipysession\n{line}")
        finally:
            client.stop_channels()
        if reply["status"] != "ok":
            said = str(reply.get("evalue") or reply["status"])
            if reply.get("ename") == "ModuleNotFoundError":
                said = "ipysession is not installed in the kernel's environment; install it there"
            raise refusal(said)
        answer = reply.get("user_expressions", {}).get("answer", {}).get("data", {})
        if not isinstance(answer.get(ANSWER_MIME), dict):
            message = "the kernel did not say what it did; look at the notebook"
            raise refusal(message)
        return dict(answer[ANSWER_MIME])

    async def _reply(self, kernel_id: str, client: Any, code: str) -> dict[str, Any]:
        # Nothing that the user's namespace could hide: it is evaluated there.
        expression = "__import__('ipysession.magics', fromlist=['magics']).last_answer()"
        asked = client.execute(
            code,
            store_history=False,
            allow_stdin=False,
            user_expressions={"answer": expression},
        )
        while True:
            try:
                message = await client.get_shell_msg(timeout=_LOOK_SECONDS)
            except (TimeoutError, queue.Empty):
                await self._check_alive(kernel_id)
                continue
            if message["parent_header"].get("msg_id") == asked:
                return dict(message["content"])

    async def _check_alive(self, kernel_id: str) -> None:
        manager = self._serverapp.kernel_manager
        if kernel_id not in manager or not await ensure_async(manager.is_alive(kernel_id)):
            message = f"kernel {kernel_id} died before it was done"
            raise KernelNotFound(message)

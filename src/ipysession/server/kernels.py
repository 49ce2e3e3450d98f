"""What this Jupyter server knows of the kernels and notebooks that sessions name: which
kernels live, and where the notebooks lie by now. Nothing here reads the store.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from jupyter_core.utils import ensure_async
from jupyter_server.utils import to_api_path, to_os_path
from tornado.web import HTTPError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jupyter_server.serverapp import ServerApp

    from ipysession.model import Summary

_CONTENTS_EVENTS = "https://events.jupyter.org/jupyter_server/contents_service/v1"

_RENAMES_KEPT = 1000
"""Renames are remembered while the server runs, the newest so many."""


class Rename(NamedTuple):
    """A file or folder that was renamed through this server."""

    time: datetime
    old: str
    """A path in the file system, as in `Summary.notebook`."""
    new: str


@dataclass(frozen=True, slots=True)
class Notebooks:
    """Where notebooks lie, at one moment. Immutable, so other threads may ask."""

    by_kernel: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The notebooks that the server's own sessions connect with each kernel, as paths in the
    file system. Mostly one; notebooks may share a kernel."""
    renames: tuple[Rename, ...] = ()

    def path(self, summary: Summary) -> str | None:
        """Where the session's notebook lies by now, as a path in the file system.

        The server's own session of that kernel knows best: the front end tells it of a
        rename. Where that says nothing new, renames through the contents API since the
        session began are followed.
        """
        served = self.served(summary)
        if served and summary.notebook not in served:
            return served[0]
        return self._followed(summary.notebook, summary.created)

    def served(self, summary: Summary) -> tuple[str, ...]:
        """The notebooks that this server connects with the session's kernel."""
        return self.by_kernel.get(summary.kernel_id or "", ())

    def kernel_of(self, path: str) -> str | None:
        """The kernel of the notebook at ``path``, a path in the file system."""
        for kernel_id, paths in self.by_kernel.items():
            if path in paths:
                return kernel_id
        return None

    def _followed(self, path: str | None, since: datetime) -> str | None:
        if path is None:
            return None
        for rename in self.renames:
            if rename.time < since:
                continue  # whatever had the name then, it is another file now
            if path == rename.old:
                path = rename.new
            elif path.startswith(rename.old + os.sep):
                path = rename.new + path[len(rename.old) :]
        return path


class Kernels:
    """The server's session manager and kernel manager, asked on behalf of sessions."""

    def __init__(self, serverapp: ServerApp) -> None:
        self._serverapp = serverapp
        self._renames: deque[Rename] = deque(maxlen=_RENAMES_KEPT)
        if serverapp.event_logger is not None:
            serverapp.event_logger.add_listener(
                schema_id=_CONTENTS_EVENTS, listener=self._on_contents
            )

    async def notebooks(self) -> Notebooks:
        """Where notebooks lie now."""
        try:
            served = await ensure_async(self._serverapp.session_manager.list_sessions())
        except Exception:  # a remote gateway may be away: the store can be read all the same
            self._serverapp.log.warning("ipysession: no list of running notebooks", exc_info=True)
            served = []
        by_kernel: dict[str, tuple[str, ...]] = {}
        for session in served:
            kernel = session.get("kernel") or {}
            if session.get("type") == "notebook" and kernel.get("id"):
                path = to_os_path(session["path"], self.root)
                by_kernel[kernel["id"]] = (*by_kernel.get(kernel["id"], ()), path)
        return Notebooks(by_kernel, tuple(self._renames))

    async def join(self, summary: Summary, notebooks: Notebooks) -> dict[str, Any]:
        """What a session's document says of its kernel and of its notebook now.

        ``kernel`` is None where the session names none that this server runs. A kernel that
        was restarted keeps its id: it lives, though it may not record this session.
        """
        path = notebooks.path(summary)
        kernel = None
        alive = None if summary.kernel_id is None else await self._is_alive(summary.kernel_id)
        if alive is not None:
            opened = path if notebooks.served(summary) else None
            kernel = {
                "id": summary.kernel_id,
                "alive": alive,
                "notebook": opened,
                "path": None if opened is None else to_api_path(opened, self.root),
            }
        return {
            "kernel": kernel,
            "current_notebook": path,
            "path": None if path is None else self._path_in_server(path),
        }

    def _path_in_server(self, path: str) -> str | None:
        root = self.root.rstrip(os.sep) + os.sep
        return to_api_path(path, self.root) if path.startswith(root) else None

    async def join_all(
        self, summaries: Iterable[Summary], notebooks: Notebooks
    ) -> list[dict[str, Any]]:
        """`join` for each, in order."""
        return await asyncio.gather(*(self.join(summary, notebooks) for summary in summaries))

    async def _is_alive(self, kernel_id: str) -> bool | None:
        """Does the kernel live? None where this server has no such kernel."""
        manager = self._serverapp.kernel_manager
        try:
            if kernel_id not in manager:
                return None
            return bool(await ensure_async(manager.is_alive(kernel_id)))
        except (KeyError, HTTPError):
            return None  # it was shut down while we asked, or a gateway does not answer

    @property
    def root(self) -> str:
        """The server's folder: paths in the server begin there."""
        # JPY_SESSION_NAME, which becomes a session's notebook, is made with this one.
        return str(self._serverapp.kernel_manager.root_dir)

    async def _on_contents(self, logger: object, schema_id: str, data: dict[str, Any]) -> None:  # noqa: ARG002 - given by name
        if data.get("action") == "rename":
            old = to_os_path(data["source_path"], self.root)
            new = to_os_path(data["path"], self.root)
            self._renames.append(Rename(datetime.now(UTC), old, new))

"""The routes that export, into the answer or into a file of the server's, and cancel that."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import authorized
from jupyter_server.utils import ApiPath, to_os_path
from tornado import web
from tornado.iostream import StreamClosedError

from ipysession.errors import ExportCancelled, ExportRefused, InvalidRequest
from ipysession.export import ExportOptions
from ipysession.export.formats import format_named
from ipysession.server import requests as r
from ipysession.server.base import RESOURCE, Handler
from ipysession.server.media import media_type
from ipysession.sessions.exporting import file_name

_BLOCK = 256 * 1024

_CELLS = re.compile(r"running cell ([0-9]+) of ([0-9]+)")
"""As `ipysession.export.verify` tells its progress."""


class JobHandler(Handler):
    """``exports/{job}``."""

    @web.authenticated
    @authorized("write", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def delete(self, job: str) -> None:
        """Cancel it."""
        if not re.fullmatch(r.JOB, job):
            message = f"{job[:80]!r} is no name of an export"
            raise InvalidRequest(message)
        await self.answer({"job": job, "cancelled": self.rooms.jobs.cancel(job)})


class ExportHandler(Handler):
    """``sessions/{id}/export``."""

    @web.authenticated
    @authorized("write", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def post(self, session_id: str) -> None:
        """Export it; see the OpenAPI document."""
        asked = self.sent(r.ExportRequest)
        suffix = format_named(asked.format).suffix
        if asked.verify:
            # The recorded code runs in a fresh kernel.
            await self.must_be_allowed("execute", "kernels")
        item = await asyncio.to_thread(self.sessions.listed_id, session_id)
        if asked.path is not None:
            await self.must_be_allowed("write", "contents")
            target = await self._target(asked.path, suffix)
            if asked.kernel_id is not None:
                await self.must_be_allowed("execute", "kernels")
                data = await self._in_kernel(session_id, target, asked)
            else:
                data = await self._export(session_id, target, asked)
            await self.answer({**data, "path": asked.path})
            return
        if asked.kernel_id is not None:
            message = "an export in a kernel needs a path: a kernel cannot send the file"
            raise InvalidRequest(message)
        with tempfile.TemporaryDirectory(prefix="ipysession-export-") as folder:
            target = Path(folder) / f"export{suffix}"
            data = await self._export(session_id, target, asked)
            await self._send(target, f"{file_name(item.summary.title)}{suffix}", data)

    async def _export(
        self, session_id: str, target: Path, asked: r.ExportRequest
    ) -> dict[str, Any]:
        options = ExportOptions(
            all=asked.all,
            steps=tuple(asked.steps),
            targets=tuple(asked.targets),
            verify=asked.verify,
            consent=asked.consent,
            force=asked.force,
            format=asked.format,
        )
        loop = asyncio.get_running_loop()
        told = ""

        def tell(said: str) -> None:
            nonlocal told
            if said != told:
                told = said
                loop.call_soon_threadsafe(self._progress, asked, session_id, said)

        with self.rooms.jobs.running(asked.job) as cancelled:

            def progress(said: str) -> None:
                if cancelled.is_set():
                    message = "the export was cancelled; nothing was written"
                    raise ExportCancelled(message)
                tell(said)

            progress("exporting")
            export = partial(
                self.sessions.export,
                session_id,
                output=str(target),
                options=options,
                progress=progress,
            )
            report = await asyncio.to_thread(export)
        said = report.headline.replace(str(target), asked.path or target.name)
        tell(said)
        return {"verification": None, **report.data, "said": said}

    async def _in_kernel(
        self, session_id: str, target: Path, asked: r.ExportRequest
    ) -> dict[str, Any]:
        words = [session_id, "-o", str(target)]
        words += ["--format", asked.format]
        words += ["--all"] if asked.all else []
        words += [f"--verify={'all' if asked.consent else 'safe'}"] if asked.verify else []
        words += ["--force"] if asked.force else []
        words += ["--step", *map(str, asked.steps)] if asked.steps else []
        words += ["--target", *asked.targets] if asked.targets else []
        said = await self.rooms.runner.run(str(asked.kernel_id), "export", words, ExportRefused)
        return {"verification": None, **said["data"], "said": said["headline"]}

    def _progress(self, asked: r.ExportRequest, session_id: str, said: str) -> None:
        """Tell listeners how far the job is: in words, and in numbers where there are any."""
        if asked.job is None:
            return
        cells = _CELLS.search(said)
        done, total = (0, 0) if cells is None else (int(cells[1]) - 1, int(cells[2]))
        event = {"job": asked.job, "session": session_id, "done": done, "total": total}
        self.rooms.events.tell("export", {**event, "said": said})

    async def _target(self, path: str, suffix: str) -> Path:
        """The file that a path in this server means. Raises InvalidRequest where it leads out of
        the server's folder, or is hidden from its users.
        """
        root = getattr(self.contents_manager, "root_dir", None)
        if not root:
            message = "this server keeps its files elsewhere than on a disk; leave the path out"
            raise InvalidRequest(message)
        target = _inside(path, root)
        manager: Any = self.contents_manager
        try:
            hidden = await ensure_async(manager.is_hidden(path))
        except OSError as error:
            message = f"{path[:200]!r} cannot be a path here: {error.strerror or error}"
            raise InvalidRequest(message) from error
        if (hidden or target.name.startswith(".")) and not manager.allow_hidden:
            message = f"{path[:200]!r} is hidden, and this server allows no hidden files"
            raise InvalidRequest(message)
        if not target.name.endswith(suffix):
            message = (
                f"the path must end with {suffix}, as the format has it, not {target.suffix!r}"
            )
            raise InvalidRequest(message)
        return target

    async def _send(self, path: Path, name: str, data: dict[str, Any]) -> None:
        kind = media_type(path)
        self.set_header("Content-Type", kind)
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Disposition", f"attachment; filename*=UTF-8''{quote(name)}")
        verified = {True: "yes", False: "no", None: "not asked for"}[data["verified"]]
        self.set_header("X-Ipysession-Verified", verified)
        with path.open("rb") as stream:
            while block := await asyncio.to_thread(stream.read, _BLOCK):
                self.write(block)
                try:
                    await self.flush()
                except StreamClosedError:
                    return
        self.finish(set_content_type=kind)


def _inside(path: str, root: str) -> Path:
    """The file in the folder ``root`` that the path means. Raises InvalidRequest."""
    if "\0" not in path and ".." not in path.split("/"):
        target = Path(to_os_path(ApiPath(path), root))
        if Path(os.path.realpath(target.parent)).is_relative_to(os.path.realpath(root)):
            return target
    message = f"{path[:200]!r} is not a path in this server"
    raise InvalidRequest(message)

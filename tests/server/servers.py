"""A Jupyter server in a process of its own, as its user starts it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Self
from urllib.error import URLError
from urllib.request import Request, urlopen

if TYPE_CHECKING:
    from integration.kernels import Home

TOKEN = "0123456789abcdef"


class Server:
    """A Jupyter server as a user starts it."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.log = home.root / "server.log"
        self.process: subprocess.Popen | None = None
        self.url = ""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "jupyter", "server", "--no-browser", "--allow-root"]
        command += [f"--IdentityProvider.token={TOKEN}", "--ServerApp.port=0"]
        command += ["--ServerApp.jpserver_extensions={'ipysession': True}"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=self.home.environment(), cwd=self.home.work
            )
        deadline = time.monotonic() + 90
        while not self._answers():
            assert time.monotonic() < deadline, self.log.read_text()
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        return self

    def _answers(self) -> bool:
        """Does it say where it is, and listen there already?"""
        for file in (self.home.jupyter / "runtime").glob("jpserver-*.json"):
            said = json.loads(file.read_text() or "{}")
            self.url = f"{said.get('url', '')}ipysession/api"
            with contextlib.suppress(URLError), self.open("settings"):
                return True
        return False

    def __exit__(self, *exception: object) -> None:
        self.end()

    def end(self) -> int:
        """End it as its user does; its exit code."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()

    def open(self, path: str, body: dict[str, Any] | None = None, method: str | None = None):
        """The answer to a GET, to a POST of ``body``, or to another method, as a stream."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"token {TOKEN}"}
        request = Request(f"{self.url}/{path}", data, headers, method=method)
        return urlopen(request, timeout=100)

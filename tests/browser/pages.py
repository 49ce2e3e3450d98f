"""A real Jupyter server and real pages of it, driven the way a user does.

``Server`` starts ``jupyter lab`` or ``jupyter notebook`` for one imaginary user and without any
need of a network. ``NotebookPage`` is one page with one open notebook.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import nbformat
import psutil
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from integration.kernels import Home
    from playwright.sync_api import Locator, Page

RESULTS = Path(__file__).parents[2] / "test-results" / "screenshots"

CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

NOT_OURS: dict[str, re.Pattern[str]] = {
    "Notebook 7 at its start, before any kernel: of a settings plugin that it does not have": (
        re.compile(r"uncaught: Cannot read properties of undefined \(reading 'schema'\)")
    ),
    "What JupyterLab was asking a kernel when that was restarted": (
        re.compile(r"Canceled future for \w+ message before replies were done")
    ),
}
"""Errors that JupyterLab logs by itself, by the reason for each."""

_SESSION_CONTEXT = "window.jupyterapp.shell.currentWidget.sessionContext"

# Seconds. A loaded machine takes long to start a server, a page, a kernel.
START = 60
CELL = 60
BACK = 8
"""After a kernel's death, until the page knows the next one."""


def chromium() -> str:
    """The browser of this machine. Raises RuntimeError where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    message = (
        "the browser tests need Chromium or Chrome on the PATH: "
        "run scripts/system-packages.sh tests, or install it with your package manager"
    )
    raise RuntimeError(message)


class Server:
    """A Jupyter server on a free port, which serves ``home.work``. ``app`` is lab or notebook."""

    def __init__(self, home: Home, app: str = "lab") -> None:
        self.home = home
        self.app = app
        self.token = secrets.token_hex(16)
        self.log = home.root / f"{app}.log"
        self._write_settings()
        for _ in range(3):  # another process may take the port before the server does
            self.port = _free_port()
            self._start()
            if self._wait():
                return
            self.stop()
        message = f"jupyter {app} did not start:\n{self.log.read_text()[-3000:]}"
        raise RuntimeError(message)

    def _write_settings(self) -> None:
        """What a user may choose in the settings: nothing asks the network, nothing pops up."""
        settings = {
            "apputils-extension/notification": {
                "checkForUpdates": False,
                "fetchNews": "false",
                "doNotDisturbMode": True,
            },
            # All cells stay in the page, also those that are scrolled out of sight.
            "notebook-extension/tracker": {"windowingMode": "none"},
            # Files are saved when the test says so.
            "docmanager-extension/plugin": {"autosave": False},
        }
        folder = self.home.jupyter / "config" / "lab" / "user-settings" / "@jupyterlab"
        for name, values in settings.items():
            path = folder / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))

    def _start(self) -> None:
        environment = self.home.environment(
            {
                "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
                "SHELL": "/bin/sh",
                "PS1": "$ ",
            }
        )
        # The server names the notebook for each of its kernels.
        del environment["JPY_SESSION_NAME"]
        options = [
            "--no-browser",
            "--allow-root",
            f"--port={self.port}",
            "--ServerApp.port_retries=0",
            f"--IdentityProvider.token={self.token}",
            f"--ServerApp.root_dir={self.home.work}",
            "--LabApp.extension_manager=readonly",
            "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            "--expose-app-in-browser",
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyter", self.app, *options],
                env=environment,
                cwd=self.home.work,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _wait(self) -> bool:
        deadline = time.monotonic() + START
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.get("api/status")
            except OSError:
                time.sleep(0.1)
            else:
                return True
        return False

    def get(self, path: str) -> Any:
        """The answer of the server's own API."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/{path}",
            headers={"Authorization": f"token {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def url(self, path: str) -> str:
        """The address of a page, as the server prints it at its start."""
        return f"http://127.0.0.1:{self.port}/{path}?token={self.token}"

    def kernels(self) -> list[psutil.Process]:
        """The processes of its kernels."""
        children = psutil.Process(self._process.pid).children(recursive=True)
        return [child for child in children if "ipykernel_launcher" in " ".join(child.cmdline())]

    def stop(self) -> None:
        """End the server and all that it started."""
        family = [self._process.pid]
        try:
            parent = psutil.Process(self._process.pid)
            family += [child.pid for child in parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            pass
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        for pid in family[1:]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_notebook(path: Path, sources: Sequence[str] = ()) -> None:
    """A notebook file with these cells, or with one empty cell."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources or [""]]
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    }
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)


class NotebookPage:
    """A page with one notebook in it, in JupyterLab or in Notebook 7."""

    def __init__(self, page: Page, server: Server) -> None:
        self.page = page
        self.server = server
        self.errors: list[str] = []
        page.set_default_timeout(CELL * 1000)
        page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))
        page.on("console", self._hear)

    def _hear(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def open(self, name: str) -> Self:
        """Open the notebook ``name`` and wait for its kernel."""
        # JupyterLab remembers what was open in a workspace, also for other pages: take a new one.
        workspace = f"lab/workspaces/{secrets.token_hex(4)}/tree"
        tree = workspace if self.server.app == "lab" else "notebooks"
        self.page.goto(self.server.url(f"{tree}/{name}"))
        self.wait_idle()
        return self

    @property
    def notebook(self) -> Locator:
        """The notebook that is in front."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)").locator(".jp-Notebook")

    def cells(self) -> Locator:
        """Its code cells."""
        return self.notebook.locator(".jp-CodeCell")

    def wait_idle(self) -> None:
        """Wait until the kernel is there and has nothing to do."""
        self.cells().first.wait_for()
        # Not the indicator in the toolbar: it says idle also where no kernel is connected yet.
        self.page.wait_for_function(
            "window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status"
            " === 'idle' && window.jupyterapp.shell.currentWidget.sessionContext.isReady",
            timeout=START * 1000,
        )

    def run(self, code: str, *, at: int | None = None) -> Locator:
        """Type a cell, run it with Shift+Enter, and return its outputs when it has ended.

        It is typed into the last cell, or replaces what stands in the cell number ``at``.
        """
        index = self.start(code, at=at)
        cell = self.cells().nth(index)
        expect(cell.locator(".jp-InputPrompt")).to_have_text(
            re.compile(r"\[\d+\]:"), timeout=CELL * 1000
        )
        return cell.locator(".jp-OutputArea").first

    def start(self, code: str, *, at: int | None = None) -> int:
        """Like `run`, without waiting for the cell's end. Returns the cell's number."""
        count = self.cells().count()
        index = count - 1 if at is None else at
        cell = self.cells().nth(index)
        cell.locator(".cm-content").click()
        self.page.keyboard.press("ControlOrMeta+a")
        if "\n" in code:
            self.page.keyboard.insert_text(code)  # pasted: the editor would indent by itself
        else:
            self.page.keyboard.type(code)
        self.page.keyboard.press("Shift+Enter")
        expect(cell.locator(".jp-InputPrompt")).not_to_have_text("[ ]:")
        if index == count - 1:
            expect(self.cells()).to_have_count(count + 1)
        return index

    def kill_kernel(self) -> None:
        """SIGKILL from outside; the server starts another kernel, and the page says so."""
        self.kernel().kill()
        dialog = self.page.locator(".jp-Dialog")
        dialog.get_by_text("appears to have died").wait_for()
        dialog.get_by_role("button", name="Ok").click()
        dialog.wait_for(state="detached")
        # JupyterLab calls a kernel that was restarted for it "starting" until its first cell.
        back = f"['idle', 'starting'].includes({_SESSION_CONTEXT}.session?.kernel?.status)"
        try:
            self.page.wait_for_function(back, timeout=BACK * 1000)
        except PlaywrightTimeout:
            # The new kernel's first sign of life can get lost on its way, and the page waits for
            # it: its user restarts the kernel from the menu.
            self.restart_kernel()
            self.page.wait_for_function(back)

    def restart_kernel(self) -> None:
        """Kernel ▸ Restart Kernel…"""
        self.page.get_by_role("menuitem", name="Kernel", exact=True).click()
        self.page.get_by_role("menuitem", name=re.compile("^Restart Kernel…")).click()
        self.page.get_by_role("dialog").locator(".jp-mod-accept").click()

    def kernel(self) -> psutil.Process:
        """The process of this notebook's kernel."""
        identity = self.page.evaluate(f"{_SESSION_CONTEXT}.session.kernel.id")
        (kernel,) = [
            process
            for process in self.server.kernels()
            if any(identity in word for word in process.cmdline())
        ]
        return kernel

    def run_all(self) -> None:
        """Run ▸ Run All Cells, and wait until the last one is done."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        ran = re.compile(r"\[\d+\]:")
        for index in range(self.cells().count()):
            cell = self.cells().nth(index)
            if cell.locator(".cm-content").inner_text().strip():
                expect(cell.locator(".jp-InputPrompt")).to_have_text(ran, timeout=CELL * 1000)

    def output(self, index: int) -> Locator:
        """What the code cell ``index`` shows."""
        return self.cells().nth(index).locator(".jp-OutputArea").first

    def shut_down(self) -> None:
        """End this notebook's kernel in an orderly way, and wait until it is gone."""
        kernel = self.kernel()
        self.page.evaluate(f"{_SESSION_CONTEXT}.shutdown()")
        kernel.wait(START)

    def complaints(self) -> list[str]:
        """Errors in the page's console, without those of `NOT_OURS`."""
        return [
            error
            for error in self.errors
            if not any(why.search(error) for why in NOT_OURS.values())
        ]

    def command(self, name: str, **arguments: Any) -> None:
        """One of the commands that the menus and the palette offer."""
        self.page.evaluate(
            "([name, args]) => window.jupyterapp.commands.execute(name, args)", [name, arguments]
        )

    def theme(self, name: str) -> None:
        """Choose a theme, and wait until it is there."""
        self.page.evaluate(
            "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", name
        )
        expect(self.page.locator("body")).to_have_attribute("data-jp-theme-name", name)

    def screenshot(self, name: str, what: Locator | None = None) -> Path:
        """A picture of ``what``, or of the page, in ``test-results/screenshots``."""
        RESULTS.mkdir(parents=True, exist_ok=True)
        path = RESULTS / f"{name}.png"
        self.page.mouse.move(0, 0)
        (what or self.page).screenshot(path=path, animations="disabled")
        return path

"""What a panel waits for: listings and pages of steps, from a real Jupyter server."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from benchmarks.figures import Aim, Figure
from benchmarks.storing import filled
from ipysession.model import payloads as p
from ipysession.store import Store
from ipysession.store.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.workplace import Workplace

TOKEN = "benchmark"
"""What the measured servers ask for."""

_LISTED = 10_000
_STEPS = 1_000


def serving(workplace: Workplace) -> list[Figure]:
    """The listing of many sessions, and the timeline of a long one."""
    store = Store(workplace.folder / "store", key=bytes(32))
    long = filled(store, _STEPS)
    long.append(p.SessionPaused(reason="benchmark"))
    long.close()
    count = workplace.runs(_LISTED, 500)
    many_sessions(store, count)
    with running_server(workplace, store.path) as address, asking(address) as ask:
        first = timed(1, lambda: ask("sessions?limit=100"))
        runs = workplace.runs(50, 10)
        page = timed(runs, lambda: ask("sessions?limit=100"))
        later = timed(runs, lambda: ask("sessions?limit=100&sort=title&state=paused"))
        searched = timed(1, lambda: ask("sessions?text=total_7"))
        again = timed(runs, lambda: ask("sessions?text=total_7"))
        opened = timed(1, lambda: ask(f"sessions/{long.id}/steps?limit=1000"))
        steps = timed(runs, lambda: ask(f"sessions/{long.id}/steps?limit=1000"))
        outputs = timed(runs, lambda: ask(f"sessions/{long.id}/steps?limit=50&outputs=true"))
    what = f"of {count:,} sessions"
    return [
        Figure(f"first page {what}, no index yet", tuple(first)),
        Figure(f"first page {what}", tuple(page), aim=Aim(seconds=50e-3)),
        Figure(f"… by title, in one state {what}", tuple(later), aim=Aim(seconds=50e-3)),
        Figure(f"a word in the sources {what}, nobody searched before", tuple(searched)),
        Figure(f"… again {what}", tuple(again)),
        Figure(f"the timeline of {_STEPS:,} steps, first read", tuple(opened)),
        Figure("… once it was read", tuple(steps)),
        Figure("… 50 steps of it with outputs", tuple(outputs)),
    ]


def many_sessions(store: Store, count: int) -> None:
    """Sessions that differ in id and title alone: making each by itself would take minutes."""
    model = filled(store, 3)
    model.append(p.SessionPaused(reason="benchmark"))
    model.close()
    folder = store.folder(model.id)
    said = json.loads(folder.summary_path.read_bytes())
    (segment,) = folder.log_folder.iterdir()
    log = segment.read_bytes()
    past = time.time() - 60
    for number in range(count):
        made = store.sessions_folder / new_id()
        (made / "log").mkdir(parents=True, mode=0o700)
        made.chmod(0o700)
        (made / "log" / segment.name).write_bytes(log)
        summary = {**said["summary"], "id": made.name, "title": f"session {number}"}
        (made / "session.json").write_text(json.dumps({**said, "summary": summary}))
        os.utime(made, (past, past))


@contextmanager
def running_server(workplace: Workplace, store: Path, app: str = "server") -> Iterator[str]:
    """The address of a Jupyter server over ``store``; ``app`` is ``server`` or ``lab``."""
    environment = workplace.environment(store)
    (workplace.folder / "key").write_bytes(bytes(32))
    (workplace.folder / "key").chmod(0o600)
    command = [sys.executable, "-m", "jupyter", app, "--no-browser", "--allow-root"]
    command += [f"--IdentityProvider.token={TOKEN}", "--ServerApp.port=0"]
    command += ["--ServerApp.jpserver_extensions={'ipysession': True}", "--log-level=ERROR"]
    if app == "lab":  # nothing asks the network, and the page can be asked when it is ready
        command += ["--expose-app-in-browser"]
        command += ["--LabApp.extension_manager=readonly", "--LabApp.news_url=None"]
        command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    process = subprocess.Popen(
        command,
        env={**environment, "IPYSESSION_KEY": str(workplace.folder / "key")},
        cwd=workplace.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield _address(workplace.folder / "runtime", process)
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def asking(address: str) -> Iterator[Callable[[str], bytes]]:
    """A function that asks the server at ``address`` over one connection that stays open."""
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=600)

    def ask(path: str) -> bytes:
        headers = {"Authorization": f"token {TOKEN}"}
        connection.request("GET", f"/ipysession/api/{path}", headers=headers)
        response = connection.getresponse()
        body = response.read()
        if response.status != http.client.OK:
            message = f"{path}: {response.status} {body[:200]!r}"
            raise RuntimeError(message)
        return body

    yield ask
    connection.close()


def _address(runtime: Path, process: subprocess.Popen[bytes]) -> str:
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up and process.poll() is None:
        for file in runtime.glob("jpserver-*.json"):
            text = file.read_text()
            if text:
                return str(json.loads(text)["url"])
        time.sleep(0.1)
    message = "the server did not start"
    raise RuntimeError(message)


def timed(runs: int, action: Callable[[], object]) -> list[float]:
    """Seconds of each of ``runs`` calls."""
    taken = []
    for _ in range(runs):
        started = time.perf_counter()
        action()
        taken.append(time.perf_counter() - started)
    return taken

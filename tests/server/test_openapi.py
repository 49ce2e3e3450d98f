"""The OpenAPI document against the handlers: schemathesis asks a real server whatever the
document allows, and things that it does not allow.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import HTTPError

import psutil
import pytest
from integration.kernels import Home
from server.servers import TOKEN, Server

from ipysession.model import payloads as p
from ipysession.model.provenance import Environment, FileUse
from ipysession.server.openapi import openapi_document
from ipysession.store import Store

pytestmark = pytest.mark.integration

LEFT_OUT = {
    "listenToEvents": "never ends",
    "describe": "says itself",
    "resumeSession": "runs in kernels: see test_running",
}

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
)


@pytest.fixture
def home(tmp_path):
    """The folders of one imaginary user."""
    return Home(tmp_path / "home")


@pytest.fixture
def sessions(home, monkeypatch):
    """The ids of a few sessions in the user's store."""
    for name, value in home.isolation.items():
        monkeypatch.setenv(name, value)
    return [recorded(Store(), title) for title in ("Flights", "Größe <b>", "x" * 300)]


def recorded(store: Store, title: str) -> str:
    """A session with something of everything that a log can tell."""
    writer = store.create(p.SessionCreated(session="", title=title, notebook="/work/a.ipynb"))
    writer.append(p.RunStarted(number=1, environment=Environment(python="3.13.1", cwd="/work")))
    for step, (source, outcome) in enumerate((("a = 1", "ok"), ("a\n", "ok"), ("b", "error")), 1):
        writer.append(p.StepStarted(step=step, source=source, cell_id=f"cell-{step % 2}"))
        output = {"output_type": "stream", "name": "stdout", "text": "é\n"}
        writer.append(p.StepOutput(step=step, events=[{"event": "output", "output": output}]))
        use = FileUse(path="/data/a.csv", size=7, action="read")
        writer.append(p.StepEffects(step=step, files=[use]))
        raised = p.StepError(ename="NameError", evalue="b", traceback=["…"])
        writer.append(
            p.StepFinished(
                step=step,
                outcome=outcome,
                duration=0.5,
                bound=["a"] if step == 1 else [],
                reads=["a"] if step == 2 else [],
                error=raised if outcome == "error" else None,
            )
        )
    preview = p.Preview(type="int", size=28, text="1")
    group = p.SavedGroup(names=["a"], size=5, inline="gARLAS4=", previews={"a": preview})
    skipped = p.SkippedGroup(names=["s"], reason="a socket")
    writer.append(p.CheckpointSaved(step=1, groups=[group], skipped=[skipped]))
    writer.append(p.NoteAdded(text="look", step=1))
    writer.append(p.SessionTagged(tag="paper"))
    writer.append(p.SessionPaused(reason="kernel shutdown"))
    writer.close()
    return writer.id


@pytest.mark.timeout(300)
def test_schemathesis_finds_no_difference_between_document_and_server(home, sessions, tmp_path):
    """Whatever the document allows is answered as it says; what it does not allow is refused."""
    document = json.loads(json.dumps(openapi_document()))
    for item in document["paths"].values():
        for part in (item, *(item[method] for method in item if method != "parameters")):
            for parameter in part.get("parameters", []):
                # Without help nothing would be found but ids that nobody knows.
                if parameter["name"] == "id":
                    parameter["schema"]["enum"] = [*sessions, "20200101-000000-aaaaaa"]
                elif "pattern" in parameter["schema"] and parameter["name"] not in {
                    "kernel_id",
                    "job",
                }:
                    parameter["schema"]["enum"] = sessions
    # What makes no sense together, and what starts kernels: test_exporting has that.
    asked = document["components"]["schemas"]["ExportRequest"]["properties"]
    for name in ("steps", "targets", "verify", "path", "kernel_id"):
        del asked[name]
    described = tmp_path / "openapi.json"
    described.write_text(json.dumps(document))
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", str(described)]
    command += ["--header", f"Authorization: token {TOKEN}", "--checks", ",".join(CHECKS)]
    for name in LEFT_OUT:
        command += ["--exclude-operation-id", name]
    command += ["--phases", "coverage,fuzzing", "--max-examples", "5", "--seed", "1"]
    command += ["--generation-database", "none", "--suppress-health-check", "all"]
    with Server(home) as server, server.open("openapi.json") as answer:
        assert json.load(answer) == json.loads(json.dumps(openapi_document()))
        done = subprocess.run(
            [*command, "--url", server.url],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=240,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr
    assert "Traceback" not in server.log.read_text()


def test_an_export_is_verified_and_tells_how_far_it_is(home, sessions):
    """Each cell is told; also what needs all of Jupyter's own files is made."""
    writer = Store().create(p.SessionCreated(session="", title="sums"))
    writer.append(p.RunStarted(number=1, environment=Environment(python="3.13.1")))
    for step in (1, 2):
        writer.append(p.StepStarted(step=step, source=f"print({step} + 1)"))
        output = {"output_type": "stream", "name": "stdout", "text": f"{step + 1}\n"}
        writer.append(p.StepOutput(step=step, events=[{"event": "output", "output": output}]))
        writer.append(p.StepFinished(step=step, outcome="ok", duration=0.1))
    writer.close()
    path = f"sessions/{writer.id}/export"
    with Server(home) as server, server.open("events") as stream:
        stream.readline()
        with server.open(path, {"verify": True, "job": "j1"}) as answer:
            assert answer.headers["X-Ipysession-Verified"] == "yes"
            assert json.load(answer)["nbformat"] == 4
        told = []
        while not told or "verified" not in told[-1]["said"]:
            line = stream.readline()
            if line.startswith(b"data: ") and b"j1" in line:
                told.append(json.loads(line.removeprefix(b"data: ")))
        numbers = [(item["done"], item["total"]) for item in told if item["total"]]
        assert numbers == [(0, 2), (1, 2)]
        cancelled_while_a_cell_runs(server, stream)
        for name, begins in (("markdown", b"print(1 + 1)"), ("html", b"<!DOCTYPE html>")):
            with server.open(path, {"format": name}) as answer:
                assert begins in answer.read()


def cancelled_while_a_cell_runs(server, stream):
    """The export ends long before its cell would, its kernel too, and no file is left."""
    writer = Store().create(p.SessionCreated(session="", title="long"))
    writer.append(p.RunStarted(number=1, environment=Environment(python="3.13.1")))
    writer.append(p.StepStarted(step=1, source="import time\ntime.sleep(600)\nx = 1"))
    writer.append(p.StepFinished(step=1, outcome="ok", duration=0.1, bound=["x"]))
    writer.close()
    asked = {"verify": True, "job": "j2", "path": "long.ipynb"}
    with ThreadPoolExecutor(1) as pool:
        export = pool.submit(server.open, f"sessions/{writer.id}/export", asked)
        while b"running cell 1 of 1" not in stream.readline():
            assert not export.done(), export.exception()
        with server.open("exports/j2", method="DELETE") as answer:
            assert json.load(answer) == {"job": "j2", "cancelled": True}
        refused = export.exception(timeout=60)
        assert isinstance(refused, HTTPError)
        with refused:
            assert (refused.code, json.load(refused)["type"]) == (
                409,
                "urn:ipysession:problem:export-cancelled",
            )
    with server.open("exports/j2", method="DELETE") as answer:
        assert json.load(answer) == {"job": "j2", "cancelled": False}
    assert not [*server.home.work.iterdir()]
    family = psutil.Process(server.process.pid).children(recursive=True)
    assert not [child for child in family if "ipykernel" in " ".join(child.cmdline())]


def test_a_server_ends_at_once_although_somebody_listens(home, sessions):
    """The stream of events holds nothing up, and leaves no complaint."""
    with Server(home) as server, server.open("events") as stream:
        assert stream.readline() == b"retry: 2000\n"
        began = time.monotonic()
        assert server.end() == 0
        assert time.monotonic() - began < 15
    log = server.log.read_text()
    assert "Traceback" not in log
    assert "Task was destroyed" not in log

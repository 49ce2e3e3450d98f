"""Verbs that run in a kernel of the server: resume here, export from there."""

import asyncio
import json

import pytest
from server.test_kernels import start, until

from ipysession.errors import KernelBusy, KernelNotFound, ResumeRefused
from ipysession.server.running import KernelRunner

pytestmark = pytest.mark.integration


@pytest.fixture
def run(jp_serverapp):
    """Runs cells in a kernel of the server, as a front end does."""

    async def run(kernel_id, *sources):
        client = jp_serverapp.kernel_manager.get_kernel(kernel_id).client()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=60)
            for source in sources:
                reply = await client.execute(source, reply=True, timeout=60)
            return reply["content"]
        finally:
            client.stop_channels()

    return run


@pytest.fixture
def api(jp_fetch):
    """Jupyter's own REST API."""

    async def api(method, *parts, **body):
        sent = {"body": json.dumps(body)} if body else {"allow_nonstandard_methods": True}
        response = await jp_fetch("api", *parts, method=method, **sent)
        return json.loads(response.body) if response.body else None

    return api


async def test_a_dead_kernels_session_comes_back_into_a_new_one(
    fetch, api, run, jp_create_notebook, jp_root_dir
):
    """One request, without a cell; the notebook's next cell goes on where it was."""
    jp_create_notebook("work.ipynb")
    served = await start(api, "work.ipynb")
    first = served["kernel"]["id"]
    await run(first, "%load_ext ipysession", "x = 41", "table = [x] * 3", "print('hello')")
    await api("POST", "kernels", first, "restart")

    async def state():
        return [s["state"] for s in (await fetch("sessions")).document["sessions"]]

    await until(state, ["paused"])
    told = (await fetch("notebook?path=work.ipynb")).document
    assert told["kernel_id"] == first
    assert told["recording"] is None
    offered = told["resumable"]
    assert (offered["variables"], offered["steps"]) == (2, 3)

    body = json.dumps({"kernel_id": first})
    path = f"sessions/{offered['session']}/resume"
    answer = await fetch(path, method="POST", body=body)
    assert answer.status == 200, answer.document
    assert set(answer.document["restored"]) == {"x", "table"}
    assert answer.document["said"].startswith(f"Resumed {offered['session']}")
    told = (await fetch("notebook?path=work.ipynb")).document
    assert told["recording"]["session"] == offered["session"]
    assert told["resumable"] is None

    reply = await run(first, "assert (x + 1, table) == (42, [41] * 3)")
    assert (reply["status"], reply["execution_count"]) == ("ok", 5)
    steps = (await fetch(f"sessions/{offered['session']}/steps")).document["steps"]
    assert [step["source"] for step in steps][3:] == ["assert (x + 1, table) == (42, [41] * 3)"]

    # Again: it is recorded by this very kernel, and that is what the magic says.
    again = await fetch(path, method="POST", body=body)
    assert again.document["type"] == "urn:ipysession:problem:resume-refused"
    assert "is the one that this kernel records" in again.document["detail"]

    # The kernel writes a file for us, and the answer is that of the shell.
    body = json.dumps({"kernel_id": first, "path": "clean.ipynb"})
    path = f"sessions/{offered['session']}/export"
    answer = await fetch(path, method="POST", body=body)
    assert (answer.status, answer.document["path"]) == (200, "clean.ipynb")
    assert (jp_root_dir / "clean.ipynb").exists()

    await api("DELETE", "sessions", served["id"])


async def test_a_kernel_that_is_busy_or_gone(api, run, jp_serverapp, store, tmp_path):
    """Both are told in words, at once."""
    runner = KernelRunner(jp_serverapp)
    with pytest.raises(KernelNotFound, match="runs no kernel"):
        await runner.run("00000000-0000-0000-0000-000000000000", "status", [], ResumeRefused)
    kernel_id = (await api("POST", "kernels", name="python3"))["id"]
    await run(kernel_id, "1")
    manager = jp_serverapp.kernel_manager.get_kernel(kernel_id)
    # A client that connects makes the kernel busy for a moment, too: the cell says when it runs.
    begun = tmp_path / "begun"
    cell = f"import time; open({str(begun)!r}, 'w').close(); time.sleep(60)"
    sleeping = asyncio.ensure_future(run(kernel_id, cell))

    async def is_begun():
        return begun.exists()

    async def is_busy():
        return (await api("GET", "kernels", kernel_id))["execution_state"]

    await until(is_begun, True)
    await until(is_busy, "busy")
    with pytest.raises(KernelBusy, match="runs a cell just now"):
        await runner.run(kernel_id, "status", [], ResumeRefused)
    await manager.interrupt_kernel()
    await sleeping
    await until(is_busy, "idle")
    said = await runner.run(kernel_id, "status", [], ResumeRefused)
    assert said["headline"].startswith("Recording")
    with pytest.raises(ResumeRefused, match="there are no sessions"):
        await runner.run(kernel_id, "resume", ["20200101-000000-aaaaaa"], ResumeRefused)
    await api("DELETE", "kernels", kernel_id)

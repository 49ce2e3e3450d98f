"""Sessions joined to the kernels and notebooks of the server that lists them."""

import asyncio
import json
import os
import signal
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from tornado.web import HTTPError

from ipysession.model import Summary
from ipysession.server.kernels import Kernels, Notebooks, Rename

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def summary(notebook="/home/me/a.ipynb", kernel_id="k1", created=NOW):
    """A session of a notebook and a kernel."""
    return Summary(
        id="20261121-120000-aaaaaa",
        title="a",
        state="running",
        notebook=notebook,
        kernel_id=kernel_id,
        created=created,
        updated=created,
    )


def renames(*pairs, start=NOW):
    """Renames a minute apart, the first a minute after ``start``."""
    return tuple(
        Rename(start + timedelta(minutes=minute), old, new)
        for minute, (old, new) in enumerate(pairs, start=1)
    )


class TestWhereNotebooksLie:
    def test_as_recorded_where_the_server_knows_nothing(self):
        """The record is the fallback."""
        assert Notebooks().path(summary()) == "/home/me/a.ipynb"
        assert Notebooks().path(summary(notebook=None)) is None

    def test_the_servers_own_session_wins(self):
        """The front end keeps it up to date."""
        notebooks = Notebooks({"k1": ("/home/me/new.ipynb",)})
        assert notebooks.path(summary()) == "/home/me/new.ipynb"
        assert notebooks.path(summary(notebook=None)) == "/home/me/new.ipynb"
        assert notebooks.path(summary(kernel_id="k2")) == "/home/me/a.ipynb"
        assert notebooks.path(summary(kernel_id=None)) == "/home/me/a.ipynb"

    def test_two_notebooks_that_share_a_kernel_do_not_rename_each_other(self):
        """The recorded one is still there."""
        notebooks = Notebooks({"k1": ("/home/me/b.ipynb", "/home/me/a.ipynb")})
        assert notebooks.path(summary()) == "/home/me/a.ipynb"

    def test_renames_are_followed_one_after_the_other_and_through_folders(self):
        """Each rename moves what the one before it made."""
        steps = renames(
            ("/home/me/a.ipynb", "/home/me/b.ipynb"),
            ("/home/me", "/home/work"),
            ("/home/work/b.ipynb", "/home/work/c.ipynb"),
        )
        assert Notebooks(renames=steps).path(summary()) == "/home/work/c.ipynb"
        # The front end moved the kernel's path, or did not: both are the same notebook.
        served = {"k1": ("/home/me/a.ipynb",)}
        assert Notebooks(served, steps).path(summary()) == "/home/work/c.ipynb"

    def test_a_name_that_only_begins_alike_is_another_notebook(self):
        """A path is compared by its parts."""
        steps = renames(("/home/me/a", "/home/me/b"), ("/home/me/a.ipyn", "/x"))
        assert Notebooks(renames=steps).path(summary()) == "/home/me/a.ipynb"

    def test_a_rename_before_the_session_began_was_another_notebooks(self):
        """Names are used again."""
        steps = renames(("/home/me/a.ipynb", "/home/me/old.ipynb"), start=NOW - timedelta(hours=1))
        assert Notebooks(renames=steps).path(summary()) == "/home/me/a.ipynb"


class TestManagers:
    """Every kind of manager that a server may have been configured with."""

    def server(self, *, sessions=(), kernels=None, fails=False, sync=True):
        """As much of a server as is asked, with managers of either kind."""

        def say(value):
            def now(*args):
                if fails:
                    raise HTTPError(503, "the gateway is away")
                return value(*args)

            async def later(*args):
                await asyncio.sleep(0)
                return now(*args)

            return now if sync else later

        class Kernels(dict):
            root_dir = "/root"
            is_alive = staticmethod(say((kernels or {}).__getitem__))

        return SimpleNamespace(
            session_manager=SimpleNamespace(list_sessions=say(lambda: list(sessions))),
            kernel_manager=Kernels(kernels or {}),
            event_logger=None,
            log=SimpleNamespace(warning=lambda *args, **kwargs: None),
        )

    @pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
    async def test_both_kinds_are_asked(self, sync):
        """Managers may be synchronous or not."""
        served = {"type": "notebook", "path": "sub/a.ipynb", "kernel": {"id": "k1"}}
        kernels = Kernels(self.server(sessions=[served], kernels={"k1": True}, sync=sync))
        notebooks = await kernels.notebooks()
        assert await kernels.join(summary("/root/sub/a.ipynb"), notebooks) == {
            "kernel": {
                "id": "k1",
                "alive": True,
                "notebook": "/root/sub/a.ipynb",
                "path": "sub/a.ipynb",
            },
            "current_notebook": "/root/sub/a.ipynb",
            "path": "sub/a.ipynb",
        }

    async def test_a_console_shares_the_kernel_and_is_no_notebook(self):
        """Its path is no path of a file."""
        served = {"type": "console", "path": "console-1", "kernel": {"id": "k1"}}
        kernels = Kernels(self.server(sessions=[served], kernels={"k1": False}))
        joined = await kernels.join(summary(notebook=None), await kernels.notebooks())
        assert joined == {
            "kernel": {"id": "k1", "alive": False, "notebook": None, "path": None},
            "current_notebook": None,
            "path": None,
        }

    async def test_a_kernel_that_another_server_runs_is_not_known(self):
        """Then the answer is null, not dead."""
        kernels = Kernels(self.server(kernels={"k2": True}))
        joined = await kernels.join(summary(), await kernels.notebooks())
        assert joined == {"kernel": None, "current_notebook": "/home/me/a.ipynb", "path": None}

    @pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
    async def test_managers_that_fail_do_not_hide_the_sessions(self, sync):
        """A gateway that is away costs the join, not the listing."""
        kernels = Kernels(self.server(kernels={"k1": True}, fails=True, sync=sync))
        joined = await kernels.join(summary(), await kernels.notebooks())
        assert joined == {"kernel": None, "current_notebook": "/home/me/a.ipynb", "path": None}


@pytest.fixture
def api(jp_fetch):
    """Jupyter's own REST API."""

    async def api(method, *parts, **body):
        sent = {"body": json.dumps(body)} if body else {"allow_nonstandard_methods": True}
        response = await jp_fetch("api", *parts, method=method, **sent)
        return json.loads(response.body) if response.body else None

    return api


async def start(api, path, kernel="python3"):
    """Start a kernel for a notebook, as a front end does."""
    name = path.rpartition("/")[2]
    return await api(
        "POST", "sessions", path=path, name=name, type="notebook", kernel={"name": kernel}
    )


async def until(question, answer, seconds=30):
    """Ask until the answer is what it should become."""
    deadline = asyncio.get_running_loop().time() + seconds
    while (said := await question()) != answer:
        assert asyncio.get_running_loop().time() < deadline, said
        await asyncio.sleep(0.05)


@pytest.mark.integration
async def test_a_session_names_its_living_kernel_and_notebook(
    fetch, record, api, jp_create_notebook, jp_root_dir
):
    """In the listing and in the document, until the kernel is shut down."""
    jp_create_notebook("sub/work.ipynb")
    served = await start(api, "sub/work.ipynb")
    kernel_id = served["kernel"]["id"]
    path = str(jp_root_dir / "sub" / "work.ipynb")
    session_id = record(notebook=path, kernel_id=kernel_id)
    record("of another server", kernel_id="00000000-0000-0000-0000-000000000000")

    expected = {"id": kernel_id, "alive": True, "notebook": path, "path": "sub/work.ipynb"}
    listed = (await fetch("sessions")).document["sessions"]
    assert [session["kernel"] for session in listed] == [None, expected]
    document = (await fetch(f"sessions/{session_id}")).document
    assert (document["kernel"], document["current_notebook"]) == (expected, path)

    await api("DELETE", "sessions", served["id"])
    document = (await fetch(f"sessions/{session_id}")).document
    assert (document["kernel"], document["current_notebook"]) == (None, path)


@pytest.mark.integration
async def test_a_renamed_notebook_is_followed(fetch, record, api, jp_create_notebook, jp_root_dir):
    """By the contents API, by the sessions API, and in filters."""
    jp_create_notebook("work.ipynb")
    served = await start(api, "work.ipynb")
    session_id = record(notebook=str(jp_root_dir / "work.ipynb"), kernel_id=served["kernel"]["id"])

    async def current():
        return (await fetch(f"sessions/{session_id}")).document["current_notebook"]

    # The file is renamed, and the front end has not told the kernel's session yet.
    await api("PATCH", "contents", "work.ipynb", path="renamed.ipynb")
    await until(current, str(jp_root_dir / "renamed.ipynb"))
    assert (await fetch("sessions?notebook=renamed.ipynb")).ids == [session_id]
    assert (await fetch("sessions?notebook=work.ipynb")).ids == []
    assert (await fetch("sessions?text=renamed")).ids == [session_id]

    # Now it has; and once more, by the front end alone (another contents manager may not tell).
    await api("PATCH", "sessions", served["id"], path="renamed.ipynb", name="renamed.ipynb")
    assert await current() == str(jp_root_dir / "renamed.ipynb")
    await api("PATCH", "sessions", served["id"], path="final.ipynb", name="final.ipynb")
    assert await current() == str(jp_root_dir / "final.ipynb")
    document = (await fetch(f"sessions/{session_id}")).document
    assert document["kernel"]["path"] == "final.ipynb"
    assert document["notebook"] == str(jp_root_dir / "work.ipynb")  # as recorded

    # A new notebook under the old name does not get the session.
    jp_create_notebook("work.ipynb")
    assert (await fetch("sessions?notebook=work.ipynb")).ids == []


@pytest.mark.integration
async def test_a_renamed_folder_is_followed_without_a_kernel(
    fetch, record, api, jp_create_notebook, jp_root_dir
):
    """While the server remembers."""
    jp_create_notebook("old/work.ipynb")
    session_id = record(notebook=str(jp_root_dir / "old" / "work.ipynb"))
    await api("PATCH", "contents", "old", path="new")

    async def current():
        return (await fetch(f"sessions/{session_id}")).document["current_notebook"]

    await until(current, str(jp_root_dir / "new" / "work.ipynb"))


@pytest.mark.integration
async def test_a_recording_kernel_is_found_by_the_id_that_it_recorded(
    fetch, api, jp_serverapp, jp_create_notebook, jp_root_dir
):
    """The whole way: a kernel of this server records, and dies."""
    jp_create_notebook("work.ipynb")
    served = await start(api, "work.ipynb")
    kernel_id = served["kernel"]["id"]
    manager = jp_serverapp.kernel_manager.get_kernel(kernel_id)
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=60)
        for source in ("%load_ext ipysession", "x = 1"):
            reply = await client.execute(source, reply=True, timeout=60)
            assert reply["content"]["status"] == "ok", reply["content"]
    finally:
        client.stop_channels()

    async def listed():
        return [
            (session["state"], session["kernel"], session["steps"])
            for session in (await fetch("sessions")).document["sessions"]
        ]

    path = str(jp_root_dir / "work.ipynb")
    kernel = {"id": kernel_id, "alive": True, "notebook": path, "path": "work.ipynb"}
    await until(listed, [("running", kernel, 1)])

    # Killed, it is started again under the same id; the session says that its own run ended.
    os.kill(manager.provisioner.pid, signal.SIGKILL)
    await until(listed, [("interrupted", kernel, 1)])
    await manager.ready  # jupyter_client cannot shut a kernel down while it starts
    await api("DELETE", "sessions", served["id"])
    assert await listed() == [("interrupted", None, 1)]

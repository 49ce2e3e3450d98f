"""A real Jupyter server for each test, as pytest-jupyter starts it, with a store of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from pytest_jupyter.jupyter_server import *  # noqa: F403 - its fixtures and hooks, for this folder alone

from ipysession.log import SyncPolicy
from ipysession.model import Outcome
from ipysession.model import payloads as p
from ipysession.model.provenance import Environment
from ipysession.store import STORE_VARIABLE, Store

if TYPE_CHECKING:
    from collections.abc import Sequence


class Answer(NamedTuple):
    """What came back over the wire."""

    status: int
    document: Any
    headers: Any

    @property
    def ids(self) -> list[str]:
        """The ids of a listing."""
        return [session["id"] for session in self.document["sessions"]]


@pytest.fixture
def jp_server_config():
    """A server that lets nobody in without a token."""
    return {
        "ServerApp": {
            "jpserver_extensions": {"ipysession": True},
            "allow_unauthenticated_access": False,
        }
    }


@pytest.fixture
def store(jp_environ, tmp_path, monkeypatch):
    """The store that this test's server, and every kernel that it starts, takes by itself."""
    monkeypatch.setenv(STORE_VARIABLE, str(tmp_path / "store"))
    return Store()


@pytest.fixture
def record(store):
    """Records a session, as a kernel would, and returns its id."""

    def record(
        title: str = "Work",
        *,
        notebook: str | None = None,
        kernel_id: str | None = None,
        tag: str | None = None,
        cells: Sequence[tuple[str, str]] = (("print('hello')", "hello\n"),),
        state: str = "paused",
    ) -> str:
        created = p.SessionCreated(session="", title=title, notebook=notebook)
        writer = store.create(created, policy=SyncPolicy.OFF)
        environment = Environment(python="3.13.1", cwd="/home/me")
        writer.append(
            p.RunStarted(number=1, environment=environment, kernel_id=kernel_id, notebook=notebook)
        )
        if tag is not None:
            writer.append(p.SessionTagged(tag=tag))
        for number, (source, text) in enumerate(cells, start=1):
            output = {"output_type": "stream", "name": "stdout", "text": text}
            writer.append(p.StepStarted(step=number, source=source, cell_id=f"cell-{number}"))
            writer.append(p.StepOutput(step=number, events=[{"event": "output", "output": output}]))
            writer.append(p.StepFinished(step=number, outcome=Outcome.OK, duration=0.1))
        if state == "paused":
            writer.append(p.SessionPaused(reason="kernel shutdown"))
        elif state == "completed":
            writer.append(p.SessionCompleted(reason="done"))
        writer.close()
        return writer.id

    return record


@pytest.fixture
def fetch(store, jp_serverapp, http_server_client, jp_base_url, jp_auth_header):
    """Requests a path as it stands, below the API; nothing is escaped on the way."""

    async def fetch(
        path: str,
        *,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        token: bool = True,
        **options: Any,
    ) -> Answer:
        response = await http_server_client.fetch(
            f"{jp_base_url}ipysession/api/{path}",
            method=method,
            headers={**(jp_auth_header if token else {}), **(headers or {})},
            raise_error=False,
            follow_redirects=False,
            request_timeout=60,
            **options,
        )
        kind = response.headers.get("Content-Type", "")
        document = json.loads(response.body) if "json" in kind and response.body else None
        return Answer(response.code, document, response.headers)

    return fetch

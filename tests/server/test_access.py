"""Who may ask: authentication, authorization, other origins, and what changes things.

The tests walk through the OpenAPI document, so that no operation can be forgotten.
"""

from typing import ClassVar, NamedTuple

import pytest
from jupyter_server.auth import Authorizer
from traitlets.config import Config

from ipysession.server import routes
from ipysession.server.openapi import openapi_document

EVIL = "https://evil.example"
XSRF = "0123456789abcdef0123456789abcdef"


class Operation(NamedTuple):
    """A method and a path below the API."""

    method: str
    path: str

    @property
    def sent(self):
        """What a request needs besides."""
        return {"method": self.method} | ({"body": "{}"} if self.method in BODIES else {})


BODIES = {"POST", "PUT", "PATCH"}

OPERATIONS = [
    Operation(
        method.upper(),
        path.removeprefix("/")
        .replace("{id}", "20200101-000000-aaaaaa")
        .replace("{n}", "1")
        .replace("{job}", "j1"),
    )
    for path, item in openapi_document()["paths"].items()
    for method in item
    if method != "parameters"
]
CHANGES = [operation for operation in OPERATIONS if operation.method != "GET"]
PATHS = sorted({operation.path for operation in OPERATIONS})


def config(**server):
    """A server's configuration, for servers that tests vary."""
    extensions = {"jpserver_extensions": {"ipysession": True}}
    return Config({"ServerApp": extensions | server})


STRICT_AND_LAX = pytest.mark.parametrize(
    "jp_server_config",
    [config(allow_unauthenticated_access=False), config(allow_unauthenticated_access=True)],
    ids=["strict", "lax"],
)


@STRICT_AND_LAX
async def test_a_stranger_learns_and_changes_nothing(fetch, record):
    """Without a token there is nothing but a refusal."""
    record("secret plans")
    for operation in OPERATIONS:
        for headers in ({}, {"Authorization": "token "}, {"Cookie": "username=me"}):
            answer = await fetch(operation.path, token=False, headers=headers, **operation.sent)
            assert answer.status == 403, operation
            assert answer.headers["Content-Type"] == "application/problem+json", operation
            assert answer.document["type"] == "about:blank", operation
            assert answer.document["title"] == "Forbidden", operation
            assert "secret" not in str(answer.document), operation


@STRICT_AND_LAX
async def test_another_users_token_opens_nothing(fetch):
    """Nor with a wrong token, wherever it stands."""
    for operation in OPERATIONS:
        for said in ("token 0123456789abcdef", "Bearer x"):
            headers = {"Authorization": said}
            answer = await fetch(operation.path, token=False, headers=headers, **operation.sent)
            assert answer.status == 403, operation
        path = f"{operation.path}?token=0123456789abcdef"
        assert (await fetch(path, token=False, **operation.sent)).status == 403, operation


class Denier(Authorizer):
    """Lets everybody do everything, except with sessions."""

    asked: ClassVar[list] = []

    def is_authorized(self, handler, user, action, resource):
        """As jupyter_server asks; what it asked for is kept."""
        self.asked.append((action, resource))
        return resource != "ipysession"


@pytest.mark.parametrize("jp_server_config", [config(authorizer_class=Denier)])
async def test_every_operation_asks_the_authorizer_for_its_own_resource(fetch, jp_fetch):
    """An administrator can forbid sessions and nothing else, and reading apart from changing."""
    Denier.asked.clear()
    assert (await jp_fetch("api", "contents")).code == 200
    for _ in range(2):  # a decorator that remembers its first call would show in the second
        for operation in OPERATIONS:
            action = "read" if operation.method == "GET" else "write"
            answer = await fetch(operation.path, **operation.sent)
            assert answer.status == 403, operation
            assert answer.document["detail"] == (
                f"User is not authorized to {action} on resource: ipysession."
            )
            assert Denier.asked[-1] == (action, "ipysession")


class Reader(Authorizer):
    """Lets everybody read everything and use sessions, but neither run nor write anything."""

    def is_authorized(self, handler, user, action, resource):
        """As jupyter_server asks."""
        return action == "read" or resource == "ipysession"


@pytest.mark.parametrize("jp_server_config", [config(authorizer_class=Reader)])
async def test_sessions_are_no_way_around_what_is_forbidden_otherwise(fetch, record):
    """Who may run no kernel resumes and verifies nothing; who may write no file exports none."""
    session_id = record()
    kernel = "5f3c0000-0000-0000-0000-000000000000"
    for path, method, body, missing in (
        (f"sessions/{session_id}/resume", "POST", f'{{"kernel_id": "{kernel}"}}', "kernels"),
        (f"sessions/{session_id}/export", "POST", '{"verify": true}', "kernels"),
        (f"sessions/{session_id}/export", "POST", '{"path": "x.ipynb"}', "contents"),
        ("settings", "PATCH", '{"auto_load": true}', "kernels"),
    ):
        answer = await fetch(path, method=method, body=body)
        assert answer.status == 403, path
        assert answer.document["detail"].endswith(f"on resource: {missing}.")
    answer = await fetch(f"sessions/{session_id}/export", method="POST", body="{}")
    assert answer.status == 200


def test_every_method_is_in_the_document_and_guarded_by_itself():
    """Not by a base class's guard: jupyter_server's decorator would mix up resources there."""
    document = openapi_document()["paths"]
    assert {f"/{path}" for path in routes.HANDLERS} == set(document)
    for path, handler in routes.HANDLERS.items():
        own = {"get", "head", "post", "put", "patch", "delete"} & set(vars(handler))
        assert own == set(document[f"/{path}"]) - {"parameters"}
        for name in own:
            guarded_by = [*wrappers(getattr(handler, name))]
            assert any("authenticated" in where for where in guarded_by), (handler, name)
            assert any("authorized" in where for where in guarded_by), (handler, name)


def wrappers(method):
    """The names of the functions that a method is wrapped in."""
    while method is not None:
        yield method.__code__.co_qualname
        method = getattr(method, "__wrapped__", None)


@pytest.fixture
def browser(fetch, jp_serverapp, http_server_client, jp_base_url):
    """Requests as a logged-in browser makes them: with cookies, without the token."""

    async def browse(path, *, xsrf=False, headers=None, **options):
        token = jp_serverapp.identity_provider.token
        login = await http_server_client.fetch(
            f"{jp_base_url}login?token={token}", follow_redirects=False, raise_error=False
        )
        cookies = [line.split(";")[0] for line in login.headers.get_list("Set-Cookie")]
        cookies.append(f"_xsrf={XSRF}")  # a page of JupyterLab sets it, to whatever
        sent = {"Cookie": "; ".join(cookies)} | ({"X-XSRFToken": XSRF} if xsrf else {})
        return await fetch(path, token=False, headers=sent | (headers or {}), **options)

    return browse


async def test_a_browser_reads_its_own_server(browser, record):
    """A login's cookie is enough to read."""
    session_id = record()
    answer = await browser("sessions")
    assert (answer.status, answer.ids) == (200, [session_id])
    assert (await browser(f"sessions/{session_id}")).status == 200


async def test_another_sites_page_can_do_nothing_with_the_browsers_cookies(browser, record):
    """The browser sends the cookies along; the server sees whose page asked."""
    record("secret plans")
    for operation in OPERATIONS:
        headers = {"Origin": EVIL}
        answer = await browser(operation.path, headers=headers, xsrf=True, **operation.sent)
        assert answer.status == 404, operation
        assert answer.document["type"] == "about:blank", operation
        assert "secret" not in str(answer.document), operation
        assert "Access-Control-Allow-Origin" not in answer.headers, operation


async def test_another_site_is_not_invited_by_a_preflight(fetch):
    """No answer gives another origin leave."""
    for path in PATHS:
        answer = await fetch(path, method="OPTIONS", token=False, headers={"Origin": EVIL})
        assert "Access-Control-Allow-Origin" not in answer.headers, path


async def test_a_browser_changes_nothing_without_its_xsrf_token(browser):
    """With it, the request comes to where it is looked at."""
    assert len(CHANGES) >= 6
    for operation in CHANGES:
        answer = await browser(operation.path, **operation.sent)
        assert answer.status == 403, operation
        assert "_xsrf" in answer.document["detail"], operation
        answer = await browser(operation.path, xsrf=True, **operation.sent)
        assert answer.status == 200 or answer.document["type"] != "about:blank", operation


async def test_no_other_method_does_anything(fetch):
    """405, as a problem document."""
    for path in PATHS:
        known = {operation.method for operation in CHANGES if operation.path == path}
        for method in {"POST", "PUT", "PATCH", "DELETE"} - known:
            answer = await fetch(path, **Operation(method, path).sent)
            assert answer.status == 405, (method, path)
            assert answer.headers["Content-Type"] == "application/problem+json", (method, path)


async def test_what_is_sent_is_data_for_the_logged_in_user_alone(fetch, record):
    """No sniffing, no scripts, no shared caches."""
    headers = (await fetch(f"sessions/{record()}")).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "private, no-cache"

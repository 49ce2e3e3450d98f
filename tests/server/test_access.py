"""Who may ask: authentication, authorization, other origins, and methods that change things."""

from typing import ClassVar

import pytest
from jupyter_server.auth import Authorizer
from traitlets.config import Config

from ipysession.server import handlers

EVIL = "https://evil.example"
XSRF = "0123456789abcdef0123456789abcdef"

ROUTES = [
    path.removeprefix("/ipysession/api/").replace("([^/]+)", "20200101-000000-aaaaaa")
    for path, _, _ in handlers.routes("/", None, None)
]


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
@pytest.mark.parametrize("path", ROUTES)
async def test_a_stranger_learns_nothing(fetch, record, path):
    """Without a token there is nothing but a refusal."""
    record("secret plans")
    for headers in ({}, {"Authorization": "token "}, {"Cookie": "username=me"}):
        answer = await fetch(path, token=False, headers=headers)
        assert answer.status == 403
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.document == {
            "type": "about:blank",
            "title": "Forbidden",
            "status": 403,
            "detail": "Forbidden",
        }


@STRICT_AND_LAX
@pytest.mark.parametrize("path", ROUTES)
async def test_another_users_token_opens_nothing(fetch, path):
    """Nor with a wrong token, wherever it stands."""
    for headers in ({"Authorization": "token 0123456789abcdef"}, {"Authorization": "Bearer x"}):
        assert (await fetch(path, token=False, headers=headers)).status == 403
    assert (await fetch(f"{path}?token=0123456789abcdef", token=False)).status == 403


class Denier(Authorizer):
    """Lets everybody do everything, except with sessions."""

    asked: ClassVar[list] = []

    def is_authorized(self, handler, user, action, resource):
        """As jupyter_server asks; what it asked for is kept."""
        self.asked.append((action, resource))
        return resource != "ipysession"


@pytest.mark.parametrize("jp_server_config", [config(authorizer_class=Denier)])
async def test_every_route_asks_the_authorizer_for_its_own_resource(fetch, jp_fetch):
    """An administrator can forbid sessions and nothing else."""
    Denier.asked.clear()
    assert (await jp_fetch("api", "contents")).code == 200
    for _ in range(2):  # a decorator that remembers its first call would show in the second
        for path in ROUTES:
            answer = await fetch(path)
            assert answer.status == 403
            assert answer.document["detail"] == (
                "User is not authorized to read on resource: ipysession."
            )
            assert Denier.asked[-1] == ("read", "ipysession")


def test_every_method_is_guarded_by_itself():
    """Not by a base class's: jupyter_server's decorator would mix up resources there."""
    for _, handler, _ in handlers.routes("/", None, None):
        own = {"get", "head", "post", "put", "patch", "delete"} & set(vars(handler))
        assert own
        for name in own:
            guarded_by = wrappers(getattr(handler, name))
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


@pytest.mark.parametrize("path", ROUTES)
async def test_another_sites_page_cannot_read_with_the_browsers_cookies(browser, record, path):
    """The browser sends the cookie along; the server sees whose page asked."""
    record("secret plans")
    answer = await browser(path, headers={"Origin": EVIL})
    assert answer.status == 404
    assert "secret" not in str(answer.document)
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", ROUTES)
async def test_another_site_is_not_invited_by_a_preflight(fetch, path):
    """No answer gives another origin leave."""
    answer = await fetch(path, method="OPTIONS", token=False, headers={"Origin": EVIL})
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_nothing_can_be_changed_yet_and_never_without_the_xsrf_token(browser, path, method):
    """The XSRF check comes first, the missing method after it."""
    body = {"body": "{}"} if method != "DELETE" else {}
    answer = await browser(path, method=method, **body)
    assert answer.status == 403
    assert "_xsrf" in answer.document["detail"]
    answer = await browser(path, method=method, xsrf=True, **body)
    assert answer.status == 405
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_what_is_sent_is_data_for_the_logged_in_user_alone(fetch, record):
    """No sniffing, no scripts, no shared caches."""
    headers = (await fetch(f"sessions/{record()}")).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "private, no-cache"

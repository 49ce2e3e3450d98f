"""The browser, and servers that tests of one module share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from browser.pages import CHROMIUM_FLAGS, RESULTS, NotebookPage, Server, chromium
from integration.kernels import Home
from playwright.sync_api import expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import Any

    from playwright.sync_api import Browser, BrowserContext

# Milliseconds. Playwright's five seconds are short for a page that loads beside other tests.
expect.set_options(timeout=20_000)

FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, with a fresh profile."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fixtures may ask whether their test failed."""
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture
def window(browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """A window without cookies or storage. A failed test leaves pictures of its pages."""
    context = browser.new_context(viewport={"width": 1100, "height": 900}, device_scale_factor=1)
    yield context
    if request.node.stash.get(FAILED, True):
        for number, page in enumerate(context.pages):
            page.screenshot(path=RESULTS / f"failed-{request.node.name}-{number}.png")
    context.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """``jupyter lab`` of a new user."""
    with Server(Home(tmp_path_factory.mktemp("lab"))) as server:
        yield server


@pytest.fixture
def page(window: BrowserContext, lab: Server) -> NotebookPage:
    """A page of JupyterLab."""
    return NotebookPage(window.new_page(), lab)

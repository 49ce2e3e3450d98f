"""What a person waits for in the Sessions panel: a real JupyterLab in a real Chromium, from a
click until the rows are painted. What the server alone takes is in `serving`.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.figures import Aim, Figure
from benchmarks.serving import TOKEN, asking, many_sessions, running_server, timed
from benchmarks.storing import filled
from ipysession.model import payloads as p
from ipysession.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page

    from benchmarks.workplace import Workplace

_LISTED = 10_000
_STEPS = 1_000
_LONG = "A long day"

_BOX = "#ipysession-panel input[type=search]"
_ROWS = "document.querySelectorAll('#ipysession-panel .ips-Item').length >= 50"
_FIRST = "document.querySelector('.ips-Session .ips-Step .ips-Code')"
_SCROLLED = "document.querySelector('.ips-Session .ips-Step[data-step=\"16\"] .ips-Code')"

_WATCH = """ready => {
  // Resolves to the milliseconds from the next click, key or turn of the wheel until `ready`
  // holds and the browser has painted it.
  const isReady = new Function(`return Boolean(${ready})`);
  window.measured = new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`it never came: ${ready}`)), 30_000);
    let started = null;
    const events = ['pointerdown', 'keydown', 'wheel'];
    const begin = event => {
      started ??= event.timeStamp;
      events.forEach(name => window.removeEventListener(name, begin, true));
    };
    events.forEach(name => window.addEventListener(name, begin, true));
    const look = () => {
      if (started !== null && isReady()) {
        observer.disconnect();
        // A task that is queued in a frame's callback runs after that frame is painted.
        requestAnimationFrame(() =>
          setTimeout(() => resolve(performance.now() - started), 0)
        );
      }
    };
    const observer = new MutationObserver(look);
    observer.observe(document.body, {
      childList: true, subtree: true, attributes: true, characterData: true
    });
  });
}"""

_TO_THE_END = """async last => {
  // Milliseconds of each frame while the timeline is scrolled, and until its end is in sight.
  const feed = document.querySelector('.ips-Session .ips-Timeline-scroll');
  const frame = () => new Promise(resolve => requestAnimationFrame(resolve));
  const frames = [];
  let before = await frame();
  const started = before;
  const isThere = () => document.querySelector(`.ips-Session .ips-Step[data-step="${last}"]`);
  while (!isThere()) {
    feed.scrollTop += 2000;
    const now = await frame();
    frames.push(now - before);
    before = now;
  }
  return [frames, performance.now() - started];
}"""


def panel(workplace: Workplace) -> list[Figure]:
    """The listing of many sessions, and the timeline of a long one, on the screen."""
    store = Store(workplace.folder / "store", key=bytes(32))
    long = filled(store, _STEPS)
    long.append(p.SessionTitled(title=_LONG))
    long.append(p.SessionPaused(reason="benchmark"))
    long.close()
    count = workplace.runs(_LISTED, 500)
    many_sessions(store, count)
    runs = workplace.runs(15, 3)
    with running_server(workplace, store.path, "lab") as address:
        with asking(address) as ask:
            ask("sessions?limit=50")  # the index is made once, when a store is first looked at
            served = timed(workplace.runs(50, 10), lambda: ask("sessions?limit=50"))
        with _page() as page:
            opened = [_first_listing(page, address) for _ in range(runs)]
            refreshed = [_refreshed(page, store, number) for number in range(runs)]
            searched = [_searched(page, number) for number in range(runs)]
            timelines = [_timeline(page) for _ in range(runs)]
    shown, answered, ended, frames = zip(*timelines, strict=True)
    what = f"of {count:,} sessions"
    steps = f"a timeline of {_STEPS:,} steps"
    return [
        Figure(f"first page {what}, at the server", tuple(served), aim=Aim(seconds=50e-3)),
        Figure("… on the screen, from the click on its tab", tuple(opened), aim=Aim(seconds=0.3)),
        Figure(
            "… a new session in it, from the click on refresh",
            tuple(refreshed),
            aim=Aim(seconds=0.3),
        ),
        Figure("… found by its title, from the last letter", tuple(searched)),
        Figure(f"{steps}, from the click to its first steps", shown, aim=Aim(seconds=1.0)),
        Figure("… and until it answers scrolling", answered, aim=Aim(seconds=1.0)),
        Figure("… scrolled to its end, 2,000 pixels a frame", ended),
        Figure("… each frame of it", tuple(sum(frames, start=()))),
    ]


@contextmanager
def _page() -> Iterator[Page]:
    from playwright.sync_api import sync_playwright

    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    if browser_path is None:
        message = "there is no Chromium on the PATH"
        raise RuntimeError(message)
    with sync_playwright() as playwright:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=browser_path, args=flags)
        page = browser.new_page(viewport={"width": 1300, "height": 900})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def _measured(page: Page, act: Callable[[], object], ready: str) -> float:
    """Seconds from what ``act`` does with mouse or keyboard until ``ready`` is on the screen."""
    page.evaluate(_WATCH, ready)
    act()
    return float(page.evaluate("window.measured")) / 1000


def _first_listing(page: Page, address: str) -> float:
    """Load JupyterLab with the panel out of sight, and open it."""
    page.goto(f"{address}lab?token={TOKEN}&reset")
    page.wait_for_function("window.jupyterapp?.commands.hasCommand('ipysession:open-panel')")
    page.evaluate("window.jupyterapp.restored")
    page.wait_for_timeout(1000)  # what JupyterLab does after that is not ours
    return _measured(page, page.locator('.jp-SideBar [data-id="ipysession-panel"]').click, _ROWS)


def _refreshed(page: Page, store: Store, number: int) -> float:
    """Record a session, and refresh: it is the first in the list."""
    title = f"Made just now, number {number}"
    writer = filled(store, 1)
    writer.append(p.SessionTitled(title=title))
    writer.append(p.SessionPaused(reason="benchmark"))
    writer.close()
    groups = "document.querySelector('#ipysession-panel .ips-Groups')"
    button = page.get_by_role("button", name="Refresh the sessions")
    return _measured(page, button.click, f"{groups}.textContent.includes('{title}')")


def _searched(page: Page, number: int) -> float:
    """Find one session of all by its title, whose last letter is typed."""
    title = f"session {100 + 7 * number}"
    box = page.locator(_BOX)
    box.fill(title[:-1])
    page.wait_for_timeout(600)
    first = "document.querySelector('#ipysession-panel .ips-Item .ips-Item-title')"
    press = partial(box.press, title[-1])
    return _measured(page, press, f"{first}?.textContent.startsWith('{title}')")


def _timeline(page: Page) -> tuple[float, float, float, tuple[float, ...]]:
    """Open the long session, scroll, and scroll to its end. Seconds of each, and of the frames."""
    page.locator(_BOX).fill(_LONG)
    item = page.locator("#ipysession-panel .ips-Item-main", has_text=_LONG)
    item.wait_for()
    shown = _measured(page, item.click, _FIRST)
    page.locator(".ips-Timeline-scroll").hover()
    answered = _measured(page, partial(page.mouse.wheel, 0, 2500), _SCROLLED)
    found: Any = page.evaluate(_TO_THE_END, _STEPS)
    frames = tuple(frame / 1000 for frame in found[0])
    page.evaluate("window.jupyterapp.shell.currentWidget.close()")
    page.locator(".ips-Session").wait_for(state="detached")
    return shown, shown + answered, found[1] / 1000, frames

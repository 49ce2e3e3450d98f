"""The pictures of the README and the guide, taken from real runs, and markup that bites for sure.

Each run writes them into ``test-results/screenshots``; those in ``docs/images`` were chosen
from there by hand.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

import pexpect
import pytest
from browser.pages import RESULTS, NotebookPage, Server, write_notebook
from browser.sessions import record
from integration.kernels import Home, command
from playwright.sync_api import expect
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from ipysession.model import payloads as p

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

LOAD = "%load_ext ipysession"
CELLS = [
    LOAD,
    """import pandas as pd
readings = pd.DataFrame(
    {"city": ["Oslo", "Rome", "Rome", "Cairo"], "celsius": [4.5, 21.0, 23.5, 31.0]}
)""",
    "warm = readings[readings.celsius > 20]",
    "by_city = warm.groupby('city').celsius.mean()",
    "hottest = by_city.idxmx()",
    "hottest = by_city.idxmax()",
    "rows = (row for row in warm.itertuples())",
    "report = open('report.txt', 'w')",
]


@pytest.fixture
def short_home():
    """A home whose path does not fill the picture."""
    root = Path(tempfile.gettempdir(), "me")
    try:
        root.mkdir(mode=0o700)
    except FileExistsError:  # somebody else's: a picture is not worth touching it
        root = Path(tempfile.mkdtemp(prefix="me-"))
    yield Home(root)
    shutil.rmtree(root)


@pytest.fixture
def sharp_page(browser, short_home):
    """A page of higher resolution, about as wide as a README."""
    context = browser.new_context(viewport={"width": 1080, "height": 1500}, device_scale_factor=1.5)
    with Server(short_home) as server:
        yield NotebookPage(context.new_page(), server)
        context.close()


def test_the_tables_in_both_themes(sharp_page):
    """What comes back, what ran again and what is lost; then the session's steps."""
    page = sharp_page
    write_notebook(page.server.home.work / "weather.ipynb", CELLS)
    page.open("weather.ipynb")
    page.command("application:toggle-left-area")
    page.command("notebook:run-all-cells")
    for index in range(len(CELLS)):
        if index != 4:  # it raises, as it should, and the cells after it are then not run
            continue
        expect(page.output(index)).to_contain_text("AttributeError")
    for index in range(5, len(CELLS)):
        page.run(CELLS[index], at=index)
    page.run("%session note 'Cairo has one reading only'")
    page.kill_kernel()
    page.run(LOAD)
    first = page.cells().count() - 2
    resumed = page.run("%session resume")
    states = resumed.locator(".state").all_inner_texts()
    assert {"restored", "replayed", "lost"} <= set(states)
    shown = page.run("%session show")
    expect(shown.locator("tbody tr").first).to_be_visible()
    # What is in the picture is what a reader of it wants to see, and nothing below it.
    last = page.cells().count() - 2
    for name, theme in (("lab-light", "JupyterLab Light"), ("lab-dark", "JupyterLab Dark")):
        page.theme(theme)
        page.page.locator(".jp-NotebookPanel-toolbar").first.click(position={"x": 400, "y": 10})
        page.cells().nth(first).scroll_into_view_if_needed()
        page.page.locator(".jp-WindowedPanel-outer").first.evaluate(
            "(panel, top) => { panel.scrollTop = top }",
            page.cells().nth(first).evaluate("cell => cell.offsetTop"),
        )
        boxes = [page.cells().nth(index).bounding_box() for index in (first, last)]
        top, bottom = boxes[0]["y"], boxes[1]["y"] + boxes[1]["height"]
        RESULTS.mkdir(parents=True, exist_ok=True)
        page.page.mouse.move(0, 0)
        page.page.screenshot(
            path=RESULTS / f"{name}.png",
            animations="disabled",
            clip={
                "x": boxes[0]["x"],
                "y": top,
                "width": boxes[0]["width"],
                "height": min(bottom - top - 3, 1500 - top),
            },
        )
    page.theme("JupyterLab Light")
    assert page.complaints() == []


YEAR = [
    LOAD,
    "import numpy as np\nimport pandas as pd\nimport matplotlib.pyplot as plt",
    """days = pd.date_range("2026-01-01", periods=365)
season = 12 - 11 * np.cos(2 * np.pi * days.day_of_year / 365)
oslo = pd.Series(season + np.random.default_rng(7).normal(0, 3, 365), index=days)""",
    """weekly = oslo.resample("W").agg(["min", "mean", "max"]).round(1)
weekly.head(3)""",
    "weekly.plot(figsize=(9, 2.6), title='Oslo, °C', xlabel='')\nplt.show()",
    "warm = weekly[weekly['mean'] > 20]\nprint(f'{len(warm)} warm weeks')",
]


def test_the_panel_and_its_offer_in_both_themes(sharp_page, monkeypatch):
    """The line above the cells of a notebook whose kernel died; then the session's steps."""
    home, page = sharp_page.server.home, sharp_page
    monkeypatch.setenv("IPYSESSION_KEY", str(home.key))
    for title, cells, end, tags in [
        ("Tidy the sensor logs", [("logs", "", "ok")] * 31, p.SessionCompleted(reason=""), ["q3"]),
        ("Housing prices", [("1", "", "ok")] * 12, p.SessionCompleted(reason=""), ["talk"]),
        ("Fit with priors", [("model = fit(data)", "", "ok"), ("", "", "interrupted")], None, []),
        ("Churn model", [("1", "", "ok")] * 4, None, ["paper", "v2"]),
    ]:
        record(home.store, title, cells, end=end, tags=tags)
    page.page.set_viewport_size({"width": 1280, "height": 760})
    write_notebook(home.work / "oslo.ipynb", YEAR)
    page.open("oslo.ipynb")
    page.command("ipysession:open-panel")
    for index, source in enumerate(YEAR):
        page.run(source, at=index)
    page.kill_kernel()
    offer = page.page.get_by_role("button", name=re.compile(r"^Resume \(\d+ variables, "))
    expect(offer).to_be_visible()
    in_both_themes(page, "offer")
    offer.click()
    expect(page.page.locator(".ips-Bar")).to_contain_text("variables are back")
    page.page.get_by_role("region", name="This notebook").locator(".ips-Item-main").click()
    tab = page.page.locator(".ips-Session:visible")
    expect(tab.locator(".ips-Frame")).to_be_visible()
    tab.locator(".ips-Timeline-scroll").evaluate("feed => feed.scrollTo(0, 90)")
    expect(tab.locator(".ips-Image")).to_be_visible()
    in_both_themes(page, "panel")
    tab.get_by_role("tab", name="Lineage").click()
    tab.get_by_role("button", name=re.compile("^Step 3, ok")).click()
    in_both_themes(page, "lineage")
    tab.get_by_role("tab", name="Variables").click()
    expect(tab.locator("tbody tr").first).to_be_visible()
    in_both_themes(page, "variables")
    assert page.complaints() == []


def in_both_themes(page: NotebookPage, name: str):
    """Pictures of the whole page."""
    for kind in ("Dark", "Light"):
        page.theme(f"JupyterLab {kind}")
        page.page.wait_for_timeout(400)  # frames are made anew in the theme's colours
        page.screenshot(f"{name}-{kind.lower()}")


PAGE = """<html><meta charset="utf-8"><style>
body {{ margin: 0; background: #1e1f24 }}
pre {{ display: inline-block; margin: 0; padding: 18px 22px; color: #d8dae0; background: #1e1f24;
  font: 14px/1.4 "DejaVu Sans Mono", monospace }}
{stylesheet}
</style><pre>{code}</pre></html>"""


def in_a_terminal(home: Home, *words: str) -> str:
    """What ``jupyter session`` writes to a terminal of 100 columns."""
    program, *arguments = command(*words)
    environment = home.environment({"TERM": "xterm-256color", "COLORTERM": "truecolor"})
    for name in ("NO_COLOR", "COLUMNS", "FORCE_COLOR"):
        environment.pop(name, None)
    child = pexpect.spawn(
        program, arguments, env=environment, dimensions=(50, 100), encoding="utf-8", timeout=60
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    written = child.before.replace("\r\n", "\n")
    return f"\x1b[1;34m$\x1b[0m \x1b[1mjupyter session {' '.join(words)}\x1b[0m\n{written}"


def test_the_shell_in_a_terminal(window, tmp_path, monkeypatch):
    """Colours, and nothing wider than the terminal."""
    home = Home(tmp_path)
    monkeypatch.setenv("IPYSESSION_KEY", str(home.key))
    record(home.store, "Housing prices", [("import pandas as pd", "", "ok")], tags=["talk"])
    record(
        home.store,
        "Fit with priors from the 2019 survey, second attempt",
        [("model = fit(data)", "", "ok"), ("model.sample(10_000)", "", "interrupted")],
    )
    record(
        home.store,
        "Tidy the sensor logs",
        [("logs = read_logs('logs/')", "", "ok"), ("logs.to_parquet('logs.pq')", "", "ok")],
        end=p.SessionCompleted(reason="done"),
        tags=["q3", "sensors"],
    )
    record(
        home.store,
        "weather",
        [
            ("import pandas as pd", "", "ok"),
            ("readings = pd.read_csv('readings.csv')\nreadings.head()", "", "ok"),
            ("warm = readings[readings.celsius > 20]", "", "ok"),
            ("hottest = warm.groupby('city').celsius.mean().idxmx()", "", "error"),
            ("hottest = warm.groupby('city').celsius.mean().idxmax()", "", "ok"),
            (
                "warm.plot.scatter('hour', 'celsius', title=f'Warm in {hottest}', c='k')",
                "",
                "ok",
            ),
        ],
        notes=["Cairo has one reading only"],
        notebook="/home/me/weather.ipynb",
    )
    screens = [in_a_terminal(home, "list"), in_a_terminal(home, "show", "weather")]
    assert all("\x1b[32m" in screen for screen in screens), "no colours"
    plain = [Text.from_ansi(screen).plain for screen in screens]
    for line in "\n".join(plain).splitlines():
        assert len(line.rstrip()) <= 100
    with Path("/dev/null").open("w") as nowhere:
        console = Console(record=True, width=100, file=nowhere, force_terminal=True)
        console.print(Text.from_ansi("\n".join(screen.rstrip() + "\n" for screen in screens)))
        markup = console.export_html(theme=MONOKAI, code_format=PAGE)
    page = window.new_page()
    page.set_viewport_size({"width": 1100, "height": 900})
    page.set_content(markup)
    RESULTS.mkdir(parents=True, exist_ok=True)
    page.locator("pre").screenshot(path=RESULTS / "terminal.png")


BITES = "<img src=x onerror='window.struck = (window.struck || 0) + 1'>"


def test_markup_that_would_run_is_text_also_after_the_page_was_loaded_again(page, lab, monkeypatch):
    """The same markup runs when a cell shows it as HTML: the test could fail."""
    monkeypatch.setenv("IPYSESSION_KEY", str(lab.home.key))
    session = record(
        lab.home.store,
        BITES,
        [(f"# {BITES}", f"</pre>{BITES}", "ok")],
        tags=[BITES],
        notes=[BITES],
        notebook=f"/{BITES}.ipynb",
    )
    write_notebook(lab.home.work / "markup.ipynb", [LOAD, ""])
    page.open("markup.ipynb")
    page.run(LOAD, at=0)
    for verb in ("list", f"show {session}", f"outputs {session}", f"resume-plan {session}"):
        expect(page.run(f"%session {verb}")).to_contain_text(BITES)
    assert page.page.evaluate("window.struck") is None
    page.command("docmanager:save")
    expect(page.page.locator(".jp-mod-current.jp-mod-dirty")).to_have_count(0)
    page.page.reload()
    page.wait_idle()
    expect(page.notebook.get_by_text(BITES).first).to_be_visible()
    assert page.page.evaluate("window.struck") is None
    assert page.complaints() == []

    shown = page.run(f"from IPython.display import HTML\nHTML({BITES!r})")
    expect(shown.locator("img")).to_have_count(1)
    page.page.wait_for_function("window.struck > 0")

"""The user's flow in a real JupyterLab: record, lose the kernel, resume, export, run again."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser.pages import NotebookPage, Server, write_notebook
from browser.sessions import MARKUP, write_marked_up
from integration.kernels import Home
from playwright.sync_api import expect

from ipysession.model import payloads as p
from ipysession.model.provenance import Environment
from ipysession.store import Store

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

LOAD = "%load_ext ipysession"

MAKE = """import pandas as pd
flights = pd.DataFrame({"carrier": list("AABBC"), "delay": [3.0, 9.0, 20.0, 31.0, -2.0]})
flights.head(2)"""
LONG = """import time
print("fitting …", flush=True)
time.sleep({seconds})
fitted = round(delays.sum(), 1)"""


def open_notebook(page: NotebookPage, name: str) -> NotebookPage:
    """A new notebook, with nothing in it."""
    write_notebook(page.server.home.work / name)
    return page.open(name)


def column(table, number):
    """The texts of a table's column."""
    return table.locator(f"tbody td:nth-child({number})").all_inner_texts()


def test_a_killed_kernel_comes_back_and_the_export_runs(page, lab):
    """What issue 2 promises a user, typed into a real notebook."""
    notebook = open_notebook(page, "flights.ipynb")
    expect(notebook.run(LOAD)).to_contain_text("Recording · %session for status")
    expect(notebook.run(MAKE).locator("table")).to_contain_text("carrier")
    notebook.run('delays = flights.groupby("carrier")["delay"].mean()')
    wrong = notebook.cells().count() - 1
    expect(notebook.run("worst = delays.idxmx()")).to_contain_text("AttributeError")
    notebook.run("worst = delays.idxmax()", at=wrong)

    status = notebook.run("%session")
    expect(status.locator(".ipysession")).to_contain_text("Recording · flights · step 4")
    expect(status.locator("table")).to_contain_text("4 (1 failed)")
    listed = notebook.run("%session list").locator(".ipysession table")
    assert column(listed, 2) == ["flights"]
    assert column(listed, 3) == ["running"]

    fit = notebook.start(LONG.format(seconds=600))
    expect(notebook.cells().nth(fit).locator(".jp-OutputArea")).to_contain_text("fitting …")
    notebook.kill_kernel()

    loaded = notebook.run(LOAD)
    expect(loaded).to_contain_text("An earlier session of this notebook ended when its kernel died")
    expect(loaded).to_contain_text("5 steps, just now. Bring it back: %session resume")
    resumed = notebook.run("%session resume")
    expect(resumed.locator(".ipysession").last).to_contain_text("Resumed")
    table = resumed.locator(".ipysession table").last
    back = dict(zip(column(table, 1), column(table, 2), strict=True))
    # What brings a library along waits until a cell asks for it.
    assert {back[name] for name in ("pd", "flights", "delays")} == {"waiting"}
    assert back["worst"] == "restored"
    expect(resumed).to_contain_text("The kernel died in step 5")
    expect(notebook.run('f"{worst} {len(flights)} {delays[worst]}"')).to_contain_text("B 5 25.5")
    notebook.run(LONG.format(seconds=0.1), at=fit)
    expect(notebook.run("fitted")).to_contain_text("29.5")

    exported = notebook.run("%session export clean.ipynb")
    expect(exported.locator(".ipysession")).to_contain_text("clean.ipynb")
    notebook.command("docmanager:open", path="clean.ipynb")
    expect(notebook.page.locator(".lm-TabBar-tab.jp-mod-current")).to_contain_text("clean.ipynb")
    notebook.wait_idle()
    sources = notebook.cells().locator(".cm-content").all_inner_texts()
    assert not [source for source in sources if "session" in source or "600" in source]
    notebook.command("notebook:clear-all-cell-outputs")
    expect(notebook.notebook.locator(".jp-OutputArea-child")).to_have_count(0)
    notebook.command("notebook:run-all-cells")
    notebook.page.wait_for_function(
        "window.jupyterapp.shell.currentWidget.content.widgets.every("
        "cell => cell.model.type !== 'code' || cell.model.executionCount > 0)"
    )
    notebook.wait_idle()
    expect(notebook.cells().last).to_contain_text("29.5")
    errors = notebook.notebook.locator('[data-mime-type="application/vnd.jupyter.error"]')
    expect(errors).to_have_count(0)
    assert notebook.complaints() == []
    assert Path(lab.home.work, "clean.ipynb").is_file()


# -- how it looks --------------------------------------------------------------------------------

CONTRAST = """() => {
    // The contrast of each text in our tables with what is behind it, as WCAG 2 defines it.
    const parse = colour => {
        const numbers = (colour.match(/[\\d.]+/g) ?? []).map(Number);
        // `color(srgb …)` counts to 1, `rgb(…)` to 255.
        return colour.startsWith("color") ? numbers.map((n, i) => i < 3 ? n * 255 : n) : numbers;
    };
    const light = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map(part => {
            const share = part / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const behind = element => {
        for (let at = element; at; at = at.parentElement) {
            const colour = parse(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    const opacity = element => element === null ? 1
        : getComputedStyle(element).opacity * opacity(element.parentElement);
    const texts = document.querySelectorAll(
        ".ipysession > div, .ipysession pre, .ipysession th, .ipysession td, .ipysession caption");
    return [...texts].filter(element => element.innerText.trim()).map(element => {
        const ground = behind(element), ink = parse(getComputedStyle(element).color);
        const share = opacity(element) * (ink[3] ?? 1);
        const seen = ground.map((part, i) => ink[i] * share + part * (1 - share));
        const [a, b] = [seen, ground].map(light);
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        return [ratio, element.className, element.innerText];
    });
}"""


def write_sessions(home):
    """Sessions of the last days, as if other notebooks had recorded them."""
    store = Store(home.store, key=None)
    environment = Environment(python="3.12.4", cwd=str(home.work))
    for title, tag, outcome in [
        ("churn model", "paper", "ok"),
        ("sensor drift, March", "", "error"),
        ("Zürich weather", "teaching", "ok"),
    ]:
        with_tag = [p.SessionTagged(tag=tag)] if tag else []
        writer = store.create(p.SessionCreated(session="", title=title))
        for payload in [
            p.RunStarted(number=1, environment=environment),
            p.StepStarted(step=1, source="import pandas as pd", execution_count=1),
            p.StepFinished(step=1, outcome=outcome, duration=0.41, execution_count=1),
            *with_tag,
        ]:
            writer.append(payload)
        writer.close()


def test_tables_can_be_read_in_light_and_in_dark(page, lab, monkeypatch):
    """Every text of ours has the contrast that WCAG asks for (AA: 4.5), in both themes."""
    monkeypatch.setenv("IPYSESSION_KEY", str(lab.home.key))
    write_sessions(lab.home)
    notebook = open_notebook(page, "flights-2013.ipynb")
    notebook.run(LOAD)
    notebook.run(MAKE)
    notebook.run('delays = flights.groupby("carrier")["delay"].mean()\ndelays')
    notebook.run("rows = (row for row in flights.itertuples())\nfirst = next(rows)")
    notebook.run('open("sent.txt", "w").write("a report")')
    notebook.run('import threading\nlock = threading.Lock()\nprint("sent", file=open("log", "w"))')
    notebook.run("worst = delays.idxmx()")
    notebook.start(LONG.format(seconds=600))
    expect(notebook.notebook).to_contain_text("fitting …")
    notebook.kill_kernel()
    notebook.run(LOAD)
    shown = {}
    for verb in ("resume", "note the fit takes ten minutes: run it last", "list", "show"):
        shown[verb.split()[0]] = notebook.cells().count() - 1
        notebook.run(f"%session {verb}")
    for theme, name in [("JupyterLab Dark", "dark"), ("JupyterLab Light", "light")]:
        notebook.theme(theme)
        poor = [item for item in notebook.page.evaluate(CONTRAST) if item[0] < 4.5]
        assert poor == []
        for verb, number in shown.items():
            notebook.screenshot(f"{verb}-{name}", notebook.cells().nth(number))
    wide = notebook.page.evaluate(
        "[...document.querySelectorAll('.jp-OutputArea-output')]"
        ".filter(it => it.scrollWidth > it.clientWidth + 1).length"
    )
    assert wide == 0, "a table is wider than the notebook"
    assert notebook.complaints() == []


# -- what was recorded is data -------------------------------------------------------------------


def test_recorded_markup_is_shown_as_text_and_runs_nothing(page, lab, monkeypatch):
    """Titles, notes, sources and outputs may hold anything; a listing of them shows it."""
    monkeypatch.setenv("IPYSESSION_KEY", str(lab.home.key))
    session = write_marked_up(lab.home)
    notebook = open_notebook(page, "markup.ipynb")
    notebook.run(LOAD)
    notebook.run("1")
    notebook.run(f"%session rename '{MARKUP[1]}'")
    notebook.run(f"%session note '{MARKUP[0]}'")
    seen = {
        verb: notebook.run(f"%session {verb}").inner_text()
        for verb in ("list", f"show {session}", f"outputs {session}", f"resume {session}", "show")
    }
    for text in MARKUP:
        assert text in seen[f"show {session}"]
        assert text in seen[f"outputs {session}"]
    for text in (MARKUP[1], MARKUP[3]):
        assert text in seen["list"]
    assert MARKUP[0] in seen["show"]
    # What would run when clicked is not there to be clicked.
    inside = notebook.page.locator(
        ".ipysession :is(script, img, svg, iframe, a, object, embed, form, link, meta)"
    )
    expect(inside).to_have_count(0)
    notebook.page.wait_for_timeout(300)
    assert notebook.page.evaluate("window.struck") is None
    assert notebook.complaints() == []


# -- Notebook 7 ----------------------------------------------------------------------------------


def test_tables_in_notebook_7(window, tmp_path):
    """The other frontend shows the same tables."""
    with Server(Home(tmp_path), "notebook") as server:
        notebook = NotebookPage(window.new_page(), server)
        open_notebook(notebook, "analysis.ipynb")
        notebook.run(LOAD)
        notebook.run("x = 41")
        status = notebook.run("%session")
        expect(status.locator(".ipysession")).to_contain_text("Recording · analysis · step 1")
        expect(status.locator("table")).to_contain_text("running")
        notebook.screenshot("notebook-7", notebook.notebook)
        assert notebook.complaints() == []

"""The tour, run out of order with failures, exported, and run again from the top in JupyterLab."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from browser.pages import CELL, NotebookPage, Server
from integration.kernels import Home
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

TOUR = Path(__file__).parents[2] / "notebooks/tour.ipynb"
FEWER = ("years = 5_000", "years = 50")
"""What the drawing cell says first, and what its user makes of it."""


@pytest.fixture
def page(browser, tmp_path):
    """A page of JupyterLab for a user who has the tour."""
    home = Home(tmp_path)
    context = browser.new_context(viewport={"width": 1180, "height": 1250}, device_scale_factor=1.5)
    with Server(home) as server:
        shutil.copy(TOUR, home.work / "tour.ipynb")
        yield NotebookPage(context.new_page(), server)
        context.close()


def shown(page, number):
    """The result of a cell, without its number."""
    return page.output(number).locator(".jp-OutputArea-output").last.inner_text()


def test_the_tour_out_of_order_exports_as_a_notebook_that_runs_from_the_top(page):
    """Restart & Run All in a real JupyterLab: no cell fails that had not failed, and the findings
    at the end are the same.
    """
    tour = nbformat.read(TOUR, as_version=4)
    cells = [cell for cell in tour.cells if cell.cell_type == "code"]
    index = {cell.id: number for number, cell in enumerate(cells)}
    page.open("tour.ipynb")

    def run(name, *edit):
        source = cells[index[name]].source
        return page.run(source.replace(*edit) if edit else source, at=index[name])

    run("load-ext")
    run("imports")
    expect(run("late")).to_contain_text("NameError")  # before there are any flights
    run("load")
    expect(run("by-hour")).to_contain_text("NameError")
    run("look")
    run("clean")
    expect(run("clean")).to_contain_text("year")  # it drops a column that it needs
    run("wind")
    run("wind-edit")
    run("wind")
    run("chart")
    later = list(index)[index["late"] :]
    for name in later[: later.index("findings") + 1]:
        if name == "boot":
            run(name, *FEWER)
        elif name != "chart":
            run(name)
    findings = shown(page, index["findings"])
    assert "minutes late" in findings
    said = page.run("%session export clean.ipynb", at=index["status"])
    expect(said).to_contain_text("cells, not verified")

    clean = NotebookPage(page.page.context.new_page(), page.server)
    clean.open("clean.ipynb")
    clean.command("application:toggle-left-area")
    clean.page.get_by_role("menuitem", name="Kernel", exact=True).click()
    clean.page.get_by_role("menuitem", name=re.compile("^Restart Kernel and Run All")).click()
    clean.page.get_by_role("dialog").locator(".jp-mod-accept").click()
    exported = nbformat.read(page.server.home.work / "clean.ipynb", as_version=4)
    code = [cell for cell in exported.cells if cell.cell_type == "code"]
    expect(clean.cells()).to_have_count(len(code))
    for number, cell in enumerate(code):
        # Restarted, the kernel counts from 1: the recorded numbers are gone when it has run.
        expect(clean.cells().nth(number).locator(".jp-InputPrompt")).to_have_text(
            f"[{number + 1}]:", timeout=2 * CELL * 1000
        )
        failed = clean.output(number).locator(".jp-RenderedText[data-mime-type*='error']").count()
        assert bool(failed) <= ("raises-exception" in cell.metadata.get("tags", [])), cell.source
    assert shown(clean, len(code) - 1) == findings
    sources = [cell.source for cell in code]
    assert not [source for source in sources if "ipysession" in source or "%session" in source]
    assert cells[index["clean"]].source in sources
    assert sources[-1] == cells[index["findings"]].source
    chart = clean.cells().nth(sources.index(cells[index["by-hour"]].source))
    chart.scroll_into_view_if_needed()
    clean.page.locator(".jp-WindowedPanel-outer").first.evaluate(
        "(panel, top) => { panel.scrollTop = top }", chart.evaluate("cell => cell.offsetTop") - 60
    )
    clean.screenshot("tour-exported")
    assert clean.complaints() == []

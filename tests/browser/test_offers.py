"""What the extension offers unasked: a dead kernel's variables, and outputs that a closed page
missed. Real kernels, in JupyterLab and in Notebook 7.
"""

from __future__ import annotations

import re

import pytest
from browser.pages import NotebookPage, Server, write_notebook
from integration.kernels import Home
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

LOAD = "%load_ext ipysession"
SLOW = """import time
for second in range(6):
    print("second", second, flush=True)
    time.sleep(1)
"all done" """.strip()


def bar(page):
    """The line above the notebook that is in front."""
    return page.page.locator(".jp-NotebookPanel:visible .ips-Bar")


def indicator(page):
    """What the notebook's toolbar says about recording."""
    return page.page.locator(".jp-NotebookPanel:visible .ips-Indicator-button")


def lose_and_resume(page):
    """Record, lose the kernel, accept the offer: the variables are back, recording goes on."""
    expect(indicator(page)).to_have_text("Not recording")
    page.run(LOAD)
    page.run("readings = [4.5, 21.0, 23.5]")
    page.run("warmest = max(readings)")
    expect(indicator(page)).to_have_text("Recording")
    page.kill_kernel()
    expect(bar(page)).to_contain_text(
        re.compile(
            r"This notebook's kernel died (just now|\d+ seconds ago)\. 2 steps were recorded\."
        )
    )
    bar(page).get_by_role("button", name=re.compile(r"^Resume \(2 variables, .+s\)$")).click()
    expect(bar(page)).to_contain_text("2 variables are back")
    expect(page.run("warmest, readings")).to_contain_text("(23.5, [4.5, 21.0, 23.5])")
    expect(indicator(page)).to_have_text("Recording")


def test_a_killed_kernel_is_offered_back(page, lab):
    """With one click, and without a magic."""
    write_notebook(lab.home.work / "readings.ipynb")
    page.open("readings.ipynb")
    lose_and_resume(page)
    bar(page).get_by_role("button", name="Details").click()
    dialog = page.page.get_by_role("dialog")
    expect(dialog).to_contain_text("readings, warmest")
    dialog.get_by_role("button", name="Close").click()
    indicator(page).click()
    own = page.page.get_by_role("region", name="This notebook")
    expect(own.locator(".ips-Item")).to_contain_text("readings")
    expect(own.locator(".ips-Badge")).to_have_text("running")

    page.run("%session pause")
    expect(indicator(page)).to_have_text("Paused")
    page.shut_down()
    assert page.complaints() == []


def test_outputs_that_a_closed_page_missed_are_restored(page, lab, window):
    """The cell ran on without the page; another page fills its outputs in."""
    write_notebook(lab.home.work / "slow.ipynb", [LOAD, SLOW])
    page.open("slow.ipynb")
    page.run(LOAD, at=0)
    page.start(SLOW, at=1)
    expect(page.output(1)).to_contain_text("second 0")
    page.command("docmanager:save")
    expect(page.page.locator(".jp-mod-current.jp-mod-dirty")).to_have_count(0)
    page.page.close()

    again = NotebookPage(window.new_page(), lab)
    again.open("slow.ipynb")
    expect(again.output(1)).not_to_contain_text("all done")
    bar(again).get_by_role("button", name="Restore 1 output").click()
    expect(again.output(1)).to_contain_text("second 5")
    expect(again.output(1)).to_contain_text("all done")
    expect(bar(again)).to_contain_text("Restored 1 output")
    again.shut_down()
    assert page.complaints() == []
    assert again.complaints() == []


def test_in_notebook_7(window, tmp_path):
    """The same offer; the panel is under View ▸ Left Sidebar, and a session beside the cells."""
    with Server(Home(tmp_path), "notebook") as server:
        page = NotebookPage(window.new_page(), server)
        write_notebook(server.home.work / "readings.ipynb")
        page.open("readings.ipynb")
        lose_and_resume(page)
        page.page.get_by_role("menuitem", name="View", exact=True).click()
        page.page.locator(".lm-Menu-item", has_text="Left Sidebar").hover()
        page.page.locator(".lm-Menu-item", has_text="Show Sessions").click()
        item = page.page.locator("#ipysession-panel .ips-Item-main")
        expect(item).to_contain_text("readings")
        item.click()
        step = page.page.locator(".ips-Session:visible").get_by_role("article", name="Step 2, ok")
        expect(step).to_contain_text("warmest = max(readings)")
        assert page.complaints() == []

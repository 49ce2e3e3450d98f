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
from IPython.display import Markdown, display
print("begun", flush=True)
for second in range(1, 21):
    time.sleep(1)
    if second % 5 == 0:
        display(Markdown(f"after {second} seconds"))
"all done" """.strip()


@pytest.fixture(scope="module")
def left_alone(browser, lab):
    """A notebook whose page was closed while a cell of 20 seconds ran. It goes on meanwhile."""
    write_notebook(lab.home.work / "slow.ipynb", [LOAD, SLOW])
    context = browser.new_context()
    page = NotebookPage(context.new_page(), lab)
    page.open("slow.ipynb")
    page.run(LOAD, at=0)
    page.start(SLOW, at=1)
    expect(page.output(1)).to_contain_text("begun")
    page.command("docmanager:save")
    expect(page.page.locator(".jp-mod-current.jp-mod-dirty")).to_have_count(0)
    assert page.complaints() == []
    context.close()
    return "slow.ipynb"


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


def test_a_killed_kernel_is_offered_back(page, lab, left_alone):
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


def paused(page, lab, name, source):
    """A notebook whose session can be resumed: it ran ``source``, and its kernel was shut down."""
    write_notebook(lab.home.work / f"{name}.ipynb")
    page.open(f"{name}.ipynb")
    page.run(LOAD)
    page.run(source)
    page.shut_down()


def choose(page, title, action):
    """An entry of the menu of a session's actions."""
    page.command("ipysession:open-panel")
    page.command("ipysession:refresh")
    item = page.page.locator("#ipysession-panel .ips-Item", has_text=title)
    item.first.get_by_role("button", name=f"Actions for {title}").click()
    page.page.locator(".lm-Menu.ips-Menu").get_by_role("menuitem", name=action).click()


def test_a_session_goes_on_in_another_notebook(page, lab, left_alone):
    """In the one in front, then in a new one."""
    paused(page, lab, "origin", "answer = 42")
    write_notebook(lab.home.work / "elsewhere.ipynb")
    page.open("elsewhere.ipynb")
    choose(page, "origin", "Resume Here")
    expect(bar(page)).to_contain_text("1 variable is back")
    expect(page.run("answer + 1")).to_contain_text("43")
    expect(indicator(page)).to_have_text("Recording")
    page.shut_down()
    choose(page, "origin", "Resume Here")  # a kernel is started for it
    expect(bar(page)).to_contain_text("variables are back")
    page.shut_down()
    choose(page, "origin", "Resume in a New Notebook")
    page.page.wait_for_function(
        "window.jupyterapp.shell.currentWidget?.context?.path === 'Untitled.ipynb'"
    )
    page.wait_idle()
    expect(page.run("answer + 2")).to_contain_text("44")
    expect(indicator(page)).to_have_text("Recording")
    page.shut_down()
    assert page.complaints() == []


FULL = """import resource
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, most))"""


def test_the_toolbar_says_when_the_log_cannot_be_written(page, lab, left_alone):
    """As the kernel says it, and that it is over; a click shows the panel."""
    write_notebook(lab.home.work / "full.ipynb")
    page.open("full.ipynb")
    page.run(LOAD)
    page.run("x = 1")
    expect(indicator(page)).to_have_text("Recording")
    page.run(FULL.format(size=1000))
    page.run("x = 2")
    expect(indicator(page)).to_have_text("In trouble")
    said = indicator(page).get_attribute("title")
    assert "the session's log cannot be written: File too large" in said
    indicator(page).click()
    expect(page.page.locator("#ipysession-panel")).to_be_visible()
    page.run(FULL.format(size="most"))
    page.run("x")
    expect(indicator(page)).to_have_text("Recording", timeout=20_000)
    page.shut_down()
    assert page.complaints() == []


@pytest.fixture
def settings(page, lab):
    """Sets one of *Settings ▸ Sessions*, as its user does; all is as before afterwards."""

    def change(label, value):
        page.command("settingeditor:open", query="Sessions")
        form = page.page.locator("form:visible", has_text=label)
        if isinstance(value, bool):
            form.locator("input[type=checkbox]").set_checked(value)
        else:
            form.locator("select").select_option(label=value)
        page.page.wait_for_timeout(1500)  # the form waits for the end of the typing
        page.command("application:close")

    yield change
    preferences = lab.home.jupyter.rglob("preferences*.json")
    for path in preferences:
        path.unlink()


def test_never_always_and_recording_by_itself(page, lab, left_alone, settings):
    """What the settings say is done in kernels, too."""
    write_notebook(lab.home.work / "choices.ipynb")
    page.open("choices.ipynb")
    page.run(LOAD)
    page.run("choice = 7")
    settings("Offer to resume", "never")
    page.kill_kernel()
    expect(indicator(page)).to_have_text("Not recording")
    page.page.wait_for_timeout(3000)
    expect(bar(page)).to_have_count(0)
    settings("Offer to resume", "always")
    expect(bar(page)).to_contain_text("1 variable is back")
    expect(page.run("choice")).to_contain_text("7")
    settings("Offer to resume", "ask")
    settings("Record in every new kernel", True)
    write_notebook(lab.home.work / "by-itself.ipynb")
    page.open("by-itself.ipynb")
    page.run("y = 1")
    expect(indicator(page)).to_have_text("Recording")
    settings("Record in every new kernel", False)
    page.shut_down()
    assert page.complaints() == []


def test_outputs_that_a_closed_page_missed_are_restored(page, lab, left_alone):
    """The cell ran on without the page; another page fills its outputs in."""
    page.open(left_alone)
    expect(page.output(1)).not_to_contain_text("all done")
    bar(page).get_by_role("button", name="Restore 6 outputs").click()
    for text in ("begun", "after 5 seconds", "after 20 seconds", "all done"):
        expect(page.output(1)).to_contain_text(text)
    expect(page.output(1).locator(".jp-OutputArea-child")).to_have_count(6)
    expect(bar(page)).to_contain_text("Restored 6 outputs")
    page.shut_down()
    assert page.complaints() == []


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

"""The Sessions panel in a real JupyterLab: found, looked at and changed, with mouse or keyboard.

One server and one page for all tests here; none of them needs a kernel. What it does for a
notebook whose kernel died is in test_offers.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from browser.pages import NotebookPage, Server
from browser.sessions import MARKUP, record, write_marked_up
from integration.kernels import Home
from playwright.sync_api import expect

from ipysession.model import payloads as p
from ipysession.store import Store

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

AXE = Path(__file__).parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"

STOPPED = re.compile(r"Blocked script execution|Content Security Policy directive")
"""What Chromium says of a frame's markup that tried to do something and could not."""

ASKED = re.compile(r"409 \(Conflict\).*/ipysession/api/sessions/")
"""And of the server's question whether to delete for good."""

LONG = [
    (
        f"# step {number}\nvalue_{number} = {number} * 2\nprint(value_{number})",
        f"{number * 2}\n",
        "ok",
    )
    for number in range(1, 1001)
]


SUMS = [("a = 2", "", "ok"), ("unused = 1", "", "ok"), ("b = a * 21\nprint(b)", "42\n", "ok")]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A store with 1,000 sessions: short ones, a long one, a marked-up one."""
    home = Home(tmp_path_factory.mktemp("panel"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYSESSION_KEY", str(home.key))
        for number in range(993):
            record(home.store, f"Experiment {number}", [(f"x = {number}", "", "ok")])
        record(
            home.store,
            "Tidy the sensor logs",
            [("logs = read_logs('logs/')", "17 files\n", "ok"), ("logs.to_parquet()", "", "error")],
            end=p.SessionCompleted(reason="done"),
            tags=["sensors"],
            notes=["The gap in May is real"],
        )
        record(home.store, "Sums", SUMS)
        record(home.store, "Sleeps", [("import time\ntime.sleep(600)", "", "ok")])
        record(home.store, "A long day", LONG, notebook=str(home.work / "day.ipynb"))
        record(home.store, "To be deleted", [("y = 1", "", "ok")])
        record(home.store, "To be renamed", [("z = 1", "", "ok")])
        write_marked_up(home)
    return home


@pytest.fixture(scope="module")
def lab_page(browser, home):
    """JupyterLab with the panel in front."""
    context = browser.new_context(
        viewport={"width": 1300, "height": 900}, permissions=["clipboard-read", "clipboard-write"]
    )
    with Server(home) as server:
        page = NotebookPage(context.new_page(), server)
        page.page.goto(server.url("lab"))
        page.page.wait_for_function(
            "window.jupyterapp?.commands.hasCommand('ipysession:open-panel')"
        )
        page.page.evaluate("window.jupyterapp.restored")
        yield page
        context.close()


@pytest.fixture
def panel(lab_page):
    """The panel with nothing searched for; all tabs and dialogs of other tests are closed."""
    lab_page.page.keyboard.press("Escape")
    lab_page.command("application:close-all")
    lab_page.command("ipysession:open-panel")
    panel = lab_page.page.locator("#ipysession-panel")
    search(panel, "")
    expect(panel.locator(".ips-Item").nth(40)).to_be_attached()
    yield panel
    complaints, lab_page.errors = lab_page.complaints(), []
    assert complaints == []


def search(panel, text):
    """Type into the panel's search box."""
    panel.get_by_role("searchbox", name="Search sessions").fill(text)


def open_session(panel, title):
    """Find a session and click on it; its tab."""
    search(panel, title)
    item = panel.locator(".ips-Item-main", has_text=title)
    expect(panel.locator(".ips-Item")).to_have_count(1)
    item.click()
    tab = panel.page.locator(".ips-Session:visible")
    expect(tab.get_by_role("heading", level=2)).to_have_text(title)
    return tab


def test_a_thousand_sessions_are_searched(panel):
    """By title, by tag and by source; a page at a time."""
    shown = panel.get_by_role("region", name="Can be resumed")
    expect(shown.locator(".ips-Group-count")).to_have_text("999")
    expect(shown.locator(".ips-Item")).to_have_count(50)
    shown.get_by_role("button", name="Show more").click()
    expect(shown.locator(".ips-Item")).to_have_count(100)

    search(panel, "Experiment 777")
    expect(panel.locator(".ips-Item")).to_have_count(1)
    expect(panel.locator(".ips-Item")).to_contain_text("1 step")
    expect(panel.locator(".ips-Item .ips-Badge")).to_have_text("paused")
    for text in ("sensors", "read_logs"):
        search(panel, text)
        expect(panel.locator(".ips-Item")).to_have_count(1)
        expect(panel.locator(".ips-Item")).to_contain_text("Tidy the sensor logs")
        expect(panel.locator(".ips-Badge")).to_have_text("completed")
    search(panel, "no such thing")
    expect(panel.get_by_text("Nothing matches “no such thing”")).to_be_visible()


def test_a_session_of_a_thousand_steps(panel, home):
    """Only what is in sight is in the page, its outputs too; the last step is one jump away."""
    tab = open_session(panel, "A long day")
    steps = tab.get_by_role("article")
    first = tab.get_by_role("article", name="Step 1, ok")
    expect(first.locator(".ips-Code")).to_contain_text("value_1 = 1 * 2")
    expect(first.locator(".ips-Text")).to_have_text("2\n")
    expect(tab.get_by_role("status").filter(has_text="1,000 steps")).to_be_visible()
    assert steps.count() < 40
    # Coloured by CodeMirror: more than one kind of token.
    expect(first.locator(".ips-Code span").nth(2)).to_be_attached()
    last = tab.get_by_role("article", name="Step 1000, ok")
    for _ in range(50):  # steps are as high as they turn out to be, so the end moves
        if last.count():
            break
        tab.locator(".ips-Timeline-scroll").evaluate("feed => feed.scrollTo(0, 1e6)")
        panel.page.wait_for_timeout(100)
    expect(last.locator(".ips-Text")).to_have_text("2000\n")
    assert steps.count() < 40
    tab.get_by_role("searchbox", name="Find in the steps").fill("value_512 ")
    expect(steps).to_have_count(1)


def test_what_a_session_was(panel):
    """Its notes, failures, versions and surroundings."""
    tab = open_session(panel, "Tidy the sensor logs")
    expect(tab.locator(".ips-Note")).to_have_text("The gap in May is real")
    tab.get_by_label("Failures only").check()
    expect(tab.get_by_role("article")).to_have_count(1)
    tab.get_by_role("tab", name="Lineage").click()
    tab.get_by_role("button", name=re.compile("^Step 1, ok")).click()
    expect(tab.get_by_role("status").filter(has_text="Step 1 needs")).to_be_visible()
    assert tab.locator("svg.ips-Lineage-arcs circle").count() == 2
    tab.get_by_role("tab", name="Cells").click()
    expect(tab.get_by_text("1 version, ran once").first).to_be_visible()
    tab.get_by_role("tab", name="Environment").click()
    expect(tab.get_by_role("row", name=re.compile("Python"))).to_contain_text("3.13.1")


def test_with_the_keyboard_alone(panel, lab_page):
    """From the search box to a session, its views, its menu and a new title."""
    keyboard = panel.page.keyboard
    box = panel.get_by_role("searchbox", name="Search sessions")
    box.focus()
    keyboard.type("To be renamed")
    expect(panel.locator(".ips-Item")).to_have_count(1)
    keyboard.press("ArrowDown")
    expect(panel.locator(".ips-Item-main")).to_be_focused()
    keyboard.press("F2")
    dialog = panel.page.get_by_role("dialog")
    expect(dialog.get_by_role("textbox")).to_be_focused()
    keyboard.press("ControlOrMeta+a")
    keyboard.type("To be kept")
    keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    search(panel, "To be kept")
    expect(panel.locator(".ips-Item-title").first).to_have_text("To be kept")

    panel.locator(".ips-Item-main").focus()
    keyboard.press("Enter")
    tab = panel.page.locator(".ips-Session:visible")
    tab.get_by_role("tab", name="Timeline").focus()
    keyboard.press("ArrowRight")
    expect(tab.get_by_role("tab", name="Variables")).to_be_focused()
    expect(tab.get_by_role("tab", name="Variables")).to_have_attribute("aria-selected", "true")

    panel.get_by_role("button", name="Actions for To be kept").focus()
    keyboard.press("Enter")
    menu = panel.page.locator(".lm-Menu.ips-Menu")
    expect(menu.get_by_role("menuitem", name="Open")).to_be_visible()
    keyboard.press("Escape")
    expect(menu).to_have_count(0)


def test_deleting_asks_first(panel, home, lab_page):
    """And deletes for good then."""
    search(panel, "To be deleted")
    item = panel.locator(".ips-Item-main", has_text="To be deleted")
    item.focus()
    panel.page.keyboard.press("Delete")
    dialog = panel.page.get_by_role("dialog")
    expect(dialog).to_contain_text("“To be deleted”: 1 step")
    dialog.get_by_role("button", name="Cancel").click()
    expect(item).to_be_visible()
    item.focus()
    panel.page.keyboard.press("Delete")
    dialog.get_by_role("button", name="Delete").click()
    expect(item).to_have_count(0)
    lab_page.errors = [error for error in lab_page.errors if not ASKED.search(error)]
    assert len(Store(home.store).ids()) == 999


ENTRIES = [
    *("Open", "Resume Here", "Resume in a New Notebook", "Export…", "Rename…", "Tag…"),
    *("Add a Note…", "Compare With…", "Copy the Command That Resumes It", "Delete…"),
]


def choose(panel, title, action):
    """An entry of the menu of the one session with this title."""
    search(panel, title)
    expect(panel.locator(".ips-Item")).to_have_count(1)
    panel.get_by_role("button", name=f"Actions for {title}").click()
    menu = panel.page.locator(".lm-Menu.ips-Menu")
    expect(menu.get_by_role("menuitem")).to_have_text([re.compile(re.escape(e)) for e in ENTRIES])
    menu.get_by_role("menuitem", name=action, exact=True).click()
    return panel.page.get_by_role("dialog")


def test_what_the_menu_does(panel):
    """Renamed, tagged, noted, compared; and the command that resumes it, to be pasted."""
    dialog = choose(panel, "Experiment 500", "Rename…")
    dialog.get_by_role("textbox").fill("The best of all")
    dialog.get_by_role("button", name="OK").click()
    expect(dialog).to_have_count(0)
    dialog = choose(panel, "The best of all", "Tag…")
    dialog.get_by_role("textbox").fill("paper, v2, paper")
    dialog.get_by_role("button", name="OK").click()
    expect(panel.locator(".ips-Item .ips-Tag")).to_have_text(["paper", "v2"])
    dialog = choose(panel, "The best of all", "Add a Note…")
    dialog.get_by_role("textbox").fill("Seed 7 was lucky")
    dialog.get_by_role("button", name="OK").click()
    expect(dialog).to_have_count(0)
    choose(panel, "The best of all", "Open")
    tab = panel.page.locator(".ips-Session:visible")
    expect(tab.locator(".ips-Note")).to_have_text("Seed 7 was lucky")
    dialog = choose(panel, "The best of all", "Compare With…")
    options = dialog.locator("option", has_text="Tidy the sensor logs")
    dialog.locator("select").select_option(options.get_attribute("value"))
    dialog.get_by_role("button", name="OK").click()
    expect(tab.get_by_role("heading", level=2)).to_contain_text("The best of all")
    expect(tab.get_by_role("heading", level=2)).to_contain_text("Tidy the sensor logs")
    expect(tab.get_by_role("heading", level=3).first).to_contain_text("differ")
    expect(tab).to_contain_text("read_logs")
    choose(panel, "The best of all", "Copy the Command That Resumes It")
    session = panel.locator(".ips-Item").get_attribute("data-session")
    panel.get_by_role("searchbox", name="Search sessions").focus()
    panel.page.keyboard.press("ControlOrMeta+a")
    panel.page.keyboard.press("ControlOrMeta+v")
    expect(panel.get_by_role("searchbox")).to_have_value(f"%session resume {session}")


def test_the_palette_has_an_entry_for_each_action(panel, lab_page):
    """Under *Sessions*; those that act on a session ask which one, where none is in front."""
    palette = panel.page.locator("#command-palette")
    lab_page.command("apputils:activate-command-palette")
    palette.locator("input").fill("session")
    for entry in (
        *("Show the Sessions Panel", "Refresh the Sessions", "Open a Session…"),
        *("Resume a Session Here…", "Resume a Session in a New Notebook…", "Export a Session…"),
        *("Rename a Session…", "Tag a Session…", "Add a Note to a Session…"),
        *("Compare Two Sessions…", "Copy the Command That Resumes a Session…"),
        "Delete a Session…",
    ):
        expect(palette.get_by_text(entry, exact=True)).to_have_count(1)
    palette.get_by_text("Open a Session…", exact=True).click()
    dialog = panel.page.get_by_role("dialog")
    options = dialog.locator("option", has_text="Tidy the sensor logs")
    dialog.locator("select").select_option(options.get_attribute("value"))
    dialog.get_by_role("button", name="OK").click()
    tab = panel.page.locator(".ips-Session:visible")
    expect(tab.get_by_role("heading", level=2)).to_have_text("Tidy the sensor logs")
    # Now one is in front: it is meant.
    lab_page.command("apputils:activate-command-palette")
    palette.locator("input").fill("tag a session")
    palette.get_by_text("Tag a Session…", exact=True).click()
    expect(dialog.get_by_role("textbox")).to_have_value("sensors")
    dialog.get_by_role("button", name="Cancel").click()


def test_an_export_is_verified_or_cancelled(panel, home, lab_page):
    """Of what a variable needs alone; one that takes too long is cancelled and leaves nothing."""
    dialog = choose(panel, "Sums", "Export…")
    dialog.get_by_label("Format").select_option("script")
    dialog.get_by_label("Only what these variables need").fill("b")
    dialog.get_by_label("Run it in a fresh kernel and compare").check()
    dialog.get_by_role("button", name="Export").click()
    editor = panel.page.locator(".jp-FileEditor .cm-content")
    expect(editor).to_contain_text("b = a * 21", timeout=60_000)
    assert "unused" not in editor.inner_text()
    lab_page.command("apputils:display-notifications")
    center = panel.page.locator(".jp-Notification-Center, .jp-Notification-List").first
    expect(center).to_contain_text(re.compile("2 cells, verified"))
    expect(center.get_by_role("button", name="Open")).to_be_visible()

    dialog = choose(panel, "Sleeps", "Export…")
    dialog.get_by_label("Run it in a fresh kernel and compare").check()
    dialog.get_by_role("button", name="Export").click()
    lab_page.command("apputils:display-notifications")
    expect(center).to_contain_text("“Sleeps”: running step 1 of 1 again", timeout=60_000)
    center.get_by_role("button", name="Cancel").click()
    expect(center).to_contain_text("the export was cancelled; nothing was written")
    assert not [path for path in home.work.iterdir() if "Sleeps" in path.name]
    panel.page.keyboard.press("Escape")
    lab_page.errors = [error for error in lab_page.errors if "/export" not in error]


EMPTY = {"sessions": [], "next": None, "total": 0}
REFUSED = {
    "type": "about:blank",
    "title": "No",
    "status": 500,
    "detail": "the store is upside down",
}


def test_while_it_loads_without_a_server_and_with_one_that_fails(lab_page, browser):
    """As in JupyterLite, where nobody answers: it says so, and bothers nobody."""
    context = browser.new_context(viewport={"width": 1000, "height": 700})
    page = NotebookPage(context.new_page(), lab_page.server)
    held = []

    def hold(route):
        held.append(route)

    page.page.route("**/ipysession/api/**", hold)
    page.page.goto(page.server.url("lab/workspaces/none"))
    page.page.wait_for_function("window.jupyterapp?.commands.hasCommand('ipysession:open-panel')")
    page.page.evaluate("window.jupyterapp.restored")
    page.command("ipysession:open-panel")
    panel = page.page.locator("#ipysession-panel")
    expect(panel.get_by_role("status", name="The sessions are being listed")).to_be_visible()

    def answer(status, **what):
        page.page.unroute("**/ipysession/api/**")
        page.page.route("**/ipysession/api/**", lambda route: route.fulfill(status=status, **what))

    for route in held:
        route.fulfill(status=404, body="<h1>404</h1>", content_type="text/html")
    answer(404, body="<h1>404</h1>", content_type="text/html")
    expect(panel.get_by_text("Sessions need a Jupyter server")).to_be_visible()
    answer(500, json=REFUSED, content_type="application/problem+json")
    panel.get_by_role("button", name="Refresh the sessions").click()
    alert = panel.get_by_role("alert")
    expect(alert).to_contain_text("The sessions cannot be listed")
    expect(alert).to_contain_text("the store is upside down")
    answer(200, json=EMPTY)
    alert.get_by_role("button", name="Try again").click()
    expect(panel.get_by_text("No sessions yet")).to_be_visible()
    expect(page.page.get_by_role("dialog")).to_have_count(0)
    uncaught = [error for error in page.errors if "Failed to load resource" not in error]
    context.close()
    assert uncaught == []


def test_an_export_opens(panel, home, lab_page):
    """In the format and file that the dialog was told."""
    tab = open_session(panel, "Tidy the sensor logs")
    tab.get_by_role("button", name="Export…").click()
    dialog = panel.page.get_by_role("dialog")
    expect(dialog.get_by_label("File", exact=True)).to_have_value("Tidy the sensor logs.ipynb")
    dialog.get_by_label("Format").select_option("script")
    expect(dialog.get_by_label("File", exact=True)).to_have_value("Tidy the sensor logs.py")
    dialog.get_by_label("Every step, failures included").check()
    dialog.get_by_role("button", name="Export").click()
    editor = panel.page.locator(".jp-FileEditor .cm-content")
    expect(editor).to_contain_text("logs = read_logs('logs/')")
    assert (home.work / "Tidy the sensor logs.py").exists()


def test_recorded_markup_does_nothing(panel, lab_page):
    """In titles, tags, notes, sources, outputs, errors, variables and file names, in all views."""
    search(panel, "window.struck")
    expect(panel.locator(".ips-Item")).to_have_count(1)
    item = panel.locator(".ips-Item-main")
    expect(item).to_contain_text(MARKUP[3])
    item.click()
    tab = panel.page.locator(".ips-Session:visible")
    for number, text in enumerate(MARKUP, start=1):
        step = tab.locator(f".ips-Step[data-step='{number}']")
        tab.get_by_role("searchbox", name="Find in the steps").fill(text)
        expect(step.locator(".ips-Code")).to_have_text(text)
        expect(step.locator(".ips-Text").first).to_contain_text(text)
        frame = step.locator("iframe")
        assert frame.get_attribute("sandbox") == ""
    for view in ("Variables", "Lineage", "Cells", "Environment", "Files"):
        tab.get_by_role("tab", name=view).click()
        expect(tab.get_by_role("tabpanel", name=view)).to_contain_text("struck")
    # Nothing of it became an element; icons are JupyterLab's and the arcs are ours.
    inside = tab.locator(":is(script, img, object, embed, form, link, meta, a, style)")
    expect(inside).to_have_count(0)
    assert panel.page.evaluate("window.struck") is None
    lab_page.errors = [error for error in lab_page.errors if not STOPPED.search(error)]


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_axe_finds_no_serious_fault(panel, lab_page, theme):
    """In the panel and in each view of a session, in both themes."""
    lab_page.theme(theme)
    panel.page.add_script_tag(path=AXE)
    search(panel, "o")
    faults = axe(panel.page, "#ipysession-panel")
    tab = open_session(panel, "Tidy the sensor logs")
    for view in ("Timeline", "Variables", "Lineage", "Cells", "Environment", "Files"):
        tab.get_by_role("tab", name=view).click()
        expect(tab.locator(".ips-Message", has_text="…")).to_have_count(0)
        faults += axe(panel.page, ".ips-Session")
    lab_page.theme("JupyterLab Light")
    assert faults == []


def axe(page, place):
    """The serious and critical faults inside ``place``."""
    found = page.evaluate(
        "place => window.axe.run(document.querySelector(place), {resultTypes: ['violations']})",
        place,
    )
    assert found["passes"], "axe looked at nothing"
    return [
        (fault["id"], node["html"], node["failureSummary"])
        for fault in found["violations"]
        if fault["impact"] in {"serious", "critical"}
        for node in fault["nodes"]
    ]

"""The magics and the shell: the same verbs, the same answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from integration.kernels import Home, Kernel, command

from ipysession.cli import SHELL_VERBS
from ipysession.verbs import VERBS

pytestmark = pytest.mark.integration

LOAD = "%load_ext ipysession"
LONG = "import time\ntime.sleep(15)"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The folders of one imaginary user."""
    return Home(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def kernel(home):
    """A kernel with two sessions behind it, which records a third."""
    with Kernel(home) as kernel:
        kernel.ok(LOAD)
        kernel.ok("x = 1\nprint('first')")
        kernel.ok("%session rename First analysis")
        kernel.ok("%session complete")
        kernel.ok("y = 2\ny")
        kernel.run("1 / 0")
        kernel.ok("%session rename Second analysis")
        kernel.ok("%session tag kept")
        kernel.ok("%session complete")
        kernel.ok("z = 3")
        yield kernel


def shell(home, *words, check=True):
    """Run ``jupyter session`` the way a shell does."""
    done = subprocess.run(
        command(*words),
        capture_output=True,
        text=True,
        env=home.environment(),
        cwd=home.work,
        timeout=120,
        check=False,
    )
    if check:
        assert done.returncode == 0, done.stderr
    return done


def ids(home):
    """Sessions by title."""
    listed = json.loads(shell(home, "list", "--json").stdout)
    return {item["title"]: item["id"] for item in listed}


COMPARED = {
    "list": ["list"],
    "show": ["show", "First analysis"],
    "outputs": ["outputs", "First analysis"],
    "history": ["history", "--session", "Second analysis"],
    "diff": ["diff", "First analysis", "Second analysis"],
    "tree": ["tree", "Second analysis"],
    "needs": ["needs", "y", "--session", "Second analysis"],
    "uses": ["uses", "1", "--session", "Second analysis"],
    "stale": ["stale", "Second analysis"],
    "graph": ["graph", "Second analysis"],
    "variables": ["variables", "Second analysis"],
    "resume-plan": ["resume-plan", "Second analysis"],
    "export": ["export", "First analysis", "-o", "same.ipynb", "--force"],
    "import": ["import", "shared.zip"],
    "rename": ["rename", "Second analysis", "--session", "Second analysis"],
    "note": ["note", "a remark", "--session", "{third}"],
    "tag": ["tag", "kept", "Second analysis"],
    "untag": ["untag", "gone", "Second analysis"],
    "delete": ["delete", "First analysis"],
    "verify-log": ["verify-log", "First analysis"],
    "where": ["where", "First analysis"],
    "storage": ["storage"],
    "gc": ["gc", "First analysis", "--dry-run"],
    "settings": ["settings"],
}
"""Every verb that both faces have, with arguments for which both can answer."""


def test_every_verb_of_both_faces_is_compared():
    """A new verb must be added here."""
    assert set(COMPARED) == {verb.name for verb in VERBS if not verb.kernel}
    assert {verb.name for verb in SHELL_VERBS} - set(COMPARED) == {"enable", "disable", "demo"}


@pytest.mark.parametrize("name", sorted(set(COMPARED) - {"note", "import", "storage"}))
def test_both_faces_answer_alike(kernel, home, name):
    """The same ``--json`` from ``%session`` and from ``jupyter session``."""
    words = COMPARED[name]
    quoted = " ".join(f'"{word}"' for word in words)
    in_kernel = kernel.ok(f"%session {quoted} --json")
    in_shell = shell(home, *words, "--json", check=False)
    assert json.loads(in_kernel.stdout) == json.loads(in_shell.stdout)


def test_a_session_goes_to_somebody_else_and_back(kernel, home, tmp_path):
    """As a bundle, imported from the shell there; the notebook of it from this kernel."""
    kernel.ok('%session export "Second analysis" -o shared.zip')
    other = Home(tmp_path)
    said = json.loads(shell(other, "import", str(home.work / "shared.zip"), "--json").stdout)
    assert (said["steps"], said["trusted"]) == (2, False)
    shell(other, "export", said["session"], "-o", "back.ipynb")
    # Exported is what shows something and did not fail.
    imported = kernel.ok(f"%session import {other.work / 'back.ipynb'} --json")
    assert json.loads(imported.stdout)["steps"] == 1
    assert "back" in ids(home)


def test_what_the_store_takes_from_either_face(kernel, home):
    """The same sessions; what is free on the disk changes from moment to moment."""
    told = json.loads(kernel.ok("%session storage --json").stdout)
    again = json.loads(shell(home, "storage", "--json").stdout)
    assert told.keys() == again.keys()
    assert told["sessions"] == again["sessions"] == len(ids(home))
    assert told["bytes"] > 0


def test_a_note_from_either_face(kernel, home):
    """Also from the shell to the session that this kernel writes, which runs a cell just then."""
    kernel.ok("%session note from the notebook")
    done = shell(home, "note", "from the shell", "--session", ids(home)["Second analysis"])
    assert "noted" in done.stdout
    own_id = json.loads(kernel.ok("%session status --json").stdout)["session"]["id"]
    running = kernel.send(LONG)
    shell(home, "note", "while it runs", "--session", own_id)
    shell(home, "tag", "asked for", own_id)
    shown = json.loads(shell(home, "show", own_id, "--json").stdout)
    assert shown["steps"][-1]["outcome"] == "running"
    assert shown["tags"] == ["asked for"]
    kernel.interrupt()
    kernel.receive(running, 60)
    own = json.loads(kernel.ok("%session show --json").stdout)
    assert [note["text"] for note in own["notes"]] == ["from the notebook", "while it runs"]
    assert own["damage"] == []


@pytest.mark.parametrize("verb", [verb.name for verb in SHELL_VERBS])
def test_every_verb_of_the_shell_has_help_and_json(home, verb):
    """``--help`` says what it does and that ``--json`` exists."""
    text = shell(home, verb, "--help").stdout
    assert f"jupyter session {verb}" in text
    assert "--json" in text


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_every_magic_has_help(kernel, verb):
    """``%session VERB --help`` shows the arguments."""
    assert f"%session {verb}" in kernel.ok(f"%session {verb} --help").stdout


def test_the_readme_and_the_guide_name_every_verb():
    """Nobody has to guess that a verb exists."""
    root = Path(__file__).parents[2]
    text = (root / "README.md").read_text("utf-8") + (root / "docs/guide.md").read_text("utf-8")
    missing = [verb.name for verb in VERBS if f"session {verb.name}" not in text]
    missing += [verb.name for verb in SHELL_VERBS if f"jupyter session {verb.name}" not in text]
    assert missing == []


def test_exit_codes(home, kernel):
    """0 done, 1 failed, 2 usage."""
    assert shell(home, "list").returncode == 0
    assert shell(home, "show", "nosuchsession", check=False).returncode == 1
    assert shell(home, "delete", "First analysis", check=False).returncode == 1
    assert shell(home, "frobnicate", check=False).returncode == 2
    assert shell(home, check=False).returncode == 2
    assert shell(home, "list", "--limit", "many", check=False).returncode == 2
    assert shell(home, "list", "--state", "nosuchstate", check=False).returncode == 1


def test_the_shell_says_where_verbs_of_a_kernel_are_typed(home):
    """Not that there is no such verb."""
    done = shell(home, "rerun", "--stale", check=False)
    assert done.returncode == 2
    assert "say %session rerun in its notebook" in done.stderr


def test_jupyter_finds_the_command(home):
    """``jupyter session`` works, not only ``python -m ipysession.cli``."""
    done = subprocess.run(
        [sys.executable, "-m", "jupyter", "session", "list", "--json"],
        capture_output=True,
        text=True,
        env={
            **home.environment(),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        timeout=60,
        check=False,
    )
    if "not found" in done.stderr and "jupyter-session" in done.stderr:
        pytest.fail("the console script jupyter-session is not installed in this environment")
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout), list)


def test_json_documents_have_their_fixed_forms(home, kernel):
    """``list`` is an array; ``show`` one document with every step, source, outcome, outputs."""
    listed = json.loads(shell(home, "list", "--json").stdout)
    assert {"First analysis", "Second analysis"} <= {item["title"] for item in listed}
    document = json.loads(shell(home, "show", "Second analysis", "--json").stdout)
    assert [step["source"] for step in document["steps"]] == ["y = 2\ny", "1 / 0"]
    assert [step["outcome"] for step in document["steps"]] == ["ok", "error"]
    assert document["steps"][0]["outputs"][0]["data"]["text/plain"] == "2"
    assert document["tags"] == ["kept"]


def test_tables_are_html_in_a_notebook_and_text_for_programs(kernel):
    """Each answer comes in both, and recorded text is never HTML."""
    kernel.ok("%session rename <script>alert(1)</script>")
    answer = kernel.ok("%session list")
    [page] = answer.data(mime="text/html")
    [plain] = answer.data()
    assert "<table" in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "Second analysis" in plain
    kernel.ok("%session rename Third")


def test_completion(kernel):
    """Verbs, options, ids."""
    assert "resume" in kernel.complete("%session res")
    assert "--verify" in kernel.complete("%session export --ver")
    assert "latest" in kernel.complete("%session show lat")
    assert len([m for m in kernel.complete("%session show 2") if m.startswith("20")]) >= 3


def test_errors_are_one_line_and_say_what_to_do(kernel):
    """No traceback for a mistyped verb."""
    answer = kernel.run("%session exprot")
    assert "Did you mean 'export'?" in answer.stderr
    assert "Traceback" not in answer.text
    answer = kernel.run("%session show nosuch")
    assert "no session has the id" in answer.stderr


def test_export_from_both_faces(kernel, home):
    """A valid notebook; no overwriting without ``--force``; any session, without a kernel."""
    assert "cell" in kernel.ok("%session export clean.ipynb").text
    notebook = nbformat.read(home.work / "clean.ipynb", as_version=4)
    nbformat.validate(notebook)
    sources = [c.source for c in notebook.cells if c.cell_type == "code"]
    # The test of notes runs a cell in the same kernel; who comes first is not said.
    assert sources in (["z = 3"], ["z = 3", LONG])
    again = kernel.run("%session export clean.ipynb")
    assert "--force" in again.stderr
    shell(home, "export", "First analysis", "-o", "first.ipynb")
    assert (home.work / "first.ipynb").exists()
    refused = shell(home, "export", "First analysis", "-o", "first.ipynb", check=False)
    assert refused.returncode == 1
    verified = shell(
        home, "export", "First analysis", "-o", "first.ipynb", "--force", "--verify", "--json"
    )
    assert json.loads(verified.stdout)["verified"] is True
    assert verified.stderr == ""


def test_enable_and_disable(home, tmp_path):
    """Every kernel of the environment records without ``%load_ext``; and no longer."""
    fresh = Home(tmp_path)
    assert json.loads(shell(fresh, "enable", "--json").stdout)["enabled"] is True
    assert "already" in shell(fresh, "enable").stdout
    with Kernel(fresh) as kernel:
        kernel.ok("recorded = 1")
    assert len(json.loads(shell(fresh, "list", "--json").stdout)) == 1
    assert json.loads(shell(fresh, "disable", "--json").stdout)["enabled"] is False
    with Kernel(fresh) as kernel:
        kernel.ok("not_recorded = 1")
    assert len(json.loads(shell(fresh, "list", "--json").stdout)) == 1


def test_delete_is_in_two_steps(kernel, home):
    """First what would go, then with ``--yes``; a whole id is sure enough."""
    kernel.ok("%session complete")
    kernel.ok("doomed = 1")
    kernel.ok("%session rename Doomed")
    kernel.ok("%session complete")
    kernel.ok("after = 1")
    first = shell(home, "delete", "Doomed", check=False)
    assert "would delete" in first.stdout
    assert "Doomed" in ids(home)
    assert "deleted" in shell(home, "delete", "Doomed", "--yes").stdout
    assert "Doomed" not in ids(home)
    kernel.ok("%session complete")
    kernel.ok("after = 2")
    listed = json.loads(shell(home, "list", "--state", "completed", "--json").stdout)
    exact = next(item["id"] for item in listed if item["title"] == "analysis")
    assert "deleted" in shell(home, "delete", exact).stdout
    assert exact not in ids(home).values()
    own = kernel.ok("%session status --json")
    busy = kernel.run(f"%session delete {json.loads(own.stdout)['session']['id']} --yes")
    assert "being written" in busy.stderr

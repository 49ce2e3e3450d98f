"""Going back and branching off inside a living kernel: nothing is lost by it."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
from integration.kernels import Home, Kernel, command, rest

import ipysession
from ipysession.errors import BlobDamaged, LogDamaged, NotSaved
from ipysession.model import tree

pytestmark = pytest.mark.integration

LOAD = "%load_ext ipysession"

CELLS = (
    "import random\nrandom.seed(3)\nitems = [1]; alias = items",
    "items.append(2); total = sum(items)\ndef doubled(): return [2 * item for item in items]",
    "first = random.random(); items.append(3)\ngen = (i for i in range(9)); next(gen)",
    "total = 'changed'; extra = {'more': items}",
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The folders of one imaginary user, whom this process is, too."""
    home = Home(tmp_path)
    home.enter(monkeypatch)
    return home


@pytest.fixture
def kernel(home):
    """A kernel with four steps behind it, and a pause after each in which all of it is saved."""
    with Kernel(home) as kernel:
        kernel.ok(LOAD)
        for cell in CELLS:
            kernel.ok(cell)
            rest(kernel)
        yield kernel


def said(kernel, words):
    """What a verb answers."""
    return json.loads(kernel.ok(f"%session {words} --json").stdout)


def test_there_and_back_again(kernel):
    """Values, aliases, functions, random numbers, Out, and what is not there; then onwards."""
    following = kernel.ok("random.random()").result
    went = said(kernel, "checkout 2")
    assert went["lost"] == {}
    assert {"first", "gen", "extra", "_4"} <= set(went["removed"])
    assert kernel.ok("items, alias is items, total, doubled()").result == (
        "([1, 2], True, 3, [2, 4])"
    )
    assert kernel.run("extra").error.startswith("NameError")
    assert kernel.ok("random.random()").result != following
    kernel.ok("items.append('other'); here = True")
    assert said(kernel, "checkout 4")["lost"] == {}
    assert kernel.ok("items, total, extra['more'] is items is alias").result == (
        "([1, 2, 3], 'changed', True)"
    )
    assert kernel.ok("next(gen), 'here' in globals()").result == "(1, False)"
    kernel.ok("%session undo")
    assert kernel.ok("random.random()").execution_count > 10, "no count is given out twice"


def test_a_function_that_came_back_reads_the_live_globals(kernel):
    """Also one that was kept while its global went back."""
    kernel.ok("items = [50]")
    assert said(kernel, "checkout 4")["lost"] == {}
    assert kernel.ok("doubled()").result == "[2, 4, 6]"
    kernel.ok("items = [7]")
    assert kernel.ok("doubled()").result == "[14]"


def test_only_what_differs_is_loaded(kernel):
    """The rest stays the object that it is."""
    kernel.ok("untouched = [object()]; was = id(untouched)\nlater = 1")
    went = said(kernel, "undo 1")
    assert "later" in went["removed"]
    kernel.ok("same = [1, 2]")
    before = kernel.evaluate("id(same)")
    kernel.ok("later = 2")
    went = said(kernel, "undo")
    assert "same" in went["kept"]
    assert kernel.evaluate("id(same)") == before


def test_the_tree_grows_from_where_the_user_went_and_survives_the_kernel(kernel, home):
    """New steps name their parent; a resume stands on the branch that was last worked on."""
    said(kernel, "checkout 2")
    kernel.ok("branched = list(items)")
    drawn = kernel.ok("%session tree")
    assert "├─● 3" in drawn.data()[0]
    # A replay that going back took has a number, too.
    document = said(kernel, "tree")
    grown = document["head"]
    assert f"● {grown}  ← here" in drawn.data()[0]
    assert "<td" in drawn.data(mime="text/html")[0]
    parents = {step["step"]: step["parent"] for step in document["steps"]}
    assert parents == {1: 0, 2: 1, 3: 2, 4: 3, grown: 2}
    said(kernel, "checkout 4")
    said(kernel, f"checkout {grown}")
    kernel.kill()
    kernel.restart()
    kernel.ok(LOAD)
    assert said(kernel, "resume")["lost"] == {}
    assert kernel.ok("branched, items, total").result == "([1, 2], [1, 2], 3)"
    assert kernel.run("extra").error.startswith("NameError")
    assert said(kernel, "checkout 4")["lost"] == {}
    assert kernel.ok("items, total").result == "([1, 2, 3], 'changed')"
    session = ipysession.open().session
    assert session.step(session.steps[-1].number).parent == 4
    assert [s.number for s in tree.branch(session, grown)] == [1, 2, grown]


def test_everything_can_be_undone(kernel):
    """And too much cannot."""
    assert "only 4 steps to undo" in kernel.run("%session undo 9").stderr
    went = said(kernel, "undo 4")
    assert went["step"] == 0
    assert {"items", "alias", "total", "random"} <= set(went["removed"])
    kernel.ok("fresh = 1")
    session = ipysession.open().session
    assert session.steps[-1].parent == 0
    for wrong in ("checkout 99", "checkout -1", "undo 0"):
        assert "Traceback" not in kernel.run(f"%session {wrong}").text
    assert said(kernel, "checkout 4")["lost"] == {}


def test_a_branch_is_a_session_of_its_own(kernel, home):
    """It names its parent, stands alone, and leaves the other one as it was."""
    first = said(kernel, "status")["session"]["id"]
    went = said(kernel, "branch 2 --title 'Another way'")
    second = went["session"]
    assert second != first
    kernel.ok("items.append('branch')")
    assert kernel.ok("alias is items, items, doubled()").result == (
        "(True, [1, 2, 'branch'], [2, 4, 'branchbranch'])"
    )
    kernel.kill()
    shutil.rmtree(home.store / "sessions" / first)
    kernel.restart()
    kernel.ok(LOAD)
    assert said(kernel, f"resume {second}")["lost"] == {}
    assert kernel.ok("items, total").result == "([1, 2, 'branch'], 3)"
    opened = ipysession.open(second)
    assert opened.session.summary.parent.model_dump() == {"session": first, "step": 2}
    assert opened.session.summary.title == "Another way"
    assert not opened.damage


def test_a_completed_session_and_one_that_a_kernel_writes_are_branched(kernel, home):
    """A resume refuses both, and says this way out."""
    first = said(kernel, "status")["session"]["id"]
    with Kernel(home) as other:
        other.ok(LOAD)
        refused = other.run(f"%session resume {first}").stderr
        assert f"%session branch --session {first}" in refused
        assert said(other, f"branch --session {first}")["lost"] == {}
        assert other.ok("items, alias is items").result == "([1, 2, 3], True)"
    kernel.ok("%session complete")
    refused = kernel.run(f"%session resume {first}").stderr
    assert f"%session branch --session {first}" in refused
    assert said(kernel, f"branch 2 --session {first}")["lost"] == {}
    assert kernel.ok("items, total").result == "([1, 2], 3)"


def test_a_session_is_read_without_a_kernel(kernel, home):
    """What there is, at any step, and one value; nothing that is not proven is unpickled."""
    kernel.ok("import numpy as np\ngrid = np.arange(6).reshape(2, 3); word = 'text'")
    kernel.shutdown()
    opened = ipysession.open()
    grid = opened.variables["grid"]
    assert (grid.type, grid.shape, grid.size) == ("numpy.ndarray", (2, 3), 48)
    assert "text" in opened.variables["word"].text
    assert opened.load("items") == [1, 2, 3]
    assert opened.at(2).load("items") == [1, 2]
    assert "extra" not in opened.at(2).variables
    assert not opened.variables["gen"].saved
    with pytest.raises(NotSaved, match="gen was not saved"):
        opened.load("gen")
    with pytest.raises(LookupError):
        opened.load("nosuch")
    told = subprocess.run(
        command("variables", "--step", "2", "--json"), capture_output=True, text=True, check=True
    )
    names = [item["name"] for item in json.loads(told.stdout)["variables"]]
    assert {"items", "alias", "total", "doubled"} <= set(names)
    home.key.write_bytes(b"k" * 32)
    with pytest.raises(LogDamaged):
        ipysession.open().load("items")


def test_somebody_elses_session_is_code_and_outputs_until_it_is_trusted(kernel, home):
    """Then it goes on in a copy of one's own, and the original stays as it was."""
    first = said(kernel, "status")["session"]["id"]
    kernel.shutdown()
    home.key.write_bytes(b"k" * 32)
    [log] = (home.store / "sessions" / first / "log").iterdir()
    before = log.read_bytes()
    with Kernel(home) as other:
        other.ok(LOAD)
        for words in (f"resume {first}", f"branch --session {first}"):
            assert "--trust" in other.run(f"%session {words}").stderr
        assert other.run("items").error.startswith("NameError")
        assert "items.append(2)" in other.ok(f"%session show {first}").text
        other.ok(f"%session tag theirs {first}")
        went = said(other, f"resume {first} --trust")
        assert went["lost"] == {}
        assert other.ok("items, alias is items").result == "([1, 2, 3], True)"
        copy = went["session"]
        assert copy != first
    assert log.read_bytes() == before
    with Kernel(home) as again:
        again.ok(LOAD)
        assert said(again, f"resume {copy}")["lost"] == {}, "the copy is proven to be one's own"
        assert again.ok("len(items)").result == "3"


def test_whatever_was_tampered_with_is_not_unpickled(kernel, home):
    """A blob, a checkpoint's record, a step's record: nothing of them runs."""
    kernel.ok("big = list(range(30_000))\nsmall = [7]")
    kernel.ok("last = [8]")
    identity = said(kernel, "status")["session"]["id"]
    kernel.shutdown()
    folder = home.store / "sessions" / identity
    for blob in (folder / "blobs").rglob("*"):
        if blob.is_file():
            blob.chmod(0o600)
            data = blob.read_bytes()
            blob.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(BlobDamaged):
        ipysession.open(identity).load("big")
    [segment] = sorted((folder / "log").iterdir())[-1:]
    _forge(segment, '"last"', '"lost"', "checkpoint.saved")
    _forge(segment, "last = [8]", "last = [9]", "step.started")
    # All at once, so that what is damaged is found by the resume and not by a later cell.
    at_once = ["--Recording.restore_at_once_seconds=60"]
    with Kernel(home, arguments=at_once) as other:
        other.ok(LOAD)
        went = said(other, f"resume {identity}")
        assert "nothing proves that step 6 is what you ran" in went["lost"]["lost"]
        assert other.ok("items").result == "[1, 2, 3]"
        assert other.run("last").error.startswith("NameError")
        assert "big" not in went["restored"]
        assert other.ok("len(big)").result == "30000", "made again from its step"


def _forge(segment, old, new, kind):
    """Change a record, with a checksum that holds."""
    import zlib

    lines = segment.read_bytes().split(b"\n")
    for index, line in enumerate(lines):
        if f'"type":"{kind}"'.encode() in line and old.encode() in line:
            changed = line.replace(old.encode(), new.encode())
            head = changed[: changed.rindex(b'"mac":"') + len(b'"mac":"') + 32]
            lines[index] = head + f"{zlib.crc32(head):08x}".encode() + b'"}'
            segment.chmod(0o600)
            segment.write_bytes(b"\n".join(lines))
            return
    message = f"no {kind} with {old}"
    raise AssertionError(message)


@pytest.mark.parametrize("verb", ["checkout 2", "undo", "branch", "restore"])
def test_a_replay_that_nobody_knows_is_refused_before_anything_changes(kernel, verb):
    """One line that says which there are; the session, and where it stands, stay as they were."""
    before = [ipysession.open_store().ids(), said(kernel, "status")["session"]]
    answer = kernel.run(f"%session {verb} --replay=maybe")
    assert answer.stderr.strip().endswith("--replay is one of safe, all, none, not 'maybe'")
    assert [ipysession.open_store().ids(), said(kernel, "status")["session"]] == before
    assert kernel.ok("total").result == "'changed'"

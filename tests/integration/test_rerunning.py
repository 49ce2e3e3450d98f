"""Running steps again in a real kernel, when what they rest on has changed."""

from __future__ import annotations

import json

import pytest
from integration.kernels import Home, Kernel

import ipysession

pytestmark = pytest.mark.integration

CELLS = (
    "rows = [int(line) for line in open('a.txt')]",  # 1
    "total = sum(rows)\ntotal",
    "rows = [int(line) for line in open('b.txt')]",
    "other = sum(rows); print('other', other)",
    "double = _ * 2",  # 5
    "import asyncio\nawait asyncio.sleep(0)\nprint('late', total)\nlate = total + 1",
    "open('out.txt', 'w').write(str(late))",
    "items = []",
    "items.append(total)",
    "alias = items; items.append(other)",  # 10
    "import random\nrandom.seed(1)",
    "drawn = random.random()",
    "mixed = random.random() + total",
    "untouched = object(); before = untouched",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The folders of one imaginary user."""
    return Home(tmp_path_factory.mktemp("rerunning"))


@pytest.fixture(scope="module")
def kernel(home):
    """A kernel in which all cells ran once."""
    (home.work / "a.txt").write_text("1\n2\n")
    (home.work / "b.txt").write_text("5\n")
    with Kernel(home) as kernel:
        kernel.ok("%load_ext ipysession")
        for number, cell in enumerate(CELLS, start=1):
            kernel.ok(cell, cell_id=f"cell-{number}")
        yield kernel


def said(kernel, words):
    """What a verb answers, after what the cells that it ran printed."""
    printed = kernel.ok(f"%session {words} --json").stdout
    return json.loads(printed[printed.index("{\n") :])


def steps_of(home, kernel):
    """The steps in the log."""
    identity = json.loads(kernel.ok("%session status --json").stdout)["session"]["id"]
    return ipysession.open(str(home.store / "sessions" / identity)).session.steps


def a_changed_file_and_all_that_rests_on_it(kernel, home):
    """Told as stale; run again in order; the values right, what was current left alone."""
    assert said(kernel, "stale")["stale"] == []
    drawn, mixed = kernel.evaluate("drawn"), kernel.evaluate("mixed")
    (home.work / "a.txt").write_text("10\n20\n")
    stale = {item["step"]: item["reasons"][0] for item in said(kernel, "stale")["stale"]}
    assert sorted(stale) == [1, 2, 5, 6, 7, 9, 10, 13]
    assert "a.txt changed since" in stale[1]
    planned = said(kernel, "rerun --stale --plan")
    order = [item["step"] for item in planned["plan"]]
    assert order == [1, 2, 3, 4, 5, 6, 8, 9, 10, 13]
    assert [(b["step"], b["effects"][0][:5]) for b in planned["blocked"]] == [(7, "wrote")]
    assert kernel.evaluate("total") == 3, "a plan does nothing"

    answer = kernel.ok("%session rerun --stale")
    assert "other 5\nlate 30" in answer.stdout
    assert "Stale now: step 7" in answer.text
    assert kernel.evaluate("[rows, total, other, double, late, items]") == (
        [[5], 30, 5, 60, 31, [30, 5]]
    )
    assert kernel.evaluate("alias is items and before is untouched")
    assert kernel.evaluate("drawn") == drawn
    assert kernel.evaluate("mixed - 27") == pytest.approx(mixed), "with the random number it had"
    assert kernel.evaluate("Out[3]") == 30, "where the next cell that asks for it looks"

    new = steps_of(home, kernel)[len(CELLS) :]
    assert [step.rerun_of for step in new] == order
    assert [step.source for step in new] == [CELLS[number - 1] for number in order]
    assert [step.cell_id for step in new] == [f"cell-{number}" for number in order]
    assert [str(step.outcome) for step in new] == ["ok"] * len(order)
    assert new[0].provenance.files[0].path == str(home.work / "a.txt")
    assert new[1].events[0]["output"]["data"]["text/plain"] == "30"
    assert new[5].events[0]["output"]["text"] == "late 30\n"
    assert set(new[4].provenance.lineage.read) == {"_3"}, "the output that it used then"
    assert all(step.provenance.exact for step in new)


def effects_only_when_asked_for(kernel, home):
    """Then the file is written, and nothing is stale any more."""
    out = home.work / "out.txt"
    assert out.read_text() == "4"
    refused = said(kernel, "rerun 7")
    assert refused["plan"] == []
    assert refused["blocked"][0]["step"] == 7
    assert out.read_text() == "4"
    done = said(kernel, "rerun --stale --replay=all")
    assert [item["rerun_of"] for item in done["reran"]] == [7]
    assert done["stale"] == []
    assert out.read_text() == "31"
    assert "No step is stale." in kernel.ok("%session rerun --stale").text


def a_step_by_its_number_with_what_it_needs(kernel):
    """And what is current is not run again."""
    kernel.ok("base = 1", cell_id="base")
    kernel.ok("grown = base + 1\ngrown", cell_id="grown")
    number = said(kernel, "needs grown")["steps"][-1]["step"]
    kernel.ok("base = 10", cell_id="base")
    done = said(kernel, f"rerun {number}")
    assert [item["rerun_of"] for item in done["reran"]] == [number]
    assert kernel.evaluate("grown") == 11


def a_failing_step_ends_it_and_nothing_is_lost(kernel, home):
    """It says what was not run, and leads back."""
    kernel.ok("print('read', int(open('a.txt').readline()))\nfirst = int(open('a.txt').readline())")
    kernel.ok("second = first + 1")
    (home.work / "a.txt").write_text("no number\n")
    answer = kernel.ok("%session rerun --stale")
    assert "stopped at step 15: ValueError: invalid literal" in answer.text
    assert answer.error.startswith("ValueError")
    assert "Not run again: step" in answer.text
    last = steps_of(home, kernel)[-1]
    assert (str(last.outcome), last.error.ename, last.rerun_of) == ("error", "ValueError", 15)
    assert kernel.evaluate("second") == 11
    (home.work / "a.txt").write_text("7\n")
    done = said(kernel, "rerun --stale")
    assert done["failed"] is None
    assert kernel.evaluate("[total, first, second, items]") == [7, 7, 8, [7, 5]]


def test_steps_run_again_in_their_kernel(kernel, home):
    """One story in one kernel: each part goes on where the one before it ended, so that they are
    no tests of their own, which may run anywhere and in any order.
    """
    a_changed_file_and_all_that_rests_on_it(kernel, home)
    effects_only_when_asked_for(kernel, home)
    a_step_by_its_number_with_what_it_needs(kernel)
    a_failing_step_ends_it_and_nothing_is_lost(kernel, home)


def test_what_cannot_be_asked_for(kernel):
    """Each with the way out."""
    assert "--stale, or their numbers" in kernel.run("%session rerun").stderr
    assert "not on this branch" in kernel.run("%session rerun 999").stderr
    assert "in a cell of its own" in kernel.run("here = 1\n%session rerun 1").stderr
    assert "safe or all" in kernel.run("%session rerun 1 --replay=none").stderr

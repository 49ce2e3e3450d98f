"""What a real kernel writes into the log about each cell's reads and writes."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest
from integration.kernels import Home, Kernel

import ipysession

pytestmark = pytest.mark.integration


class Cell(NamedTuple):
    """A cell, and what its ``step.finished`` and ``step.effects`` must say."""

    source: str
    bound: set[str] = frozenset()
    reads: set[str] = frozenset()
    read: dict[str, str] | None = None
    """Of the lineage, as are the next two; None where ``bound`` and ``reads`` say it all."""
    made: dict[str, str] = {}  # noqa: RUF012 - a NamedTuple's default, never changed
    changed: dict[str, str] = {}  # noqa: RUF012
    deleted: set[str] = frozenset()
    needs: set[int] = frozenset()
    """The steps that it rests on at first hand."""


CELLS = (
    Cell("x = [3, 1, 2]\ny = 5", {"x", "y"}),  # 1
    Cell("def total(): return sum(x) + y", {"total"}),
    Cell(
        "total()", {"_4"}, {"total", "x", "y"},
        {"total": "code", "x": "calls", "y": "calls"}, {"_4": "code"}, needs={1, 2},
    ),
    Cell(
        "x.append(y)", set(), {"x", "y"},
        {"x": "code", "y": "code"}, {}, {"x": "value"}, needs={1},
    ),
    Cell("alias = x", {"alias"}, {"x"}, needs={4}),  # 5
    Cell(
        "def grow(items):\n    items.append(0)\ngrow(alias)", {"grow"}, {"alias"},
        {"alias": "code"}, {"grow": "code"}, {"alias": "value", "x": "value"}, needs={4, 5},
    ),
    Cell(
        "alias.sort()", set(), {"alias"},
        {"alias": "code"}, {}, {"alias": "value", "x": "value"}, needs={6},
    ),
    Cell("lonely = {'a': 1}", {"lonely"}),
    Cell(
        "lonely['b'] = 2", set(), set(),
        {"lonely[*]": "code"}, {}, {"lonely['b']": "value", "lonely[*]": "value"}, needs={8},
    ),
    Cell(
        "lonely['a']", {"_11"}, set(), {"lonely['a']": "code"}, {"_11": "code"}, needs={8}
    ),  # 10
    Cell(
        "import random\nrandom.seed(1)", {"random"}, set(),
        {}, {"random": "code", "random:python": "hidden"},
    ),
    Cell(
        "drawn = random.random()", {"drawn"}, {"random"},
        {"random": "code", "random:python": "hidden"}, {"drawn": "code"},
        {"random:python": "hidden"}, needs={11},
    ),
    Cell("open('in.txt').read()", {"_14"}, set(), {"in.txt": "effects"}, {"_14": "code"}),
    Cell(
        "n = open('out.txt', 'w').write(str(y))", {"n"}, {"y"},
        {"y": "code"}, {"n": "code", "out.txt": "effects"}, needs={1},
    ),
    Cell(
        "text = open('out.txt').read()", {"text"}, set(),
        {"out.txt": "effects"}, {"text": "code"}, needs={14},
    ),  # 15
    Cell("%time timed = y + 1", {"timed"}, {"y"}, needs={1}),
    Cell(
        "!echo $y > shell.txt", set(), {"y"}, {"y": "code"}, {"shell.txt": "folder"}, needs={1}
    ),
    Cell("import asyncio\nawait asyncio.sleep(0)\nlate = y", {"asyncio", "late"}, {"y"}, needs={1}),
    Cell("from IPython.display import display\ndisplay(x)", {"display"}, {"x"}, needs={7}),
    Cell("import matplotlib.pyplot as plt", {"plt"}),  # 20
    Cell("fig, ax = plt.subplots()\nax.plot([1, 2]);", {"fig", "ax"}, {"plt"}, needs={20}),
    Cell("_11", {"_23"}, {"_11"},
         {"_11": "code", "numbering:11": "code"}, {"_23": "code"}, needs=set(range(1, 11))),
    Cell("_", {"_24"}, {"_23"}, {"_23": "hidden"}, {"_24": "code"}, needs={22}),
    Cell("Out[4]", {"_25"}, {"_4"},
         {"_4": "code", "numbering:4": "code"}, {"_25": "code"}, needs={1, 2, 3}),
    Cell("gone = 1", {"gone"}),  # 25
    Cell("print('nothing to do with the others')"),
    Cell("del gone", set(), {"gone"}, deleted={"gone"}, needs={25}),
    Cell("import os\nos.environ['MODE'] = 'on'", {"os"}, set(),
         {}, {"os": "code", "environ:MODE": "effects"}),
    Cell("1 / 0"),
    Cell(
        "sorted(os.listdir())", {"_31"}, {"os"},
        {"os": "code", "out.txt": "effects", "shell.txt": "effects"}, {"_31": "code"},
        needs={14, 17, 28},
    ),  # 30
    Cell(
        "mode = os.environ['MODE']", {"mode"}, {"os"},
        {"os": "code", "environ:MODE": "hidden"}, {"mode": "code"}, needs={28},
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """The session in which all cells ran, as it stands in the log."""
    home = Home(tmp_path_factory.mktemp("lineage"))
    (home.work / "in.txt").write_text("in")
    with Kernel(home) as kernel:
        kernel.ok("%load_ext ipysession")
        for cell in CELLS:
            kernel.run(cell.source)
        said = kernel.ok("%session status --json").stdout
    return ipysession.open(str(home.store / "sessions" / json.loads(said)["session"]["id"]))


def _spelled(things, folder):
    return {text.replace(f"file:{folder}/", ""): by for text, by in things.items()}


def test_what_is_recorded_of_each_cell(opened):
    """To the letter, and nothing else."""
    folder = opened.session.runs[0].environment.cwd
    for number, cell in enumerate(CELLS, start=1):
        step = opened.session.step(number)
        assert step.source == cell.source
        told, lineage = step.provenance, step.provenance.lineage
        assert told.exact, cell
        assert (set(told.bound), set(told.deleted)) == (cell.bound, cell.deleted), cell
        assert set(told.reads) == cell.reads, cell
        if cell.read is None:
            assert lineage is None, cell
            continue
        assert lineage is not None, cell
        assert _spelled(lineage.read, folder) == cell.read, cell
        assert _spelled(lineage.made, folder) == cell.made, cell
        assert _spelled(lineage.changed, folder) == cell.changed, cell
        assert lineage.unsure == [], cell


def test_cells_that_have_nothing_to_do_with_one_another_are_not_linked(opened):
    """A kernel does things of its own around each cell: none of it ties cells together."""
    graph = opened.graph()
    found = {
        number: {edge.before for edge in graph.direct(number)}
        for number in range(1, len(CELLS) + 1)
    }
    assert found == {number: set(cell.needs) for number, cell in enumerate(CELLS, start=1)}


def test_what_the_outside_saw(opened):
    """Files with digests, and the command."""
    [use] = opened.session.step(13).provenance.files
    assert (use.action, use.size, len(use.digest)) == ("read", 2, 64)
    assert [use.action for use in opened.session.step(14).provenance.files] == ["written"]
    [command] = opened.session.step(17).provenance.processes
    assert command.command == "echo 5 > shell.txt"
    assert opened.session.step(28).provenance.environ_changed == ("MODE",)

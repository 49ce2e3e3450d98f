"""Cells that neither jump nor define anything are read in a shorter way, with the same result."""

import ast
import json
from pathlib import Path

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from ipysession.lineage import flow as flows


def _sources():
    folder = Path(__file__).parent
    for file in ("cases.json", "more_cases.json"):
        for case in json.loads((folder / file).read_text())["cases"]:
            yield from (execution["source"] for execution in case["executions"])


def _compiled(source):
    python = TransformerManager().transform_cell(source)
    return compile(python, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_shorter_way_says_the_same():
    """For each cell of all cases that it can read."""
    read = 0
    for source in _sources():
        try:
            cell = _compiled(source)
        except SyntaxError:  # some cases are about that
            continue
        flow = flows._straight_flow(cell)
        if flow is not None:
            read += 1
            assert flow == flows._CellReader(cell).flow(), source
    assert read > 400


@pytest.mark.parametrize(
    "source", ["for i in n: pass", "x = 1 if n else 2", "def f(): pass", "[i for i in n]"]
)
def test_it_leaves_what_is_not_straight_to_the_longer_way(source):
    """A name that is bound in one branch only is not surely bound."""
    assert flows._straight_flow(_compiled(source)) is None

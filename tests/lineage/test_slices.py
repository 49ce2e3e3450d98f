"""Slices of recorded sessions, each run again in a fresh interpreter and an empty folder."""

import json
from pathlib import Path

import pytest
from lineage import notebooks

pytestmark = pytest.mark.integration

_KEEP_MORE = {"alias_magic", "big_array_only_read"}
"""The cases that may keep a step which is not needed."""


def _cases(file):
    known = json.loads((Path(__file__).parent / file).read_text())["cases"]
    return [pytest.param(case, id=case["name"]) for case in known]


@pytest.fixture(scope="module")
def pool():
    """One process after another, each fresh."""
    with notebooks.pool(1) as pool:
        yield pool


@pytest.mark.parametrize("case", [*_cases("cases.json"), *_cases("more_cases.json")])
def test_slice(pool, case):
    """The last execution shows the same when only the steps that it needs are run, and no step
    is kept for nothing.
    """
    sources = [execution["source"] for execution in case["executions"]]
    ran = pool.submit(notebooks.recorded, sources).result(timeout=50)
    kept = [sources[number - 1] for number in ran.slice]
    again = pool.submit(notebooks.again, kept).result(timeout=50)
    assert again.shown[-1] == ran.shown[-1], f"kept {ran.slice}"
    surplus = set(ran.slice) - {*case["needed"], *case["harmless"]}
    assert not surplus or case["name"] in _KEEP_MORE

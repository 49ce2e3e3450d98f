"""docs/server.md says what there is, and nothing that there is not."""

import re
from pathlib import Path

import pytest

from ipysession.server.operations import OPERATIONS
from ipysession.server.problems import PROBLEMS, problem_type

PAGE = (Path(__file__).parents[2] / "docs" / "server.md").read_text(encoding="utf-8")
ERRORS = PAGE.split("## Errors")[1].split("## ")[0]


def test_every_operation_has_a_row():
    """And every row an operation."""
    there_are = [(operation.method.upper(), operation.path) for operation in OPERATIONS]
    rows = re.findall(r"^\| ([A-Z]+) \| `(.+?)` \|", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted(there_are)


@pytest.mark.parametrize("cls", PROBLEMS)
def test_every_type_of_problem_stands_beside_its_status(cls):
    """Programs rely on these."""
    name = problem_type(cls).removeprefix("urn:ipysession:problem:")
    (row,) = [line for line in ERRORS.splitlines() if f"`{name}`" in line]
    assert row.startswith(f"| {PROBLEMS[cls][0].value} |")

"""docs/server.md says what there is, and nothing that there is not."""

import inspect
import re
from pathlib import Path

import pytest

from ipysession.server import handlers
from ipysession.server.problems import PROBLEMS, problem_type

PAGE = (Path(__file__).parents[2] / "docs" / "server.md").read_text(encoding="utf-8")


def test_every_route_has_a_section():
    """And every section a route."""
    there_are = {
        f"{method.upper()} {path.replace('([^/]+)', '{id}')}"
        for path, handler, _ in handlers.routes("/", None, None)
        for method in ("get", "post", "put", "patch", "delete")
        if method in vars(handler)
    }
    assert set(re.findall(r"^## `(.+)`$", PAGE, re.MULTILINE)) == there_are


def test_every_parameter_has_a_row():
    """The page and the handler know the same query parameters."""
    source = inspect.getsource(handlers.SessionsHandler)
    asked = set(re.findall(r'get_query_arguments?\("(\w+)"', source))
    section = PAGE.split("## `GET /ipysession/api/sessions`")[1].split("## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == asked


@pytest.mark.parametrize("cls", PROBLEMS)
def test_every_type_of_problem_stands_beside_its_status(cls):
    """Programs rely on these."""
    name = problem_type(cls).removeprefix("urn:ipysession:problem:")
    (row,) = [line for line in PAGE.splitlines() if f"`{name}`" in line]
    assert row.startswith(f"| {PROBLEMS[cls][0].value} |")

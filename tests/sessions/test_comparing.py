"""Versions beside each other: of a cell, of a variable, two steps, two sessions."""

from __future__ import annotations

import base64
import pickle

import pytest

from ipysession.errors import InvalidRequest
from ipysession.model import payloads as p
from ipysession.report import to_html
from ipysession.sessions import Sessions


def shows(text):
    """Outputs of a step that prints."""
    return [{"output_type": "stream", "name": "stdout", "text": text}]


def save(recording, step, **values):
    """The checkpoint of a step."""
    for name, value in values.items():
        pickled = pickle.dumps({name: value})
        group = p.SavedGroup(
            names=[name],
            size=len(pickled),
            inline=base64.b64encode(pickled).decode(),
            types={name: type(value).__name__},
        )
        recording.append(p.CheckpointSaved(step=step, groups=[group]))


@pytest.fixture
def first(recording):
    """A cell that was edited twice and run four times; another that changed its value."""
    recording.step("x = 1\nprint(x)", ["x"], cell_id="a", outputs=shows("1\n"))
    save(recording, 1, x=1)
    recording.step("x = 1\nprnt(x)", ["x"], cell_id="a", error=("NameError", "prnt"))
    recording.step("x = [2]\nprint(x)", ["x"], cell_id="a", outputs=shows("[2]\n"))
    recording.step("x = [2]\nprint(x)", ["x"], cell_id="a", outputs=shows("[2]\n"))
    save(recording, 4, x=[2])
    recording.step("x.append(3)", [], ["x"], changed=["x"], cell_id="b")
    save(recording, 5, x=[2, 3])
    return recording


@pytest.fixture
def sessions(first):
    """The verbs over its store."""
    first.writer.log.sync()
    return Sessions(first.store)


def test_the_history_of_a_cell_tells_what_changed_and_what_came_out(first, sessions):
    """By its id, or by the number of any of its steps."""
    report = sessions.history("a", first.writer.id)
    versions = report.data["versions"]
    assert [version["step"] for version in versions] == [1, 2, 3, 4]
    assert [version["outcome"] for version in versions] == ["ok", "error", "ok", "ok"]
    assert "-print(x)\n+prnt(x)" in versions[1]["diff"]
    assert versions[3]["diff"] == ""
    assert versions[2]["outputs"][0]["text"] == "[2]\n"
    assert [row[3] for row in report.tables[0].rows] == ["first", "+1 −1", "+2 −2", "same"]
    assert report.headline.startswith("4 versions of cell a")
    assert sessions.history("2", first.writer.id).data["versions"] == versions


def test_the_history_of_a_name_is_what_made_and_changed_it(first, sessions):
    """Across cells."""
    report = sessions.history("x", first.writer.id)
    assert [version["step"] for version in report.data["versions"]] == [1, 2, 3, 4, 5]
    assert report.data["name"] == "x"


def test_without_a_cell_those_that_ran_again_are_told(first, sessions):
    """With how often, and in how many versions."""
    data = sessions.history(None, first.writer.id).data
    assert data["cells"] == [{"cell_id": "a", "steps": [1, 2, 3, 4], "texts": 3}]


@pytest.mark.parametrize("what", ["nothing", "99", "<b>"])
def test_an_unknown_cell_is_named(first, sessions, what):
    """With what to do instead."""
    with pytest.raises(InvalidRequest, match="has no cell, step or variable"):
        sessions.history(what, first.writer.id)


def test_two_steps_are_compared_in_all_that_they_are(first, sessions):
    """Sources, outputs, and the variables after each."""
    data = sessions.diff("1", "4", first.writer.id).data
    assert "-x = 1\n+x = [2]" in data["source"]
    assert "-[stdout] 1" in data["outputs"]
    assert "+[stdout] [2]" in data["outputs"]
    names = [(v["name"], v["left"].split("#")[0], v["right"].split("#")[0]) for v in
             data["variables"]]  # fmt: skip
    assert names == [("x", "int ", "list ")]
    assert data["environment"] == []
    same = sessions.diff("3", "4", first.writer.id)
    assert same.data["source"] == same.data["outputs"] == ""
    # Values that look alike are told apart by what was saved of them.
    changed = sessions.diff("4", "5", first.writer.id).data["variables"]
    assert [item["name"] for item in changed] == ["x"]
    assert changed[0]["left"] != changed[0]["right"]


def test_two_sessions_are_compared(new_recording, first, sessions):
    """Cells by their text, in order; outputs of equal cells; variables; environment."""
    other = new_recording()
    other.new_run(python="3.12.0", packages={"numpy": "2.1"})
    other.step("x = 1\nprint(x)", ["x"], cell_id="a", outputs=shows("one\n"))
    other.step("y = 1", ["y"], cell_id="z")
    other.writer.log.sync()
    report = sessions.diff(first.writer.id, other.writer.id)
    cells = report.data["cells"]
    assert (cells[0]["kind"], cells[0]["left"], cells[0]["right"]) == ("same", 1, 1)
    assert "+[stdout] one" in cells[0]["outputs"]
    assert {(c["kind"], c["right"]) for c in cells[1:]} == {("changed", 2), ("removed", None)}
    assert [v["name"] for v in report.data["variables"]] == ["x", "y"]
    assert {"what": "Python", "then": "3.11.7", "now": "3.12.0"} in report.data["environment"]
    assert {"what": "package numpy", "then": "2.0", "now": "2.1"} in report.data["environment"]
    with pytest.raises(InvalidRequest, match="the same session twice"):
        sessions.diff(first.writer.id, first.writer.id)
    with pytest.raises(InvalidRequest, match="compare two sessions without it"):
        sessions.diff(first.writer.id, other.writer.id, first.writer.id)


def test_what_was_recorded_is_never_markup(recording):
    """Neither sources, nor outputs, nor ids of cells."""
    bad = "<script>alert(1)</script>"
    recording.step(f"# {bad}\nx = 1", ["x"], cell_id=bad, outputs=shows(bad))
    recording.step(f"# {bad}{bad}\nx = 2", ["x"], cell_id=bad, outputs=shows(bad))
    recording.writer.log.sync()
    sessions = Sessions(recording.store)
    name = recording.writer.id
    reports = (
        sessions.history(bad, name), sessions.history(None, name), sessions.diff("1", "2", name)
    )  # fmt: skip
    for report in reports:
        assert "<script" not in to_html(report)

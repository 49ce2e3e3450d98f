"""The verbs over the graph of steps, and the graph drawn."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET

import pytest

import ipysession.sessions.lineage as verbs
from ipysession.checkpoint.growing import grow
from ipysession.errors import InvalidRequest
from ipysession.export import ExportOptions, export_session
from ipysession.model import payloads as p
from ipysession.report import to_html, to_text
from ipysession.sessions import Sessions
from ipysession.sessions.drawing import DRAWINGS

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def sessions(recording):
    """The verbs over a session of five steps, one of which failed."""
    recording.step("x = [1]", ["x"], cell_id="a")
    recording.step("x.append(2)", reads=["x"], changed=["x"], cell_id="b")
    recording.step("y = sum(x)", ["y"], ["x"], cell_id="c")
    recording.step("z = 1", ["z"], cell_id="d")
    recording.step("y / 0", reads=["y"], error=("ZeroDivisionError", "no"), cell_id="e")
    recording.writer.log.sync()
    return Sessions(recording.store)


def numbers(report):
    """The steps that a report lists."""
    return [step["step"] for step in report.data["steps"]]


def test_needs_of_a_name_and_of_a_step(sessions):
    """In order, each with what it uses of which."""
    report = sessions.needs("y")
    assert report.headline == "y needs 3 steps"
    assert numbers(report) == [1, 2, 3]
    assert report.data["steps"][2]["needs"] == [{"step": 2, "names": ["x"]}]
    assert "2 (x)" in to_text(report)
    assert numbers(sessions.needs("x", at=1)) == [1]
    assert numbers(sessions.needs("5")) == [1, 2, 3, 5]
    assert sessions.needs("z").headline == "z needs 1 step"


def test_uses_of_a_name_and_of_a_step(sessions):
    """Whoever rests on it, at any remove."""
    assert numbers(sessions.uses("1")) == [2, 3, 5]
    assert numbers(sessions.uses("y")) == [5]
    assert sessions.uses("y").headline == "1 step rests on y"
    assert sessions.uses("z").headline == "0 steps rest on z"


@pytest.mark.parametrize("verb", ["needs", "uses"])
def test_what_no_step_made_is_said(sessions, verb):
    """And so is a step that is not there."""
    with pytest.raises(InvalidRequest, match="no step of this branch made 'nothing'"):
        getattr(sessions, verb)("nothing")
    with pytest.raises(InvalidRequest, match="step 9 is not on this branch"):
        getattr(sessions, verb)("9")


def test_stale_says_why(sessions, recording, tmp_path):
    """A cell that ran again, a file that changed."""
    assert sessions.stale().headline == "No step is stale."
    path = tmp_path / "in.csv"
    path.write_text("1")
    files = [{"path": str(path), "size": 7}]
    recording.step("x = [9]", ["x"], cell_id="a", effects={"files": files})
    report = sessions.stale()
    assert [step["step"] for step in report.data["stale"]] == [2, 3, 5, 6]
    reasons = {step["step"]: step["reasons"] for step in report.data["stale"]}
    assert reasons[2] == ["step 1 made x, and ran again as step 6"]
    assert reasons[6] == [f"{path} changed since"]
    assert report.headline == "4 steps stale"
    assert "which is stale" in to_text(report)


def test_the_graph_in_all_forms(sessions):
    """The same steps and edges, in the words of each format."""
    report = sessions.graph(names=["y"])
    assert [step["marked"] for step in report.data["steps"]] == [True, True, True, False, False]
    pairs = [(edge["source"], edge["target"]) for edge in report.data["edges"]]
    assert pairs == [(1, 2), (2, 3), (3, 5)]
    assert json.loads(sessions.graph(form="json").text)["edges"] == report.data["edges"]
    dot = sessions.graph(form="dot").text
    assert re.findall(r"s(\d) -> s(\d)", dot) == [(str(a), str(b)) for a, b in pairs]
    mermaid = sessions.graph(form="mermaid").text
    assert mermaid.startswith("flowchart TD\n")
    assert re.findall(r's(\d) -->\|"x"\| s(\d)', mermaid) == [("1", "2"), ("2", "3")]
    drawn = ET.fromstring(sessions.graph(names=["y"], form="svg").text)
    assert len(drawn.findall(f"{SVG}circle")) == 5
    assert [path.findtext(f"{SVG}title") for path in drawn.findall(f"{SVG}path")] == [
        "step 2 uses x of step 1", "step 3 uses x of step 2", "step 5 uses y of step 3",
    ]  # fmt: skip
    bold = [text.text for text in drawn.findall(f"{SVG}text") if text.get("font-weight")]
    assert [label.split()[0] for label in bold] == ["1", "2", "3"]
    assert len({circle.get("fill") for circle in drawn.findall(f"{SVG}circle")}) == 2
    with pytest.raises(InvalidRequest, match="no format 'png'; known: dot, mermaid, svg, json"):
        sessions.graph(form="png")


def test_a_notebook_shows_the_picture_and_a_terminal_the_table(sessions):
    """Of the same answer."""
    report = sessions.graph()
    assert "<svg" in to_html(report)
    assert "<table" not in to_html(report)
    assert "<svg" not in to_text(report)
    assert re.search(r"3\s+2\s+ok\s+y = sum\(x\)", to_text(report))


def test_of_many_steps_the_newest_are_drawn(sessions, monkeypatch):
    """And it is said that there are more; the data hold all."""
    monkeypatch.setattr(verbs, "_MOST_DRAWN", 2)
    report = sessions.graph()
    assert report.hint == "3 earlier steps not shown"
    assert len(ET.fromstring(report.picture).findall(f"{SVG}circle")) == 2
    assert numbers(report) == [1, 2, 3, 4, 5]


NASTY = [
    "<script>alert(1)</script> & \"quoted\" 'too'",
    'a"]; evil -> graph [label="',
    'x = "\\"  # trailing backslash \\',
    'end"] --> B:::ok %% `md` #35; | pipe | ; {} click A "javascript:alert(1)"',
    "\x1b[31mred\x1b[0m \x00 and \u202e turned, 表 🦆",
]


@pytest.mark.parametrize("title", NASTY)
def test_recorded_text_is_only_ever_a_label(title):
    """Whatever a cell or a key holds."""
    step = {"step": 1, "title": title, "outcome": "ok", "stale": False, "marked": False}
    document = {
        "steps": [step, {**step, "step": 2}],
        "edges": [{"source": 1, "target": 2, "names": [f"d[{title!r}]"]}],
    }
    drawn = ET.fromstring(DRAWINGS["svg"](document))
    assert {element.tag.removeprefix(SVG) for element in drawn.iter()} == {
        "svg", "title", "path", "circle", "text",
    }  # fmt: skip
    label = drawn.find(f"{SVG}text").text
    assert label.startswith("1  ")
    assert "\x1b" not in label

    quoted = r'"(?:[^"\\]|\\.)*"'
    statement = rf"  s\d (?:-> s\d )?\[label={quoted}(?:, color={quoted})?\];"
    first, kind, *statements, last = DRAWINGS["dot"](document).split("\n")
    assert (first, last) == ("digraph session {", "}")
    assert kind.strip().startswith("rankdir")
    assert len(statements) == 3
    assert all(re.fullmatch(statement, line) for line in statements), statements

    first, *lines = DRAWINGS["mermaid"](document).split("\n")
    assert first == "flowchart TD"
    safe = r'"[^"`<>|{}%;\\]*"'
    entities = [re.sub(r"#\d+;", "", line) for line in lines if not line.startswith("  classDef")]
    forms = rf"  s\d\[{safe}\]:::ok|  s1 -->\|{safe}\| s2"
    assert all(re.fullmatch(forms, line) for line in entities), entities


def test_an_empty_session_has_an_empty_picture(recording):
    """Nothing crashes."""
    recording.writer.log.sync()
    sessions = Sessions(recording.store)
    assert sessions.graph().headline.endswith(": 0 steps, 0 edges")
    ET.fromstring(sessions.graph(form="svg").text)
    assert sessions.stale().headline == "No step is stale."


def test_what_a_log_says_wrongly_is_reported_with_its_path(recording):
    """A cycle, a missing step, a step that rests on itself; by each verb, and nothing crashes."""
    for number, parent in enumerate([3, 1, 2, 4, 99], start=1):
        recording.append(p.StepStarted(step=number, source=f"x = {number}", parent=parent))
        recording.append(
            p.StepFinished(step=number, outcome="ok", duration=0, bound=["x"], exact=True)
        )
    recording.writer.log.sync()
    sessions = Sessions(recording.store)
    wrong = {
        "a cycle: step 1 → step 3 → step 2 → step 1",
        "a step that depends on itself: step 4 → step 4",
        "a missing step: step 5 → step 99, which the log does not hold",
    }
    for report in (sessions.needs("x"), sessions.uses("x"), sessions.stale(), sessions.graph()):
        assert set(report.data["problems"]) == wrong
        assert "The log has a cycle: step 1 → step 3 → step 2 → step 1." in to_text(report)


def test_a_session_that_grew_from_another_holds_what_it_stands_on(sessions, recording):
    """Also where that one is deleted: it is asked, and exported, by itself."""
    reading = recording.read()
    new = grow(sessions.store, reading, 3)
    recording.close()
    sessions.store.delete(reading.session.id)
    assert numbers(sessions.needs("y", new)) == [1, 2, 3]
    assert numbers(sessions.uses("x", new)) == [2, 3]
    grown = sessions.read(new)
    path = recording.work / "out.ipynb"
    assert export_session(grown, path).kept == (1, 2, 3)
    parent = json.loads(path.read_text("utf-8"))["metadata"]["ipysession"]["parent"]
    assert parent == {"session": reading.session.id, "step": 3}
    export_session(grown, path.with_name("out.prov.json"), ExportOptions(format="prov"))
    told = json.loads(path.with_name("out.prov.json").read_text("utf-8"))["activity"]
    assert {step["s:recordedIn"] for step in told.values()} == {reading.session.id}


def test_an_export_names_the_input_files_that_changed(recording):
    """Those that its cells read, and no others."""
    there, gone = recording.work / "in.csv", recording.work / "gone.csv"
    there.write_text("1")
    for name, path, size in (("a", there, 1), ("b", gone, 1), ("noise", there, 9)):
        use = {"path": str(path), "size": size}
        recording.step(f"{name} = open({str(path)!r}).read()", [name], effects={"files": [use]})
    recording.step("noise = 1", ["noise"])
    recording.writer.log.sync()
    report = Sessions(recording.store).export(output=str(recording.work / "out.ipynb"))
    assert report.data["changed_inputs"] == [str(gone)]
    assert f"Changed since its cells read it: {gone}." in to_text(report)

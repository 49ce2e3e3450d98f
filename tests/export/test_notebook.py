"""The notebook that an export makes: valid whatever was recorded, and honest about it."""

from __future__ import annotations

import json
import sys
from subprocess import run

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipysession.export import ExportOptions, build_notebook, nb
from ipysession.export.nb import write
from ipysession.model import Outcome
from ipysession.model import payloads as p


def stream(text, name="stdout"):
    """An output event's output: text that was printed."""
    return {"output_type": "stream", "name": name, "text": text}


def display(data, **more):
    """A display of data, by mime type."""
    return {"output_type": "display_data", "data": data, "metadata": {}, **more}


def built(recording, notebook=None, **options):
    """The notebook of a recording, after it went through a file as Jupyter reads it."""
    made = build_notebook(recording.read(), ExportOptions(**options), notebook)
    text = write(made)
    json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
    again = nbformat.reads(text.encode("utf-8").decode("utf-8"), as_version=4)
    nbformat.validate(again)
    assert again == made
    return made


def code(notebook):
    """The code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def sources(notebook):
    """The text of every cell."""
    return [cell.source for cell in notebook.cells]


def test_a_cell_holds_what_was_recorded(recording):
    """Source, outputs, execution count and id, and where they came from."""
    recording.step(
        "%session note hello\nprint(x)",
        ["y"],
        ["x"],
        cell_id="a1",
        outputs=[stream("1\n")],
        execution_count=7,
    )
    recording.append(p.SessionTitled(title="Flights"))
    made = built(recording)
    (cell,) = made.cells
    assert (cell.id, cell.source, cell.execution_count) == ("a1", "print(x)", 7)
    assert cell.outputs == [{"output_type": "stream", "name": "stdout", "text": "1\n"}]
    origin = cell.metadata.ipysession
    assert origin.session == recording.writer.id
    assert (origin.step, origin.run, origin.duration, origin.execution_count) == (1, 1, 0.25, 7)
    assert (origin.outcome, origin.removed) == ("ok", ["%session note hello"])
    about = made.metadata.ipysession
    assert (about.title, about.steps, about.dropped) == ("Flights", [1], [])
    assert about.environment.packages == {"numpy": "2.0"}
    assert about.environment.python == "3.11.7"
    assert about.outputs == "recorded"
    assert about.verified.verified is False
    assert made.metadata.kernelspec.name == "python3"
    assert made.metadata.language_info.version == "3.11.7"
    assert (made.nbformat, made.nbformat_minor) == (4, 5)


def test_a_kept_failure_may_raise(recording):
    """So that a run of the notebook goes on after it; other cells must not fail unseen."""
    recording.step("1 / 0", error=("ZeroDivisionError", "division by zero"))
    recording.step("x = 1", ["x"])
    recording.step("wait()", outcome=Outcome.INTERRUPTED)
    made = built(recording, all=True)
    assert [cell.metadata.get("tags") for cell in made.cells] == [
        ["raises-exception"],
        None,
        ["raises-exception"],
    ]
    assert [cell.metadata.ipysession.outcome for cell in made.cells] == [
        "error",
        "ok",
        "interrupted",
    ]


def test_the_reason_of_each_dropped_step_is_in_the_metadata(recording):
    """Nobody has to guess why a cell is missing."""
    recording.step("x = 1", ["x"], cell_id="a")
    recording.step("x = 2", ["x"], cell_id="a")
    dropped = built(recording).metadata.ipysession.dropped
    said = "step 2 ran the same cell again, and nothing that stays needs what it did"
    assert dropped == [{"step": 1, "reason": said}]


def test_the_file_is_as_nbformat_writes_it(recording):
    """Byte for byte: our writer is only quicker."""
    rich = {"text/plain": "a\nb\r\nc", "application/json": {"a": [1]}, "image/png": "iVBORw0KGgo="}
    recording.step("x = 'ä'\n\nx", ["x"], outputs=[stream("1\n2"), display(rich)])
    recording.note("# Note\nof two lines")
    made = built(recording)
    assert nb.write(made) == nbformat.writes(made, version=nbformat.NO_CONVERT)


def test_ids_stay_unique(recording):
    """A cell that is kept twice has its id once: the newest version has it."""
    recording.step("x = 1", ["x"], cell_id="same")
    recording.step("x = 2", ["x"], cell_id="same")
    recording.step("y = 2", ["y"], cell_id="not valid!")
    assert [cell.id for cell in built(recording, all=True).cells] == ["step-1", "same", "step-3"]


def test_an_update_of_a_display_reaches_its_cell(recording):
    """And the step that made it stays, so that a run of the notebook shows the same."""
    shown = {"event": "output", "output": display({"text/plain": "0 %"}), "display_id": "bar"}
    recording.step("bar = show()", ["bar"], cell_id="a", outputs=[shown])
    update = {
        "event": "update",
        "display_id": "bar",
        "data": {"text/plain": "100 %"},
        "metadata": {},
    }
    recording.step("x = 1", ["x"], cell_id="b", outputs=[update])
    recording.step("x = 2", ["x"], cell_id="b")
    made = built(recording)
    assert len(made.cells) == 3
    assert made.cells[0].outputs[0].data == {"text/plain": "100 %"}


def test_a_missing_blob_leaves_an_output_that_says_so(recording):
    """Never a crash, and never a picture that does not show."""
    big = "x" * 300_000
    recording.step("print(big)", outputs=[stream(big)])
    recording.step("plot()", outputs=[display({"image/png": big + "y", "text/plain": "<Figure>"})])
    recording.step(
        "table()", outputs=[display({"application/json": {str(i): "z" * 100 for i in range(3000)}})]
    )
    recording.close()
    blobs = list(recording.writer.folder.path.glob("blobs/*/*"))
    assert len(blobs) == 3
    assert [len(str(cell.outputs)) > 100_000 for cell in built(recording).cells] == [True] * 3
    for path in blobs:
        path.unlink()
    printed, picture, table = built(recording).cells
    assert "missing (blob" in printed.outputs[0].text
    assert set(picture.outputs[0].data) == {"text/plain"}
    assert picture.outputs[0].data["text/plain"].startswith("<Figure>\n[ipysession: ")
    assert "image/png" in picture.outputs[0].data["text/plain"]
    assert "missing (blob" in str(table.outputs)
    assert all(cell.metadata.ipysession.incomplete for cell in (printed, picture, table))


def test_a_damaged_blob_is_told_from_a_missing_one(recording):
    """The user looks for a missing file elsewhere, for a damaged one in a backup."""
    recording.step("print(big)", outputs=[stream("x" * 300_000)])
    recording.close()
    (blob,) = recording.writer.folder.path.glob("blobs/*/*")
    blob.chmod(0o600)
    blob.write_bytes(b"something else")
    assert "damaged (blob" in built(recording).cells[0].outputs[0].text


def test_what_json_and_utf8_cannot_hold_is_replaced_and_said(recording):
    """A notebook is read by programs that are strict."""
    recording.step(
        "x = '\udc80'",
        ["x"],
        outputs=[
            stream("a\ud800b"),
            display({"application/json": {"n": [float("nan"), float("inf"), 10**5000, 1.5]}}),
        ],
    )
    made = built(recording)
    (cell,) = made.cells
    assert cell.source == "x = '\ufffd'"
    assert cell.outputs[0].text == "a\ufffdb"
    numbers = cell.outputs[1].data["application/json"]["n"]
    assert numbers == [None, None, hex(10**5000), 1.5]
    assert made.metadata.ipysession.replaced == {
        "lone surrogates by U+FFFD": 2,
        "NaN and infinities by null": 2,
        "huge integers by their hexadecimal text": 1,
    }


def test_redaction_is_told(recording):
    """A reader should know that the source is not literally what ran."""
    recording.step("token = '[redacted]'", ["token"], redacted={"token": 1})
    assert built(recording).cells[0].metadata.ipysession.redacted == {"token": 1}


def test_notes_become_text_after_their_step(recording):
    """Also where the step itself is dropped."""
    recording.note("before all")
    recording.step("x = 1", ["x"], cell_id="a")
    recording.note("first try", 1)
    recording.step("x = 2", ["x"], cell_id="a")
    recording.step("y = x", ["y"], ["x"])
    recording.note("*good*", 2)
    made = built(recording)
    assert sources(made) == ["before all", "first try", "x = 2", "*good*", "y = x"]
    assert [cell.cell_type for cell in made.cells[:2]] == ["markdown", "markdown"]


# -- the notebook file -------------------------------------------------------------------


def save(path, *cells):
    """A notebook file; each cell is (kind, source, id?)."""
    made = nbformat.v4.new_notebook()
    for kind, source, *id_ in cells:
        new = getattr(nbformat.v4, f"new_{kind}_cell")
        made.cells.append(new(source, **({"id": id_[0]} if id_ else {})))
    nbformat.write(made, path)


def test_text_comes_from_the_notebook_file(new_recording):
    """Each piece once, before the code cell that follows it; what trails comes at the end."""
    recording = new_recording(notebook="study.ipynb")
    save(
        recording.work / "study.ipynb",
        ("markdown", "# Title", "t1"), ("raw", "raw", "t2"), ("code", "x = 1", "c1"),
        ("markdown", "## Never run"), ("code", "never", "c9"),
        ("markdown", "## Second"), ("code", "y = 2", "other-id"),
        ("markdown", "The end"),
    )  # fmt: skip
    recording.step("x = 1", ["x"], cell_id="c1")
    recording.step("print(x)", [], ["x"], cell_id="c5", outputs=[stream("1\n")])
    recording.step("y = 2", ["y"], cell_id="c2")
    made = built(recording)
    expected = [
        "# Title",
        "raw",
        "x = 1",
        "print(x)",
        "## Never run",
        "## Second",
        "y = 2",
        "The end",
    ]
    assert sources(made) == expected
    assert [cell.id for cell in made.cells[:3]] == ["t1", "t2", "c1"]
    assert made.metadata.ipysession.notebook.problem is None


def test_a_heading_comes_once_where_a_cell_is_kept_twice(new_recording):
    """Before the first run of the cell."""
    recording = new_recording(notebook="study.ipynb")
    save(recording.work / "study.ipynb", ("markdown", "## Count"), ("code", "n += 1", "c1"))
    recording.step("n = 0", ["n"], cell_id="c0")
    for _ in range(2):
        recording.step("n += 1", ["n"], ["n"], cell_id="c1")
    assert sources(built(recording)) == ["n = 0", "## Count", "n += 1", "n += 1"]


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        b'{"cells": 3}',
        b'{"nbformat": 4, "cells": [1, {}]}',
    ],
)
def test_an_unreadable_notebook_file_is_no_error(new_recording, content):
    """The log has the code; the metadata says that the text could not be had."""
    recording = new_recording(notebook="study.ipynb")
    if content is not None:
        (recording.work / "study.ipynb").write_bytes(content)
    recording.step("x = 1", ["x"])
    made = built(recording)
    assert sources(made) == ["x = 1"]
    assert str(recording.work / "study.ipynb") in made.metadata.ipysession.notebook.path


def test_the_file_can_be_named(recording, tmp_path):
    """Where it has moved since."""
    save(tmp_path / "moved.ipynb", ("markdown", "# Moved"), ("code", "x = 1"))
    recording.step("x = 1", ["x"])
    assert sources(built(recording, tmp_path / "moved.ipynb")) == ["# Moved", "x = 1"]


def test_attachments_and_odd_metadata_of_text_survive_or_go(recording, tmp_path):
    """What nbformat does not allow is left out, not handed on."""
    path = tmp_path / "odd.ipynb"
    cells = [
        {"cell_type": "markdown", "source": "a", "metadata": {"tags": ["x,y"]}},
        {"cell_type": "markdown", "source": ["![](p.png)"], "metadata": {"name": "n"},
         "attachments": {"p.png": {"image/png": "aGk="}}},
    ]  # fmt: skip
    path.write_text(
        json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells})
    )
    recording.step("x = 1", ["x"])
    _, first, second = built(recording, path).cells
    assert first.metadata == {}
    assert second.attachments == {"p.png": {"image/png": "aGk="}}
    assert second.metadata == {"name": "n"}


# -- whatever was recorded ----------------------------------------------------------------

TEXT = st.text(st.characters(codec=None), max_size=30)  # lone surrogates too
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
MIMES = st.sampled_from(["text/plain", "text/html", "image/png", "application/json", "x"]) | TEXT
OUTPUT = st.one_of(
    st.fixed_dictionaries({"output_type": st.just("stream"), "name": TEXT, "text": TEXT}),
    st.fixed_dictionaries(
        {
            "output_type": st.just("error"),
            "ename": TEXT,
            "evalue": TEXT,
            "traceback": st.lists(TEXT, max_size=2),
        }
    ),
    st.fixed_dictionaries(
        {
            "output_type": st.sampled_from(["display_data", "execute_result"]),
            "data": st.dictionaries(MIMES, JSON, max_size=3),
            "metadata": st.dictionaries(TEXT, JSON, max_size=2),
        },
        optional={"execution_count": JSON, "transient": JSON},
    ),
    st.dictionaries(st.sampled_from(["output_type", "data", "text", "name"]), JSON, max_size=3),
)
EVENT = st.one_of(
    st.fixed_dictionaries(
        {"event": st.just("output"), "output": OUTPUT}, optional={"display_id": st.just("d")}
    ),
    st.fixed_dictionaries(
        {"event": st.just("update"), "display_id": st.just("d")}, optional={"data": JSON}
    ),
    st.fixed_dictionaries({"event": st.just("clear"), "wait": st.booleans()}),
    st.fixed_dictionaries({"event": JSON}),
)
STEP = st.fixed_dictionaries(
    {
        "source": TEXT | st.sampled_from(["x = 1", "%session", "'''\n%session\n'''", "print(x)"]),
        "outcome": st.sampled_from([Outcome.OK, Outcome.ERROR, Outcome.INTERRUPTED, None]),
        "outputs": st.lists(EVENT, max_size=3),
        "bound": st.lists(st.sampled_from(["x", "y"]), max_size=2),
        "cell_id": st.none() | TEXT | st.sampled_from(["a", "b"]),
        "execution_count": st.none() | st.integers(-1, 9),
    }
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=100,
    deadline=None,
)
@given(st.lists(STEP, max_size=4), st.lists(TEXT, max_size=2), st.booleans())
def test_every_session_makes_a_valid_notebook(new_recording, steps, notes, everything):
    """Whatever sources and outputs were recorded: valid nbformat, valid JSON, valid UTF-8."""
    recording = new_recording()
    for step in steps:
        recording.step(**step)
    for note in notes:
        recording.note(note)
    try:
        made = built(recording, all=everything)
    finally:
        recording.close()
    assert len(code(made)) == len(made.metadata.ipysession.steps)


def test_a_damaged_session_is_exported_and_says_so(recording):
    """What can be read is worth having."""
    recording.step("x = 1", ["x"])
    recording.step("y = 2", ["y"])
    recording.close()
    (segment,) = recording.writer.folder.path.glob("log/*.jsonl")
    segment.chmod(0o600)
    segment.write_bytes(segment.read_bytes()[:-40])
    made = built(recording)
    assert made.metadata.ipysession.damage
    assert sources(made)[0] == "x = 1"


def test_a_living_session_can_be_exported(recording):
    """While its kernel runs, and in the middle of a step."""
    recording.step("x = 1", ["x"])
    recording.step("train()", outcome=None, outputs=[stream("epoch 1\n")])
    assert sources(built(recording)) == ["x = 1"]
    made = built(recording, all=True)
    assert sources(made) == ["x = 1", "train()"]
    assert made.cells[1].metadata.ipysession.outcome == "running"
    assert made.cells[1].metadata.get("tags") is None


def test_importing_the_export_starts_no_machinery():
    """It works in a shell without a kernel, and costs little there."""
    program = (
        "import sys, ipysession.export\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "print(loaded & {'IPython', 'tornado', 'zmq', 'jupyter_client', 'nbclient'})"
    )
    done = run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_cells_that_are_not_exported_keep_their_numbers_where_outputs_are_asked_for(recording):
    """``%load_ext ipysession`` was In [1]: without it ``_2`` would be ``_1``."""
    recording.step("40 + 2", ["_2"], execution_count=2)
    recording.step("x = []", ["x"], execution_count=4)
    recording.step(
        "x.append(_2)", reads=["_2", "x", "numbering:2"], changed=["x"], execution_count=6
    )
    made = code(built(recording, all=True))
    assert [cell.execution_count for cell in made] == [1, 2, 4, 6]
    assert "In [1] is not part" in made[0].source
    assert all(line.startswith("#") for line in made[0].source.splitlines())


def test_no_cell_stands_in_where_nobody_asks_for_an_output(recording):
    """The numbers of cells are of no account then."""
    recording.step("40 + 2", ["_2"], execution_count=2)
    recording.step("x = []", ["x"], execution_count=4)
    assert [cell.source for cell in code(built(recording, all=True))] == ["40 + 2", "x = []"]

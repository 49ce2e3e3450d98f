"""Notebooks and their sessions: what is recorded, what can be resumed, which outputs restored."""

import json
import os
import shutil
import time
from urllib.parse import quote

import nbformat
import pytest

from ipysession.model import payloads as p
from ipysession.model.provenance import Environment
from ipysession.store.trouble import TroubleNote

HOUR = 3600


@pytest.fixture
def notebook(jp_root_dir):
    """Writes a notebook file, by default one that was saved an hour ago."""

    def notebook(*cells, name="work.ipynb", age=HOUR):
        made = nbformat.v4.new_notebook()
        for number, (source, outputs) in enumerate(cells, start=1):
            cell = nbformat.v4.new_code_cell(source, outputs=outputs, id=f"cell-{number}")
            made.cells.append(cell)
        path = jp_root_dir / name
        nbformat.write(made, path)
        os.utime(path, (time.time() - age, time.time() - age))
        return str(path)

    return notebook


def shown(text):
    """The outputs of a cell that printed ``text``."""
    return [nbformat.v4.new_output("stream", name="stdout", text=text)]


class TestRestore:
    async def test_outputs_that_the_closed_page_never_got(self, fetch, record, notebook):
        """By cell id; each tells whether the cell is still what ran."""
        path = notebook(("print(1)", shown("1\n")), ("print(2)", []), ("print(30)", shown("3\n")))
        session_id = record(
            notebook=path, cells=[("print(1)", "1\n"), ("print(2)", "2\n"), ("print(4)", "4\n")]
        )
        answer = (await fetch("restore?path=work.ipynb")).document
        assert (answer["session"], answer["path"]) == (session_id, "work.ipynb")
        assert [
            (cell["cell_id"], cell["index"], cell["step"], cell["same_source"])
            for cell in answer["cells"]
        ] == [("cell-2", 1, 2, True), ("cell-3", 2, 3, False)]
        assert answer["cells"][0]["outputs"][0]["text"] == "2\n"
        assert (await fetch("notebook?path=work.ipynb")).document["restorable"] == 2

    async def test_a_file_that_was_saved_later_has_the_last_word(self, fetch, record, notebook):
        """Who cleared the outputs and saved meant it."""
        path = notebook(("print(1)", []), age=-HOUR)
        record(notebook=path, cells=[("print(1)", "1\n")])
        assert (await fetch("restore?path=work.ipynb")).document["cells"] == []

    async def test_the_newest_run_of_a_cell_counts_and_not_a_replay(self, fetch, store, notebook):
        """As it would have been shown last."""
        writer = store.create(p.SessionCreated(session="", title="t", notebook=notebook(("x", []))))
        writer.append(p.RunStarted(number=1, environment=Environment(python="3.13.1")))
        for step, text in enumerate(("old", "new", "replayed"), start=1):
            replay = 1 if text == "replayed" else None
            writer.append(p.StepStarted(step=step, source="x", cell_id="cell-1", replay_of=replay))
            event = {"event": "output", "output": shown(text)[0]}
            writer.append(p.StepOutput(step=step, events=[event]))
            writer.append(p.StepFinished(step=step, outcome="ok", duration=0.1))
        writer.append(p.StepStarted(step=4, source="x", cell_id="cell-1"))
        writer.close()
        (cell,) = (await fetch("restore?path=work.ipynb")).document["cells"]
        assert (cell["step"], cell["outputs"][0]["text"]) == (2, "new")

    async def test_a_secret_that_was_taken_out_makes_no_other_source(self, fetch, store, notebook):
        """Where it stood, any text may stand."""
        path = notebook(("key = 'abc'\nprint(1)", []))
        writer = store.create(p.SessionCreated(session="", title="t", notebook=path))
        writer.append(p.RunStarted(number=1, environment=Environment(python="3.13.1")))
        source = "key = '[redacted:token]'\nprint(1)"
        writer.append(p.StepStarted(step=1, source=source, cell_id="cell-1", redacted={"token": 1}))
        event = {"event": "output", "output": shown("1\n")[0]}
        writer.append(p.StepOutput(step=1, events=[event]))
        writer.append(p.StepFinished(step=1, outcome="ok", duration=0.1))
        writer.close()
        (cell,) = (await fetch("restore?path=work.ipynb")).document["cells"]
        assert cell["same_source"] is True

    async def test_cells_without_ids_are_found_by_their_source(self, fetch, record, jp_root_dir):
        """Where it is the only one of that source."""
        cells = [
            {"cell_type": "code", "source": [text], "outputs": [], "metadata": {}}
            | {"execution_count": None}
            for text in ("print(1)", "print(2)", "print(2)")
        ]
        path = jp_root_dir / "old.ipynb"
        path.write_text(
            json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4})
        )
        os.utime(path, (time.time() - HOUR,) * 2)
        record(notebook=str(path), cells=[("print(1)", "1\n"), ("print(2)", "2\n")])
        found = (await fetch("restore?path=old.ipynb")).document["cells"]
        assert [(cell["index"], cell["cell_id"]) for cell in found] == [(0, "cell-1")]

    @pytest.mark.parametrize("path", ["none.ipynb", "../x.ipynb", "sub", "a\0b", "%", "ü/ö.ipynb"])
    async def test_where_there_is_no_such_notebook_there_is_nothing(self, fetch, record, path):
        """No error either: a notebook may not be saved yet."""
        record()
        answer = await fetch(f"restore?path={quote(path)}")
        assert (answer.status, answer.document["cells"]) == (200, [])
        assert (await fetch(f"notebook?path={quote(path)}")).status == 200

    async def test_a_path_must_be_given(self, fetch):
        """In words."""
        answer = await fetch("restore")
        assert (answer.status, answer.document["detail"]) == (400, "path field required")


class TestNotebook:
    async def test_nothing_is_known_of_a_new_one(self, fetch, notebook):
        """Null and zero, not an error."""
        notebook(("1", []))
        answer = (await fetch("notebook?path=work.ipynb")).document
        assert answer == {
            "path": "work.ipynb",
            "kernel_id": None,
            "recording": None,
            "resumable": None,
            "restorable": 0,
            "offer_resume": "ask",
        }

    async def test_the_newest_session_is_offered_where_it_can_be_resumed(
        self, fetch, record, notebook
    ):
        """With what it would bring back, and how long that would take."""
        path = notebook(("x = 1", []))
        record("older", notebook=path)
        session_id = record("newer", notebook=path, state="running")
        record("another notebook's", notebook=path + "x.ipynb")
        offered = (await fetch("notebook?path=work.ipynb")).document["resumable"]
        assert (offered["session"], offered["state"]) == (session_id, "interrupted")
        assert (offered["steps"], offered["variables"], offered["title"]) == (1, 0, "newer")
        assert 0 < offered["seconds"] < 10
        assert 0 <= offered["age"] < 600

    async def test_what_a_kernel_records_now_and_that_the_disk_is_full(
        self, fetch, store, notebook, monkeypatch
    ):
        """A toolbar shows both."""
        path = notebook(("x = 1", []))
        created = p.SessionCreated(session="", title="live", notebook=path)
        writer = store.create(created)
        environment = Environment(python="3.13.1")
        writer.append(p.RunStarted(number=1, environment=environment, kernel_id="k-1"))
        writer.append(p.StepStarted(step=1, source="x = 1"))
        asked = "notebook?path=work.ipynb&kernel_id=k-1"
        recording = (await fetch(asked)).document["recording"]
        assert (recording["session"], recording["state"]) == (writer.id, "running")
        assert (recording["steps"], recording["busy"]) == (1, 1)
        assert recording["trouble"] is None
        TroubleNote(writer.folder.trouble_path).say("Disk quota exceeded")
        recording = (await fetch(asked)).document["recording"]
        assert recording["trouble"].startswith(
            "the session's log cannot be written: Disk quota exceeded. Records are kept"
        )
        TroubleNote(writer.folder.trouble_path).say(None)
        usage = shutil.disk_usage(store.path)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=4096))
        recording = (await fetch(asked)).document["recording"]
        assert recording["trouble"].startswith("the disk is full: 4.1 kB free")
        writer.close()
        assert (await fetch(asked)).document["recording"] is None

    @pytest.mark.parametrize("newest", [{"state": "completed"}, {"cells": ()}])
    async def test_what_was_closed_for_good_or_is_empty_hides_what_came_before(
        self, fetch, record, notebook, newest
    ):
        """Whoever began anew does not want the older one."""
        path = notebook(("x = 1", []))
        record("older", notebook=path)
        record("newest", notebook=path, **newest)
        assert (await fetch("notebook?path=work.ipynb")).document["resumable"] is None

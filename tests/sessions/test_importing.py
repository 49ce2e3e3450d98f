"""Importing: bundles of others and executed notebooks become sessions; nothing of them runs."""

from __future__ import annotations

import pickle
import zipfile

import nbformat
import pytest
from blake3 import blake3

from ipysession.errors import ImportRefused
from ipysession.export import ExportOptions, export_session
from ipysession.export.consent import needs_consent
from ipysession.export.saved import foreign_steps
from ipysession.model import Outcome, SessionState
from ipysession.model import payloads as p
from ipysession.sessions import Sessions
from ipysession.store import Store

OTHER_KEY = bytes(range(32, 64))


@pytest.fixture
def bundle(recording, tmp_path):
    """A bundle of a session that is still being recorded, with a value and an input file."""
    (recording.work / "in.txt").write_text("42")
    digest = blake3(b"42").hexdigest()
    effects = {"files": [{"path": "in.txt", "size": 2, "digest": digest}]}
    recording.step("v = open('in.txt').read()", ["v"], effects=effects)
    name = recording.writer.blobs.put(pickle.dumps({"v": "42"}))
    recording.append(
        p.CheckpointSaved(step=1, groups=[p.SavedGroup(names=["v"], size=10, blob=name)]),
    )
    recording.note("for you")
    return export_session(recording.read(), tmp_path / "shared.zip").path


def verbs(tmp_path, key=OTHER_KEY):
    """The verbs over the store of somebody else."""
    return Sessions(Store(tmp_path / "other-store", key=key))


def test_a_bundle_becomes_the_session_that_it_holds(recording, bundle, tmp_path):
    """With its id, steps, notes and input files; paused, and with its origin told."""
    sessions = verbs(tmp_path)
    report = sessions.import_file(str(bundle))
    assert report.data["session"] == recording.writer.id
    reading = sessions.read(recording.writer.id)
    assert reading.session.steps == recording.read().session.steps
    assert [note.text for note in reading.session.notes] == ["for you"]
    assert not reading.damage
    summary = reading.session.summary
    assert (summary.imported, summary.state) == ("shared.zip", SessionState.PAUSED)
    assert reading.blobs.get(blake3(b"42").hexdigest()) == b"42"
    assert (report.data["inputs"], report.data["state"]) == (1, "paused")


def test_a_bundle_of_others_is_not_trusted(recording, bundle, tmp_path):
    """Its records were not made with this user's key: nothing is unpickled or re-run unasked."""
    sessions = verbs(tmp_path)
    report = sessions.import_file(str(bundle))
    assert report.data["trusted"] is False
    assert "not trusted" in report.hint
    reading = sessions.read(recording.writer.id, verify=True)
    assert foreign_steps(reading) == {1}
    session = reading.session
    assert needs_consent(session, session.steps, {1}) == (1, "was not recorded by you")
    result = export_session(reading, tmp_path / "x.ipynb", ExportOptions(verify=True))
    assert result.verification.verdict == "not run"


def test_a_bundle_of_ones_own_is_trusted(recording, bundle, tmp_path):
    """On another machine with the same key; its input files come along."""
    sessions = verbs(tmp_path, recording.store.key())
    assert sessions.import_file(str(bundle)).data["trusted"] is True
    (recording.work / "in.txt").unlink()
    reading = sessions.read(recording.writer.id, verify=True)
    again = export_session(reading, tmp_path / "again.zip")
    with zipfile.ZipFile(again.path) as zipped:
        assert f"blobs/{blake3(b'42').hexdigest()}" in zipped.namelist()


def test_a_session_that_is_there_is_not_replaced(recording, bundle, tmp_path):
    """Neither the same one nor another that claims its id."""
    sessions = verbs(tmp_path)
    sessions.import_file(str(bundle))
    with pytest.raises(ImportRefused, match="already; to have the other one too"):
        sessions.import_file(str(bundle))
    assert len(sessions.store.ids()) == 1


def test_a_bundle_that_lies_leaves_nothing_behind(bundle, tmp_path):
    """Not a folder, not a file; also where the log is that of another session."""
    with zipfile.ZipFile(bundle) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    manifest = parts["manifest.json"].decode()
    session = manifest.split('"session": "')[1].split('"')[0]
    for change in ((session, session[:-6] + "zzzzzz"), ('"size": ', '"size": 1')):
        with zipfile.ZipFile(bundle, "w") as new:
            for name, data in {**parts, "manifest.json": manifest.replace(*change)}.items():
                new.writestr(name, data)
        with pytest.raises(ImportRefused):
            verbs(tmp_path).import_file(str(bundle))
    store = tmp_path / "other-store"
    assert [p for p in store.rglob("*") if p.is_file()] == []
    assert list((store / "sessions").iterdir()) == []


def executed(path, *cells, **metadata):
    """An executed notebook; cells are (source, count, outputs)."""
    made = nbformat.v4.new_notebook(metadata=metadata)
    made.cells.append(nbformat.v4.new_markdown_cell("# Title"))
    for source, count, outputs in cells:
        cell = nbformat.v4.new_code_cell(source, execution_count=count, outputs=outputs)
        made.cells.append(cell)
    nbformat.write(made, path)
    return str(path)


def test_an_executed_notebook_becomes_imported_steps(tmp_path):
    """In the order in which they ran, with outputs and failures, and marked."""
    failed = nbformat.v4.new_output("error", ename="ZeroDivisionError", evalue="no", traceback=[])
    printed = nbformat.v4.new_output("stream", name="stdout", text="2\n")
    path = executed(
        tmp_path / "study.ipynb",
        ("print(x + 1)", 2, [printed]),
        ("%time x = 1", 1, []),
        ("1 / 0", 3, [failed]),
        ("never", None, []),
        ("token = 'ghp_0123456789abcdefghijklmnopqrstuvwxyz'", 4, []),
        language_info={"name": "python", "version": "3.10.1"},
    )
    sessions = verbs(tmp_path)
    report = sessions.import_file(path)
    assert (report.data["steps"], report.data["not_run"]) == (4, 1)
    assert "1 cell had not run and was left out" in report.headline
    reading = sessions.read(report.data["session"], verify=True)
    session = reading.session
    assert [step.source for step in session.steps[:3]] == ["%time x = 1", "print(x + 1)", "1 / 0"]
    assert [step.outcome for step in session.steps[:3]] == [Outcome.OK, Outcome.OK, Outcome.ERROR]
    assert all(step.provenance.imported for step in session.steps)
    assert session.steps[1].provenance.reads == ("x",)
    assert "ghp_" not in session.steps[3].source
    assert session.summary.state is SessionState.PAUSED
    assert session.summary.imported == "study.ipynb"
    assert session.runs[0].environment.python == "3.10.1"
    assert not session.problems
    # Nobody's resume or verification runs somebody's cells unasked.
    plan = sessions.plan(reading)
    assert plan.replays == ()
    assert needs_consent(session, session.steps) == (1, "was not recorded by you")
    # An export has the headings of the file again.
    made = export_session(reading, tmp_path / "again.ipynb")
    again = nbformat.read(made.path, as_version=4)
    assert [c.source for c in again.cells if c.cell_type == "markdown"] == ["# Title"]
    code = [c.source for c in again.cells if c.cell_type == "code"]
    assert code[:2] == ["%time x = 1", "print(x + 1)"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.ipynb", b"no notebook", "cannot be read as a notebook"),
        ("x.ipynb", b"\xff\xfe", "cannot be read as a notebook"),
        ("x.ipynb", b'{"cells": 7, "nbformat": 4}', "cannot be read as a notebook"),
        ("x.zip", b"no zip", "cannot be read as a bundle"),
        ("x.py", b"x = 1", r"only bundles \(.zip\) and notebooks"),
        ("missing.zip", None, "is not a file"),
    ],
)
def test_what_cannot_be_imported_is_refused_in_a_sentence(tmp_path, name, content, said):
    """And makes no session."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    sessions = verbs(tmp_path)
    with pytest.raises(ImportRefused, match=said):
        sessions.import_file(str(tmp_path / name))
    assert sessions.store.ids() == []


def test_a_notebook_that_never_ran_is_refused(tmp_path):
    """There is nothing that could be a session."""
    path = executed(tmp_path / "new.ipynb", ("x = 1", None, []))
    with pytest.raises(ImportRefused, match="none of its cells has run"):
        verbs(tmp_path).import_file(path)

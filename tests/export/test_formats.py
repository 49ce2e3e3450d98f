"""The formats: each file holds the same selected steps, and other programs can read it."""

from __future__ import annotations

import ast
import json
import zipfile

import jupytext
import nbformat
import pytest
from prov.model import ProvDocument
from rocrate.rocrate import ROCrate

from ipysession.errors import ExportRefused, InvalidRequest
from ipysession.export import ExportOptions, export_session
from ipysession.export.formats import FORMATS

PICTURE = "iVBORw0KGgo="
MARKUP = (
    "<div onclick='boo()'>shown<script>stolen()</script>"
    "<style>td {}</style><table><thead><tr><th>head</th></tr></thead></table></div>"
)


@pytest.fixture
def reading(recording):
    """A superseded step, magics, markup, a picture, a failure, an input file, a note."""
    (recording.work / "in.txt").write_text("42")
    read = {"files": [{"path": "in.txt", "size": 2}], "packages": {"json": "2.0.9"}}
    recording.step("x = 1", ["x"], cell_id="a")
    recording.step("x = 2", ["x"], cell_id="a")
    recording.step("import json\nv = open('in.txt').read()", ["json", "v"], effects=read)
    rich = {"text/html": MARKUP, "text/plain": "as text", "application/javascript": "stolen()"}
    recording.step(
        "%time y = x\ny",
        ["y"],
        ["x"],
        outputs=[
            {"output_type": "execute_result", "data": rich, "metadata": {}},
            {"output_type": "display_data", "data": {"image/png": PICTURE}, "metadata": {}},
        ],
    )
    recording.step("!ls", outputs=[{"output_type": "stream", "name": "stdout", "text": "a.txt\n"}])
    recording.note("What we see.", step=3)
    return recording.read()


def exported(reading, folder, name, **options):
    """The file of an export."""
    return export_session(reading, folder / name, ExportOptions(**options)).path


def test_every_format_is_written_by_its_suffix_and_by_its_name(reading, tmp_path):
    """All of the same steps; a name without a suffix gets the right one."""
    for suffix, kind in FORMATS.items():
        by_suffix = export_session(reading, tmp_path / f"a{suffix}")
        by_name = export_session(reading, tmp_path / "b", ExportOptions(format=kind.name))
        assert by_suffix.kept == by_name.kept == (2, 3, 4, 5)
        assert by_name.path == tmp_path / f"b{suffix}"
        assert by_suffix.path.stat().st_size > 100
    assert not list(tmp_path.glob(".*")), "no temporary file stays"
    with pytest.raises(InvalidRequest, match="no format 'docx'; possible: notebook, script"):
        exported(reading, tmp_path, "c", format="docx")


def test_a_script_is_python_and_reads_back_as_the_same_cells(reading, tmp_path):
    """In percent format; magics are comments there, and cells again for jupytext."""
    text = exported(reading, tmp_path, "a.py").read_text()
    ast.parse(text)
    assert "not verified" in text
    again = jupytext.reads(text, fmt="py:percent")
    code = [cell.source for cell in again.cells if cell.cell_type == "code"]
    assert code == [
        "x = 2",
        "import json\nv = open('in.txt').read()",
        "%time y = x\ny",
        "!ls",
    ]
    assert "What we see." in [cell.source for cell in again.cells if cell.cell_type == "markdown"]


def test_a_page_of_text_shows_text_and_pictures_only(reading, tmp_path):
    """In one file: pictures are in it, recorded markup is not."""
    text = exported(reading, tmp_path, "a.md").read_text()
    assert f"data:image/png;base64,{PICTURE}" in text
    assert "as text" in text
    assert "a.txt" in text
    assert "What we see." in text
    assert "stolen" not in text
    assert "<div" not in text
    assert "Outputs are shown as they were recorded" in text


def test_a_web_page_shows_tables_and_runs_nothing_that_was_recorded(reading, tmp_path):
    """Markup that is harmless is shown; scripts, styles and handlers are gone."""
    text = exported(reading, tmp_path, "a.html").read_text()
    body = text[text.index("<body") :]
    assert "<th>head</th>" in body
    assert "shown" in body
    assert f"data:image/png;base64,{PICTURE}" in body
    assert "What we see." in body
    for harm in ("stolen", "boo()", "td {}", "<script"):
        assert harm not in body
    assert "Outputs are shown as they were recorded" in body


def test_prov_is_read_by_another_program(reading, tmp_path):
    """What each step used and made, in W3C's terms."""
    text = exported(reading, tmp_path, "a.prov.json", all=True).read_text()
    document = ProvDocument.deserialize(content=text, format="json")
    assert len(list(document.get_records())) > 20
    said = json.loads(text)
    assert set(said["activity"]) == {f"s:step/{number}" for number in range(1, 6)}
    made = {(r["prov:entity"], r["prov:activity"]) for r in said["wasGeneratedBy"].values()}
    assert ("s:variable/x/2", "s:step/2") in made
    used = {(r["prov:activity"], r["prov:entity"]) for r in said["used"].values()}
    assert ("s:step/4", "s:variable/x/2") in used
    assert ("s:step/3", "s:file/in.txt/3") in used
    revised = {
        (r["prov:generatedEntity"], r["prov:usedEntity"]) for r in said["wasDerivedFrom"].values()
    }
    assert ("s:variable/x/2", "s:variable/x/1") in revised
    informed = {(r["prov:informed"], r["prov:informant"]) for r in said["wasInformedBy"].values()}
    assert ("s:step/4", "s:step/2") in informed


def test_prov_tells_a_change_in_place_as_a_new_version(recording, tmp_path):
    """Whoever reads the name later used that one."""
    recording.step("x = []", ["x"])
    recording.step("x.append(1)", [], ["x"], changed=["x"])
    recording.step("y = x", ["y"], ["x"])
    said = json.loads(exported(recording.read(), tmp_path, "a.prov.json").read_text())
    used = {(r["prov:activity"], r["prov:entity"]) for r in said["used"].values()}
    assert ("s:step/3", "s:variable/x/2") in used
    assert ("s:step/2", "s:variable/x/1") in used


def test_an_ro_crate_is_read_by_another_program(reading, tmp_path):
    """Notebook, requirements, provenance and input file, each described."""
    path = exported(reading, tmp_path, "a.crate.zip")
    crate = ROCrate(path)
    assert crate.mainEntity.id == "notebook.ipynb"
    assert crate.name == "Test"
    assert {entity.id for entity in crate.data_entities} == {
        "notebook.ipynb",
        "provenance.prov.json",
        "requirements.txt",
        "inputs/1-in.txt",
    }
    with zipfile.ZipFile(path) as zipped:
        assert zipped.read("inputs/1-in.txt") == b"42"
        nbformat.validate(nbformat.reads(zipped.read("notebook.ipynb").decode(), as_version=4))


def test_requirements_are_what_the_code_imports(recording, tmp_path):
    """By the name to install, at the version that ran; the kernel's own packages are not."""
    packages = {"sklearn": "1.5.0", "zmq": "26.0", "odd": "not a version\n"}
    recording.new_run(packages=packages)
    recording.step("import sklearn.linear_model, odd, os", ["sklearn", "odd", "os"])
    recording.step("from numpy import array", ["array"], effects={"packages": {"numpy": "2.0"}})
    path = exported(recording.read(), tmp_path, "a.ipynb")
    about = nbformat.read(path, as_version=4).metadata.ipysession
    assert about.requirements == ["numpy==2.0", "scikit-learn==1.5.0"]
    assert about.environment.packages.zmq == "26.0"


def test_recorded_outputs_are_marked(reading, tmp_path):
    """They were not made by running this file."""
    made = nbformat.read(exported(reading, tmp_path, "a.ipynb"), as_version=4)
    marks = [c.metadata.ipysession.get("outputs") for c in made.cells if c.cell_type == "code"]
    assert marks == [None, None, "recorded", "recorded"]


def test_what_is_not_installed_is_named(reading, tmp_path, monkeypatch):
    """With how to install it; and no file is left."""
    monkeypatch.setitem(__import__("sys").modules, "nbconvert.exporters", None)
    with pytest.raises(ExportRefused, match="pip install nbconvert"):
        exported(reading, tmp_path, "a.md")
    assert not list(tmp_path.glob("a*"))

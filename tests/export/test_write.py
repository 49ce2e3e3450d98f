"""The file: where it goes, what it replaces, and that it is whole."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import nbformat
import pytest

from ipysession.errors import ExportRefused, InvalidRequest
from ipysession.export import ExportOptions, export_session
from ipysession.export import write as write_module


@pytest.fixture
def reading(recording):
    """A session of two steps, one of them superseded."""
    recording.step("x = 1", ["x"], cell_id="a")
    recording.step("x = 2", ["x"], cell_id="a")
    return recording.read()


def names(folder):
    """What lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder that is the current one."""
    path = tmp_path / "out"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


def test_the_result_says_what_was_written(reading, folder):
    """Path, kept and dropped steps; not verified, as nobody asked."""
    result = export_session(reading, folder / "clean.ipynb", ExportOptions())
    assert result.path == folder / "clean.ipynb"
    assert result.kept == (2,)
    assert [dropped.step for dropped in result.dropped] == [1]
    assert result.verification is None
    made = nbformat.read(result.path, as_version=4)
    nbformat.validate(made)
    assert made.metadata.ipysession.verified == {
        "verified": False,
        "why": "not checked; export with --verify to check it",
    }


@pytest.mark.parametrize(
    ("target", "written"),
    [
        ("clean", "clean.ipynb"),
        ("clean.ipynb", "clean.ipynb"),
        ("./a.IPYNB", "a.IPYNB"),
        (".x", ".x.ipynb"),
    ],
)
def test_names_are_completed(reading, folder, target, written):
    """A relative name is meant from the current folder, and the suffix may be left out."""
    assert export_session(reading, target).path == folder / written
    assert (folder / written).is_file()


def test_home_is_understood(reading, folder, monkeypatch):
    """``~`` works where no shell has replaced it."""
    monkeypatch.setenv("HOME", str(folder))
    assert export_session(reading, Path("~/clean")).path == folder / "clean.ipynb"


def test_a_file_is_not_overwritten_unasked(reading, folder):
    """The user's file may be worth more than the export."""
    (folder / "clean.ipynb").write_text("precious")
    with pytest.raises(ExportRefused, match=r"clean.ipynb exists; .*--force"):
        export_session(reading, "clean")
    assert (folder / "clean.ipynb").read_text() == "precious"
    export_session(reading, "clean", ExportOptions(force=True))
    assert nbformat.read(folder / "clean.ipynb", as_version=4)
    assert names(folder) == ["clean.ipynb"]


def test_a_file_that_appears_meanwhile_is_not_overwritten(reading, folder, monkeypatch):
    """Between the look and the writing, for example during a long verification."""

    def slow(*args, **kwargs):
        (folder / "clean.ipynb").write_text("precious")
        return assemble(*args, **kwargs)

    assemble = write_module.assemble
    monkeypatch.setattr(write_module, "assemble", slow)
    with pytest.raises(ExportRefused, match="exists"):
        export_session(reading, "clean")
    assert (folder / "clean.ipynb").read_text() == "precious"
    assert names(folder) == ["clean.ipynb"]


def test_a_link_is_written_through(reading, folder, tmp_path):
    """The file that a link points to is replaced, and the link stays."""
    (tmp_path / "real.ipynb").write_text("old")
    (folder / "link.ipynb").symlink_to(tmp_path / "real.ipynb")
    with pytest.raises(ExportRefused, match="exists"):
        export_session(reading, "link")
    export_session(reading, "link", ExportOptions(force=True))
    assert (folder / "link.ipynb").is_symlink()
    assert nbformat.read(tmp_path / "real.ipynb", as_version=4)


@pytest.mark.parametrize(
    ("target", "error", "said"),
    [
        ("clean.docx", InvalidRequest, r"'.docx'; possible: .ipynb \(a notebook\), .py"),
        ("missing/clean.ipynb", ExportRefused, "the folder .*missing does not exist; create it"),
        (".", ExportRefused, "is a folder; name a file in it"),
        ("sub/", ExportRefused, "is a folder; name a file in it"),
        ("", InvalidRequest, "not the name of a file"),
        ("a\0b", InvalidRequest, "not the name of a file"),
        ("x" * 300, ExportRefused, "cannot be written"),
        ("~nobody-of-this-name/x", InvalidRequest, "no such home folder"),
    ],
)
def test_a_target_that_cannot_be_is_refused(reading, folder, target, error, said):
    """With what to do instead, and nothing is left behind."""
    with pytest.raises(error, match=said):
        export_session(reading, target)
    assert names(folder) == []


def test_a_folder_that_cannot_be_written_is_named(reading, folder):
    """Not a traceback of ours."""
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    folder.chmod(0o500)
    with pytest.raises(ExportRefused, match="cannot be written: Permission denied"):
        export_session(reading, "clean")
    folder.chmod(0o700)


def test_an_empty_session_is_refused(new_recording, folder):
    """And one of which nothing is left says why."""
    recording = new_recording()
    with pytest.raises(ExportRefused, match="has no steps to export; run a cell first"):
        export_session(recording.read(), "clean")
    recording.step("%session list")
    with pytest.raises(ExportRefused, match="step 1: it holds only ipysession's own lines"):
        export_session(recording.read(), "clean")
    assert names(folder) == []


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_mode_follows_the_umask(reading, folder, umask, mode):
    """It is the user's own file, not a part of the store."""
    before = os.umask(umask)
    try:
        export_session(reading, "clean")
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "clean.ipynb").stat().st_mode) == mode


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_nothing_half_written_stays(reading, folder, monkeypatch, interrupt):
    """Neither after Ctrl-C nor on a full disk; the old file is as it was."""
    (folder / "clean.ipynb").write_text("old")

    def stop(descriptor):
        raise interrupt

    monkeypatch.setattr(os, "fsync", stop)
    expected = ExportRefused if isinstance(interrupt, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        export_session(reading, "clean", ExportOptions(force=True))
    assert names(folder) == ["clean.ipynb"]
    assert (folder / "clean.ipynb").read_text() == "old"

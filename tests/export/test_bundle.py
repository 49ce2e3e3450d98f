"""Bundles: whole sessions in one file, and no file can do harm by being read as one."""

from __future__ import annotations

import io
import json
import stat
import zipfile

import pytest
from blake3 import blake3

from ipysession.errors import ImportRefused
from ipysession.export import export_session
from ipysession.export.unbundle import Caps, open_bundle
from ipysession.store import SessionFolder

LARGE = "x" * 400_000


@pytest.fixture
def bundle(recording, tmp_path):
    """A bundle of a session with an output in a blob and an input file."""
    (recording.work / "in.txt").write_text("42")
    digest = blake3(b"42").hexdigest()
    effects = {"files": [{"path": "in.txt", "size": 2, "digest": digest}]}
    recording.step("v = open('in.txt').read()", ["v"], effects=effects)
    stream = {"output_type": "stream", "name": "stdout", "text": LARGE}
    recording.step("print('x' * 400_000)", outputs=[stream])
    # The store may keep a blob packed; a bundle holds what its name promises.
    recording.writer.blobs.put(b"packed " * 100_000)
    return export_session(recording.read(), tmp_path / "a.zip").path


@pytest.fixture
def folder(tmp_path):
    """An empty private folder."""
    path = tmp_path / "unpacked"
    path.mkdir(mode=0o700)
    return path


def rewritten(path, change, how=zipfile.ZIP_STORED):
    """The bundle with its parts changed: ``change`` gets and returns a dict of names to bytes,
    or of ZipInfo to bytes.
    """
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", how) as new:
        for name, data in change(parts).items():
            new.writestr(name, data)
    path.write_bytes(made.getvalue())
    return path


def refused(path, folder, said, caps=None):
    """Reading the bundle ends with this error, and nothing leaves the folder."""
    with pytest.raises(ImportRefused, match=said), open_bundle(path, caps) as bundle:
        bundle.unpack(folder)
    assert all(p.resolve().is_relative_to(folder.resolve()) for p in folder.rglob("*"))


def test_a_bundle_holds_the_whole_session(recording, bundle, folder):
    """Log, outputs and input files; unpacked, it is the same session."""
    with open_bundle(bundle) as opened:
        manifest = opened.manifest
        opened.unpack(folder)
    assert manifest.session == recording.read().session.id
    assert [(part.path, part.size) for part in manifest.inputs] == [("in.txt", 2)]
    assert manifest.left_out == ()
    again = SessionFolder(folder).read()
    assert again.session.steps == recording.read().session.steps
    assert not again.damage
    assert again.blobs.get(manifest.inputs[0].blake3) == b"42"
    assert again.blobs.get(blake3(b"packed " * 100_000).hexdigest()) == b"packed " * 100_000
    assert all(stat.S_IMODE(p.stat().st_mode) in (0o600, 0o700) for p in folder.rglob("*"))


def test_equal_sessions_make_equal_bundles(recording, bundle, tmp_path):
    """But for the time of the export, which the notebook tells."""
    again = export_session(recording.read(), tmp_path / "b.zip").path
    with zipfile.ZipFile(bundle) as one, zipfile.ZipFile(again) as other:
        assert one.namelist() == other.namelist()
        for name in one.namelist():
            if name != "notebook.ipynb":
                assert one.read(name) == other.read(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../evil", "which no bundle has"),
        ("/etc/passwd", "which no bundle has"),
        ("log/../../x.jsonl", "which no bundle has"),
        ("blobs/" + "a" * 63, "which no bundle has"),
        ("blobs/" + "A" * 64, "which no bundle has"),
        ("notes.txt", "which no bundle has"),
    ],
)
def test_names_that_no_bundle_has_are_refused(bundle, folder, name, said):
    """Before anything is unpacked."""
    refused(rewritten(bundle, lambda parts: {**parts, name: b"x"}), folder, said)
    assert list(folder.iterdir()) == []


def test_links_and_doubles_and_encrypted_parts_are_refused(bundle, folder):
    """A link could lead anything written later out of the folder."""
    link = zipfile.ZipInfo("blobs/" + "a" * 64)
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    before = bundle.read_bytes()
    refused(rewritten(bundle, lambda parts: {**parts, link: b"/etc"}), folder, "link or a device")
    bundle.write_bytes(before)
    double = zipfile.ZipInfo("manifest.json")
    with pytest.warns(UserWarning, match="Duplicate"):
        rewritten(bundle, lambda parts: {**parts, double: b"{}"})
    refused(bundle, folder, "twice")
    raw = bytearray(before)
    at = raw.rfind(b"PK\x01\x02")
    raw[at + 8] |= 1
    bundle.write_bytes(raw)
    refused(bundle, folder, "encrypted")


def test_bombs_are_refused(bundle, folder):
    """By count, by size, and by how much a part grows, whatever the file says of itself."""
    before = bundle.read_bytes()
    refused(bundle, folder, "parts, more than 3", Caps(parts=3))
    refused(bundle, folder, "larger when unpacked", Caps(bytes=1000))
    bomb = b"\0" * 50_000_000
    name = f"blobs/{blake3(bomb).hexdigest()}"
    rewritten(bundle, lambda parts: {name: bomb}, zipfile.ZIP_DEFLATED)
    refused(bundle, folder, "larger when unpacked")
    # The same, with a directory that lies about the size of a part that must be there.
    bundle.write_bytes(before)
    rewritten(bundle, lambda parts: {**parts, "manifest.json": bomb}, zipfile.ZIP_DEFLATED)
    raw = bytearray(bundle.read_bytes())
    at = raw.index(b"manifest.json", raw.index(b"PK\x01\x02")) - 46
    raw[at + 24 : at + 28] = (100).to_bytes(4, "little")
    bundle.write_bytes(raw)
    refused(bundle, folder, "cannot be unpacked|larger when unpacked|cannot be read")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: {**m, "session": "../evil"}, "manifest cannot be read"),
        (lambda m: {**m, "version": 99}, "reads 'ipysession-bundle' up to version 1"),
        (lambda m: {**m, "format": "other"}, "format 'other'"),
        (lambda m: {**m, "log": {}}, "holds no log"),
        (lambda m: {**m, "log": {"../../x.jsonl": {"size": 1, "blake3": "a" * 64}}}, "not in it"),
        (lambda m: {**m, "blobs": {"../" + "a" * 64: 1}}, "not in it"),
        (lambda m: {**m, "log": {"000001.jsonl": {"size": 1, "blake3": "a" * 64}}}, "damaged"),
        (lambda m: [], "manifest cannot be read"),
    ],
)
def test_a_manifest_that_lies_is_refused(bundle, folder, change, said):
    """What it promises must be there, with the hash that it says."""

    def change_manifest(parts):
        manifest = json.dumps(change(json.loads(parts["manifest.json"])))
        return {**parts, "manifest.json": manifest.encode()}

    refused(rewritten(bundle, change_manifest), folder, said)


def test_a_changed_part_is_refused(bundle, folder):
    """Every part is hashed while it is unpacked."""
    name = next(n for n in zipfile.ZipFile(bundle).namelist() if n.startswith("blobs/"))
    refused(rewritten(bundle, lambda parts: {**parts, name: b"other"}), folder, "damaged")


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all" * 100])
def test_what_is_no_zip_is_refused(tmp_path, folder, data):
    """With a sentence, not a traceback of zipfile's; and so is a zip of something else."""
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    refused(path, folder, "cannot be read as a bundle")
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr("requirements.txt", "x")
    refused(path, folder, "it has no manifest.json")


def test_a_link_to_a_bundle_is_refused(bundle, tmp_path, folder):
    """A name that somebody else can move is not the file that was meant."""
    link = tmp_path / "link.zip"
    link.symlink_to(bundle)
    refused(link, folder, "cannot be read as a bundle")

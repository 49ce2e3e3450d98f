"""Files and folders: private from their first moment, durable when we say so."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from log.logs import Disk

from ipysession.errors import StoreUnsafe, StoreUnusable
from ipysession.log import files


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestFolders:
    """Folders that only their owner can enter."""

    @pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
    def test_each_new_one_is_private(self, tmp_path, umask):
        """Also those above that were missing."""
        before = os.umask(umask)
        try:
            files.make_private_folder(tmp_path / "a" / "b" / "c")
        finally:
            os.umask(before)
        for made in ("a", "a/b", "a/b/c"):
            assert _mode(tmp_path / made) == 0o700

    def test_each_new_one_is_durable(self, tmp_path, monkeypatch):
        """A name is durable when the folder that holds it is synced."""
        disk = Disk(monkeypatch, tmp_path)
        files.make_private_folder(tmp_path / "a" / "b")
        assert disk.syncs == ["fsync", "fsync"]
        disk.calls.clear()
        files.make_private_folder(tmp_path / "a" / "b")
        assert disk.syncs == []

    def test_an_existing_one_is_taken_as_it_is(self, tmp_path):
        """If others cannot write it; nobody's modes are changed."""
        tmp_path.chmod(0o755)
        files.make_private_folder(tmp_path)
        assert _mode(tmp_path) == 0o755

    @pytest.mark.parametrize("mode", [0o770, 0o707, 0o722, 0o777])
    def test_one_that_others_can_write_is_refused(self, tmp_path, mode):
        """With the command that helps."""
        tmp_path.chmod(mode)
        with pytest.raises(StoreUnsafe, match=f"chmod 700 {tmp_path}"):
            files.make_private_folder(tmp_path)

    def test_another_users_is_refused(self, tmp_path, monkeypatch):
        """They could read or change what we write."""
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        with pytest.raises(StoreUnsafe, match="another user"):
            files.check_private_folder(tmp_path)

    def test_a_file_in_its_place(self, tmp_path):
        """The message says what to do."""
        (tmp_path / "f").touch()
        with pytest.raises(StoreUnusable, match="is not a folder; point IPYSESSION_STORE"):
            files.make_private_folder(tmp_path / "f")
        with pytest.raises(StoreUnusable, match="cannot be created"):
            files.make_private_folder(tmp_path / "f" / "g")
        with pytest.raises(StoreUnusable, match="cannot be read"):
            files.check_private_folder(tmp_path / "none")

    def test_a_link_to_nowhere(self, tmp_path):
        """It cannot be a store."""
        (tmp_path / "l").symlink_to(tmp_path / "none")
        with pytest.raises(StoreUnusable):
            files.make_private_folder(tmp_path / "l")

    def test_a_disk_that_refuses(self, tmp_path, monkeypatch):
        """A readable error of our own."""
        Disk(monkeypatch, tmp_path).broken["mkdir"] = 28
        with pytest.raises(StoreUnusable, match="No space left"):
            files.make_private_folder(tmp_path / "a")

    def test_one_that_another_process_makes_meanwhile(self, tmp_path):
        """Is taken as if it had been there, unless it must be new."""
        files.make_folder(tmp_path)
        with pytest.raises(FileExistsError):
            files.make_folder(tmp_path, exist_ok=False)


class TestFiles:
    """Whole or not at all."""

    def test_a_new_file_never_replaces_one(self, tmp_path):
        """The first one wins."""
        path = tmp_path / "f"
        files.write_new(path, b"one")
        with pytest.raises(FileExistsError):
            files.write_new(path, b"two")
        assert path.read_bytes() == b"one"
        assert [path.name for path in tmp_path.iterdir()] == ["f"]

    def test_replacing_is_atomic_and_private(self, tmp_path):
        """Whatever the old file's mode was."""
        path = tmp_path / "f"
        path.write_bytes(b"old")
        path.chmod(0o666)
        files.replace(path, b"new")
        assert path.read_bytes() == b"new"
        assert _mode(path) == 0o600
        assert [path.name for path in tmp_path.iterdir()] == ["f"]

    def test_replacing_follows_no_link(self, tmp_path):
        """The link itself is replaced."""
        (tmp_path / "target").write_bytes(b"target")
        (tmp_path / "f").symlink_to(tmp_path / "target")
        files.replace(tmp_path / "f", b"new")
        assert (tmp_path / "target").read_bytes() == b"target"
        assert not (tmp_path / "f").is_symlink()

    @pytest.mark.parametrize("call", ["write", "fdatasync"])
    def test_a_disk_that_refuses_leaves_the_old_one(self, tmp_path, monkeypatch, call):
        """And no temporary file."""
        path = tmp_path / "f"
        path.write_bytes(b"old")
        disk = Disk(monkeypatch, tmp_path)
        disk.broken[call] = 28
        with pytest.raises(OSError, match="No space"):
            files.replace(path, b"new")
        assert path.read_bytes() == b"old"
        assert [path.name for path in tmp_path.iterdir()] == ["f"]

    def test_a_replacement_that_fails_leaves_no_temporary_file(self, tmp_path):
        """A folder stands there."""
        (tmp_path / "d" / "x").mkdir(parents=True)
        with pytest.raises(OSError):
            files.replace(tmp_path / "d", b"new")
        assert [path.name for path in tmp_path.iterdir()] == ["d"]

    def test_what_a_killed_process_left_is_removed_when_nobody_can_be_at_work_on_it(self, tmp_path):
        """Nothing else is: no young one, no folder, no file of another name."""
        left, young = files.temporary_for(tmp_path / "f"), files.temporary_for(tmp_path / "f")
        link, folder = files.temporary_for(tmp_path / "l"), files.temporary_for(tmp_path / "d")
        others = [tmp_path / name for name in ("f", ".f.tmp", ".f.0123456g.tmp", "f.01234567.tmp")]
        for path in (left, young, *others):
            path.write_bytes(b"x")
        link.symlink_to(tmp_path / "nowhere")
        folder.mkdir()
        for path in (left, link, folder, *others):
            os.utime(path, (0, 0), follow_symlinks=False)
        files.remove_leftovers(tmp_path)
        assert set(tmp_path.iterdir()) == {young, folder, *others}
        files.remove_leftovers(tmp_path / "no such folder")

    def test_short_writes_are_completed(self, tmp_path, monkeypatch):
        """A full disk shows as an error, never as half a file."""
        disk = Disk(monkeypatch, tmp_path)
        disk.short = 3
        files.replace(tmp_path / "f", b"0123456789")
        assert (tmp_path / "f").read_bytes() == b"0123456789"

    def test_only_files_are_opened_to_be_read(self, tmp_path):
        """A pipe would wait for ever, a link leads elsewhere."""
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "link").symlink_to(tmp_path / "file")
        (tmp_path / "file").write_bytes(b"x")
        with files.open_regular(tmp_path / "file") as stream:
            assert stream.read() == b"x"
        for name in ("pipe", "link", ".", "none"):
            with pytest.raises(OSError):
                files.open_regular(tmp_path / name)

    def test_where_a_sync_leaves_data_in_the_drives_cache(self, tmp_path, monkeypatch):
        """As on macOS: the call that empties it is used."""
        asked = []
        monkeypatch.setattr(files.fcntl, "F_FULLFSYNC", 51, raising=False)
        monkeypatch.setattr(files.fcntl, "fcntl", lambda _, call: asked.append(call))
        files.replace(tmp_path / "f", b"new")
        assert asked == [51]

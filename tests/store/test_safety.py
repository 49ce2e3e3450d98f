"""Safety: a store is its owner's alone, and one that is not is refused."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest
from log.logs import Disk
from store.stores import make_session

from ipysession.errors import SessionNotFound, StoreUnsafe, StoreUnusable
from ipysession.log import files
from ipysession.log import key as key_module
from ipysession.store import Store

if TYPE_CHECKING:
    from pathlib import Path


def _modes(folder: Path) -> dict[bool, set[int]]:
    """The modes of all folders (True) and files (False) in and at ``folder``."""
    modes: dict[bool, set[int]] = {True: set(), False: set()}
    for path in (folder, *folder.rglob("*")):
        modes[path.is_dir()].add(stat.S_IMODE(path.stat().st_mode))
    return modes


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_all_is_private_whatever_the_umask(store, home, umask):
    """0700 for folders, 0600 for files: also locks, summaries and the key."""
    before = os.umask(umask)
    try:
        name = make_session(store)
        store.open_for_append(name).close()
        store.summaries()
    finally:
        os.umask(before)
    assert _modes(store.path) == {True: {0o700}, False: {0o600}}
    assert _modes(key_module.key_path().parent) == {True: {0o700}, False: {0o600}}


@pytest.mark.parametrize("where", [".", "sessions"])
@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_one_that_others_can_write_is_refused(store, where, mode):
    """By every verb, with the command that helps."""
    name = make_session(store)
    (store.path / where).chmod(mode)
    verbs = [
        store.ids,
        store.summaries,
        store.create,
        lambda: store.resolve("latest"),
        lambda: store.folder(name),
        lambda: store.open_for_append(name),
        lambda: store.delete(name),
    ]
    for verb in verbs:
        with pytest.raises(StoreUnsafe, match="chmod 700"):
            verb()


def test_another_users_is_refused(store, monkeypatch):
    """They could change what we write, or read it."""
    make_session(store)
    real = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: real + 1)
    for verb in (store.ids, store.create):
        with pytest.raises(StoreUnsafe, match="belongs to another user"):
            verb()


def test_a_session_that_others_can_write_is_not_written(store):
    """They could have put anything there."""
    name = make_session(store)
    (store.sessions_folder / name).chmod(0o777)
    with pytest.raises(StoreUnsafe):
        store.open_for_append(name)


def test_a_file_in_its_place(tmp_path):
    """Reading finds no sessions; writing says what to do."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "store"):
        assert Store(path).ids() == []
        with pytest.raises(StoreUnusable, match="IPYSESSION_STORE"):
            Store(path).create()


def test_a_place_where_nothing_can_be_made(store, monkeypatch, home):
    """The message says what to do."""
    Disk(monkeypatch, home).broken["mkdir"] = errno.EACCES
    with pytest.raises(StoreUnusable, match=r"Permission denied.*IPYSESSION_STORE"):
        store.create()


def test_a_disk_that_is_full_when_a_session_begins(store, monkeypatch):
    """An error of our own, no half of a session that is taken for one."""
    make_session(store)
    Disk(monkeypatch, store.sessions_folder).broken["mkdir"] = errno.ENOSPC
    with pytest.raises(StoreUnusable, match="cannot be created: No space left"):
        store.create()
    assert len(store.ids()) == 1


def test_a_session_that_is_a_link_is_none(store, tmp_path):
    """It would lead reading, writing and deleting elsewhere."""
    name = make_session(store)
    (store.sessions_folder / name).rename(tmp_path / name)
    (store.sessions_folder / name).symlink_to(tmp_path / name)
    assert store.ids() == []
    for verb in (store.folder, store.open_for_append, store.delete):
        with pytest.raises(SessionNotFound):
            verb(name)
    assert (tmp_path / name / "log").is_dir()


@pytest.mark.parametrize("inner", ["log", "blobs"])
def test_a_link_inside_a_session_is_refused(store, tmp_path, inner):
    """Nobody but an attacker makes one."""
    name = make_session(store)
    folder = store.sessions_folder / name
    if (folder / inner).exists():
        (folder / inner).rename(tmp_path / inner)
    else:
        (tmp_path / inner).mkdir()
    (folder / inner).symlink_to(tmp_path / inner)
    for verb in (store.folder, store.open_for_append, store.delete):
        with pytest.raises(StoreUnsafe, match="is a link, which ipysession never makes"):
            verb(name)


class TestCurrent:
    """The ``current`` link, a convenience in a shell."""

    def test_it_leads_to_the_session(self, store):
        """And follows the latest."""
        one, two = make_session(store), make_session(store)
        for name in (one, two):
            store.make_current(name)
            assert (store.path / "current" / "session.json").samefile(
                store.sessions_folder / name / "session.json"
            )
        assert not list(store.path.glob(".current*"))

    def test_it_is_relative(self, store):
        """A store that is moved takes it along."""
        name = make_session(store)
        store.make_current(name)
        assert os.readlink(store.path / "current") == f"sessions/{name}"  # noqa: PTH115

    def test_what_a_killed_process_left_is_removed(self, store):
        """A link that was made and not yet renamed."""
        name = make_session(store)
        left = files.temporary_for(store.path / "current")
        left.symlink_to("nowhere")
        os.utime(left, (0, 0), follow_symlinks=False)
        store.make_current(name)
        assert not left.is_symlink()

    def test_a_file_system_without_links(self, store, monkeypatch):
        """Does without."""
        name = make_session(store)
        store.make_current(name)

        def refuse(*_):
            raise PermissionError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "symlink", refuse)
        store.make_current(make_session(store))
        assert os.readlink(store.path / "current") == f"sessions/{name}"  # noqa: PTH115

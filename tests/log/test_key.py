"""The key: one for each user, made once, readable by nobody else."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from log.logs import start_program

from ipysession.errors import StoreUnsafe, StoreUnusable
from ipysession.log import key as key_module
from ipysession.log.key import KEY_BYTES, key_path, load_key


def test_it_is_made_once_and_stays():
    """32 random bytes."""
    key = load_key(create=True)
    assert key is not None
    assert len(key) == KEY_BYTES == 32
    assert load_key(create=True) == load_key(create=False) == key


def test_reading_makes_nothing(home):
    """Looking at somebody's session leaves no trace."""
    assert load_key(create=False) is None
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_it_is_private_whatever_the_umask(umask):
    """0600 in a folder 0700."""
    before = os.umask(umask)
    try:
        load_key(create=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE(key_path().stat().st_mode) == 0o600
    assert stat.S_IMODE(key_path().parent.stat().st_mode) == 0o700


def test_it_lies_beside_the_store_where_nothing_else_is_said(monkeypatch, home):
    """Under Jupyter's data directory, which kernel, server and shell agree about."""
    monkeypatch.delenv("IPYSESSION_KEY")
    assert key_path() == home / "jupyter" / "data" / "ipysession" / "key"
    load_key(create=True)
    assert key_path().is_file()


def test_the_variable_may_begin_with_a_tilde(monkeypatch):
    """As people write it in a shell's profile."""
    monkeypatch.setenv("IPYSESSION_KEY", "~/key")
    assert key_path() == Path.home() / "key"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_one_that_others_can_read_is_refused(mode):
    """It proves nothing any more."""
    load_key(create=True)
    key_path().chmod(mode)
    with pytest.raises(StoreUnsafe, match=f"chmod 600 {key_path()}"):
        load_key(create=True)


def test_another_users_is_refused(monkeypatch):
    """We did not make it."""
    load_key(create=True)
    real = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: real + 1)
    with pytest.raises(StoreUnsafe, match="must be yours"):
        load_key(create=False)


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_one_of_another_length_is_refused(content):
    """The message says what a new one would mean."""
    load_key(create=True)
    key_path().write_bytes(content)
    with pytest.raises(StoreUnusable, match=rf"{len(content)} bytes instead of 32. Move it away"):
        load_key(create=True)


def test_a_link_is_refused(tmp_path):
    """Whoever made it."""
    load_key(create=True)
    key_path().rename(tmp_path / "elsewhere")
    key_path().symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreUnusable, match="cannot be used"):
        load_key(create=False)


def test_a_place_where_none_can_be_made(monkeypatch, tmp_path):
    """A readable error."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("IPYSESSION_KEY", str(tmp_path / "file" / "key"))
    with pytest.raises(StoreUnusable):
        load_key(create=True)


def test_processes_that_start_together_agree(monkeypatch):
    """Many make one at the same time; the first one's is everybody's."""
    barrier = threading.Barrier(8)
    real = key_module.files.write_new

    def together(*arguments):
        barrier.wait(10)
        real(*arguments)

    monkeypatch.setattr(key_module.files, "write_new", together)
    keys: list[bytes | None] = []
    threads = [
        threading.Thread(target=lambda: keys.append(load_key(create=True))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1
    assert list(key_path().parent.iterdir()) == [key_path()]


def test_real_processes_that_start_together_agree():
    """A kernel and a server, say."""
    program = "from ipysession.log import load_key; print(load_key(create=True).hex())"
    started = [start_program(program) for _ in range(3)]
    said = {process.communicate(timeout=60)[0].strip() for process in started}
    key = load_key(create=False)
    assert key is not None
    assert said == {key.hex()}

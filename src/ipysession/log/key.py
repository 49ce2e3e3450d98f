"""The per-user key that makes a log's macs unforgeable by others."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from jupyter_core.paths import jupyter_data_dir

from ipysession.errors import StoreUnsafe, StoreUnusable
from ipysession.log import files

KEY_BYTES = 32


def user_folder() -> Path:
    """The folder of this user's key and, by default, store: under Jupyter's data directory."""
    return Path(jupyter_data_dir()) / "ipysession"


def key_path() -> Path:
    """Where the key lies: ``IPYSESSION_KEY`` names another file."""
    named = os.environ.get("IPYSESSION_KEY")
    return Path(named).expanduser() if named else user_folder() / "key"


def load_key(*, create: bool) -> bytes | None:
    """Return the user's key, 32 bytes.

    Where there is none, one is created, or None is returned if ``create`` is false: logs can
    then be read and checked for damage, but not for authenticity. Raises StoreUnsafe where
    the file is another user's or readable by others.
    """
    path = key_path()
    try:
        key = _read(path)
        if key is None and create:
            files.make_private_folder(path.parent)
            files.remove_leftovers(path.parent)
            # Where another process was first, its key is the one.
            with contextlib.suppress(FileExistsError):
                files.write_new(path, secrets.token_bytes(KEY_BYTES))
            key = _read(path)
    except (StoreUnsafe, StoreUnusable):
        raise
    except OSError as error:
        message = f"the key {path} cannot be used: {error.strerror or error}"
        raise StoreUnusable(message) from error
    return key


def _read(path: Path) -> bytes | None:
    try:
        stream = files.open_regular(path)
    except FileNotFoundError:
        return None
    with stream:
        status = os.fstat(stream.fileno())
        if status.st_uid != os.geteuid() or status.st_mode & 0o077:
            message = (
                f"the key {path} must be yours and readable by you alone; run: chmod 600 {path}"
            )
            raise StoreUnsafe(message)
        key = stream.read(KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        message = (
            f"the key {path} has {len(key)} bytes instead of {KEY_BYTES}. Move it away to have a "
            "new one made; sessions recorded before then count as another user's."
        )
        raise StoreUnusable(message)
    return key

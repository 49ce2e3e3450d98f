"""Files that only their owner can read, and that are on disk when we say so.

0700 for folders and 0600 for files, whatever the umask; links are not followed; a new or
replaced file counts as durable only when its folder is synced too.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import stat
import time
from typing import TYPE_CHECKING, BinaryIO

from blake3 import blake3

from ipysession.errors import StoreUnsafe, StoreUnusable

if TYPE_CHECKING:
    from pathlib import Path

_PRIVATE = os.O_CLOEXEC | os.O_NOFOLLOW

_CHUNK = 1 << 20

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
_LEFT_SECONDS = 60.0
"""A temporary file that nobody has written for so long was left by a process that is gone."""


def make_private_folder(path: Path) -> None:
    """Create ``path`` and what is missing above it, each with mode 0700, durably.

    Raises StoreUnsafe if it belongs to somebody else or others can write it, StoreUnusable
    if it cannot be created.
    """
    missing = []
    folder = path
    try:
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        for folder in reversed(missing):
            make_folder(folder)
    except OSError as error:
        message = (
            f"the folder {path} cannot be created: {error.strerror or error}. "
            "Point IPYSESSION_STORE at a folder that you can write."
        )
        raise StoreUnusable(message) from error
    check_private_folder(path)


def make_folder(path: Path, *, exist_ok: bool = True) -> None:
    """Create one folder with mode 0700, durably."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if exist_ok:
            return
        raise
    path.chmod(0o700)
    sync_folder(path.parent)


def check_private_folder(path: Path) -> None:
    """Raise StoreUnsafe if ``path`` is not ours alone to write, StoreUnusable if no folder."""
    try:
        status = path.stat()
    except OSError as error:
        message = f"the folder {path} cannot be read: {error.strerror or error}"
        raise StoreUnusable(message) from error
    if not stat.S_ISDIR(status.st_mode):
        message = f"{path} is not a folder; point IPYSESSION_STORE at a folder"
        raise StoreUnusable(message)
    if status.st_uid != os.geteuid():
        message = f"{path} belongs to another user; use a store of your own (IPYSESSION_STORE)"
        raise StoreUnsafe(message)
    if status.st_mode & 0o022:
        message = f"others can write {path}; run: chmod 700 {path}"
        raise StoreUnsafe(message)


def create_private(path: Path, *, append: bool = False) -> int:
    """Create ``path``, which must not exist, and return a descriptor open for writing."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _PRIVATE
    descriptor = os.open(path, flags | (os.O_APPEND if append else 0), 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read it; OSError where it is a link, or anything but a file."""
    return os.fdopen(_open_regular(path)[0], "rb")


def read_regular(path: str) -> bytes:
    """The content of a file, as `open_regular` gives it, at a quarter of the price: blobs are
    small and many.
    """
    descriptor, size = _open_regular(path)
    try:
        data = os.read(descriptor, size + 1)
        while len(data) != size:  # a file of /proc, or one that somebody writes to
            more = os.read(descriptor, _CHUNK)
            if not more:
                break
            data += more
    finally:
        os.close(descriptor)
    return data


def read_ahead(path: str) -> bool:
    """Let the system read a file into its memory, without waiting for it: a disk, or a server,
    is several times faster when it is asked for much at once. False where there is none.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _PRIVATE)
    except OSError:  # whoever reads it will tell
        return False
    try:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
    finally:
        os.close(descriptor)
    return True


def _open_regular(path: Path | str) -> tuple[int, int]:
    """A descriptor, and the bytes that the file has."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _PRIVATE)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return descriptor, status.st_size


def digest_of(stream: BinaryIO) -> str:
    """The BLAKE3 of what is left in a stream, in hex."""
    hasher = blake3()
    while chunk := stream.read(_CHUNK):
        hasher.update(chunk)
    digest: str = hasher.hexdigest()
    return digest


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of ``data``; a full disk shows as OSError, never as a short write."""
    view = memoryview(data)
    if view.nbytes:
        view = view.cast("B")  # what was written counts in bytes, an item may have more
    while view.nbytes:
        view = view[os.write(descriptor, view) :]


def sync_data(descriptor: int) -> None:
    """Make the content of a file durable."""
    if hasattr(fcntl, "F_FULLFSYNC"):
        # macOS: fsync leaves the data in the drive's cache.
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(descriptor)


def sync_folder(path: Path) -> None:
    """Make the names in the folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_new(path: Path, data: bytes) -> None:
    """Create ``path`` with ``data``, atomically and durably: it has all of it or does not exist.

    Raises FileExistsError where it exists already.
    """
    temporary = _write_temporary(path, data, sync=True)
    try:
        os.link(temporary, path)
    finally:
        temporary.unlink()
    sync_folder(path.parent)


def replace(path: Path, data: bytes | memoryview, *, sync: bool = True) -> None:
    """Replace ``path`` by ``data``, atomically: readers see the old or the new content.

    With ``sync`` it is durable on return.
    """
    temporary = _write_temporary(path, data, sync=sync)
    try:
        temporary.replace(path)
    except BaseException:  # also after Ctrl-C: no temporary file stays
        temporary.unlink(missing_ok=True)
        raise
    if sync:
        sync_folder(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files in ``folder`` that killed processes left there. Younger ones
    stay: somebody may be at work.
    """
    limit = time.time() - _LEFT_SECONDS
    # Whatever cannot be looked at or removed is no harm: it only takes space.
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                ours = _TEMPORARY.fullmatch(entry.name) and not entry.is_dir(follow_symlinks=False)
                if ours and entry.stat(follow_symlinks=False).st_mtime < limit:
                    os.unlink(entry.path)


def temporary_for(path: Path) -> Path:
    """A new name beside ``path``, for what is to be renamed to it."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def _write_temporary(path: Path, data: bytes | memoryview, *, sync: bool) -> Path:
    temporary = temporary_for(path)
    descriptor = create_private(temporary)
    try:
        write_all(descriptor, data)
        if sync:
            sync_data(descriptor)
    except BaseException:  # as above
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    return temporary

"""The lock of a session: one writer at a time, and readers can tell whether it lives.

``flock`` ends with the process, so a reused pid means nothing. But a forked child inherits
the lock and may outlive the kernel (a multiprocessing pool does), so whoever finds the lock
held also checks that the process named in the file still exists, by pid and start time.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from typing import TYPE_CHECKING, NamedTuple

import psutil

from ipysession.errors import SessionBusy
from ipysession.log import files

try:
    import fcntl
except ImportError:  # Windows: only the process named in the file tells
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from pathlib import Path

_TRIES = 20
_TRY_SECONDS = 0.01
"""A reader that looks holds the lock for microseconds; a writer waits that out."""


class Holder(NamedTuple):
    """The process that a lock file names."""

    pid: int
    started: float
    """Seconds since the epoch, as the system tells it."""
    host: str

    def lives(self) -> bool:
        """Does that process exist? One on another host is taken to live."""
        if self.host != socket.gethostname():
            return True
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            return abs(process.create_time() - self.started) < 1.0
        except psutil.Error:
            return False


class SessionLock:
    """The right to write a session, held until `release` or the process's end."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, path: Path) -> SessionLock:
        """Take the lock at ``path``. Raises SessionBusy where a living process holds it."""
        for attempt in range(_TRIES):
            descriptor = os.open(
                path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o600
            )
            if _lock(descriptor, shared=False):
                if _is_at(path, descriptor):
                    os.fchmod(descriptor, 0o600)
                    _write_holder(descriptor)
                    return cls(path, descriptor)
            elif (holder := _read_holder(descriptor)) is not None and holder.lives():
                os.close(descriptor)
                raise SessionBusy(_busy(path, holder))
            elif attempt > _TRIES // 2:
                # An orphan of the dead writer holds the old file: put a new one in its place.
                files.replace(path, b"", sync=False)
            os.close(descriptor)
            time.sleep(_TRY_SECONDS)
        message = f"the lock {path} is held by a process that cannot be named; try again"
        raise SessionBusy(message)

    def release(self) -> None:
        """Give the lock up."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):  # the folder may have been removed meanwhile
                os.ftruncate(descriptor, 0)
            os.close(descriptor)


def living_holder(path: Path) -> Holder | None:
    """The living process that holds the lock at ``path``, or None."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return None
    try:
        holder = _read_holder(descriptor)
        if holder is None or (fcntl is not None and _lock(descriptor, shared=True)):
            return None
        return holder if holder.lives() else None
    finally:
        os.close(descriptor)


def _busy(path: Path, holder: Holder) -> str:
    return (
        f"session {path.parent.name} is being written by process {holder.pid} on {holder.host}. "
        "Shut that kernel down first, or work on in a session of your own"
    )


def _lock(descriptor: int, *, shared: bool) -> bool:
    if fcntl is None:
        holder = _read_holder(descriptor)
        return holder is None or not holder.lives()
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _write_holder(descriptor: int) -> None:
    me = Holder(os.getpid(), psutil.Process().create_time(), socket.gethostname())
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    files.write_all(descriptor, json.dumps(me._asdict()).encode())


def _read_holder(descriptor: int) -> Holder | None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        said = json.loads(os.read(descriptor, 4096))
        return Holder(int(said["pid"]), float(said["started"]), str(said["host"]))
    except (ValueError, KeyError, TypeError):
        return None

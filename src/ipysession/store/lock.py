"""The lock of a session: one writer at a time, and readers can tell whether it lives.

``flock`` ends with the process, so a reused pid means nothing. But a forked child inherits
the lock and may outlive the kernel (a multiprocessing pool does), so whoever finds the lock
held also checks that the process named in the file still exists, by pid and start time.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ipysession.errors import SessionBusy, StoreUnsafe, StoreUnusable
from ipysession.log import files

if TYPE_CHECKING:
    from collections.abc import Iterator

_GUARD_SECONDS = 2.0
"""How long to wait while another process takes the lock; that takes it microseconds."""


class Holder(NamedTuple):
    """The process that a lock file names."""

    pid: int
    started: float
    """When it started, in seconds; the zero differs from system to system."""
    host: str
    space: str = ""
    """The namespace that gives the pid its meaning: containers have their own."""

    def lives(self) -> bool:
        """Does that process exist? One that cannot be seen from here is taken to live."""
        if (self.host, self.space) != _here():
            return True
        started = _started(self.pid)
        return started is not None and abs(started - self.started) < 1.0


class SessionLock:
    """The right to write a session, held until `release` or the process's end."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor
        self._process = os.getpid()

    @classmethod
    def acquire(cls, path: Path) -> SessionLock:
        """Take the lock at ``path``. Raises SessionBusy where a living process holds it,
        StoreUnusable where the lock cannot be written, StoreUnsafe where it is a link.
        """
        try:
            with _guard(path.with_name("lock.guard"), busy=_busy(path, "another process")):
                return cls(path, _take(path))
        except StoreUnsafe:
            raise
        except OSError as error:
            message = f"the session cannot be opened to write it: {error.strerror or error}: {path}"
            raise StoreUnusable(message) from error

    def release(self) -> None:
        """Give the lock up. In a forked child this leaves the parent's lock alone."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):  # the user's code may have closed it
                if os.getpid() == self._process:
                    os.ftruncate(descriptor, 0)
                os.close(descriptor)


def living_holder(path: Path) -> Holder | None:
    """The living process that holds the lock at ``path``, or None."""
    try:
        with files.open_regular(path) as stream:
            holder = _read_holder(stream.fileno())
            if holder is None or _flock(stream.fileno(), fcntl.LOCK_SH):
                return None
            return holder if holder.lives() else None
    except OSError:
        return None


def _take(path: Path) -> int:
    """Take the lock, with the guard held: nobody else takes it at the same time."""
    with contextlib.ExitStack() as stack:
        descriptor = _open(path)
        stack.callback(os.close, descriptor)
        if not _flock(descriptor, fcntl.LOCK_EX):
            holder = _read_holder(descriptor)
            if holder is not None and holder.lives():
                raise SessionBusy(_busy(path, f"process {holder.pid} on {holder.host}"))
            # A reader looks at it just now, or an orphan of the dead writer holds the old
            # file: put a new one in its place.
            files.replace(path, b"", sync=False)
            descriptor = _open(path)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        _write_holder(descriptor)
        return os.dup(descriptor)  # shares the lock


@contextlib.contextmanager
def _guard(path: Path, *, busy: str) -> Iterator[None]:
    """Only one process at a time is in here."""
    descriptor = _open(path)
    try:
        give_up = time.monotonic() + _GUARD_SECONDS
        while not _flock(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > give_up:
                raise SessionBusy(busy)
            time.sleep(0.001)
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    if path.is_symlink():
        message = f"{path} is a link, which ipysession never makes; look who did, and remove it"
        raise StoreUnsafe(message)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor


def _busy(path: Path, who: str) -> str:
    return (
        f"session {path.parent.name} is being written by {who}. "
        "Shut that kernel down first, or work on in a session of your own"
    )


def _flock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _here() -> tuple[str, str]:
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:  # not Linux
        space = ""
    return socket.gethostname(), space


def _started(pid: int) -> float | None:
    """When the process started, not moved by anybody who sets the clock; None if it ended."""
    if Path("/proc/self/stat").exists():
        try:
            said = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            return None
        # The 3rd and the 22nd field; the second one, a name in parentheses, may hold blanks.
        state, *fields = said.rpartition(b")")[2].split()
        return None if state in {b"Z", b"X"} else int(fields[18]) / os.sysconf("SC_CLK_TCK")
    import psutil  # takes a sixth of the time in which the extension loads

    try:
        process = psutil.Process(pid)
        ended = process.status() == psutil.STATUS_ZOMBIE
        return None if ended else float(process.create_time())
    except (psutil.Error, ValueError):  # ValueError: no pid at all, say a negative one
        return None


def _write_holder(descriptor: int) -> None:
    me = Holder(os.getpid(), _started(os.getpid()) or 0.0, *_here())
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    files.write_all(descriptor, json.dumps(me._asdict()).encode())


def _read_holder(descriptor: int) -> Holder | None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        said = json.loads(os.read(descriptor, 4096))
        return Holder(
            int(said["pid"]), float(said["started"]), str(said["host"]), str(said["space"])
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None  # not what we wrote

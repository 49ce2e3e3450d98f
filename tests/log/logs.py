"""Logs to test with: in a folder of their own, with a fixed key, and disks that refuse."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipysession.log import Blobs, Head, Log, LogContents, SyncPolicy, read_log
from ipysession.model import payloads as p

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

KEY = bytes(range(32))
TESTS = str(Path(__file__).parents[1])


class Place:
    """A folder that holds a log and its blobs."""

    def __init__(self, path: Path | str) -> None:
        self.folder = Path(path) / "log"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.blobs = Blobs(Path(path) / "blobs")

    def open(self, **options: Any) -> Log:
        """Open the log for appending, after what it holds already."""
        head = options.pop("head", None) or self.read().head
        defaults = {"session": "s", "run": 1, "policy": SyncPolicy.OFF}
        return Log(self.folder, blobs=self.blobs, key=KEY, head=head, **{**defaults, **options})

    def read(self, key: bytes | None = KEY, promised: Head | None = None) -> LogContents:
        """Read the whole log."""
        return read_log(self.folder, self.blobs, key=key, session="s", promised=promised)

    def titles(self) -> list[str]:
        """What `fill` wrote, as far as it is there; the log must be undamaged."""
        contents = self.read()
        assert contents.damage == ()
        assert contents.unproven == frozenset()
        return titles(contents)

    def segments(self) -> list[Path]:
        """The files of the log, in order."""
        return sorted(self.folder.iterdir())

    def lines(self) -> list[bytes]:
        """The lines of all segments, without their newlines."""
        return b"".join(path.read_bytes() for path in self.segments()).splitlines()


def titled(title: str | int) -> p.SessionTitled:
    """A small payload that can be told from others."""
    return p.SessionTitled(title=str(title))


def titles(contents: LogContents) -> list[str]:
    """What the records say that were made by `titled`."""
    return [record.payload.title for record in contents.records]  # type: ignore[union-attr]


def fill(log: Log, *said: str | int) -> None:
    """Append a record for each of ``said``."""
    for title in said:
        log.append(titled(title))


def start_program(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a Python program that may import what tests import. It prints to a pipe."""
    path = os.pathsep.join(filter(None, [TESTS, os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def run_program(program: str, *arguments: object) -> str:
    """Run such a program to its end and return what it printed."""
    process = start_program(program, *arguments)
    try:
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    return said


class Disk:
    """Replaces a call of `os` for the files of a folder by one that fails now and then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._patch = monkeypatch
        self._folder = str(folder)
        self.calls: list[str] = []
        self.broken: dict[str, int] = {}
        """The error number that a call gives, by its name."""
        self.short: int | None = None
        """How many bytes the next write takes."""
        for name in ("write", "fsync", "fdatasync", "ftruncate", "open", "link", "mkdir"):
            self._wrap(name)

    def _wrap(self, name: str) -> None:
        real: Callable[..., Any] = getattr(os, name)

        def call(target: Any, *arguments: Any, **options: Any) -> Any:
            if not self._is_here(target):
                return real(target, *arguments, **options)
            self.calls.append(name)
            if name == "write" and self.short is not None:
                taken, self.short = self.short, None
                return real(target, arguments[0][:taken])
            if name in self.broken:
                number = self.broken[name]
                raise OSError(number, os.strerror(number))
            return real(target, *arguments, **options)

        self._patch.setattr(os, name, call)

    def _is_here(self, target: Any) -> bool:
        path = target if not isinstance(target, int) else _path_of(target)
        return os.fspath(path).startswith(self._folder)

    @property
    def syncs(self) -> list[str]:
        """The calls that made something durable."""
        return [name for name in self.calls if name in {"fsync", "fdatasync"}]

    def fill_up(self) -> None:
        """Nothing can be written any more."""
        self.broken["write"] = errno.ENOSPC

    def recover(self) -> None:
        """All goes well again."""
        self.broken.clear()


def _path_of(descriptor: int) -> str:
    try:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except OSError:
        return ""


class Told:
    """Hears of trouble, and remembers in which threads."""

    def __init__(self) -> None:
        self.said: list[OSError | None] = []
        self.threads: list[threading.Thread] = []

    def __call__(self, error: OSError | None) -> None:
        """Called by the log."""
        self.said.append(error)
        self.threads.append(threading.current_thread())

    @property
    def words(self) -> list[str]:
        """In short: the names of the errors, and ``well`` where all is well again."""
        return ["well" if e is None else errno.errorcode[e.errno or 0] for e in self.said]

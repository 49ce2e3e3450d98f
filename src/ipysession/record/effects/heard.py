"""What is heard in one step, sieved as it comes and summed up when the step ends."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Any

from ipysession.record.effects.habits import CODE_ENDINGS, code_folders, is_by_import
from ipysession.record.effects.hearing import quiet
from ipysession.record.effects.seen import EffectsSeen
from ipysession.record.effects.trees import tree_of

CAP = 1_000
"""Distinct effects kept per step; further ones are only counted."""

_COMMAND_LENGTH = 2_000
"""Characters kept of a command."""

CREATING = os.O_CREAT | os.O_EXCL
FORK = "(fork)"


class Heard:
    """Everything heard in one step. Each thing is one entry in a dict, so no lock is needed."""

    def __init__(self, elsewhere: tuple[str, ...]) -> None:
        self.code = code_folders()
        self.elsewhere = elsewhere
        self.cwd_before = working.now()
        self.cwd = self.cwd_before
        """What relative paths are relative to; None where it has to be asked for."""
        self.known: set[tuple[str, bool]] = set()
        """What was opened before, as the user spelled it, and if to write: the fast way out."""
        self.reads: dict[str, None] = {}
        self.changes: dict[str, bool] = {}
        """Paths, and whether they were also written rather than only deleted."""
        self.existed: dict[str, bool] = {}
        """Was there something at the path before the step changed it?"""
        self.trees: tuple[str, ...] = ()
        """Trees that were deleted; their content needs no mention."""
        self.processes: dict[str, None] = {}
        self.connections: dict[tuple[str, str], None] = {}
        self.environ: dict[str, int | None] = {}
        """Touched variables, with the hash of the value before."""
        self.asked_input = False
        self.anew: set[str] = set()
        """Paths of files that it emptied, or made where there was none."""
        self.folders: set[str] = set()
        self.listed: set[str] = set()
        self.relative = False
        self.tree: dict[str, tuple[int, ...]] | None = None
        """The working folder as it was before the first process was started."""
        self.tree_folder: str | None = None
        self.omitted = 0
        self.process_count = _process_count()

    def has_room(self) -> bool:
        """May one more be kept? If not, it is counted."""
        kept = len(self.reads) + len(self.changes) + len(self.processes) + len(self.connections)
        if kept < CAP:
            return True
        self.omitted += 1
        return False

    def is_users(self, path: str) -> bool:
        """Does a path not belong to the system's and the libraries' habits?"""
        return not path.startswith(self.elsewhere)

    def path(self, given: Any, folder: Any = -1) -> str | None:
        """The absolute path of what was named, below an open ``folder`` if one is given.

        None for a number, which names an open file, and for what else is no path.
        """
        if isinstance(given, bytes):
            given = os.fsdecode(given)
        elif isinstance(given, Path):
            given = str(given)
        elif not isinstance(given, str):
            return None
        path = str.__str__(given)
        if path[:1] != "/" and not os.path.isabs(path):
            if isinstance(folder, int) and folder >= 0:
                base = _folder_path(folder)
            else:
                base = self.cwd = self.cwd or _cwd()
                self.relative = True
            if base is None:
                return None
            path = os.path.join(base, path)
        return os.path.normpath(path) if "/." in path or "//" in path or path[-1:] == "/" else path

    def read(self, path: str) -> None:
        """A file is opened for reading."""
        if path.startswith(self.code) and (path.endswith(CODE_ENDINGS) or "/mpl-data/" in path):
            return
        source = _source_of(path) if "__pycache__" in path else path
        if source is None or source in self.reads or not self.is_users(path):
            return
        if self.has_room():
            mode = os.stat(source).st_mode  # what is not there cannot be read: OSError
            if stat.S_ISDIR(mode) or stat.S_ISSOCK(mode) or not os.access(source, os.R_OK):
                return
            if not is_by_import():
                self.reads[source] = None

    def write(self, path: str, flags: int) -> None:
        """A file is opened for writing."""
        if self.changes.get(path) or not self.is_users(path):
            return
        if os.path.lexists(path):
            refused = flags & CREATING == CREATING or not os.access(path, os.W_OK)
            if refused or os.path.isdir(path):  # an unnamed temporary file names its folder
                return
        if flags & os.O_TRUNC and path not in self.reads:
            self.anew.add(path)
        self.change(path, written=True)

    def change(self, path: str | None, *, written: bool) -> None:
        """Something is written, or else deleted."""
        if path is None:
            return
        before = self.changes.get(path)
        if before is None:
            if not self.is_users(path) or "__pycache__" in path:
                return
            if not written and path.startswith(self.trees):
                return
            if not self.has_room() or is_by_import():
                return
            self.existed[path] = os.path.lexists(path)
            if not self.existed[path]:
                self.anew.add(path)
        if not before:
            self.changes[path] = written

    def process(self, command: str) -> None:
        """A process is started."""
        if len(command) > _COMMAND_LENGTH:
            command = command[:_COMMAND_LENGTH] + "…"
        if command not in self.processes and self.has_room() and not is_by_import():
            self.processes[command] = None
            if self.tree is None:
                self.tree_folder = self.cwd = self.cwd or _cwd()
                with quiet():  # it lists folders
                    self.tree = tree_of(self.tree_folder, self.elsewhere)

    def connection(self, kind: str, address: str) -> None:
        """A connection is opened."""
        key = kind, address
        if key not in self.connections and self.has_room() and not is_by_import():
            self.connections[key] = None

    def sum_up(self) -> EffectsSeen:
        """What is left of it when the step ends.

        A file that came and went within the step is nothing; neither is a failed attempt.
        """
        writes = []
        deleted = []
        for path, written in self.changes.items():
            if os.path.lexists(path):
                if written:
                    writes.append(path)
            elif self.existed[path]:
                deleted.append(path)
        processes = [*self.processes]
        if _process_count() != self.process_count:
            processes = [command for command in processes if command != FORK]
            processes.append("(multiprocessing)")
        by_processes = (
            self._compare_trees(writes, deleted) if self.tree is not None else frozenset[str]()
        )
        cwd = working.now(settled=True)
        return EffectsSeen(
            reads=[path for path in self.reads if path not in self.changes],
            writes=writes,
            deleted=deleted,
            processes=[*map(as_text, processes)],
            connections=[(kind, as_text(address)) for kind, address in self.connections],
            omitted=self.omitted,
            environ_changed=sorted(
                as_text(name)
                for name, before in self.environ.items()
                if environ_hash(name) != before
            ),
            cwd=None if cwd is None or cwd == self.cwd_before else as_text(cwd),
            asked_input=self.asked_input,
            anew=frozenset(self.anew).intersection(writes),
            folders=frozenset(self.folders),
            listed=frozenset(self.listed),
            relative=self.relative,
            by_processes=by_processes,
        )

    def _compare_trees(self, writes: list[str], deleted: list[str]) -> frozenset[str]:
        """Add what differs in the working folder since a process was started."""
        before = self.tree or {}
        now = tree_of(self.tree_folder, self.elsewhere)
        found: set[str] = set()
        for path, known in now.items():
            if before.get(path) != known and not self.changes.get(path):
                if not self.has_room():
                    break
                found.add(path)
                writes.append(path)
                if path not in before:
                    self.anew.add(path)
        for path in before.keys() - now.keys():
            if path not in self.changes and not os.path.lexists(path):
                found.add(path)
                deleted.append(path)
        return frozenset(found)

    def take_over(self, inner: Heard) -> None:
        """What an inner step did, its outer step did too."""
        self.reads |= inner.reads
        for path, written in inner.changes.items():
            self.changes[path] = self.changes.get(path, False) or written
        self.existed = inner.existed | self.existed
        self.processes |= inner.processes
        self.connections |= inner.connections
        self.environ = inner.environ | self.environ
        self.asked_input |= inner.asked_input
        self.anew |= inner.anew
        self.folders |= inner.folders
        self.listed |= inner.listed
        self.relative |= inner.relative
        self.omitted += inner.omitted
        self.cwd = None


def _cwd() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was deleted
        return None


class _Folder:
    """The working directory, which is asked for only where it may have changed: in some places a
    call of the system is what costs a tiny cell most.
    """

    def __init__(self) -> None:
        self._known: str | None = None
        self._may_differ = True

    def may_move(self) -> None:
        """Somebody is about to change it: Python says so before it does."""
        self._may_differ = True

    def now(self, *, settled: bool = False) -> str | None:
        """Where it is. ``settled``: whoever was about to change it has done so by now."""
        if self._may_differ:
            if settled:
                self._may_differ = False
            self._known = _cwd()
        return self._known


working = _Folder()


def as_text(name: str) -> str:
    """A name that the system gave, which may hold bytes that are no text: those in escapes."""
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # nor did the system give it
        return name.encode("utf-8", "backslashreplace").decode()


def _folder_path(descriptor: int) -> str | None:
    """The path of an open folder, where the system tells it."""
    if sys.platform == "darwin":
        import fcntl

        path = fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024))
        return os.fsdecode(path.partition(b"\0")[0])
    return os.readlink(f"/proc/self/fd/{descriptor}")


def _source_of(path: str) -> str | None:
    """The module's file of a compiled one: ``x/__pycache__/m.cpython-311.pyc`` is ``x/m.py``.

    A module of the user's is mostly read in its compiled form, but means its source.
    """
    folder, _, name = path.rpartition("__pycache__" + os.sep)
    return f"{folder}{name.partition('.')[0]}.py" if name.endswith(".pyc") else None


def environ_hash(name: str) -> int | None:
    """Tells whether a value changed, and keeps nothing of it."""
    value = os.environ.get(name)
    return None if value is None else hash(value)


def _process_count() -> str:
    """Multiprocessing counts what it starts, in whichever way it does; some ways are not heard.

    The count begins at 1, also of a module that is only imported within the step.
    """
    module = sys.modules.get("multiprocessing.process")
    return repr(getattr(module, "_process_counter", "count(1)")).strip("'")

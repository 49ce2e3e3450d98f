"""What a run runs in: Python, machine, packages and the git worktree; and what of it changes.

Everything here is looked up without waiting: no subprocess in the caller's thread, no search
through installed packages beyond reading the names of a folder's entries, no attribute that
would make a module load. What a cell did is not here but in effects.py. No IPython.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, NamedTuple

from ipysession.model.provenance import Environment, GitState
from ipysession.store.whoami import user_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


def describe_environment(
    *, frontend: str, ipython: str, ipykernel: str | None, version: str
) -> Environment:
    """The environment of this process. ``git`` is None: reading it takes a process of its own.

    ``frontend`` is ``kernel`` or ``terminal``; ``ipython`` and ``ipykernel`` are their versions,
    ``version`` is that of ipysession. Values of environment variables are not looked at.
    """
    return Environment(
        python=platform.python_version(),
        implementation=platform.python_implementation(),
        executable=_text(sys.executable or ""),
        platform=_platform(),
        host=_or_empty(socket.gethostname),
        user=user_name(),
        pid=os.getpid(),
        cwd=_or_empty(os.getcwd),
        frontend=frontend,
        ipython=ipython,
        ipykernel=ipykernel,
        ipysession=version,
        packages=dict(sorted(_packages(_top_level(), {}).items())),
    )


def _or_empty(ask: Callable[[], str]) -> str:
    try:
        return _text(ask())
    except OSError:
        return ""


def _text(name: str) -> str:
    """A name that the system gave, which may hold bytes that are no text: those in escapes."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _platform() -> str:
    """As platform.platform() says it, without its search through the interpreter's binary."""
    if hasattr(os, "uname"):
        known = os.uname()
        return f"{known.sysname}-{known.release}-{known.machine}"
    return platform.platform()


# --- Packages -------------------------------------------------------------------------------

_VERSION_LENGTH = 100
"""Characters kept of what a module says its version is."""


def _top_level() -> dict[str, object]:
    """The imported modules that may be packages: no dots, no underscore, not the stdlib's."""
    return {
        name: module
        for name, module in sys.modules.copy().items()
        if name.__class__ is str
        and "." not in name
        and name[:1] != "_"
        and name not in sys.stdlib_module_names
        and module is not None
    }


def _packages(modules: Mapping[str, object], installed: dict[str, str]) -> dict[str, str]:
    """The versions of those modules that have one. ``installed`` is filled when first needed."""
    versions: dict[str, str] = {}
    for name, module in modules.items():
        version = _own_version(module)
        if version is None:
            if not installed:
                installed.update(_installed())
            version = installed.get(_normal(name))
        if version:
            versions[name] = version
    return versions


def _own_version(module: object) -> str | None:
    """``__version__``, without asking the module: a lazy one would load on any attribute."""
    try:
        known = object.__getattribute__(module, "__dict__")
        version = known.get("__version__")
    except Exception:  # noqa: BLE001  # sys.modules may hold objects of any class
        return None
    return str(version)[:_VERSION_LENGTH] if isinstance(version, str) and version else None


def _normal(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")


def _installed() -> dict[str, str]:
    """Versions of installed distributions by normal name, read off the folders' entries.

    importlib.metadata opens files and takes milliseconds; the name of a dist-info folder says
    both already (PyPA: Recording installed projects). The first on sys.path wins, as in import.
    """
    found: dict[str, str] = {}
    for folder in sys.path:
        with contextlib.suppress(OSError, TypeError, ValueError):
            for entry in os.listdir(folder or os.curdir):
                stem, dot, ending = entry.rpartition(".")
                if dot and ending in {"dist-info", "egg-info"}:
                    name, dash, version = stem.partition("-")
                    if dash:
                        found.setdefault(_normal(name), version.partition("-")[0])
    return found


class PackageWatch:
    """Tells which packages were imported since it was last asked.

    Costs a few look-ups while nothing is imported: sys.modules keeps the order of insertion, so
    its length and the very object in its last entry tell whether anything came in.
    The length alone would miss a module that was removed and imported anew. What is missed is
    importlib.reload of an upgraded package, until anything else is imported.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[Callable[[], object], str | None]] = {}
        """What each name stood for, and its version. Not by identity alone: a module that is
        imported anew may lie where the removed one lay.
        """
        self._length = -1
        self._last_module: Callable[[], object] = lambda: None
        self.new()

    def new(self) -> dict[str, str]:
        """Versions, by name, of packages that came in or changed their version. Never raises."""
        try:
            if self._unchanged():
                return {}
            return self._compare()
        except Exception:  # noqa: BLE001  # sys.modules belongs to the user; a hook never breaks a cell
            return {}

    def _unchanged(self) -> bool:
        modules = sys.modules
        if len(modules) != self._length:
            return False
        return modules[next(reversed(modules))] is self._last_module()

    def _compare(self) -> dict[str, str]:
        modules = sys.modules
        length, last = len(modules), modules[next(reversed(modules))]
        fresh: dict[str, str] = {}
        known: dict[str, tuple[Callable[[], object], str | None]] = {}
        installed: dict[str, str] = {}
        for name, held in _top_level().items():
            version = _own_version(held)
            before = self._known.get(name)
            if version is None and before is not None and before[0]() is held:
                version = before[1]
            elif version is None:
                version = _packages({name: held}, installed).get(name)
            known[name] = (_weakly(held), version)
            if version and (before is None or before[1] != version):
                fresh[name] = version
        self._known = known
        self._length = length
        self._last_module = _weakly(last)
        return fresh


def _weakly(held: object) -> Callable[[], object]:
    try:
        return weakref.ref(held)
    except TypeError:  # not a module, but it may stand there
        return lambda: held


# --- Git ------------------------------------------------------------------------------------

_SECONDS = 5.0
"""A git command that takes longer is given up."""
_JOIN_SECONDS = 15.0
_CHECK_SECONDS = 1.0
"""So often HEAD is looked at where nothing says that it may have moved."""


class _Watched(NamedTuple):
    """The files of a repository whose change says that HEAD moved, as they stood."""

    paths: tuple[str, ...]
    stamps: tuple[tuple[int, int, int] | None, ...]

    def moved(self) -> bool:
        return any(
            _stamp(path) != stamp for path, stamp in zip(self.paths, self.stamps, strict=True)
        )


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        known = os.stat(path)
    except (OSError, ValueError):
        return None
    return known.st_mtime_ns, known.st_size, known.st_ino


class GitWatch:
    """The state of the repository around a folder, read in the background.

    Without a repository, or without git, it finds nothing and says nothing.
    """

    def __init__(self, folder: Path | str) -> None:
        self._folder = os.fspath(folder)
        self._lock = threading.Lock()
        self._turn = 0
        self._thread: threading.Thread | None = None
        self._fresh: GitState | None = None
        self._told: GitState | None = None
        self._watched: _Watched | None = None
        self._checked = 0.0

    def start(self) -> None:
        """Begin to read the state; `poll` gives it once it is known."""
        with self._lock:
            self._turn += 1
            turn = self._turn
        thread = threading.Thread(
            target=self._read, args=(turn, self._folder), name="ipysession-git", daemon=True
        )
        self._thread = thread
        with contextlib.suppress(RuntimeError):  # no more threads: then no git state
            thread.start()

    def poll(self) -> GitState | None:
        """A state that became known since the last call, where it differs from that one's."""
        if self._fresh is None:
            return None
        with self._lock:
            fresh, self._fresh = self._fresh, None
            if fresh == self._told:
                return None
            self._told = fresh
        return fresh

    def check_moved(self, *, likely: bool = True) -> None:
        """Read again, in the background, if HEAD moved. Costs two os.stat calls; where it is not
        ``likely`` they are made once a second at most.
        """
        watched, now = self._watched, time.monotonic()
        if not likely and now - self._checked < _CHECK_SECONDS:
            return
        self._checked = now
        if watched is not None and watched.moved():
            self._watched = None  # until the new reading says what to watch
            self.start()

    def move(self, folder: Path | str) -> None:
        """Watch the repository around another folder."""
        self._folder = os.fspath(folder)
        self._watched = None
        self.start()

    def wait(self, seconds: float = _JOIN_SECONDS) -> None:
        """Wait for a reading that is under way."""
        thread = self._thread
        if thread is not None and thread.is_alive():
            thread.join(seconds)

    def _read(self, turn: int, folder: str) -> None:
        try:
            git = shutil.which("git")
            found = _read_git(git, folder) if git is not None else None
        except Exception:  # noqa: BLE001  # git's state is good to have, never worth an error
            found = None
        with self._lock:
            if turn == self._turn and found is not None:
                self._fresh, self._watched = found


def _read_git(git: str, folder: str) -> tuple[GitState, _Watched] | None:
    said = _git(git, folder, "rev-parse", "--show-toplevel", "--absolute-git-dir")
    if said is None:
        return None
    worktree, git_folder = said.splitlines()
    # Looked at before the state is read: what moves meanwhile is noticed afterwards.
    watched = _watched(git_folder)
    status = _git(
        git, folder, "status", "--porcelain=v2", "--branch", "--untracked-files=normal", "-z"
    )
    commit: str | None
    branch: str | None
    if status is None:
        commit = (_git(git, folder, "rev-parse", "--verify", "--quiet", "HEAD") or "").strip()
        branch = (_git(git, folder, "symbolic-ref", "--quiet", "--short", "HEAD") or "").strip()
        dirty = None
    else:
        entries = [entry for entry in status.split("\0") if entry]
        head = dict(entry[2:].split(" ", 1) for entry in entries if entry.startswith("# branch."))
        commit = head.get("branch.oid", "").replace("(initial)", "")
        branch = head.get("branch.head", "").replace("(detached)", "")
        dirty = any(not entry.startswith("# ") for entry in entries)
    state = GitState(
        worktree=_text(worktree),
        commit=commit or None,
        branch=_text(branch) or None,
        dirty=dirty,
    )
    return state, watched


def _watched(git_folder: str) -> _Watched:
    """The reflog grows with every move of HEAD; HEAD itself changes with the branch."""
    paths = tuple(os.path.join(git_folder, *name.split("/")) for name in ("logs/HEAD", "HEAD"))
    return _Watched(paths, tuple(map(_stamp, paths)))


def _git(git: str, folder: str, *arguments: str) -> str | None:
    """What git says; None where it fails, hangs or finds no repository."""
    environment = {
        name: value
        for name, value in os.environ.copy().items()
        if name not in {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"}
    }
    environment |= {
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_PAGER": "",
        "LC_ALL": "C",
    }
    try:
        process = subprocess.Popen(
            # core.fsmonitor may name a program of the repository's choice.
            [git, "--no-pager", "-c", "core.fsmonitor=false", "-C", folder, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # An interrupt of the cell reaches the kernel's process group; git is not meant.
            start_new_session=True,
        )
    except (OSError, ValueError):
        return None
    with process:
        try:
            said, _ = process.communicate(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):  # and what it started
                os.killpg(process.pid, signal.SIGKILL) if os.name == "posix" else process.kill()
            return None
    return said.decode(errors="surrogateescape") if process.returncode == 0 else None

"""What a step does outside the namespace: files, processes, connections, environment, folder.

Python's audit hook tells; here it is heard, sieved and made plain data. What native libraries
open without Python (HDF5's and Arrow's readers, a forked child) is not heard. No IPython.

An audit hook cannot be removed, and an exception that leaves it stops what the user does. So
there is one per process, installed at the first start; it does nothing while no step runs; and
it takes no lock, swallows every error of its own, and lets only an interrupt of the user's pass.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shlex
import stat
import sys
import sysconfig
import threading
import time
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from blake3 import blake3

from ipysession.model.provenance import FileUse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

CAP = 1_000
"""Distinct effects kept per step; further ones are only counted."""

_COMMAND_LENGTH = 2_000
"""Characters kept of a command."""


@dataclass(frozen=True, slots=True)
class EffectsSeen:
    """What one step did, as plain data. Paths are absolute, and as the system spells them: those
    of ``reads``, ``writes`` and ``deleted`` are for `describe_files`, which makes texts of them.
    """

    reads: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    """Also folders that were made, and both names of what was renamed over another."""
    deleted: list[str] = field(default_factory=list)
    processes: list[str] = field(default_factory=list)
    connections: list[tuple[str, str]] = field(default_factory=list)
    """Kind (``socket``, ``unix`` or ``sqlite``) and address."""
    omitted: int = 0
    """How many further effects were heard once CAP was reached; repeated ones count again."""
    environ_changed: list[str] = field(default_factory=list)
    """Names of environment variables that have another value than before the step."""
    cwd: str | None = None
    """The working directory after the step, where it is another one than before."""
    asked_input: bool = False
    """Python's own input() was called. A kernel's goes another way: see `EffectsWatch.asked`."""


class EffectsWatch:
    """Hears what steps do. One watch at a time is started in a process.

    ``ignored`` are folders whose files are never the user's doing: the store, the runtime
    folder, IPython's profile.
    """

    def __init__(self, *, ignored: tuple[Path, ...] = ()) -> None:
        self._ignored = tuple(
            sorted({text for folder in ignored for text in _both_spellings(str(folder))})
        )
        self._steps: dict[int, list[_Heard]] = {}
        """Of each thread that runs cells: its step, and those inside it."""
        self._life = -1

    def start(self) -> None:
        """Be ready to hear. The first start in a process installs the hook."""
        global _installed  # noqa: PLW0603  # there is one hook per process, by nature
        if not _installed:
            _installed = True
            sys.addaudithook(_hook)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=_fall_silent)
        self._life = _lives
        self._steps = {}

    def stop(self) -> None:
        """Hear nothing any more: the hook stays, and does nothing."""
        global _heard  # noqa: PLW0603
        if self._life == _lives:
            _heard = None
            _here.step = None
        self._life = -1
        self._steps = {}

    def begin(self) -> None:
        """A step starts in this thread. One inside another is heard as part of both."""
        global _heard  # noqa: PLW0603
        if self._life != _lives:
            return
        step = _Heard((*_elsewhere(), *self._ignored))
        self._steps.setdefault(threading.get_ident(), []).append(step)
        _heard = _here.step = step

    def end(self) -> EffectsSeen:
        """This thread's latest step ends: what it did."""
        global _heard  # noqa: PLW0603
        mine = self._steps.get(threading.get_ident())
        if not mine or self._life != _lives:
            return EffectsSeen()
        step = mine.pop()
        outer = mine[-1] if mine else None
        if outer is None:
            del self._steps[threading.get_ident()]
        _here.step = outer
        _heard = outer or next((steps[-1] for steps in self._steps.values()), None)
        with quiet():
            seen = step.sum_up()
            if outer is not None:
                outer.take_over(step)
        return seen

    def asked(self) -> None:
        """The running step asked for input, which a kernel does by a message."""
        step = _here.step or _heard
        if step is not None:
            step.asked_input = True


class _Quiet:
    """While inside, what this thread does is not heard. May be nested and shared."""

    def __enter__(self) -> None:
        _here.silent = (_here.silent or 0) + 1

    def __exit__(self, *_: object) -> None:
        _here.silent = max(0, (_here.silent or 0) - 1)


_QUIET = _Quiet()


def quiet() -> _Quiet:
    """A context in which what this thread does is not heard: for the recorder's own doings."""
    if _here.silent is None:
        _is_silent()
    return _QUIET


class _Here(threading.local):
    """Of each thread."""

    silent: int | None = None
    """Not heard when above 0; None until it is known whether the thread is one of the user's."""
    step: _Heard | None = None
    """The step that this thread runs itself."""
    host: tuple[str, str] | None = None
    """The name and port that this thread looked up last."""


_here = _Here()
_heard: _Heard | None = None
"""The latest running step; None while none runs, and then the hook is inert."""
_installed = False
_lives = 0
"""Grows in each forked child, so that watches started before the fork are stopped there."""

_SILENT_THREADS = (
    "ipysession",
    "IPythonHistorySavingThread",
    "IOPub",
    "Heartbeat",
    "Control",
    "Shell channel",
)
"""What the names of our own threads, IPython's and ipykernel's begin with."""


def _fall_silent() -> None:
    global _heard, _lives  # noqa: PLW0603
    _heard = _here.step = None
    _lives += 1


def _is_silent() -> bool:
    """Is this thread one whose doings are not the user's? Asked once per thread."""
    # Not current_thread(): it makes a lasting object for threads that Python did not start.
    thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]  # noqa: SLF001
    silent = thread is not None and str(thread.name).startswith(_SILENT_THREADS)
    _here.silent = int(silent)
    return silent


def _hook(event: str, args: tuple[Any, ...]) -> None:
    step = _heard
    if step is None:
        return
    handle = _HANDLERS.get(event)
    if handle is None or _here.silent:
        return
    try:
        if _here.silent is not None or not _is_silent():
            handle(_here.step or step, args)
    except Exception:  # noqa: BLE001, S110  # whatever leaves a hook stops what the user does
        pass


# --- What is not the user's doing -----------------------------------------------------------

_CODE_ENDINGS = (
    *(".py", ".pyc", ".pyi", ".so", ".pyd", ".dll", ".dylib", ".pth", ".egg-link", ".zip"),
    *("/METADATA", "/entry_points.txt", "/RECORD", "/direct_url.json", "/top_level.txt"),
)
_SITES = {"site-packages", "dist-packages"}


def _both_spellings(folder: str) -> set[str]:
    """The folder as what the paths below it begin with: as written, and with links resolved."""
    written = os.path.abspath(os.path.expanduser(folder))
    return {path.rstrip(os.sep) + os.sep for path in (written, os.path.realpath(written))}


@lru_cache(maxsize=1)
def _code_folders() -> tuple[str, ...]:
    """Folders of installed code, ours included: files of code below them are read by imports.

    Not all of sys.prefix: people keep their work inside an environment's folder, too.
    """
    inside = ("lib", "lib64", "local/lib", "Lib", "DLLs", "share", "etc")
    prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    folders = [os.path.join(prefix, name) for prefix in prefixes for name in inside]
    folders += [path for name, path in sysconfig.get_paths().items() if "lib" in name]
    folders += [path for path in sys.path if os.path.basename(path) in _SITES]
    folders.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return tuple(sorted({text for path in folders for text in _both_spellings(path)}))


@lru_cache(maxsize=1)
def _elsewhere() -> tuple[str, ...]:
    """What paths begin with where reading and writing is the system's or a library's habit."""
    home = os.path.expanduser("~")
    caches = os.environ.get("XDG_CACHE_HOME") or f"{home}/.cache"
    settings = os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    folders = [
        *("/proc", "/sys", "/dev/shm", "/dev/pts", "/dev/fd"),  # noqa: S108  # told apart, not used
        *("/usr/share/zoneinfo", "/usr/share/locale", "/usr/lib/locale", "/etc/ssl"),
        *("/etc/fonts", "/usr/share/fonts", "/usr/local/share/fonts", "/System/Library/Fonts"),
        *("/Library/Fonts", f"{home}/.fonts", f"{home}/.local/share/fonts"),
        *(f"{caches}/fontconfig", f"{caches}/matplotlib", f"{settings}/matplotlib"),
        *(f"{home}/.matplotlib", f"{home}/Library/Caches/matplotlib"),
        *(f"{caches}/{name}" for name in ("jedi", "parso")),  # completion and inspection
        *filter(None, [os.environ.get("MPLCONFIGDIR")]),
    ]
    files = [
        *(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "ptmx")),
        *(f"/dev/{name}" for name in ("stdin", "stdout", "stderr")),
        *("/etc/mime.types", "/etc/localtime", "/etc/os-release", "/usr/lib/os-release"),
        *("/usr/local/etc/mime.types", "/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf"),
    ]
    return (*sorted({text for path in folders for text in _both_spellings(path)}), *files)


_IMPORTING = importlib._bootstrap.__dict__  # noqa: SLF001
"""The globals of the code that imports. A frame's globals are quick to look at; a look at its
code would raise an audit event."""


def _is_by_import() -> bool:
    """Does installed code, which is being imported right now, do this?

    The innermost import decides: what a module of the user's does while it is imported is the
    user's doing. Looks at 200 frames at most; asked once for each new file.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
    for _ in range(200):
        if frame is None:
            break
        if frame.f_globals is _IMPORTING:
            origin = getattr(frame.f_locals.get("spec"), "origin", None)
            if isinstance(origin, str):
                return origin in {"frozen", "built-in"} or origin.startswith(_code_folders())
        frame = frame.f_back
    return False


# --- What is heard in a step ----------------------------------------------------------------


class _Heard:
    """Everything heard in one step. Each thing is one entry in a dict, so no lock is needed."""

    def __init__(self, elsewhere: tuple[str, ...]) -> None:
        self.code = _code_folders()
        self.elsewhere = elsewhere
        self.cwd_before = _cwd()
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
            if base is None:
                return None
            path = os.path.join(base, path)
        return os.path.normpath(path) if "/." in path or "//" in path or path[-1:] == "/" else path

    def read(self, path: str) -> None:
        """A file is opened for reading."""
        if path.startswith(self.code) and (path.endswith(_CODE_ENDINGS) or "/mpl-data/" in path):
            return
        source = _source_of(path) if "__pycache__" in path else path
        if source is None or source in self.reads or not self.is_users(path):
            return
        if self.has_room():
            mode = os.stat(source).st_mode  # what is not there cannot be read: OSError
            if stat.S_ISDIR(mode) or stat.S_ISSOCK(mode) or not os.access(source, os.R_OK):
                return
            if not _is_by_import():
                self.reads[source] = None

    def write(self, path: str, flags: int) -> None:
        """A file is opened for writing."""
        if self.changes.get(path) or not self.is_users(path):
            return
        if os.path.lexists(path):
            refused = flags & _CREATING == _CREATING or not os.access(path, os.W_OK)
            if refused or os.path.isdir(path):  # an unnamed temporary file names its folder
                return
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
            if not self.has_room() or _is_by_import():
                return
            self.existed[path] = os.path.lexists(path)
        if not before:
            self.changes[path] = written

    def process(self, command: str) -> None:
        """A process is started."""
        if len(command) > _COMMAND_LENGTH:
            command = command[:_COMMAND_LENGTH] + "…"
        if command not in self.processes and self.has_room() and not _is_by_import():
            self.processes[command] = None

    def connection(self, kind: str, address: str) -> None:
        """A connection is opened."""
        key = kind, address
        if key not in self.connections and self.has_room() and not _is_by_import():
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
            processes = [command for command in processes if command != _FORK]
            processes.append("(multiprocessing)")
        cwd = _cwd()
        return EffectsSeen(
            reads=[path for path in self.reads if path not in self.changes],
            writes=writes,
            deleted=deleted,
            processes=[*map(_text, processes)],
            connections=[(kind, _text(address)) for kind, address in self.connections],
            omitted=self.omitted,
            environ_changed=sorted(
                _text(name)
                for name, before in self.environ.items()
                if _environ_hash(name) != before
            ),
            cwd=None if cwd is None or cwd == self.cwd_before else _text(cwd),
            asked_input=self.asked_input,
        )

    def take_over(self, inner: _Heard) -> None:
        """What an inner step did, its outer step did too."""
        self.reads |= inner.reads
        for path, written in inner.changes.items():
            self.changes[path] = self.changes.get(path, False) or written
        self.existed = inner.existed | self.existed
        self.processes |= inner.processes
        self.connections |= inner.connections
        self.environ = inner.environ | self.environ
        self.asked_input |= inner.asked_input
        self.omitted += inner.omitted
        self.cwd = None


def _cwd() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was deleted
        return None


def _text(name: str) -> str:
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


def _environ_hash(name: str) -> int | None:
    """Tells whether a value changed, and keeps nothing of it."""
    value = os.environ.get(name)
    return None if value is None else hash(value)


def _process_count() -> str:
    """Multiprocessing counts what it starts, in whichever way it does; some ways are not heard.

    The count begins at 1, also of a module that is only imported within the step.
    """
    module = sys.modules.get("multiprocessing.process")
    return repr(getattr(module, "_process_counter", "count(1)")).strip("'")


# --- Events ---------------------------------------------------------------------------------
# Of each, Python's documentation gives the arguments: https://docs.python.org/3/library/audit_events.html

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_PATH", 0)
_CREATING = os.O_CREAT | os.O_EXCL
_READING_MODES = frozenset({None, "r", "rb", "rt", "br", "tr"})
_FORK = "(fork)"


def _on_open(step: _Heard, args: tuple[Any, ...]) -> None:
    given, mode, flags = args
    if given.__class__ is int or flags & _FOLDER:
        return
    writing = bool(flags & _WRITING) or mode not in _READING_MODES
    key = given, writing
    if key in step.known:
        return
    path = step.path(given)
    if path is None:
        return
    if writing:
        step.write(path, flags)
    else:
        step.read(path)
    if step.changes.get(path) or (not writing and path in step.reads):
        step.known.add(key)


def _on_delete(step: _Heard, args: tuple[Any, ...]) -> None:
    path = step.path(args[0], args[1])
    if path is not None and os.path.lexists(path):
        step.change(path, written=False)


def _on_delete_tree(step: _Heard, args: tuple[Any, ...]) -> None:
    path = step.path(args[0], args[1] if len(args) > 1 else -1)
    if path is not None and os.path.isdir(path):
        step.change(path, written=False)
        step.trees = (*step.trees, path + os.sep)


def _on_rename(step: _Heard, args: tuple[Any, ...]) -> None:
    source = step.path(args[0], args[2])
    if source is not None and os.path.lexists(source):
        step.change(source, written=False)
        step.change(step.path(args[1], args[3]), written=True)


def _on_make(step: _Heard, args: tuple[Any, ...]) -> None:
    path = step.path(args[0], args[2])
    if path is not None and not os.path.lexists(path):
        step.change(path, written=True)


def _on_link(step: _Heard, args: tuple[Any, ...]) -> None:
    _on_make(step, (args[1], None, args[-1]))


def _on_truncate(step: _Heard, args: tuple[Any, ...]) -> None:
    step.change(step.path(args[0]), written=True)


def _on_chdir(step: _Heard, _: tuple[Any, ...]) -> None:
    step.cwd = None  # this is told before it happens: ask when the next path needs it
    step.known.clear()


def _on_environ(step: _Heard, args: tuple[Any, ...]) -> None:
    name = os.fsdecode(args[0])
    if name not in step.environ and not _is_by_import():
        step.environ[name] = _environ_hash(name)


def _command(given: Any) -> str:
    """A command as a person would type it."""
    if isinstance(given, (str, bytes, Path)):
        return os.fsdecode(given)
    if not isinstance(given, (list, tuple)):
        return ""
    words = [
        os.fsdecode(word) if isinstance(word, (str, bytes, Path)) else f"<{type(word).__name__}>"
        for word in given[:1000]
    ]
    if len(words) == 3 and words[1] == "-c" and words[0].endswith("sh"):
        return words[2]  # what a shell was asked to do
    return shlex.join(words)


def _on_popen(step: _Heard, args: tuple[Any, ...]) -> None:
    step.process(_command(args[1]) or _command(args[0]))


def _on_system(step: _Heard, args: tuple[Any, ...]) -> None:
    step.process(_command(args[0]))


def _on_spawn(step: _Heard, args: tuple[Any, ...]) -> None:
    step.process(_command(args[2]))


def _on_fork(step: _Heard, _: tuple[Any, ...]) -> None:
    step.process(_FORK)


def _on_forkpty(step: _Heard, _: tuple[Any, ...]) -> None:
    """Pexpect forks by itself, and IPython's ``!command`` uses it: its frame knows the command."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
    command = _FORK
    for _attempt in range(12):
        if frame is None:
            break
        if frame.f_code.co_name == "spawn" and "argv" in frame.f_code.co_varnames:
            command = _command(frame.f_locals["argv"])
            break
        frame = frame.f_back
    step.process(command)


def _on_getaddrinfo(_: _Heard, args: tuple[Any, ...]) -> None:
    host = args[0]
    _here.host = (os.fsdecode(host), str(args[1])) if isinstance(host, (str, bytes)) else None


def _on_connect(step: _Heard, args: tuple[Any, ...]) -> None:
    address = args[1]
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = str(address[0]), str(address[1])
        said = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        looked_up = _here.host
        if looked_up is not None and looked_up[1] == port and looked_up[0] != host:
            said = f"{looked_up[0]}:{port} ({host})"
        step.connection("socket", said)
    elif isinstance(address, (str, bytes)):
        step.connection("unix", os.fsdecode(address))


def _on_sqlite(step: _Heard, args: tuple[Any, ...]) -> None:
    name = os.fsdecode(args[0]) if isinstance(args[0], (str, bytes, Path)) else ""
    if not name or name == ":memory:" or "mode=memory" in name or name.startswith("file::memory:"):
        return
    path = step.path(name.removeprefix("file:").partition("?")[0])
    if path is not None and step.is_users(path):
        step.connection("sqlite", path)


def _on_input(step: _Heard, _: tuple[Any, ...]) -> None:
    step.asked_input = True


_HANDLERS: dict[str, Callable[[_Heard, tuple[Any, ...]], None]] = {
    "open": _on_open,
    "os.remove": _on_delete,
    "os.rmdir": _on_delete,
    "shutil.rmtree": _on_delete_tree,
    "os.rename": _on_rename,
    "os.mkdir": _on_make,
    "os.link": _on_link,
    "os.symlink": _on_link,
    "os.truncate": _on_truncate,
    "os.chdir": _on_chdir,
    "os.putenv": _on_environ,
    "os.unsetenv": _on_environ,
    "subprocess.Popen": _on_popen,
    "os.exec": _on_popen,
    "os.posix_spawn": _on_popen,
    "os.spawn": _on_spawn,
    "os.system": _on_system,
    "os.startfile": _on_system,
    "os.fork": _on_fork,
    "os.forkpty": _on_forkpty,
    "socket.getaddrinfo": _on_getaddrinfo,
    "socket.connect": _on_connect,
    "socket.sendto": _on_connect,
    "socket.sendmsg": _on_connect,
    "sqlite3.connect": _on_sqlite,
    "builtins.input": _on_input,
}
"""What shutil and tempfile do besides arrives as these, too."""


# --- Files at the end of a step -------------------------------------------------------------

_MB = 1 << 20
_CHUNK = 1 << 20
_SETTLED_SECONDS = 2.0
"""A file may change again within one tick of its clock; only an older one's digest is kept."""
_digests: dict[tuple[int, ...], str] = {}


def describe_files(
    reads: Iterable[str],
    writes: Iterable[str],
    deleted: Iterable[str],
    *,
    digest_limit: int = 64 * _MB,
    budget_seconds: float = 0.5,
) -> list[FileUse]:
    """Size, time and digest of each file as it stands now.

    A file above ``digest_limit`` bytes gets no digest, and none gets one once
    ``budget_seconds`` are spent. Only regular files are opened, so a pipe cannot block. A file
    that was both written and read counts as written.
    """
    until = time.monotonic() + budget_seconds
    uses: dict[str, FileUse] = {}
    with quiet():
        for path in deleted:
            uses[path] = FileUse(path=_text(path), action="deleted")
        for path in writes:
            uses[path] = _describe(path, "written", digest_limit, until)
        for path in reads:
            if path not in uses:
                uses[path] = _describe(path, "read", digest_limit, until)
    return list(uses.values())


def _describe(
    path: str, action: Literal["read", "written"], digest_limit: int, until: float
) -> FileUse:
    told = _text(path)
    try:
        known = os.stat(path)
    except (OSError, ValueError):  # gone, or not a path at all
        return FileUse(path=told, action=action)
    if not stat.S_ISREG(known.st_mode):
        return FileUse(path=told, action=action, mtime=known.st_mtime)
    digest = None
    if known.st_size <= digest_limit:
        with contextlib.suppress(OSError):
            digest = _digest(path, known, until)
    return FileUse(
        path=told, action=action, size=known.st_size, mtime=known.st_mtime, digest=digest
    )


def _digest(path: str, known: os.stat_result, until: float) -> str | None:
    """BLAKE3 of the content; None when time runs out or the file changes meanwhile."""
    same = known.st_dev, known.st_ino, known.st_size, known.st_mtime_ns, known.st_ctime_ns
    if same in _digests:
        return _digests[same]
    if time.monotonic() >= until:
        return None
    optional = ("O_CLOEXEC", "O_NONBLOCK", "O_NOCTTY", "O_BINARY")
    flags = sum(getattr(os, name, 0) for name in optional)
    descriptor = os.open(path, os.O_RDONLY | flags)
    try:
        if not os.path.samestat(os.fstat(descriptor), known):
            return None
        hasher = blake3()
        while chunk := os.read(descriptor, _CHUNK):
            hasher.update(chunk)
            if time.monotonic() > until:
                return None
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if (after.st_size, after.st_mtime_ns) != (known.st_size, known.st_mtime_ns):
        return None
    digest: str = hasher.hexdigest()
    if time.time() - max(known.st_mtime, known.st_ctime) > _SETTLED_SECONDS:
        if len(_digests) >= CAP:
            _digests.clear()
        _digests[same] = digest
    return digest

"""What a step does outside the namespace: files, processes, connections, environment, folder.

Python's audit hook tells; here it is heard, sieved and made plain data. What native libraries
open without Python (HDF5's and Arrow's readers, a forked child) is not heard. No IPython.

An audit hook cannot be removed, and an exception that leaves it stops what the user does. So
there is one per process, installed at the first start; it does nothing while no step runs; and
it takes no lock, swallows every error of its own, and lets only an interrupt of the user's pass.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
import sys
import sysconfig
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from ipysession.model.provenance import FileUse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

CAP = 1_000
"""Distinct effects kept per step; further ones are only counted."""

_COMMAND_LENGTH = 2_000
"""Characters kept of a command."""


@dataclass(frozen=True, slots=True)
class EffectsSeen:
    """What one step did, as plain data. Paths are absolute."""

    reads: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    processes: list[str] = field(default_factory=list)
    connections: list[tuple[str, str]] = field(default_factory=list)
    """Kind (``socket``, ``unix`` or ``sqlite``) and address."""
    omitted: int = 0
    """How many further effects were seen after CAP was reached, repeated ones counted again."""
    environ_changed: list[str] = field(default_factory=list)
    cwd: str | None = None
    """The working directory after the step, where the step changed it."""


class EffectsWatch:
    """Hears what steps do. One is started at a time in a process.

    ``ignored`` are folders whose files are never the user's doing: the store, the runtime
    folder, IPython's profile.
    """

    def __init__(self, *, ignored: tuple[Path, ...] = ()) -> None:
        self._ignored = tuple(
            sorted({text for folder in ignored for text in _both_spellings(str(folder))})
        )
        self._steps: list[_Heard] = []
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
        self._steps = []

    def stop(self) -> None:
        """Hear nothing any more; the hook stays and does nothing."""
        global _heard  # noqa: PLW0603
        self._life = -1
        self._steps = []
        _heard = None

    def begin(self) -> None:
        """A step starts. A step inside another one is heard as part of both."""
        global _heard  # noqa: PLW0603
        if self._life != _lives:
            return
        step = _Heard(_code_folders(), (*_elsewhere(), *self._ignored))
        self._steps.append(step)
        _heard = step

    def end(self) -> EffectsSeen:
        """The step ends: what it did."""
        global _heard  # noqa: PLW0603
        if not self._steps or self._life != _lives:
            return EffectsSeen()
        step = self._steps.pop()
        outer = self._steps[-1] if self._steps else None
        _heard = None
        seen = step.sum_up()
        if outer is not None:
            outer.take_over(step)
        _heard = outer
        return seen


class _Quiet:
    """While inside, what this thread does is not heard. May be nested and shared."""

    def __enter__(self) -> None:
        _here.silent = (_here.silent or 0) + 1

    def __exit__(self, *_: object) -> None:
        _here.silent = max(0, (_here.silent or 0) - 1)


_QUIET = _Quiet()


def quiet() -> _Quiet:
    """A context in which what the current thread does is not heard: for the recorder itself."""
    return _QUIET


class _Here(threading.local):
    """Of each thread: None until it is known whether the thread is to be heard."""

    silent: int | None = None
    host: tuple[str, Any] | None = None
    """The name and port that this thread looked up last."""


_here = _Here()
_heard: _Heard | None = None
"""What the running step did so far; None while no step runs, and then the hook is inert."""
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


def _fall_silent() -> None:
    global _heard, _lives  # noqa: PLW0603
    _heard = None
    _lives += 1


def _is_silent() -> bool:
    """Is this thread one whose doings are not the user's? Asked once per thread."""
    # Not current_thread(): it makes a lasting object for threads that Python did not start.
    thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]  # noqa: SLF001
    silent = thread is not None and str(thread.name).startswith(_SILENT_THREADS)
    _here.silent = int(silent)
    return silent


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _heard is None:
        return
    handle = _HANDLERS.get(event)
    if handle is None or _here.silent:
        return
    try:
        step = _heard
        if step is not None and (_here.silent is not None or not _is_silent()):
            handle(step, args)
    except Exception:  # noqa: BLE001, S110  # whatever leaves a hook stops what the user does
        pass


# --- What is not the user's -----------------------------------------------------------------

_CODE_ENDINGS = (
    ".py",
    ".pyc",
    ".pyi",
    ".so",
    ".pyd",
    ".dll",
    ".dylib",
    ".pth",
    ".egg-link",
    ".zip",
)


def _both_spellings(folder: str) -> set[str]:
    """The folder as prefix of its content's paths, as written and with its links resolved."""
    written = os.path.abspath(os.path.expanduser(folder))
    return {path.rstrip(os.sep) + os.sep for path in (written, os.path.realpath(written))}


_folders: tuple[str, ...] = ()
_others: tuple[str, ...] = ()


def _code_folders() -> tuple[str, ...]:
    """Folders of installed code: below them, files of code are read by imports."""
    global _folders  # noqa: PLW0603
    if not _folders:
        inside = ("lib", "lib64", "local/lib", "Lib", "DLLs", "share", "etc")
        folders = [
            os.path.join(prefix, name)
            for prefix in {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
            for name in inside
        ]
        folders += [path for name, path in sysconfig.get_paths().items() if "lib" in name]
        folders += [path for path in sys.path if os.path.basename(path) in _SITES]
        _folders = tuple(sorted({text for path in folders for text in _both_spellings(path)}))
    return _folders


_SITES = {"site-packages", "dist-packages"}


def _elsewhere() -> tuple[str, ...]:
    """Folders and devices where reading and writing means nothing: caches, fonts, the kernel."""
    global _others  # noqa: PLW0603
    if not _others:
        home = os.path.expanduser("~")
        caches = [
            os.environ.get("MPLCONFIGDIR", ""),
            os.path.join(os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config", "matplotlib"),
            os.path.join(os.environ.get("XDG_CACHE_HOME") or f"{home}/.cache", "matplotlib"),
            os.path.join(os.environ.get("XDG_CACHE_HOME") or f"{home}/.cache", "fontconfig"),
            f"{home}/.matplotlib",
            f"{home}/Library/Caches/matplotlib",
            f"{home}/.fonts",
            f"{home}/.local/share/fonts",
            "/usr/share/fonts",
            "/usr/local/share/fonts",
            "/System/Library/Fonts",
            "/Library/Fonts",
            "/usr/share/zoneinfo",
            "/usr/share/locale",
            "/usr/lib/locale",
            "/etc/ssl",
            "/etc/fonts",
            "/dev/shm",
            "/dev/pts",
            "/dev/fd",
        ]
        _others = (
            "/proc/",
            "/sys/",
            *("/dev/" + name for name in ("null", "urandom", "random", "zero", "full", "tty\0")),
            *("/dev/" + name for name in ("stdin", "stdout", "stderr", "ptmx")),
            "/etc/mime.types",
            "/etc/localtime",
            "/etc/os-release",
            "/usr/lib/os-release",
            *sorted({text for path in caches if path for text in _both_spellings(path)}),
        )
    return _others


def _import_reads() -> bool:
    """Does what is happening happen because installed code is being imported?

    The innermost import decides: when a module of the user's opens a file while it is imported,
    that is the user's doing.
    """
    frame = sys._getframe(3)  # noqa: SLF001  # the opener: past the sieve, the handler, the hook
    inner = ""
    for _ in range(80):
        code = frame.f_code
        if code.co_filename == "<frozen importlib._bootstrap>":
            return inner.startswith(_folders)
        if code.co_name == "<module>":
            inner = code.co_filename
        outer = frame.f_back
        if outer is None:
            return False
        frame = outer
    return False


# --- What is heard in a step ----------------------------------------------------------------


class _Heard:
    """Everything heard in one step, deduplicated. Only grows by single dict operations."""

    def __init__(self, code: tuple[str, ...], elsewhere: tuple[str, ...]) -> None:
        self.code = code
        self.elsewhere = elsewhere
        self.cwd_before = _cwd()
        self.cwd: str | None = self.cwd_before
        self.known: set[str] = set()
        """Reads that need no second look, as the user spelled them."""
        self.reads: dict[str, None] = {}
        self.changes: dict[tuple[str, bool], int] = {}
        """(path, is it there afterwards), in the order of the last one; when it first was."""
        self.existed: dict[str, bool] = {}
        self.trees: tuple[str, ...] = ()
        self.processes: dict[str, None] = {}
        self.connections: dict[tuple[str, str], None] = {}
        self.environ: dict[str, int | None] = {}
        """Touched variables, with the hash of the value before."""
        self.omitted = 0
        self.count = 0
        self.started = _process_counter()

    def room(self) -> bool:
        if self.count < CAP:
            self.count += 1
            return True
        self.omitted += 1
        return False

    def path(self, given: Any, folder: Any = -1) -> str | None:
        """The absolute path of what the user named; None where that is not a path."""
        if given.__class__ is not str:
            if isinstance(given, bytes):
                given = os.fsdecode(given)
            elif isinstance(given, Path):
                given = str(given)
            else:
                return None
        if given[:1] == "/" or os.path.isabs(given):
            path = given
        elif folder.__class__ is int and folder >= 0:
            path = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), given)
        else:
            if self.cwd is None:
                self.cwd = _cwd()
            if self.cwd is None:
                return None
            path = os.path.join(self.cwd, given)
        return os.path.normpath(path) if "." in path or "//" in path else path

    def read(self, given: Any) -> None:
        if given in self.known:
            return
        path = self.path(given)
        if path is None or path.startswith(self.elsewhere):
            return
        if path.startswith(self.code) and (
            path.endswith(_CODE_ENDINGS)
            or ".dist-info/" in path
            or ".egg-info/" in path
            or "/mpl-data/" in path
        ):
            return
        if "__pycache__" in path:
            path = _source_of(path)
            if path is None:
                return
        if path not in self.reads:
            mode = os.stat(path).st_mode  # OSError: nothing is there to be read
            if stat.S_ISDIR(mode) or stat.S_ISSOCK(mode) or _import_reads():
                return
            if self.room():
                self.reads[path] = None
        if given.__class__ is str:
            self.known.add(given)

    def change(self, path: str | None, *, there: bool) -> None:
        """A file or folder is written, or (not ``there`` afterwards) deleted."""
        if path is None or path.startswith(self.elsewhere) or "__pycache__" in path:
            return
        key = path, there
        first = self.changes.pop(key, None)
        if first is None:
            if not there and path.startswith(self.trees):
                return
            if _import_reads() or not self.room():
                return
            first = self.count
            if path not in self.existed:
                self.existed[path] = os.path.lexists(path)
        self.changes[key] = first

    def process(self, command: str) -> None:
        if not _import_reads():
            command = (
                command if len(command) <= _COMMAND_LENGTH else command[:_COMMAND_LENGTH] + "…"
            )
            if command in self.processes or self.room():
                self.processes[command] = None

    def connection(self, kind: str, address: str) -> None:
        if not _import_reads() and ((kind, address) in self.connections or self.room()):
            self.connections[kind, address] = None

    def sum_up(self) -> EffectsSeen:
        """What is left of it at the end of the step."""
        writes: dict[str, None] = {}
        deleted: dict[str, None] = {}
        for path, there in self.changes:
            writes.pop(path, None)
            deleted.pop(path, None)
            (writes if there else deleted)[path] = None
        for path in [*writes]:
            if not os.path.lexists(path):
                del writes[path]  # could not be written, or was only there for a moment
                if self.existed.get(path):
                    deleted[path] = None
        for path in [*deleted]:
            if not self.existed.get(path) or os.path.lexists(path):
                del deleted[path]
        started = _process_counter()
        if started is not None and started != self.started:
            self.processes.setdefault("(multiprocessing)")
        cwd = _cwd()
        return EffectsSeen(
            reads=[path for path in self.reads if path not in writes and path not in deleted],
            writes=[*writes],
            deleted=[*deleted],
            processes=[*self.processes],
            connections=[*self.connections],
            omitted=self.omitted,
            environ_changed=sorted(
                name for name, before in self.environ.items() if _environ_hash(name) != before
            ),
            cwd=cwd if cwd != self.cwd_before else None,
        )

    def take_over(self, inner: _Heard) -> None:
        """An inner step's doings are its outer step's too."""
        self.reads |= inner.reads
        self.changes |= inner.changes
        self.existed = inner.existed | self.existed
        self.processes |= inner.processes
        self.connections |= inner.connections
        self.environ = inner.environ | self.environ
        self.omitted += inner.omitted
        self.count = min(CAP, self.count + inner.count)
        self.cwd = None


def _cwd() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was deleted
        return None


def _source_of(path: str) -> str | None:
    """The module's file of a cached one: ``x/__pycache__/m.cpython-311.pyc`` is ``x/m.py``."""
    folder, _, name = path.rpartition("__pycache__")
    source = folder + name.strip(os.sep).partition(".")[0] + ".py"
    return source if name.endswith(".pyc") and os.path.exists(source) else None


def _environ_hash(name: str) -> int | None:
    value = os.environ.get(name)
    return None if value is None else hash(value)


def _process_counter() -> str | None:
    """multiprocessing counts the processes that it makes, whichever way it starts them."""
    module = sys.modules.get("multiprocessing.process")
    counter = getattr(module, "_process_counter", None)
    return None if counter is None else repr(counter)


# --- Events ---------------------------------------------------------------------------------

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_PATH", 0)
_READING_MODES = frozenset({"r", "rb", "rt", "br", "tr", None})


def _on_open(step: _Heard, args: tuple[Any, ...]) -> None:
    path, mode, flags = args
    if path.__class__ is int:
        return
    if mode in _READING_MODES and not flags & _WRITING:
        if not flags & _FOLDER:
            step.read(path)
    elif not flags & _FOLDER:
        absolute = step.path(path)
        if flags & os.O_EXCL and flags & os.O_CREAT and absolute and os.path.lexists(absolute):
            return  # will be refused
        step.change(absolute, there=True)


def _on_delete(step: _Heard, args: tuple[Any, ...]) -> None:
    path = step.path(args[0], args[1])
    if path is not None and os.path.lexists(path):
        step.change(path, there=False)


def _on_delete_tree(step: _Heard, args: tuple[Any, ...]) -> None:
    path = step.path(args[0], args[1] if len(args) > 1 and args[1] is not None else -1)
    if path is not None and os.path.isdir(path):
        step.change(path, there=False)
        step.trees = (*step.trees, path + os.sep)


def _on_rename(step: _Heard, args: tuple[Any, ...]) -> None:
    source, target = step.path(args[0], args[2]), step.path(args[1], args[3])
    if source is not None and os.path.lexists(source):
        step.change(source, there=False)
        step.change(target, there=True)


def _on_make(step: _Heard, args: tuple[Any, ...]) -> None:
    path = step.path(args[0], args[-1])
    if path is not None and not os.path.lexists(path):
        step.change(path, there=True)


def _on_link(step: _Heard, args: tuple[Any, ...]) -> None:
    step.change(step.path(args[1], args[-1]), there=True)


def _on_truncate(step: _Heard, args: tuple[Any, ...]) -> None:
    step.change(step.path(args[0]), there=True)


def _on_chdir(step: _Heard, args: tuple[Any, ...]) -> None:  # noqa: ARG001
    step.cwd = None  # it is told before it is done
    step.known.clear()


def _on_environ(step: _Heard, args: tuple[Any, ...]) -> None:
    name = os.fsdecode(args[0])
    if name not in step.environ and not _import_reads():
        step.environ[name] = _environ_hash(name)


def _command(given: Any) -> str:
    if isinstance(given, (str, bytes)):
        return os.fsdecode(given)
    if isinstance(given, (list, tuple)):
        words = [
            os.fsdecode(word) if isinstance(word, (str, bytes, Path)) else str(type(word))
            for word in given[:200]
        ]
        if len(words) == 3 and words[1] == "-c" and os.path.basename(words[0]) == "sh":
            return words[2]  # shell=True
        return shlex.join(words)
    return os.fsdecode(given) if isinstance(given, Path) else ""


def _on_popen(step: _Heard, args: tuple[Any, ...]) -> None:
    step.process(_command(args[1]) or _command(args[0]))


def _on_system(step: _Heard, args: tuple[Any, ...]) -> None:
    step.process(_command(args[0]))


def _on_spawn(step: _Heard, args: tuple[Any, ...]) -> None:
    step.process(_command(args[2]))


def _on_pty(step: _Heard, args: tuple[Any, ...]) -> None:  # noqa: ARG001
    """pexpect forks by itself; IPython's ``!command`` goes that way."""
    frame = sys._getframe(1)  # noqa: SLF001
    for _ in range(12):
        if frame.f_code.co_name == "spawn" and "argv" in frame.f_code.co_varnames:
            step.process(_command(frame.f_locals["argv"]))
            return
        if frame.f_back is None:
            break
        frame = frame.f_back
    step.process("(fork)")


def _on_fork(step: _Heard, args: tuple[Any, ...]) -> None:  # noqa: ARG001
    step.process("(fork)")


def _on_getaddrinfo(step: _Heard, args: tuple[Any, ...]) -> None:  # noqa: ARG001
    host = args[0]
    _here.host = (os.fsdecode(host), args[1]) if isinstance(host, (str, bytes)) else None


def _on_connect(step: _Heard, args: tuple[Any, ...]) -> None:
    address = args[1]
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = address[:2]
        looked_up = _here.host
        if looked_up is not None and str(looked_up[1]) == str(port):
            host = looked_up[0]
        step.connection("socket", f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}")
    elif isinstance(address, (str, bytes)):
        step.connection("unix", os.fsdecode(address))


def _on_sqlite(step: _Heard, args: tuple[Any, ...]) -> None:
    given = args[0]
    name = os.fsdecode(given) if isinstance(given, (str, bytes, Path)) else ""
    if not name or name == ":memory:" or name.startswith("file::memory:"):
        return
    address = name.partition("?")[0] if name.startswith("file:") else step.path(name)
    if address is not None and not address.removeprefix("file:").startswith(step.elsewhere):
        step.connection("sqlite", address)


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
    "os.system": _on_system,
    "os.startfile": _on_system,
    "os.exec": _on_popen,
    "os.posix_spawn": _on_popen,
    "os.spawn": _on_spawn,
    "os.forkpty": _on_pty,
    "os.fork": _on_fork,
    "socket.getaddrinfo": _on_getaddrinfo,
    "socket.connect": _on_connect,
    "socket.sendto": _on_connect,
    "sqlite3.connect": _on_sqlite,
}


# --- Files at the end of a step -------------------------------------------------------------

_CHUNK = 1 << 20
_MB = 1 << 20


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
            uses[path] = FileUse(path=path, action="deleted")
        for path in writes:
            uses[path] = _describe(path, "written", digest_limit, until)
        for path in reads:
            if path not in uses:
                uses[path] = _describe(path, "read", digest_limit, until)
    return list(uses.values())


def _describe(path: str, action: Any, limit: int, until: float) -> FileUse:
    try:
        known = os.stat(path)
    except (OSError, ValueError):
        return FileUse(path=path, action=action)
    if not stat.S_ISREG(known.st_mode):
        return FileUse(path=path, action=action, mtime=known.st_mtime)
    digest = None
    if known.st_size <= limit and time.monotonic() < until:
        with contextlib.suppress(OSError):
            digest = _digest(path, known, until)
    return FileUse(
        path=path, size=known.st_size, mtime=known.st_mtime, digest=digest, action=action
    )


def _digest(path: str, known: os.stat_result, until: float) -> str | None:
    """BLAKE3 of the content; None when time runs out or the file changes meanwhile."""
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0))
    try:
        if not os.path.samestat(os.fstat(descriptor), known):
            return None
        hasher = blake3()
        for chunk in _chunks(descriptor):
            hasher.update(chunk)
            if time.monotonic() > until:
                return None
        after = os.fstat(descriptor)
        if (after.st_size, after.st_mtime_ns) != (known.st_size, known.st_mtime_ns):
            return None
        return hasher.hexdigest()
    finally:
        os.close(descriptor)


def _chunks(descriptor: int) -> Iterator[bytes]:
    while chunk := os.read(descriptor, _CHUNK):
        yield chunk

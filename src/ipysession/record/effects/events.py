"""What each audit event means. Of each, Python's documentation gives the arguments:
https://docs.python.org/3/library/audit_events.html
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipysession.record.effects.habits import is_by_import, is_finding
from ipysession.record.effects.heard import FORK, environ_hash
from ipysession.record.effects.hearing import here

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from ipysession.record.effects.heard import Heard

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_PATH", 0)
_READING_MODES = frozenset({None, "r", "rb", "rt", "br", "tr"})


def _on_open(step: Heard, args: tuple[Any, ...]) -> None:
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


def _on_delete(step: Heard, args: tuple[Any, ...]) -> None:
    path = step.path(args[0], args[1])
    if path is not None and os.path.lexists(path):
        step.change(path, written=False)


def _on_delete_tree(step: Heard, args: tuple[Any, ...]) -> None:
    path = step.path(args[0], args[1] if len(args) > 1 else -1)
    if path is not None and os.path.isdir(path):
        step.change(path, written=False)
        step.trees = (*step.trees, path + os.sep)


def _on_rename(step: Heard, args: tuple[Any, ...]) -> None:
    source = step.path(args[0], args[2])
    if source is not None and os.path.lexists(source):
        step.change(source, written=False)
        step.change(step.path(args[1], args[3]), written=True)


def _on_make(step: Heard, args: tuple[Any, ...]) -> None:
    path = step.path(args[0], args[2])
    if path is not None and not os.path.lexists(path):
        step.change(path, written=True)


def _on_link(step: Heard, args: tuple[Any, ...]) -> None:
    _on_make(step, (args[1], None, args[-1]))


def _on_truncate(step: Heard, args: tuple[Any, ...]) -> None:
    step.change(step.path(args[0]), written=True)


def _on_chdir(step: Heard, args: tuple[Any, ...]) -> None:
    folder = step.path(args[0])
    if folder is not None:
        step.folders.add(folder)
    step.cwd = None  # this is told before it happens: ask when the next path needs it
    step.known.clear()


def _on_list(step: Heard, args: tuple[Any, ...]) -> None:
    if is_finding(sys._getframe(2)):  # noqa: SLF001  # who listed it, beyond the hook
        return
    given = args[0]
    if isinstance(given, int):
        folder = step.path(".", given)
    else:
        folder = step.path("." if given is None else given)
    if folder is not None and folder not in step.listed and not is_by_import():
        step.listed.add(folder)


def _on_environ(step: Heard, args: tuple[Any, ...]) -> None:
    name = os.fsdecode(args[0])
    if name not in step.environ and not is_by_import():
        step.environ[name] = environ_hash(name)


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


def _on_popen(step: Heard, args: tuple[Any, ...]) -> None:
    step.process(_command(args[1]) or _command(args[0]))


def _on_system(step: Heard, args: tuple[Any, ...]) -> None:
    step.process(_command(args[0]))


def _on_spawn(step: Heard, args: tuple[Any, ...]) -> None:
    step.process(_command(args[2]))


def _on_fork(step: Heard, _: tuple[Any, ...]) -> None:
    step.process(FORK)


def _on_forkpty(step: Heard, _: tuple[Any, ...]) -> None:
    """Pexpect forks by itself, and IPython's ``!command`` uses it: its frame knows the command."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
    command = FORK
    for _attempt in range(12):
        if frame is None:
            break
        if frame.f_code.co_name == "spawn" and "argv" in frame.f_code.co_varnames:
            command = _command(frame.f_locals["argv"])
            break
        frame = frame.f_back
    step.process(command)


def _on_getaddrinfo(_: Heard, args: tuple[Any, ...]) -> None:
    host = args[0]
    here.host = (os.fsdecode(host), str(args[1])) if isinstance(host, (str, bytes)) else None


def _on_connect(step: Heard, args: tuple[Any, ...]) -> None:
    address = args[1]
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = str(address[0]), str(address[1])
        said = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        looked_up = here.host
        if looked_up is not None and looked_up[1] == port and looked_up[0] != host:
            said = f"{looked_up[0]}:{port} ({host})"
        step.connection("socket", said)
    elif isinstance(address, (str, bytes)):
        step.connection("unix", os.fsdecode(address))


def _on_sqlite(step: Heard, args: tuple[Any, ...]) -> None:
    name = os.fsdecode(args[0]) if isinstance(args[0], (str, bytes, Path)) else ""
    if not name or name == ":memory:" or "mode=memory" in name or name.startswith("file::memory:"):
        return
    path = step.path(name.removeprefix("file:").partition("?")[0])
    if path is not None and step.is_users(path):
        step.connection("sqlite", path)


def _on_input(step: Heard, _: tuple[Any, ...]) -> None:
    step.asked_input = True


HANDLERS: dict[str, Callable[[Heard, tuple[Any, ...]], None]] = {
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
    "os.listdir": _on_list,
    "os.scandir": _on_list,
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

"""What is not the user's doing: what imports, the system and libraries open by habit."""

from __future__ import annotations

import importlib
import os
import sys
import sysconfig
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

CODE_ENDINGS = (
    *(".py", ".pyc", ".pyi", ".so", ".pyd", ".dll", ".dylib", ".pth", ".egg-link", ".zip"),
    *("/METADATA", "/entry_points.txt", "/RECORD", "/direct_url.json", "/top_level.txt"),
)
_SITES = {"site-packages", "dist-packages"}


def both_spellings(folder: str) -> set[str]:
    """The folder as what the paths below it begin with: as written, and with links resolved."""
    written = os.path.abspath(os.path.expanduser(folder))
    return {path.rstrip(os.sep) + os.sep for path in (written, os.path.realpath(written))}


@lru_cache(maxsize=1)
def code_folders() -> tuple[str, ...]:
    """Folders of installed code, ours included: files of code below them are read by imports.

    Not all of sys.prefix: people keep their work inside an environment's folder, too.
    """
    inside = ("lib", "lib64", "local/lib", "Lib", "DLLs", "share", "etc")
    prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    folders = [os.path.join(prefix, name) for prefix in prefixes for name in inside]
    folders += [path for name, path in sysconfig.get_paths().items() if "lib" in name]
    folders += [path for path in sys.path if os.path.basename(path) in _SITES]
    folders.append(str(Path(__file__).absolute().parents[2]))
    return tuple(sorted({text for path in folders for text in both_spellings(path)}))


@lru_cache(maxsize=1)
def elsewhere_paths() -> tuple[str, ...]:
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
    return (*sorted({text for path in folders for text in both_spellings(path)}), *files)


_IMPORTING = importlib._bootstrap.__dict__  # noqa: SLF001
"""The globals of the code that imports. A frame's globals are quick to look at; a look at its
code would raise an audit event."""


_FINDING = importlib._bootstrap_external.__dict__  # noqa: SLF001
"""The globals of the code that looks for modules in folders."""


def is_finding(frame: FrameType) -> bool:
    """Is it the search for a module that does this? It lists every folder of ``sys.path``."""
    return frame.f_globals is _FINDING


def is_by_import() -> bool:
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
                return origin in {"frozen", "built-in"} or origin.startswith(code_folders())
        frame = frame.f_back
    return False

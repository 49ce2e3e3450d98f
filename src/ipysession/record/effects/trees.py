"""The files below a folder, to tell what a process did there: its doings are not heard."""

from __future__ import annotations

import os
import time

_MOST_FILES = 3_000
_SECONDS = 0.03
_NOBODYS = frozenset(
    {".git", ".hg", "node_modules", "__pycache__", ".ipynb_checkpoints", ".venv", ".mypy_cache",
     ".pytest_cache", ".ruff_cache", ".ipysession"}
)  # fmt: skip


def tree_of(folder: str | None, elsewhere: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """What tells each file and folder below ``folder`` from another version of it. Past a number
    of them or a time the rest is left out. ``elsewhere`` is what paths begin with that are not
    the user's.
    """
    found: dict[str, tuple[int, ...]] = {}
    until = time.monotonic() + _SECONDS
    todo = [] if folder is None else [folder]
    while todo:
        try:
            with os.scandir(todo.pop(0)) as entries:
                for entry in entries:
                    if entry.name in _NOBODYS or entry.path.startswith(elsewhere):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                        # Its time and size follow what lies in it, which is told by itself.
                        found[entry.path] = (entry.inode(),)
                        continue
                    known = entry.stat(follow_symlinks=False)
                    found[entry.path] = (known.st_ino, known.st_size, known.st_mtime_ns)
                    if len(found) >= _MOST_FILES or time.monotonic() > until:
                        return found
        except OSError:  # it is gone, or not ours to look into
            continue
    return found

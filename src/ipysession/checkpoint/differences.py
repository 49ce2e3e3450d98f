"""What differs between the environment that a session ran in and the one of now."""

from __future__ import annotations

import importlib.metadata
import platform
import socket
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ipysession.log.files import digest_of
from ipysession.store.whoami import user_name

if TYPE_CHECKING:
    from ipysession.model import Session
    from ipysession.model.provenance import FileUse

_DIGEST_LIMIT = 256 * 1024 * 1024
"""Bytes of a file that are read to see whether its content changed."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was."""

    what: str
    then: str
    now: str


def environment_differences(session: Session, cwd: str | None = None) -> list[Difference]:
    """Python, host, user, packages that the session imported, and the files that it read.

    ``cwd`` is the folder that a resume would restore; told where it no longer exists.
    """
    found: list[Difference] = []
    if not session.runs:
        return found
    then = session.runs[-1].environment
    pairs = [
        ("Python", then.python, platform.python_version()),
        ("host", then.host, socket.gethostname()),
        ("user", then.user, user_name()),
    ]
    found += [Difference(what, old, new) for what, old, new in pairs if old and old != new]
    folder = cwd or then.cwd
    if folder and not Path(folder).is_dir():
        found.append(Difference("folder", folder, "missing"))
    imported: dict[str, str] = {}
    for step in session.steps:
        imported.update(step.provenance.packages)
    for name, version in sorted({**then.packages, **imported}.items()):
        current = _version(name)
        if current == "" and name not in imported:
            continue  # what the kernel brought along (a debugger, say) is no loss
        if current is not None and current != version:
            found.append(Difference(f"package {name}", version, current or "not installed"))
    latest: dict[str, FileUse] = {}
    for step in session.steps:
        for use in step.provenance.files:
            latest[use.path] = use
    for use in latest.values():
        change = _file_change(use)
        if change is not None:
            found.append(Difference(f"file {use.path}", *change))
    return found


def _version(package: str) -> str | None:
    """The version now; empty where it is not installed, None where it cannot be told."""
    module = sys.modules.get(package)
    version = getattr(module, "__dict__", {}).get("__version__")
    if isinstance(version, str):
        return version
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None if _importable(package) else ""


def _importable(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def _file_change(use: FileUse) -> tuple[str, str] | None:
    if use.size is None or use.action == "deleted":
        return None
    path = Path(use.path)
    try:
        status = path.stat()
    except OSError:
        return _bytes(use.size), "missing"
    if status.st_size != use.size:
        return _bytes(use.size), _bytes(status.st_size)
    if use.mtime is not None and abs(status.st_mtime - use.mtime) < 1e-6:
        return None
    if use.digest is not None and path.is_file() and status.st_size <= _DIGEST_LIMIT:
        with path.open("rb") as stream:
            return None if digest_of(stream) == use.digest else ("content", "changed since")
    return None if use.mtime is None else ("unchanged", "touched since")


def _bytes(size: int) -> str:
    return f"{size:,} bytes"

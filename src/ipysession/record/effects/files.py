"""The files that a step touched, as they stand when it ends: size, time, digest."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from typing import TYPE_CHECKING, Literal

from blake3 import blake3

from ipysession.model.provenance import FileUse
from ipysession.record.effects.heard import CAP, as_text
from ipysession.record.effects.hearing import quiet

if TYPE_CHECKING:
    from collections.abc import Iterable

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
            uses[path] = FileUse(path=as_text(path), action="deleted")
        for path in writes:
            uses[path] = _describe(path, "written", digest_limit, until)
        for path in reads:
            if path not in uses:
                uses[path] = _describe(path, "read", digest_limit, until)
    return list(uses.values())


def _describe(
    path: str, action: Literal["read", "written"], digest_limit: int, until: float
) -> FileUse:
    told = as_text(path)
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

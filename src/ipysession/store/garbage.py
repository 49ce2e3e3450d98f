"""Removing blobs that nothing names any more, in two phases.

A blob that is found unnamed is noted first, and removed by a later sweep if it is still unnamed
and old enough: one that is just being written is named by its record a moment later. The caller
holds the session's lock, so no other process begins to write meanwhile.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipysession.log import files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from ipysession.log import Blobs

_NAME = re.compile(r"([0-9a-f]{64})(\.zst)?")
_DOOMED = "doomed.json"


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found and did. Sizes in bytes."""

    kept: int = 0
    unnamed: int = 0
    """Of blobs that nothing names, the removed ones left out."""
    removed: int = 0
    files: int = 0
    """How many were removed."""


def named_in(log_folder: Path, *, without_checkpoints_of: Collection[int] = ()) -> set[str]:
    """Every name of a blob that stands anywhere in the log, but for the records of what was saved
    after certain steps. Too many is safe: any 64 hexadecimal digits count.
    """
    found: set[str] = set()
    for path in sorted(log_folder.glob("*.jsonl")):
        with files.open_regular(path) as stream:
            for line in stream:
                if not _is_checkpoint_of(line, without_checkpoints_of):
                    found.update(match.decode() for match in _DIGITS.findall(line))
    return found


_DIGITS = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


def _is_checkpoint_of(line: bytes, steps: Collection[int]) -> bool:
    if not steps or b'"type":"checkpoint.saved"' not in line:
        return False
    try:
        record = json.loads(line)
        return bool(record["type"] == "checkpoint.saved" and record["payload"]["step"] in steps)
    except (ValueError, KeyError, TypeError):
        return False  # damaged, or not ours: what it names is kept


def sweep(blobs: Blobs, named: Collection[str], *, age: float, only_tell: bool = False) -> Swept:
    """Note what is not ``named``; remove what was noted before, and is older than ``age`` seconds.

    With an age of 0 both happen at once. ``only_tell`` changes nothing.
    """
    now = time.time()
    noted = _noted(blobs.folder / _DOOMED)
    doomed: dict[str, float] = {}
    kept = unnamed = removed = count = 0
    for path, name in _stored(blobs.folder):
        status = path.stat()
        if name in named:
            kept += status.st_size
            continue
        since = noted.get(name, now)
        if now - since < age or now - status.st_mtime < age or only_tell:
            doomed[name] = since
            unnamed += status.st_size
            continue
        path.unlink()
        removed += status.st_size
        count += 1
    if not only_tell and doomed != noted and blobs.folder.is_dir():
        text = json.dumps(doomed, indent=1).encode("ascii")
        files.replace(blobs.folder / _DOOMED, text, sync=False)
    return Swept(kept, unnamed, removed, count)


def _noted(path: Path) -> dict[str, float]:
    """When each unnamed blob was found; whatever cannot be read was not noted."""
    try:
        said = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(said, dict):
        return {}
    return {name: float(since) for name, since in said.items() if isinstance(since, (int, float))}


def _stored(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.glob("??/*")):
        match = _NAME.fullmatch(path.name)
        if match is not None and path.is_file() and not path.is_symlink():
            yield path, match[1]

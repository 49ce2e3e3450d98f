"""Blobs: byte strings named by their BLAKE3, verified whenever they are read."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from ipysession.errors import BlobDamaged, BlobMissing
from ipysession.log import files
from ipysession.model import encoding
from ipysession.model.encoding import BlobRef

if TYPE_CHECKING:
    from pathlib import Path

PART_LIMIT = 256 * 1024
"""A payload part above this many bytes goes to a blob."""

_HASH = re.compile(r"[0-9a-f]{64}")


def blob_name(data: bytes | memoryview) -> str:
    """The name of a blob: BLAKE3 of its bytes, 64 hex digits."""
    return blake3(data).hexdigest()


class Blobs:
    """The blobs of one session, in ``folder/<2 hex>/<64 hex>``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, name: str) -> Path:
        if not _HASH.fullmatch(name):
            message = f"{name!r} is not the name of a blob"
            raise BlobMissing(message)
        return self._folder / name[:2] / name

    def put(self, data: bytes | memoryview, *, sync: bool = True) -> str:
        """Store ``data`` and return its name. With ``sync`` it is durable on return.

        A blob that exists already is not written again, but is made durable.
        """
        name = blob_name(data)
        path = self._path(name)
        for folder in (self._folder, path.parent):
            if not folder.is_dir():
                files.make_private_folder(folder)
        try:
            if path.stat().st_size == len(data):
                if sync:
                    self.sync(name)
                return name
            path.unlink()  # a size that differs: the disk was full, or damage
        except FileNotFoundError:
            pass
        try:
            files.write_new(path, data, sync=sync)
        except FileExistsError:
            pass  # another thread stored the same bytes first
        return name

    def sync(self, name: str) -> None:
        """Make a stored blob durable."""
        path = self._path(name)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        files.sync_folder(path.parent)

    def get(self, name: str) -> bytes:
        """The bytes of a blob, verified. Raises BlobMissing or BlobDamaged."""
        path = self._path(name)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0))
        except OSError as error:
            message = f"the blob {name} is missing from {self._folder}: {error.strerror or error}"
            raise BlobMissing(message) from error
        with os.fdopen(descriptor, "rb") as stream:
            data = stream.read()
        if blob_name(data) != name:
            message = f"the blob {path} is damaged: its content does not hash to its name"
            raise BlobDamaged(message)
        return data

    def resolve(self, ref: BlobRef) -> Any:
        """The value that ``ref`` stands for. Raises BlobMissing or BlobDamaged."""
        text = self.get(ref.hash).decode("utf-8", "surrogatepass")
        return text if ref.media == "text" else encoding.loads(text, self.resolve)

    def externalize(self, payload: dict[str, Any], *, sync: bool = True) -> dict[str, Any]:
        """A copy of ``payload`` whose parts above `PART_LIMIT` are references to blobs.

        The payload itself and the entries of its lists stay in the record; large strings go
        first, then containers that are still too large without them. Write the result with
        `encoding.dumps_with_blobs`.
        """
        return {name: self._slim(value, _STAY, sync=sync) for name, value in payload.items()}

    def _slim(self, value: Any, level: int, *, sync: bool) -> Any:
        if isinstance(value, str):
            if len(value) * 4 <= PART_LIMIT:
                return value
            data = value.encode("utf-8", "surrogatepass")
            if len(data) <= PART_LIMIT:
                return value
            return BlobRef(self.put(data, sync=sync), len(data), "text")
        if level <= -encoding.MAX_DEPTH or not isinstance(value, (list, tuple, dict)):
            return value
        if isinstance(value, dict):
            slim: Any = {k: self._slim(v, level - 1, sync=sync) for k, v in value.items()}
        else:
            slim = [self._slim(v, level - 1, sync=sync) for v in value]
        if level > 0:
            return slim
        data = encoding.dumps_with_blobs(slim).encode("ascii")
        if len(data) <= PART_LIMIT:
            return slim
        return BlobRef(self.put(data, sync=sync), len(data), "json")


_STAY = 2
"""Levels of containers that stay in the record: a payload's lists and their entries."""


def is_large(value: Any) -> bool:
    """Do the strings in ``value`` hold more than `PART_LIMIT` characters in all?"""
    total, todo = 0, [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            total += len(item)
            if total > PART_LIMIT:
                return True
        elif isinstance(item, dict):
            todo.extend(item.values())
        elif isinstance(item, (list, tuple)):
            todo.extend(item)
    return False

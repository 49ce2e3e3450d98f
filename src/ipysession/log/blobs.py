"""Blobs: byte strings named by their BLAKE3, verified whenever they are read."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from ipysession.errors import BlobDamaged, BlobMissing
from ipysession.log import files
from ipysession.model import encoding
from ipysession.model.encoding import BlobRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PART_LIMIT = 256 * 1024
"""A payload part above this many bytes goes to a blob."""

_HASH = re.compile(r"[0-9a-f]{64}")

_PACKED = ".zst"
"""Ends the name of a file that holds its blob as one zstd frame."""

_PROBE_BYTES = 16 * 1024
_WORTH = 0.85
"""What a probe must shrink to for a blob to be compressed."""

_UNPACKED_LIMIT = 1 << 30
"""Bytes that a packed file may stand for; ours stand for some MiB at most."""


def blob_name(data: bytes | memoryview) -> str:
    """The name of a blob: BLAKE3 of its bytes, 64 hex digits."""
    return blake3(_flat(data)).hexdigest()


def _flat(data: bytes | memoryview) -> bytes | memoryview:
    """The bytes, whatever the shape of the array that they lie in."""
    view = memoryview(data)
    return view.cast("B") if view.nbytes else b""


def pack(data: bytes | memoryview) -> bytes | memoryview:
    """``data`` as one zstd frame, or itself where a probe says that this would save little."""
    from ipysession.log.zstd import zstd

    probe = data if len(data) <= _PROBE_BYTES else data[:_PROBE_BYTES]
    if len(zstd.compress(probe, 1)) > _WORTH * len(probe):
        return data
    packed = zstd.compress(data, 1)
    return packed if len(packed) < len(data) else data


def _unpack(data: bytes, path: str) -> bytes:
    from ipysession.log.zstd import zstd

    try:
        unpacked = zstd.ZstdDecompressor().decompress(data, max_length=_UNPACKED_LIMIT)
    except zstd.ZstdError as error:
        message = f"the blob {path} is damaged: {error}"
        raise BlobDamaged(message) from error
    return bytes(unpacked)


class Blobs:
    """The blobs of one session, in ``folder/<2 hex>/<64 hex>``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._prefix = f"{folder}{os.sep}"

    def _path(self, name: str) -> Path:
        return Path(self._place(name))

    def _place(self, name: str) -> str:
        """The path as text, for what is done with each of thousands of pieces."""
        if not _HASH.fullmatch(name):
            message = f"{name!r} is not the name of a blob"
            raise BlobMissing(message)
        return f"{self._prefix}{name[:2]}{os.sep}{name}"

    def names(self) -> list[str]:
        """The names of all blobs that lie here, sorted; not whether they are whole."""
        if not self.folder.is_dir():
            return []
        found = {path.name.removesuffix(_PACKED) for path in self.folder.glob("??/*")}
        return sorted(name for name in found if _HASH.fullmatch(name))

    def put(self, data: bytes | memoryview, *, sync: bool = True) -> str:
        """Store ``data`` and return its name. With ``sync`` it is durable on return.

        A blob that exists already, undamaged, is not written again, but is made durable.
        """
        data = _flat(data)
        name = blob_name(data)
        path = self._path(name)
        if self._is_whole(path, name):
            if sync:
                self.sync(name)
            return name
        self._make_folders(path)
        files.replace(path, data, sync=sync)
        return name

    def put_packed(self, data: bytes | memoryview) -> tuple[str, int]:
        """Store ``data``, compressed where a probe says that it pays. Not durable before `sync`.

        Returns its name and the bytes written: 0 where it was there, undamaged.
        """
        data = _flat(data)
        name = blob_name(data)
        path = self._path(name)
        if self._is_whole(path, name) or self._packed_is_whole(name):
            return name, 0
        self._make_folders(path)
        stored = pack(data)
        if stored is not data:
            path = path.with_name(path.name + _PACKED)
        files.replace(path, stored, sync=False)
        return name, len(stored)

    def _make_folders(self, path: Path) -> None:
        for folder in (self.folder, path.parent):
            if not folder.is_dir():
                files.make_private_folder(folder)

    def _packed_is_whole(self, name: str) -> bool:
        path = self._path(name)
        if not path.with_name(path.name + _PACKED).exists():
            return False
        try:
            self.get(name)
        except (BlobMissing, BlobDamaged):
            return False
        return True

    def _existing(self, name: str) -> Path:
        """The file that holds a blob: as it is, or packed. It may be missing."""
        path = self._path(name)
        packed = path.with_name(path.name + _PACKED)
        return path if path.exists() or not packed.exists() else packed

    def sync_all(self, names: Iterable[str]) -> Iterator[None]:
        """Make stored blobs durable, as `sync` does for each; a folder is synced once. Yields
        after each, so that the caller may pause.
        """
        folders: dict[Path, str] = {}
        for name in names:
            path = self._existing(name)
            try:
                with files.open_regular(path) as stream:
                    files.sync_data(stream.fileno())
            except OSError:
                self.sync(name)  # writes it anew
            folders[path.parent] = name
            yield
        for folder in folders:
            files.sync_folder(folder)
            yield

    def sync(self, name: str) -> None:
        """Make a stored blob durable. Raises OSError where the disk refuses. A blob that is
        missing or damaged is passed over: that is told when it is read.
        """
        path = self._existing(name)
        try:
            with files.open_regular(path) as stream:
                files.sync_data(stream.fileno())
            files.sync_folder(path.parent)
        except OSError:
            # After a failed sync the system may count the pages as written: write them anew.
            with contextlib.suppress(BlobMissing, BlobDamaged):
                data = self.get(name)
                files.replace(path, data if path.suffix != _PACKED else pack(data))

    def get(self, name: str) -> bytes:
        """The bytes of a blob, verified. Raises BlobMissing or BlobDamaged."""
        path = self._place(name)
        try:
            try:
                data = files.read_regular(path)
            except FileNotFoundError:
                path += _PACKED
                data = files.read_regular(path)
        except OSError as error:
            message = f"the blob {name} is missing from {self.folder}: {error.strerror or error}"
            raise BlobMissing(message) from error
        if path.endswith(_PACKED):
            data = _unpack(data, path)
        if blob_name(data) != name:
            message = f"the blob {path} is damaged: its content does not hash to its name"
            raise BlobDamaged(message)
        return data

    def expect(self, name: str) -> None:
        """The blob will be read soon: the disk may begin."""
        path = self._place(name)
        if not files.read_ahead(path):
            files.read_ahead(path + _PACKED)

    def take_from(self, other: Blobs, name: str) -> bool:
        """Have the blob that ``other`` has, as the same file where the disk allows it: blobs are
        never changed. False where ``other`` lacks it. Not verified: reading does that.
        """
        source = other._existing(name)
        target = self._path(name).with_name(source.name)
        if not source.exists():
            return False
        if not target.exists():
            self._make_folders(target)
            try:
                target.hardlink_to(source)
            except OSError:  # another disk, or one without links
                files.replace(target, source.read_bytes(), sync=False)
        return True

    @staticmethod
    def _is_whole(path: Path, name: str) -> bool:
        """Is the blob there, with the bytes that its name promises?"""
        try:
            with files.open_regular(path) as stream:
                content = blake3()
                while piece := stream.read(1 << 20):
                    content.update(piece)
        except OSError:
            return False
        return content.hexdigest() == name

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
        return {name: self._slim(value, _STAY, sync)[0] for name, value in payload.items()}

    def _slim(self, value: Any, level: int, sync: bool) -> tuple[Any, int]:  # noqa: FBT001
        """``value`` without its large parts, and an upper bound for its length as JSON, so that
        most parts need not be encoded to know that they are small.
        """
        if isinstance(value, str):
            bound = 12 * len(value) + 2
            if bound <= PART_LIMIT:
                return value, bound
            data = value.encode("utf-8", "surrogatepass")
            if len(data) <= PART_LIMIT:
                return value, bound
            return BlobRef(self.put(data, sync=sync), len(data), "text"), _REF_BOUND
        if isinstance(value, int):
            return value, value.bit_length() + 5
        if isinstance(value, BlobRef) or not isinstance(value, (list, tuple, dict)):
            return value, _REF_BOUND
        if level <= -encoding.MAX_DEPTH:
            return value, PART_LIMIT + 1
        if isinstance(value, dict):
            parts = [self._slim(item, level - 1, sync) for item in value.values()]
            slim: Any = dict(zip(value, [part for part, _ in parts], strict=True))
            bound = sum(12 * len(str(key)) for key in value)
        else:
            parts = [self._slim(item, level - 1, sync) for item in value]
            slim, bound = [part for part, _ in parts], 0
        # Brackets, and for each part quotes, a colon, a comma; and the wrapper of reserved keys.
        bound += sum(size for _, size in parts) + 4 * len(parts) + len('{"$esc":{}}')
        if level > 0 or bound <= PART_LIMIT:
            return slim, bound
        data = encoding.dumps_with_blobs(slim).encode("ascii")
        if len(data) <= PART_LIMIT:
            return slim, len(data)
        return BlobRef(self.put(data, sync=sync), len(data), "json"), _REF_BOUND


_REF_BOUND = 140
"""Characters of a reference's JSON at most, and of a float's, a boolean's and null's."""

_STAY = 2
"""Levels of containers that stay in the record: a payload's lists and their entries."""


def rests_on_blobs(value: Any) -> bool:
    """Do the strings in ``value`` hold more than `PART_LIMIT` characters in all, or does it
    hold references to blobs already?
    """
    total, todo = 0, [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            total += len(item)
            if total > PART_LIMIT:
                return True
        elif isinstance(item, dict):
            todo.extend(item.values())
        elif isinstance(item, BlobRef):
            return True
        elif isinstance(item, (list, tuple)):
            todo.extend(item)
    return False

"""Reading a bundle that anybody may have made: only the parts that it must have, at most so
many, at most so large, each with the hash that the manifest promises. Nothing is unpickled.
"""

from __future__ import annotations

import re
import stat
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from blake3 import blake3
from pydantic import ValidationError

from ipysession.errors import ImportRefused, InvalidSessionId
from ipysession.export.bundle import FORMAT, MAX_RATIO, VERSION, Manifest
from ipysession.log import files
from ipysession.store import validate_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PART = re.compile(
    r"manifest\.json|notebook\.ipynb|requirements\.txt|log/[0-9]{6}\.jsonl|blobs/[0-9a-f]{64}"
)
_CHUNK = 1024 * 1024
_MANIFEST_LIMIT = 64 * 1024 * 1024
_SMALL = 64 * 1024
"""A part of at most so many bytes may shrink as it likes."""


@dataclass(frozen=True, slots=True)
class Caps:
    """What a bundle may hold at most: parts, and bytes of all parts when they are unpacked."""

    parts: int = 100_000
    bytes: int = 20 * 1024**3


class Bundle:
    """An open bundle. Make one with `open_bundle`."""

    def __init__(self, stream: BinaryIO, zipped: zipfile.ZipFile, caps: Caps) -> None:
        self._stream = stream
        self._zip = zipped
        self._left = caps.bytes
        self._parts = _checked_parts(zipped, caps)
        self.manifest = self._read_manifest()

    def _read_manifest(self) -> Manifest:
        info = self._parts.get("manifest.json")
        if info is None or info.file_size > _MANIFEST_LIMIT:
            message = "it is not a bundle of ipysession: it has no manifest.json"
            raise ImportRefused(message)
        try:
            manifest = Manifest.model_validate_json(b"".join(self._pieces("manifest.json")))
            validate_id(manifest.session)
        except (ValidationError, InvalidSessionId) as error:
            message = f"its manifest cannot be read: {str(error).splitlines()[0]}"
            raise ImportRefused(message) from error
        if manifest.format != FORMAT or manifest.version > VERSION:
            message = (
                f"it is of the format {manifest.format[:40]!r}, version {manifest.version}; "
                f"this ipysession reads {FORMAT!r} up to version {VERSION}"
            )
            raise ImportRefused(message)
        return manifest

    def digest(self) -> str:
        """BLAKE3 of the whole file, in hex."""
        self._stream.seek(0)
        return files.digest_of(self._stream)

    def unpack(self, folder: Path) -> None:
        """Write log and blobs below ``folder``, an empty private folder, as a session has them.

        Raises ImportRefused where a part is not what the manifest says. What was written by
        then stays for the caller to remove.
        """
        files.make_folder(folder / "log")
        for name, part in sorted(self.manifest.log.items()):
            self._write(f"log/{name}", part.size, part.blake3, folder / "log" / name)
        if not self.manifest.log:
            message = "it holds no log"
            raise ImportRefused(message)
        files.make_folder(folder / "blobs")
        for name, size in sorted(self.manifest.blobs.items()):
            place = folder / "blobs" / name[:2]
            if _PART.fullmatch(f"blobs/{name}"):
                files.make_folder(place)
            self._write(f"blobs/{name}", size, name, place / name)

    def _write(self, name: str, size: int, digest: str, target: Path) -> None:
        if not _PART.fullmatch(name) or name not in self._parts:
            message = f"its manifest promises {name[:80]!r}, which is not in it"
            raise ImportRefused(message)
        hasher, count = blake3(), 0
        descriptor = files.create_private(target)
        with open(descriptor, "wb") as stream:  # noqa: PTH123 - a descriptor, not a path
            for piece in self._pieces(name):
                hasher.update(piece)
                count += len(piece)
                stream.write(piece)
            stream.flush()
            files.sync_data(stream.fileno())
        if count != size or hasher.hexdigest() != digest:
            message = f"its part {name} is not what the manifest promises; the bundle is damaged"
            raise ImportRefused(message)

    def _pieces(self, name: str) -> Iterator[bytes]:
        """The bytes of a part, counted as they come: what the zip says of itself is not proof."""
        info, count = self._parts[name], 0
        try:
            with self._zip.open(info) as stream:
                while piece := stream.read(_CHUNK):
                    count += len(piece)
                    self._left -= len(piece)
                    if self._left < 0 or _swells(count, info.compress_size):
                        raise _too_large(name)
                    yield piece
        except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, ValueError) as error:
            message = f"its part {name} cannot be unpacked: {error}"
            raise ImportRefused(message) from error


@contextmanager
def open_bundle(path: Path, caps: Caps | None = None) -> Iterator[Bundle]:
    """Open a bundle to read it. Raises ImportRefused, whatever is wrong with the file."""
    try:
        with files.open_regular(path) as stream, zipfile.ZipFile(stream) as zipped:
            yield Bundle(stream, zipped, caps or Caps())
    except (zipfile.BadZipFile, OSError, NotImplementedError, EOFError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else error
        message = f"{path} cannot be read as a bundle: {said}"
        raise ImportRefused(message) from error
    except ImportRefused as error:
        message = f"{path} was not imported: {error}"
        raise ImportRefused(message) from error


def _checked_parts(zipped: zipfile.ZipFile, caps: Caps) -> dict[str, zipfile.ZipInfo]:
    """The parts by name, before anything is unpacked."""
    listed = zipped.infolist()
    if len(listed) > caps.parts:
        message = f"it has {len(listed)} parts, more than {caps.parts}"
        raise ImportRefused(message)
    parts: dict[str, zipfile.ZipInfo] = {}
    total = 0
    for info in listed:
        name = info.orig_filename
        kind = stat.S_IFMT(info.external_attr >> 16)
        if not _PART.fullmatch(name) or name in parts:
            why = "twice" if name in parts else "which no bundle has"
            message = f"it has a part {name[:80]!r}, {why}"
            raise ImportRefused(message)
        if kind not in {0, stat.S_IFREG}:
            message = f"its part {name} is a link or a device, not a file"
            raise ImportRefused(message)
        if info.flag_bits & 0x1:
            message = f"its part {name} is encrypted"
            raise ImportRefused(message)
        total += info.file_size
        if total > caps.bytes or _swells(info.file_size, info.compress_size):
            raise _too_large(name)
        parts[name] = info
    return parts


def _swells(size: int, compressed: int) -> bool:
    return size > _SMALL and size > MAX_RATIO * max(1, compressed)


def _too_large(name: str) -> ImportRefused:
    message = f"its part {name} is larger when unpacked than a bundle may be"
    return ImportRefused(message)

"""A bundle: one zip file that holds a session, its notebook, and the files that it read.

    manifest.json      what is in it, with sizes and hashes; `Manifest`
    notebook.ipynb     the clean notebook
    requirements.txt   the packages that it imports
    log/000001.jsonl   the segments of the log, byte for byte
    blobs/<64 hex>     outputs, variables, artifacts and input files, named by their BLAKE3

Writing is here; reading, which trusts nothing, is in `unbundle`.
"""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from blake3 import blake3
from pydantic import BaseModel, ConfigDict, Field

from ipysession.errors import BlobDamaged, BlobMissing
from ipysession.export.inputs import copy_inputs
from ipysession.log import files
from ipysession.log.reader import segments

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipysession.store import Reading

FORMAT = "ipysession-bundle"
VERSION = 1
MAX_RATIO = 100
"""No part of a bundle shrinks more than so many times: readers take others for a bomb."""

_TIME = (1980, 1, 1, 0, 0, 0)
"""The time of every part: equal sessions make equal bundles."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Part(_Strict):
    """A file in the bundle. ``path`` is where an input file lay for the session's code."""

    size: int = Field(ge=0)
    blake3: str = Field(pattern="^[0-9a-f]{64}$")
    path: str | None = None


class Manifest(_Strict):
    """What is in a bundle. Must be kept backwards compatible."""

    format: str = FORMAT
    version: int = VERSION
    session: str
    title: str = ""
    made_by: str = ""
    log: dict[str, Part]
    """Segments by name."""
    blobs: dict[str, int]
    """Sizes by name."""
    inputs: tuple[Part, ...] = ()
    left_out: tuple[str, ...] = ()
    """In words: what should be here and is not."""


def write_bundle(
    stream: BinaryIO, reading: Reading, notebook: bytes, requirements: Iterable[str]
) -> Manifest:
    """Write the session of ``reading`` to ``stream``. ``notebook`` is the clean notebook's text.

    A blob that is missing or damaged is left out, and the manifest says so.
    """
    from ipysession import __version__

    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as bundle:
        log = _add_log(bundle, reading)
        blobs, left_out = _add_blobs(bundle, reading)
        inputs, problems = _add_inputs(bundle, reading, blobs)
        _add(bundle, "notebook.ipynb", notebook)
        _add(bundle, "requirements.txt", "".join(f"{r}\n" for r in requirements).encode())
        manifest = Manifest(
            session=reading.session.id,
            title=reading.session.summary.title.encode("utf-8", "replace").decode(),
            made_by=f"ipysession {__version__}",
            log=log,
            blobs=blobs,
            inputs=tuple(inputs),
            left_out=(*left_out, *problems),
        )
        _add(bundle, "manifest.json", manifest.model_dump_json(indent=1).encode())
    return manifest


def _add(bundle: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, _TIME)
    info.external_attr = 0o100600 << 16
    shrunk = len(zlib.compress(data, 1)) if data else 0
    small = shrunk >= len(data) or len(data) > MAX_RATIO // 2 * shrunk
    info.compress_type = zipfile.ZIP_STORED if small else zipfile.ZIP_DEFLATED
    bundle.writestr(info, data)


def _add_log(bundle: zipfile.ZipFile, reading: Reading) -> dict[str, Part]:
    parts = {}
    for path in segments(reading.folder / "log"):
        with files.open_regular(path) as stream:
            data = stream.read()
        # A living kernel may be writing the last line.
        data = data[: data.rfind(b"\n") + 1] or data
        parts[path.name] = Part(size=len(data), blake3=blake3(data).hexdigest())
        _add(bundle, f"log/{path.name}", data)
    return parts


def _add_blobs(bundle: zipfile.ZipFile, reading: Reading) -> tuple[dict[str, int], list[str]]:
    blobs: dict[str, int] = {}
    left_out: list[str] = []
    for name in reading.blobs.names():
        try:
            data = reading.blobs.get(name)
        except (BlobMissing, BlobDamaged) as error:
            left_out.append(str(error))
            continue
        blobs[name] = len(data)
        _add(bundle, f"blobs/{name}", data)
    return blobs, left_out


def _add_inputs(
    bundle: zipfile.ZipFile, reading: Reading, blobs: dict[str, int]
) -> tuple[list[Part], list[str]]:
    """The files that the steps read, as they were recorded, up to the limit of all exports."""
    parts = []
    with tempfile.TemporaryDirectory(prefix="ipysession-bundle-") as scratch:
        found = copy_inputs(reading.session, reading.session.steps, Path(scratch), reading.blobs)
        for path, copy in found.copied.items():
            data = copy.read_bytes()
            name = blake3(data).hexdigest()
            if name not in blobs:
                blobs[name] = len(data)
                _add(bundle, f"blobs/{name}", data)
            shown = path.encode("utf-8", "replace").decode()
            parts.append(Part(size=len(data), blake3=name, path=shown))
    return parts, found.problems

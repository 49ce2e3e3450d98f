"""The files that a session read, copied as they were recorded, for a second run to read."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from blake3 import blake3

from ipysession.errors import BlobDamaged, BlobMissing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ipysession.log import Blobs
    from ipysession.model import Session, Step
    from ipysession.model.provenance import FileUse

INPUT_LIMIT = 100 * 1024 * 1024
"""Bytes of input files that are copied, in all."""
_MAX_UP = 3
"""A path may lead so many folders up (``../data/x.csv``)."""
_CLIMBS = re.compile(r"\.\.[/\\'\"]|\.parent")
_CHUNK = 1024 * 1024


@dataclass(slots=True)
class Inputs:
    """What was put into the scratch folder: where to run, and what could not be copied."""

    folder: Path
    copied: dict[str, Path] = field(default_factory=dict)
    """The copy of each file, by the path that was recorded."""
    problems: list[str] = field(default_factory=list)
    """In words: files that are gone, that changed since, or that are too large."""


def folder_of(session: Session, step: Step) -> str:
    """The working folder of the kernel that ran ``step``; empty where it was not recorded."""
    for run in session.runs:
        if run.number == step.run:
            return run.environment.cwd
    return session.summary.cwd


def copy_inputs(
    session: Session, steps: Sequence[Step], scratch: Path, blobs: Blobs | None = None
) -> Inputs:
    """Copy the files that ``steps`` read into ``scratch``, laid out as they were.

    Files below the run's folder are copied, and files beside it where the code climbs out of
    its folder (``../data/x.csv``). Others are left where they are, and the second run reads
    them there. A file that an earlier step wrote is no input: the second run writes it too.
    ``blobs`` are those of the session: an imported one brings its input files along in them.
    """
    up = _MAX_UP if any(_CLIMBS.search(step.source) for step in steps) else 0
    home = Path(folder_of(session, steps[-1]) or "/") if steps else Path("/")
    up = min(up, len(home.parts) - 1)
    inputs = Inputs(scratch.joinpath("run", *home.parts[len(home.parts) - up :] if up else ()))
    inputs.folder.mkdir(parents=True)
    budget = INPUT_LIMIT
    for use, folder in _first_reads(session, steps):
        source = os.path.normpath(Path(folder, use.path))
        target = Path(os.path.normpath(inputs.folder / os.path.relpath(source, folder)))
        if target.is_relative_to(scratch / "run"):
            brought = _from_blobs(use, target, budget, blobs)
            if brought is None:
                budget -= _copy(use, Path(source), target, budget, inputs)
            else:
                inputs.copied[use.path] = target
                budget -= brought
        elif use.size is not None and _size(source) != use.size:
            inputs.problems.append(f"{use.path} has changed since it was recorded")
    return inputs


def _first_reads(session: Session, steps: Sequence[Step]) -> Iterator[tuple[FileUse, str]]:
    seen: set[str] = set()
    for step in steps:
        folder = folder_of(session, step)
        if not folder:
            continue
        for use in step.provenance.files:
            path = os.path.normpath(Path(folder, use.path))
            if path not in seen:
                seen.add(path)
                if use.action == "read":
                    yield use, folder


def _size(path: str) -> int | None:
    try:
        return Path(path).stat().st_size
    except OSError:
        return None


def _from_blobs(use: FileUse, target: Path, budget: int, blobs: Blobs | None) -> int | None:
    """Write the file as the session itself brought it along; None where it did not."""
    if blobs is None or use.digest is None or (use.size or 0) > budget:
        return None
    try:
        data = blobs.get(use.digest)
    except (BlobMissing, BlobDamaged):
        return None  # the usual case: then the file is where it was recorded
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return len(data)


def _copy(use: FileUse, source: Path, target: Path, budget: int, inputs: Inputs) -> int:
    """Copy one file if it is as it was recorded; returns the bytes that it took."""
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        inputs.problems.append(f"{use.path} cannot be read any more: {error.strerror}")
        return 0
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            return 0  # a folder, a device
        if use.size is not None and status.st_size != use.size:
            inputs.problems.append(f"{use.path} has changed since it was recorded")
            return 0
        if status.st_size > budget:
            limit = INPUT_LIMIT // (1024 * 1024)
            inputs.problems.append(f"{use.path} was not copied: inputs are above {limit} MB")
            return 0
        target.parent.mkdir(parents=True, exist_ok=True)
        hasher = blake3()
        with target.open("wb") as copy:
            while chunk := stream.read(_CHUNK):
                hasher.update(chunk)
                copy.write(chunk)
    if use.digest is not None and hasher.hexdigest() != use.digest:
        target.unlink()
        inputs.problems.append(f"{use.path} has changed since it was recorded")
        return 0
    inputs.copied[use.path] = target
    return status.st_size

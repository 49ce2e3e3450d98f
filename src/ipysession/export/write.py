"""The file that an export makes: where it goes, and that it is there whole or not at all."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ipysession.errors import ExportRefused, InvalidRequest
from ipysession.export import formats, nb
from ipysession.export.bundle import write_bundle
from ipysession.export.crate import write_crate
from ipysession.export.formats import format_named, format_of
from ipysession.export.notebook import assemble, select
from ipysession.export.options import ExportOptions
from ipysession.export.prov import prov_document
from ipysession.export.render import render
from ipysession.export.select import Dropped, Selection
from ipysession.export.verify import Progress, Verification
from ipysession.export.widen import verified
from ipysession.lineage.stale import changed_inputs
from ipysession.model.tree import branch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbformat import NotebookNode

    from ipysession.export.formats import Format
    from ipysession.model import Session, Step
    from ipysession.store import Reading


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was written. ``kept`` are the numbers of the steps in ``path``; ``verification``
    is None where none was asked for.
    """

    path: Path
    kept: tuple[int, ...]
    dropped: tuple[Dropped, ...]
    verification: Verification | None = None
    changed: tuple[str, ...] = ()
    """Files that the kept steps read and that have another content now."""


def export_session(
    reading: Reading,
    target: Path | str,
    options: ExportOptions | None = None,
    *,
    notebook: Path | None = None,
    progress: Progress = lambda _: None,
) -> ExportResult:
    """Write the session of ``reading`` to ``target``, in the format that its suffix or
    ``options.format`` means: a clean notebook, or what is made of one.

    ``target`` may be relative, begin with ``~``, or lack its suffix. ``notebook`` is the file
    whose headings are taken over; by default the one that the session names. ``progress`` is
    told what is going on while it verifies. Needs no kernel unless ``options.verify`` is set,
    and works while the session is being recorded.

    Raises ExportRefused where there is nothing to export, where the file exists and
    ``options.force`` is not set, or where it cannot be written; InvalidRequest where the
    suffix, a step or a name is unknown.
    """
    options = options or ExportOptions()
    wanted = None if options.format is None else format_named(options.format)
    path = resolve_target(target, wanted)
    _check_target(path, force=options.force)
    kind = format_of(path) if wanted is None else wanted
    selection = select(reading, options, notebook)
    _check_not_empty(reading, selection)
    verification = None
    if not options.verify:
        made = assemble(reading, selection, notebook)
    else:
        selection, made, verification = verified(
            reading, selection, notebook, consent=options.consent, progress=progress
        )
        made.metadata.ipysession.verified = nb.node(verification.document())
    progress("writing the file")
    content = _content(kind, reading, selection.kept, made)
    write_file(content, path, force=options.force)
    kept = tuple(step.number for step in selection.kept)
    return ExportResult(
        path, kept, selection.dropped, verification, _changed(reading.session, selection.kept)
    )


def _changed(session: Session, kept: Sequence[Step]) -> tuple[str, ...]:
    """The files that ``kept`` read and that changed since."""
    head = kept[-1].number
    steps = branch(session)
    if all(step.number != head for step in steps):
        steps = branch(session, head)
    found = changed_inputs(steps)
    paths = (path for step in kept for path in found.get(step.number, ()))
    return tuple(dict.fromkeys(paths))


def _content(
    kind: Format, reading: Reading, kept: Sequence[Step], notebook: NotebookNode
) -> Callable[[BinaryIO], object]:
    """A function that writes the file's content to a stream."""
    needed = notebook.metadata.ipysession.requirements
    if kind is formats.PROV:
        text = json.dumps(prov_document(reading.session, kept), indent=1)
        return lambda stream: stream.write(text.encode("ascii"))
    if kind is formats.BUNDLE:
        whole = render(notebook, formats.NOTEBOOK)
        return lambda stream: write_bundle(stream, reading, whole, needed)
    if kind is formats.CRATE:
        whole = render(notebook, formats.NOTEBOOK)
        return lambda stream: write_crate(stream, reading, kept, whole, needed)
    data = render(notebook, kind)
    return lambda stream: stream.write(data)


def resolve_target(target: Path | str, kind: Format | None = None) -> Path:
    """The absolute path that ``target`` means, with its suffix: that of ``kind``, by default a
    notebook's, where it has none.

    Raises InvalidRequest, or ExportRefused where the system cannot look there.
    """
    text = str(target)
    if not text.strip() or "\0" in text:
        message = f"{text!r} is not the name of a file"
        raise InvalidRequest(message)
    try:
        path = Path(text).expanduser().absolute()
        is_folder = path.is_dir()
    except RuntimeError as error:
        message = f"{text}: there is no such home folder; give the path in full"
        raise InvalidRequest(message) from error
    except OSError as error:
        raise _unwritable(Path(text), error) from error
    if path.suffix or not path.name or text.endswith(("/", os.sep)) or is_folder:
        return path
    return path.with_name(path.name + (kind or formats.NOTEBOOK).suffix)


def _check_target(path: Path, *, force: bool) -> None:
    try:
        if path.is_dir() or not path.suffix:
            message = f"{path} is a folder; name a file in it, such as {path / 'clean.ipynb'}"
            raise ExportRefused(message)
        if not path.parent.is_dir():
            message = f"the folder {path.parent} does not exist; create it first"
            raise ExportRefused(message)
        if not force and (path.exists() or path.is_symlink()):
            raise _exists(path)
    except OSError as error:
        raise _unwritable(path, error) from error


def _check_not_empty(reading: Reading, selection: Selection) -> None:
    if selection.kept:
        return
    session = reading.session
    if not session.steps:
        message = f"session {session.id} has no steps to export; run a cell first"
    else:
        reasons = "; ".join(f"step {d.step}: {d.reason}" for d in selection.dropped[:5])
        message = f"session {session.id} has no steps to export ({reasons})"
    raise ExportRefused(message)


def _exists(path: Path) -> ExportRefused:
    message = f"{path} exists; choose another name, or replace it with --force"
    return ExportRefused(message)


def _unwritable(path: Path, error: OSError) -> ExportRefused:
    message = f"{path} cannot be written: {error.strerror or error}"
    return ExportRefused(message)


def write_file(content: Callable[[BinaryIO], object], path: Path, *, force: bool = False) -> None:
    """Write what ``content`` gives to ``path``, atomically and durably, with the mode that the
    umask gives. Raises ExportRefused where the file exists and ``force`` is not set, or where
    it cannot be written.
    """
    # The file that a link points to is replaced, not the link.
    path = path.resolve() if path.is_symlink() and force else path
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.tmp")
    try:
        _write_durably(temporary, content)
        try:
            if force:
                temporary.replace(path)
            else:
                _move_where_nothing_is(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise _unwritable(path, error) from error


def _write_durably(path: Path, content: Callable[[BinaryIO], object]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            content(stream)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:  # also after Ctrl-C: no half-written file stays
        path.unlink(missing_ok=True)
        raise


def _move_where_nothing_is(temporary: Path, path: Path) -> None:
    """Give the file its name unless somebody else has taken it meanwhile."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links.
        if path.exists() or path.is_symlink():
            raise FileExistsError(path) from None
        temporary.replace(path)


def _sync_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return  # some file systems do not let a folder be opened; the file itself is synced
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)

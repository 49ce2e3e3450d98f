"""Importing: a bundle becomes the session that it holds, a notebook one whose steps say that
they were imported. Nothing that a file holds is run or unpickled.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipysession.documents import counted
from ipysession.errors import ImportRefused
from ipysession.model import SessionState
from ipysession.model import payloads as p
from ipysession.report import Report, byte_size
from ipysession.sessions.finding import Finding
from ipysession.store import SessionFolder

if TYPE_CHECKING:
    from ipysession.store import Reading

NOTEBOOK_LIMIT = 500 * 1024 * 1024
"""Bytes of a notebook that is imported."""


class ImportingVerbs(Finding):
    """The verb that takes in what others recorded."""

    def import_file(self, name: str) -> Report:
        """Make a session of a file: a bundle (``.zip``) or an executed notebook (``.ipynb``).

        Raises ImportRefused where the file is neither, is not safe to read, or holds a session
        that the store has already.
        """
        path = Path(name).expanduser().absolute()
        if not path.is_file():
            message = f"{path} is not a file; name a bundle (.zip) or a notebook (.ipynb)"
            raise ImportRefused(message)
        if path.suffix.casefold() == ".zip":
            return self._import_bundle(path)
        if path.suffix.casefold() == ".ipynb":
            return self._import_notebook(path)
        message = f"{path.name}: only bundles (.zip) and notebooks (.ipynb) can be imported"
        raise ImportRefused(message)

    # -- bundles -----------------------------------------------------------------------

    def _import_bundle(self, path: Path) -> Report:
        from ipysession.export.unbundle import open_bundle

        with open_bundle(path) as bundle:
            manifest = bundle.manifest

            def fill(folder: Path) -> None:
                bundle.unpack(folder)
                found = SessionFolder(folder).read().contents.records
                created = [r.payload for r in found if isinstance(r.payload, p.SessionCreated)]
                if [item.session for item in created] != [manifest.session]:
                    message = f"its log is not that of the session {manifest.session}"
                    raise ImportRefused(message)

            folder = self.store.adopt(manifest.session, fill)
            digest = bundle.digest()
        reading = folder.read(self.store.key(create=True))
        foreign = len(reading.contents.unproven or ())
        imported = p.SessionImported(
            kind="bundle",
            origin=_plain(path.name),
            digest=digest,
            inputs=[part.blake3 for part in manifest.inputs],
        )
        self._note_origin(folder.id, imported)
        return _bundle_report(path, reading, foreign, len(manifest.inputs), manifest.left_out)

    def _note_origin(self, session_id: str, imported: p.SessionImported) -> None:
        writer = self.store.open_for_append(session_id)
        try:
            writer.note_death()
            writer.append(imported)
        finally:
            writer.close()

    # -- notebooks ---------------------------------------------------------------------

    def _import_notebook(self, path: Path) -> Report:
        from blake3 import blake3

        from ipysession.sessions.executed import executed_cells, payloads_of, read_notebook

        data = path.read_bytes() if path.stat().st_size <= NOTEBOOK_LIMIT else None
        if data is None:
            message = f"{path} has more than {byte_size(NOTEBOOK_LIMIT)}; it was not imported"
            raise ImportRefused(message)
        notebook = read_notebook(path, data)
        cells = executed_cells(notebook)
        if not cells:
            message = f"{path} was not imported: none of its cells has run"
            raise ImportRefused(message)
        writer = self.store.create(p.SessionCreated(
            session="", title=_plain(path.stem), notebook=_plain(str(path)),
            created_by="ipysession import",
        ))  # fmt: skip
        try:
            writer.append(p.SessionImported(
                kind="notebook", origin=_plain(path.name), digest=blake3(data).hexdigest()
            ))  # fmt: skip
            writer.log.run = 1
            for payload in payloads_of(notebook, cells, str(path.parent)):
                writer.append(payload)
            writer.append(p.RunEnded(reason="imported"))
            writer.append(p.SessionPaused(reason="imported"))
        finally:
            writer.close()
        code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
        left_out = len(code) - len(cells)
        report = {
            "session": writer.id,
            "kind": "notebook",
            "origin": str(path),
            "steps": len(cells),
            "not_run": left_out,
        }
        headline = f"{path.name} is now {writer.id}, with {counted(len(cells), 'imported step')}"
        if left_out:
            headline += f"; {counted(left_out, 'cell')} had not run and {_was(left_out)} left out"
        hint = "Its values are not here: a resume runs its cells only with --replay=all."
        return Report(report, headline, hint=hint)


def _bundle_report(
    path: Path, reading: Reading, foreign: int, inputs: int, left_out: tuple[str, ...]
) -> Report:
    session = reading.session
    data: dict[str, Any] = {
        "session": session.id,
        "kind": "bundle",
        "origin": str(path),
        "title": session.summary.title,
        "steps": session.summary.steps,
        "state": str(_settled(session.summary.state)),
        "trusted": not foreign,
        "inputs": inputs,
        "left_out": list(left_out),
    }
    headline = (
        f"{path.name} is now {session.id} “{session.summary.title}”, with "
        f"{counted(session.summary.steps, 'step')} and {counted(inputs, 'input file')}"
    )
    hint = ""
    if foreign:
        hint = (
            "It was not recorded with your key, so it is not trusted: none of its values is "
            "unpickled. Look at it with show, outputs and export."
        )
    return Report(data, headline, text="\n".join(left_out), hint=hint)


def _settled(state: SessionState) -> SessionState:
    """A session that was bundled while it ran is paused here."""
    running = (SessionState.RUNNING, SessionState.INTERRUPTED)
    return SessionState.PAUSED if state in running else state


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _plain(text: str) -> str:
    """A file name as text that any reader of the log can show."""
    return text.encode("utf-8", "replace").decode()

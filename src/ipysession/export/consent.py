"""Which steps reach beyond the namespace and their folder, so that nobody re-runs them unasked."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ipysession.export.inputs import folder_of
from ipysession.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ipysession.model import Session, Step
    from ipysession.model.provenance import Connection

_ELSEWHERE = re.compile(r"expanduser|Path\.home|environ|getenv|__file__|~/")
"""Ways to a path through which a second run would reach the user's own files."""


def needs_consent(
    session: Session, steps: Iterable[Step], foreign: Collection[int] = ()
) -> tuple[int, str] | None:
    """The first of ``steps`` that must not be re-run without the user's consent, and why.
    ``foreign`` are steps that this user's key does not prove to be the user's own.
    """
    sources: list[str] = []
    for step in steps:
        if step.number in foreign or step.provenance.imported:
            return step.number, "was not recorded by you"
        sources.append(step.source)
        folder = folder_of(session, step)
        reason = _reason(step, folder) or _may_write_elsewhere(step, folder, sources)
        if reason is not None:
            return step.number, reason
    return None


_UNREPEATABLE = {
    Outcome.DIED: "ended with the death of the kernel",
    Outcome.INTERRUPTED: "was interrupted",
    Outcome.RUNNING: "has not ended yet",
}


def _reason(step: Step, folder: str) -> str | None:
    if step.outcome in _UNREPEATABLE:
        return _UNREPEATABLE[step.outcome]
    did = step.provenance
    if did.asked_input:
        return "asked for input"
    if did.processes:
        return f"started a process ({did.processes[0].command[:80]})"
    for connection in did.connections:
        if not _inside_connection(connection, folder):
            return f"connected to {connection.address[:80]}"
    if did.cwd is not None and not _inside(did.cwd, folder):
        return f"changed the folder to {did.cwd}"
    return None


def _may_write_elsewhere(step: Step, folder: str, sources: list[str]) -> str | None:
    """A file inside the folder may have been named by its absolute path, which a second run
    in another folder would write too; ``sources`` are those up to this step.
    """
    for use in step.provenance.files:
        if use.action == "read" or use.path == os.devnull:
            continue
        did = f"{use.action} {use.path}".replace("written", "wrote")
        if not _inside(use.path, folder):
            return f"{did}, outside its folder"
        if any(folder in source or _ELSEWHERE.search(source) for source in sources):
            return f"{did}, perhaps by its absolute path"
    return None


def _inside(path: str, folder: str) -> bool:
    """Would a second run in another folder find ``path`` there?"""
    if not folder:
        return False
    whole = Path(os.path.normpath(Path(folder, path)))
    return whole.is_relative_to(folder)


def _inside_connection(connection: Connection, folder: str) -> bool:
    if "sqlite" not in connection.kind:
        return False
    address = connection.address
    return address in {"", ":memory:"} or _inside(address.removeprefix("file:"), folder)

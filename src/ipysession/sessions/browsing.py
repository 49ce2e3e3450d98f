"""What a panel shows of a session, as JSON data: details, pages of steps, variables, storage.

Nothing here needs a kernel, changes anything, or unpickles anything.
"""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from ipysession.checkpoint.course import Course, Status
from ipysession.checkpoint.plan import Action, make_plan
from ipysession.documents import step_document, summary_document
from ipysession.errors import StepNotFound
from ipysession.lineage import is_internal
from ipysession.lineage.graph import Graph
from ipysession.lineage.stale import stale_steps
from ipysession.lineage.things import kind_of
from ipysession.model import tree
from ipysession.report import byte_size, first_line
from ipysession.sessions.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ipysession.model import Session, Step, Summary
    from ipysession.store import Reading

Outputs = dict[int, list[dict[str, Any]]]
"""The outputs of each step."""

_REDACTED = re.compile(r"\[redacted:[A-Za-z0-9_.-]{1,64}\]")

_MOST_SECRETS = 4
"""A source with more of them is not compared: each makes it take longer."""

_BYTES_PER_SECOND = 300e6
"""So fast are values loaded, about: enough for an estimate."""

_OVERHEAD_SECONDS = 0.2
"""What a resume takes besides."""

_FULL_BYTES = 10_000_000
"""A disk with less than this is as good as full."""

_KEPT = "Records are kept in memory and tried again: free some space before the kernel ends"

_LARGEST = 20
"""So many sessions are named by what the store takes."""


class BrowsingVerbs(Finding):
    """What can be asked of the whole store."""

    def storage(self) -> dict[str, Any]:
        """What the store takes on the disk, in bytes, and which sessions take most of it."""
        listed = self.listed()
        by_state: dict[str, int] = {}
        for item in listed:
            state = str(item.summary.state)
            by_state[state] = by_state.get(state, 0) + item.bytes
        largest = sorted(listed, key=lambda item: (-item.bytes, item.summary.id))[:_LARGEST]
        folder = self.store.path
        while not folder.exists():  # nothing was recorded yet
            folder = folder.parent
        return {
            "path": str(self.store.path),
            "sessions": len(listed),
            "bytes": sum(item.bytes for item in listed),
            "free": shutil.disk_usage(folder).free,
            "by_state": by_state,
            "largest": [
                {**summary_document(item.summary), "bytes": item.bytes} for item in largest
            ],
        }

    def trouble(self, session_id: str | None = None) -> str | None:
        """What keeps a kernel from recording: what the one that writes ``session_id`` says, or
        what shows from outside; None where nothing does. What the disk refuses, a kernel keeps
        in memory and writes later.
        """
        said = None if session_id is None else self.store.folder(session_id).trouble()
        if said is not None:
            return f"the session's log cannot be written: {said}. {_KEPT}"
        if not self.store.path.is_dir():
            return None  # nothing was recorded yet
        if not os.access(self.store.sessions_folder, os.W_OK):
            return f"the store {self.store.path} cannot be written"
        free = shutil.disk_usage(self.store.path).free
        if free < _FULL_BYTES:
            return f"the disk is full: {byte_size(free)} free for {self.store.path}. {_KEPT}"
        return None

    def is_written(self, session_id: str) -> bool:
        """Does a living process write it just now?"""
        return self.store.folder(session_id).writer() is not None


def resumable_document(session: Session, summary: Summary) -> dict[str, Any]:
    """What an offer to resume the session says."""
    plan = make_plan(session)
    return {
        "session": summary.id,
        "title": summary.title,
        "state": str(summary.state),
        "reason": summary.reason,
        "steps": summary.steps,
        "variables": sum(item.action is not Action.GIVE_UP for item in plan.names),
        "bytes": plan.bytes,
        "seconds": round(_OVERHEAD_SECONDS + plan.bytes / _BYTES_PER_SECOND + plan.seconds, 1),
        "updated": summary.updated.isoformat(),
        "age": max(0.0, summary.age.total_seconds()),
    }


def recording_document(summary: Summary, trouble: str | None) -> dict[str, Any]:
    """What a toolbar shows of the session that a notebook's kernel writes."""
    return {
        "session": summary.id,
        "title": summary.title,
        "state": str(summary.state),
        "steps": summary.steps,
        "busy": summary.busy,
        "trouble": trouble,
        "updated": summary.updated.isoformat(),
    }


def details(reading: Reading) -> dict[str, Any]:
    """What a session's page shows besides its summary and its steps."""
    session = reading.session
    return {
        "head": tree.head(session),
        "runs": [run.model_dump(mode="json") for run in session.runs],
        "notes": [note.model_dump(mode="json") for note in session.notes],
        "transitions": [item.model_dump(mode="json") for item in session.transitions],
        "files": _files(session),
        "damage": [str(item) for item in reading.damage],
        "contradictions": list(session.problems),
        "unknown_types": list(session.unknown),
    }


def _files(session: Session) -> list[dict[str, Any]]:
    """Each file that a step read or wrote, as its last use left it, by path."""
    found: dict[str, dict[str, Any]] = {}
    for step in session.steps:
        for use in step.provenance.files:
            earlier = found.get(use.path, {}).get("steps", [])
            steps = earlier if step.number in earlier else [*earlier, step.number]
            found[use.path] = {**use.model_dump(mode="python"), "steps": steps}
    return [found[path] for path in sorted(found)]


def steps_page(
    session: Session, outputs: Outputs, *, after: int, limit: int, with_outputs: bool
) -> dict[str, Any]:
    """At most ``limit`` steps, those that come after the step ``after``."""
    rest = [step for step in session.steps if step.number > after]
    shown = rest[:limit]
    branch = {step.number for step in tree.branch(session)}
    return {
        "steps": [step_entry(step, outputs, branch, with_outputs=with_outputs) for step in shown],
        "next": shown[-1].number if len(rest) > limit else None,
        "total": len(session.steps),
    }


def one_step(session: Session, outputs: Outputs, number: int) -> dict[str, Any]:
    """One step with its outputs. Raises StepNotFound."""
    branch = {step.number for step in tree.branch(session)}
    return step_entry(find_step(session, number), outputs, branch, with_outputs=True)


def find_step(session: Session, number: int) -> Step:
    """The step of that number. Raises StepNotFound."""
    try:
        return session.step(number)
    except LookupError as error:
        raise StepNotFound(str(error)) from error


def step_entry(
    step: Step, outputs: Outputs, branch: set[int], *, with_outputs: bool
) -> dict[str, Any]:
    """A step as JSON data; ``branch`` are the steps on the path to where the session stands."""
    shown = outputs.get(step.number, [])
    return {
        **step_document(step, shown),
        "on_branch": step.number in branch,
        "output_count": len(shown),
        "outputs": shown if with_outputs else None,
    }


# -- variables -------------------------------------------------------------------------


def variables(session: Session, step: int | None = None) -> dict[str, Any]:
    """The variables after a step (default: where the session stands), as they were saved.

    Raises StepNotFound.
    """
    at = tree.head(session) if step is None else find_step(session, step).number
    values = _values(session, at)
    return {
        "session": session.id,
        "step": at,
        "variables": [
            _variable(name, values[name]) for name in sorted(values) if not is_internal(name)
        ],
    }


def saved_hashes(session: Session, step: int | None = None) -> dict[str, str]:
    """For each variable after a step (default: where the session stands) the hash, in hex, of
    what was saved of it, with all that it shares objects with. Raises StepNotFound.
    """
    at = tree.head(session) if step is None else find_step(session, step).number
    found = {}
    for name, value in _values(session, at).items():
        if value.group is not None:
            data = value.group.model_dump_json(include={"inline", "blob", "parts", "table"})
            found[name] = blake3(data.encode()).hexdigest()
    return found


def _values(session: Session, at: int | None) -> dict[str, Status]:
    return Course(session, head=at).latest


def _variable(name: str, status: Status) -> dict[str, Any]:
    group = status.group
    preview = None if group is None else group.previews.get(name)
    recorded = "" if group is None else group.types.get(name, "")
    return {
        "name": name,
        "type": recorded if preview is None else preview.type,
        "step": status.step,
        "bytes": None if preview is None else preview.size,
        "saved_bytes": None if group is None else group.size,
        "shared_with": [] if group is None else [other for other in group.names if other != name],
        "shape": None if preview is None else preview.shape,
        "preview": None if preview is None else preview.text,
        "saved": group is not None,
        "reason": status.reason if group is None else "",
    }


# -- lineage ---------------------------------------------------------------------------


def graph_document(
    session: Session, names: Sequence[str] = (), at: int | None = None
) -> dict[str, Any]:
    """Which step used what which other step made, on the branch that the session stands on.

    The steps that make ``names`` as they stood after step ``at`` are marked. Raises
    StepNotFound.
    """
    if at is not None:
        find_step(session, at)
    graph = Graph.of(session)
    marked = frozenset(graph.needs(names, at)) if names else frozenset()
    stale = stale_steps(graph)
    return {
        "session": session.id,
        "steps": [
            {
                "step": step.number,
                "cell_id": step.cell_id,
                "execution_count": step.execution_count,
                "outcome": str(step.outcome),
                "title": first_line(step.source),
                "binds": [text for text in graph.facts(step.number).made if ":" not in text],
                "stale": step.number in stale,
                "marked": step.number in marked,
            }
            for step in graph.steps
        ],
        "edges": [
            {
                "source": edge.before,
                "target": edge.after,
                "names": list(edge.things),
                "kind": next((kind_of(text) for text in edge.things), "") or "name",
            }
            for edge in graph.edges()
        ],
        "names": graph.names(),
    }


# -- a notebook and its session --------------------------------------------------------


def restorable_cells(
    session: Session, outputs: Outputs, cells: Sequence[Mapping[str, Any]], modified: float | None
) -> list[dict[str, Any]]:
    """The cells of a notebook file whose recorded outputs are newer than the file.

    ``cells`` are the file's, as nbformat has them; ``modified`` is when it was saved, in
    seconds since the epoch. A cell is found by its id, or else, where it has none that the
    session knows, by its source.
    """
    latest: dict[str, Step] = {}
    for step in tree.branch(session):
        if step.cell_id is not None and step.finished is not None:
            latest[step.cell_id] = step
    places = {str(cell.get("id")): index for index, cell in enumerate(cells) if cell.get("id")}
    unknown = [
        index
        for index, cell in enumerate(cells)
        if cell.get("cell_type") == "code" and str(cell.get("id")) not in latest
    ]
    found = []
    for cell_id, step in latest.items():
        finished = step.finished
        if finished is None or (modified is not None and finished.timestamp() <= modified):
            continue
        index = places.get(cell_id)
        if index is None:
            same = [at for at in unknown if _is_source(step, _source(cells[at]))]
            index = same[0] if len(same) == 1 else None
        shown = outputs.get(step.number, [])
        if index is None or _same_outputs(cells[index].get("outputs", []), shown):
            continue
        cell = cells[index]
        found.append(
            {
                "cell_id": str(cell.get("id") or cell_id),
                "index": index,
                "step": step.number,
                "same_source": _is_source(step, _source(cell)),
                "source": step.source,
                "execution_count": step.execution_count,
                "outcome": str(step.outcome),
                "finished": finished.isoformat(),
                "outputs": shown,
            }
        )
    return sorted(found, key=lambda item: item["index"])


def _source(cell: Mapping[str, Any]) -> str:
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def _is_source(step: Step, source: str) -> bool:
    """Is it what the step ran? A secret that was taken out stands for any text."""
    recorded = step.source.rstrip()
    if not step.redacted:
        return recorded == source.rstrip()
    parts = _REDACTED.split(recorded)
    if len(parts) > _MOST_SECRETS:
        return False
    return re.fullmatch(".*".join(map(re.escape, parts)), source.rstrip(), re.DOTALL) is not None


def _same_outputs(one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]) -> bool:
    """Do they show the same? Texts of a file may be lists of lines, counts may differ."""
    return bool(_shown(one) == _shown(other))


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _shown(item)
            for name, item in value.items()
            if name not in {"execution_count", "transient"} and (name != "metadata" or item)
        }
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(item, str) for item in value):
            return "".join(value)
        return [_shown(item) for item in value]
    return value

"""A new session that grows from a step of another one: the records of the path to that step, under
this user's key, with the blobs that they name. The session that it grows from is only read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipysession.checkpoint.load import blobs_of
from ipysession.errors import BlobDamaged, BlobMissing
from ipysession.log import SyncPolicy
from ipysession.model import payloads as p
from ipysession.model import tree
from ipysession.model.provenance import Environment

if TYPE_CHECKING:
    from ipysession.model import Session
    from ipysession.store import Reading, SessionWriter, Store

_OF_STEPS = (p.StepStarted, p.StepOutput, p.StepFinished, p.StepEffects)


def grow(
    store: Store, reading: Reading, head: int, *, title: str | None = None, created_by: str = ""
) -> str:
    """Make a session of ``store`` that stands where ``reading`` stood after step ``head``, and
    return its id. Steps keep their numbers.

    All records of the path are taken over and signed: the caller has made sure that they are
    proven, or that the user trusts whoever wrote them.
    """
    session = reading.session
    summary = session.summary
    created = p.SessionCreated(
        session="",
        title=title or f"{summary.title} from step {head}",
        notebook=summary.notebook,
        parent=p.ParentStep(session=session.id, step=head),
        user=summary.user,
        host=summary.host,
        created_by=created_by,
    )
    writer = store.create(created, policy=SyncPolicy.OFF)
    try:
        environment = session.runs[-1].environment if session.runs else Environment(python="")
        writer.log.run = 1
        writer.append(p.RunStarted(number=1, environment=environment, notebook=summary.notebook))
        _copy(reading, writer, _steps_of(session, head))
        reason = f"branched from {session.id}, step {head}"
        writer.append(p.RunEnded(reason=reason))
        writer.append(p.SessionPaused(reason=reason))
    finally:
        writer.close()
    return writer.id


def _steps_of(session: Session, head: int) -> set[int]:
    """The steps of the path, and the replays that were made along it."""
    steps = {step.number for step in tree.branch(session, head)}
    for step in session.steps:
        if step.replay_of is not None and step.parent in steps:
            steps.add(step.number)
    return steps


def _copy(reading: Reading, writer: SessionWriter, steps: set[int]) -> None:
    for record in reading.contents.records:
        payload = record.payload
        if isinstance(payload, _OF_STEPS) and payload.step in steps:
            writer.append(payload)
        elif isinstance(payload, p.CheckpointSaved) and payload.step in steps:
            writer.append(payload, blobs=_bring_blobs(payload, reading, writer))
        elif isinstance(payload, p.CheckpointsDropped):
            dropped = sorted(steps.intersection(payload.steps))
            if dropped:
                writer.append(payload.model_copy(update={"steps": dropped}))
        elif isinstance(payload, p.NoteAdded) and payload.step in steps:
            writer.append(payload)


def _bring_blobs(saved: p.CheckpointSaved, reading: Reading, writer: SessionWriter) -> set[str]:
    """Give the new session the blobs of a checkpoint. One that is gone is gone there, too: what
    rests on it is then replayed or lost, as it would have been in the other session.
    """
    brought: set[str] = set()
    for group in (*saved.groups, *([] if saved.state is None else [saved.state])):
        try:
            names = blobs_of(group, reading.blobs)
        except (BlobMissing, BlobDamaged):
            continue
        brought.update(name for name in names if writer.blobs.take_from(reading.blobs, name))
    return brought

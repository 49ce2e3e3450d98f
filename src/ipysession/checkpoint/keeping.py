"""Which checkpoints are kept, and what they rest on. Imports no IPython, unpickles nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipysession.checkpoint.course import Course
from ipysession.checkpoint.load import blobs_of
from ipysession.errors import BlobDamaged, BlobMissing
from ipysession.model import tree

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ipysession.log import Blobs
    from ipysession.model import Session
    from ipysession.model.payloads import CheckpointSaved, SavedGroup


def steps_to_drop(session: Session, last: int) -> list[int]:
    """The steps whose checkpoints are not needed for going back to any step that is kept: the
    ``last`` ones, every step with a note, the end of every branch, and where the session stands.
    """
    children = tree.children_of(session)
    numbers = sorted(number for number in tree.parents_of(session))
    kept = set(numbers[-last:] if last > 0 else ())
    kept.update(number for number in numbers if not children.get(number))
    kept.update(note.step for note in session.notes if note.step is not None)
    kept.add(tree.head(session) or tree.ROOT)
    needed: set[int] = set()
    for number in sorted(kept.intersection(numbers)):
        needed |= _needed(session, number)
    saved = {record.step for record in session.checkpoints if any(_groups(record))}
    return sorted(saved - needed - session.dropped)


def _needed(session: Session, head: int) -> set[int]:
    """The steps whose checkpoints hold what the session was after step ``head``."""
    course = Course(session, head=head)
    found = {status.key[0] for status in course.latest.values() if status.key is not None}
    state = course.state(course.end)
    if state is not None:
        found.update(record.step for record in session.checkpoints if record.state is state)
    return found


def saved_blobs(session: Session, blobs: Blobs, dropped: Collection[int]) -> set[str]:
    """The blobs of all checkpoints but the ``dropped`` ones."""
    found: set[str] = set()
    for record in session.checkpoints:
        if record.step in dropped:
            continue
        for group in _groups(record):
            try:
                found |= blobs_of(group, blobs)
            except (BlobMissing, BlobDamaged):
                continue  # the list of its parts is gone, so nothing can be loaded by it
    return found


def _groups(record: CheckpointSaved) -> Iterator[SavedGroup]:
    yield from record.groups
    if record.state is not None:
        yield record.state

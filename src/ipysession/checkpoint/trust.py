"""Which parts of a session are proven to be this user's own: only those are unpickled or run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipysession.model import payloads as p

if TYPE_CHECKING:
    from ipysession.store import Reading

_OF_STEPS = (p.StepStarted, p.StepFinished, p.StepEffects)


@dataclass(frozen=True, slots=True)
class Trust:
    """What a session's records prove."""

    untrusted: frozenset[int] = frozenset()
    """Steps whose checkpoint records were not provably written with this user's key."""
    unproven: frozenset[int] = frozenset()
    """Steps whose own records, their source among them, were not."""
    foreign: bool = False
    """No step was: another user or machine recorded the session."""


def trust_in(reading: Reading) -> Trust:
    """What the records of ``reading`` prove; it must have been read with the user's key. Without
    a key nothing is proven.
    """
    contents = reading.contents
    unproven = contents.unproven
    checkpoints: set[int] = set()
    steps: set[int] = set()
    proven = False
    for record in contents.records:
        payload = record.payload
        if not isinstance(payload, (p.CheckpointSaved, *_OF_STEPS)):
            continue  # a tag or a note of ours makes nobody's code ours
        if unproven is not None and record.seq not in unproven:
            proven = True
        elif isinstance(payload, p.CheckpointSaved):
            checkpoints.add(payload.step)
        else:
            steps.add(payload.step)
    foreign = bool(checkpoints or steps) and not proven
    return Trust(frozenset(checkpoints), frozenset(steps), foreign)

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
    """None of the records was: another user or machine recorded the session."""


def trust_in(reading: Reading) -> Trust:
    """What the records of ``reading`` prove; it must have been read with the user's key. Without
    a key nothing is proven.
    """
    contents = reading.contents
    unproven = contents.unproven
    suspects = [record for record in contents.records if unproven is None or record.seq in unproven]
    checkpoints, steps = set(), set()
    for record in suspects:
        payload = record.payload
        if isinstance(payload, p.CheckpointSaved):
            checkpoints.add(payload.step)
        elif isinstance(payload, _OF_STEPS):
            steps.add(payload.step)
    foreign = bool(suspects) and len(suspects) == len(contents.records)
    return Trust(frozenset(checkpoints), frozenset(steps), foreign)

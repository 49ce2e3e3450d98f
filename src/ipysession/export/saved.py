"""Which saved values stand for the names at the end of a branch, and whose records they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipysession.checkpoint.trust import trust_in
from ipysession.lineage.graph import Graph
from ipysession.lineage.things import thing
from ipysession.model.payloads import CheckpointSaved

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ipysession.model.payloads import SavedGroup
    from ipysession.store import Reading


def saved_values(
    reading: Reading, names: Collection[str]
) -> tuple[list[tuple[list[str], SavedGroup]], dict[str, int]]:
    """The groups that hold the final values of ``names``, each with those of its names; and for
    each name the step that wrote it last.

    A name is left out where its last value was not saved, or where the record that says so was
    not provably made with this user's key: the session must have been read with the key.
    """
    graph = Graph.of(reading.session)
    written: dict[str, int] = {}
    for step in graph.steps:
        for part in graph.facts(step.number)[1:]:
            for text in part:
                written[thing(text).root] = step.number
    newest: dict[str, tuple[int, SavedGroup]] = {}
    for saved in _trusted(reading, {step.number for step in graph.steps}):
        for group in saved.groups:
            newest.update(dict.fromkeys(group.names, (saved.step, group)))
        for name in saved.unchanged:
            if name in newest:
                newest[name] = (saved.step, newest[name][1])
        for skipped in saved.skipped:
            for name in skipped.names:
                newest.pop(name, None)
    groups: dict[int, tuple[list[str], SavedGroup]] = {}
    for name in names:
        if name in newest and newest[name][0] >= written.get(name, 0):
            found = newest[name][1]
            groups.setdefault(id(found), ([], found))[0].append(name)
    return list(groups.values()), written


def _trusted(reading: Reading, steps: Collection[int]) -> Iterator[CheckpointSaved]:
    """The checkpoint records of these steps that this user's key proves."""
    unproven = reading.contents.unproven
    for record in reading.contents.records if unproven is not None else ():
        saved = record.payload
        if isinstance(saved, CheckpointSaved) and saved.step in steps:
            assert unproven is not None  # noqa: S101 - else there is nothing to go over
            if record.seq not in unproven:
                yield saved


def foreign_steps(reading: Reading) -> frozenset[int]:
    """The steps that this user's key does not prove to be the user's own; none where the session
    was not read with the key.
    """
    if reading.contents.unproven is None:
        return frozenset()
    return trust_in(reading).unproven

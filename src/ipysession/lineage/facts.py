"""What each step read, made and changed, as recorded; where a log says less, the safe side.

`FactReader` goes along a branch, step by step. Steps recorded to the letter speak for
themselves. Of others (older logs, a probe that failed) names, checkpoints and files are known:
whatever such a step could reach may have changed, unless its checkpoint says that it did not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ipysession.lineage.names import is_internal
from ipysession.lineage.things import of_kind
from ipysession.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ipysession.model import Session, Step
    from ipysession.model.payloads import CheckpointSaved
    from ipysession.model.provenance import Provenance

_DEAD = frozenset({Outcome.DIED, Outcome.RUNNING})
"""Whatever such a step did to names is not there: the kernel died, or it has not ended."""

_NO_CHECKPOINTS: tuple[CheckpointSaved, ...] = ()


class Facts(NamedTuple):
    """What one step did. Each thing with the source that saw it.

    ``made``: nothing is left of what stood there before. ``changed``: something is, so that a
    reader needs this step and those before it.
    """

    read: Mapping[str, str]
    made: Mapping[str, str]
    changed: Mapping[str, str]


NOTHING = Facts({}, {}, {})


def checkpoints_by_step(session: Session) -> dict[int, list[CheckpointSaved]]:
    """The checkpoint records of each step, oldest first."""
    found: dict[int, list[CheckpointSaved]] = {}
    for checkpoint in session.checkpoints:
        found.setdefault(checkpoint.step, []).append(checkpoint)
    return found


class FactReader:
    """Reads the facts of the steps of one branch, in order."""

    def __init__(self, checkpoints: Mapping[int, Sequence[CheckpointSaved]]) -> None:
        self._checkpoints = checkpoints
        self._plain: set[str] = set()
        self._partners: dict[str, frozenset[str]] = {}
        """Names that may share an object, as far as the checkpoints tell."""

    def take(self, step: Step) -> Facts:
        """What the next step of the branch did."""
        if step.outcome in _DEAD:
            return NOTHING
        saved = self._checkpoints.get(step.number, _NO_CHECKPOINTS)
        known = step.provenance
        facts = _exact(known, saved) if known.exact else self._guessed(known, saved)
        self._learn(known, saved)
        return facts

    def _guessed(self, known: Provenance, saved: Sequence[CheckpointSaved]) -> Facts:
        """More than it did, rather than less: what it bound, it may have bound in a branch that
        did not run.
        """
        unchanged = _unchanged(saved)
        changed = set(known.bound)
        for record in saved:
            for skipped in record.skipped:
                changed.update(skipped.names)
            for group in record.groups:
                if not group.plain:
                    changed.update(group.names)
        for name in known.reads:
            if name not in self._plain:
                changed.add(name)
                changed |= self._partners.get(name, frozenset())
        changed = {name for name in changed if not is_internal(name)} - unchanged.difference(
            known.bound
        )
        read = {name: "code" for name in known.reads if not is_internal(name)}
        read.update(dict.fromkeys(known.deleted, "code"))
        written = dict.fromkeys(changed, "value")
        made = dict.fromkeys(known.deleted, "code")
        if any(record.state is not None for record in saved):
            written[of_kind("random")] = read[of_kind("random")] = "hidden"
        _add_effects(known, read, made, written)
        return Facts(read, made, written)

    def _learn(self, known: Provenance, saved: Sequence[CheckpointSaved]) -> None:
        for name in (*known.bound, *known.deleted):
            self._plain.discard(name)
            self._partners.pop(name, None)
        for record in saved:
            for group in record.groups:
                if group.plain:
                    self._plain.update(group.names)
                else:
                    self._join(group.names)
            for skipped in record.skipped:
                self._join(skipped.names)

    def _join(self, names: Collection[str]) -> None:
        self._plain.difference_update(names)
        if len(names) > 1:
            together = frozenset(names)
            for name in names:
                self._partners[name] = together
        else:
            for name in names:
                self._partners.pop(name, None)


def _exact(known: Provenance, saved: Sequence[CheckpointSaved]) -> Facts:
    lineage = known.lineage
    if lineage is None:
        read = dict.fromkeys((*known.reads, *known.deleted), "code")
        return Facts(read, dict.fromkeys((*known.bound, *known.deleted), "code"), {})
    changed: Mapping[str, str] = lineage.changed
    if lineage.unsure:
        same = _unchanged(saved).intersection(lineage.unsure)
        changed = {name: by for name, by in changed.items() if name not in same}
    return Facts(lineage.read, lineage.made, changed)


def _unchanged(saved: Iterable[CheckpointSaved]) -> set[str]:
    return {name for record in saved for name in record.unchanged}


def _add_effects(
    known: Provenance, read: dict[str, str], made: dict[str, str], changed: dict[str, str]
) -> None:
    """Files and the rest, of a step that was not recorded to the letter."""
    for use in known.files:
        what = of_kind("file", use.path)
        read[what] = "effects"
        if use.action != "read":
            changed[what] = "effects"
    if known.processes or known.connections:
        # Who can tell what a process read and wrote?
        read[of_kind("file", "*")] = changed[of_kind("file", "*")] = "effects"
    for name in known.environ_changed:
        changed[of_kind("environ", name)] = "effects"
    if known.cwd is not None:
        made[of_kind("cwd")] = "effects"

"""A session that was opened for reading, without a kernel: its variables, and one value at a time.

What can be told without unpickling is told from the records. A value is loaded only from records
that carry this user's key's signature, and from blobs that hash to their names.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ipysession.checkpoint.course import Course, Status
from ipysession.checkpoint.load import load_group
from ipysession.checkpoint.trust import trust_in
from ipysession.errors import LogDamaged, NotSaved, StepNotFound
from ipysession.lineage.graph import Graph
from ipysession.lineage.stale import changed_inputs, stale_steps
from ipysession.model import tree
from ipysession.store import Reading, SessionFolder


@dataclass(frozen=True, slots=True)
class Variable:
    """What the records say of a variable."""

    name: str
    step: int
    """The step that it was saved after, or that made it."""
    type: str = ""
    size: int | None = None
    """Bytes in memory, about; None where it is not known."""
    shape: tuple[int, ...] | None = None
    text: str = ""
    """A short repr."""
    saved: bool = True
    missing: str = ""
    """Why there is no value to load."""

    def document(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "name": self.name,
            "step": self.step,
            "type": self.type,
            "size": self.size,
            "shape": None if self.shape is None else list(self.shape),
            "text": self.text,
            "saved": self.saved,
            "missing": self.missing,
        }


@dataclass(frozen=True, slots=True)
class OpenedSession(Reading):
    """A session as it stands, or as it stood after a step (see `at`)."""

    key: bytes | None = field(default=None, repr=False)
    """That of the user who opened it: without it nothing can be loaded."""
    step: int | None = None

    def at(self, step: int) -> OpenedSession:
        """The same session as it stood after ``step``; 0 is the beginning. Raises StepNotFound."""
        if step != tree.ROOT:
            try:
                self.session.step(step)
            except LookupError as error:
                raise StepNotFound(str(error)) from error
        return replace(self, step=step)

    @property
    def variables(self) -> dict[str, Variable]:
        """All variables, by name. Nothing is unpickled."""
        latest = Course(self.session, head=self.step).latest
        return {name: _variable(name, latest[name]) for name in sorted(latest)}

    def graph(self) -> Graph:
        """Which step used what which other made, on the branch that leads here."""
        return Graph.of(self.session, self.step)

    def needs(self, what: str | int) -> tuple[int, ...]:
        """The steps, in order, that make a variable what it is, or that a step rests on.

        Raises LookupError for a step off the branch.
        """
        graph = self.graph()
        return graph.needs_step(what) if isinstance(what, int) else graph.needs([what])

    def uses(self, what: str | int) -> tuple[int, ...]:
        """The steps, in order, that rest on a variable or a step. Raises as `needs`."""
        graph = self.graph()
        return graph.uses(what) if isinstance(what, int) else graph.uses_of(what)

    def stale(self) -> dict[int, tuple[str, ...]]:
        """The steps that rest on a step or a file that changed since, each with the reasons."""
        graph = self.graph()
        return stale_steps(graph, changed_inputs(graph.steps))

    def load(self, name: str) -> Any:
        """The value of one variable. Functions see only what was saved together with them.

        Unpickling runs code, so it is done only where the whole way is verified. Raises
        LookupError for an unknown name, NotSaved where there is no value, LogDamaged where the
        record was not provably written by this user, BlobMissing or BlobDamaged.
        """
        status = Course(self.session, head=self.step).latest.get(name)
        if status is None:
            message = f"session {self.session.id} has no variable {name!r} there"
            raise LookupError(message)
        if status.group is None or status.key is None:
            message = f"{name} was not saved ({status.reason}); a resume may replay it"
            raise NotSaved(message)
        proven = SessionFolder(self.folder).read(self.key)
        record = Course(proven.session, trust_in(proven).untrusted, head=self.step).latest.get(name)
        if record is None or record.group is None:
            message = (
                f"{name} is not loaded: nothing proves that its record in session "
                f"{self.session.id} was written by you"
            )
            raise LogDamaged(message)
        return load_group(record.group, self.blobs, {"__name__": "__main__"})[name]


def opened(reading: Reading, key: bytes | None = None) -> OpenedSession:
    """``reading``, with its variables."""
    return OpenedSession(reading.session, reading.contents, reading.blobs, key)


def _variable(name: str, status: Status) -> Variable:
    group = status.group
    if group is None:
        return Variable(name, status.step, saved=False, missing=status.reason)
    preview = group.previews.get(name)
    if preview is None:
        return Variable(name, status.step, group.types.get(name, ""))
    shape = None if preview.shape is None else tuple(preview.shape)
    return Variable(name, status.step, preview.type, preview.size, shape, preview.text or "")

"""Sessions for the tests of lineage, written step by step as records."""

from __future__ import annotations

from ipysession.lineage.graph import Graph
from ipysession.model import payloads as p
from ipysession.model.fold import fold
from ipysession.model.provenance import Environment, Lineage
from ipysession.model.records import Record


def lineage(read=(), made=(), changed=(), unsure=()):
    """A lineage of these things."""
    return Lineage(
        read=dict.fromkeys(read, "code"),
        made=dict.fromkeys(made, "code"),
        changed=dict.fromkeys(changed, "value"),
        unsure=list(unsure),
    )


class Records:
    """The records of a session."""

    def __init__(self):
        self.payloads = [
            p.SessionCreated(session="s", title="t"),
            p.RunStarted(number=1, environment=Environment(python="3.11")),
        ]
        self.steps = 0

    def session(self):
        """The session so far."""
        records = [
            Record(i + 1, 1, "2026-01-01T00:00:00Z", 0.0, payload.type, payload)
            for i, payload in enumerate(self.payloads)
        ]
        return fold(records)


class Script(Records):
    """Writes the records of a session, step by step."""

    def step(self, bound=(), reads=(), *, deleted=(), exact=True, parent=None, **more):
        """One step, recorded to the letter unless ``exact`` says otherwise."""
        self.steps += 1
        number = self.steps
        self.payloads.append(
            p.StepStarted(
                step=number,
                source=more.get("source", f"cell {number}"),
                cell_id=more.get("cell"),
                execution_count=number,
                parent=parent,
            )
        )
        lineage = more.get("lineage")
        if lineage is not None or more.get("files"):
            self.payloads.append(
                p.StepEffects(step=number, lineage=lineage, files=more.get("files", []))
            )
        self.payloads.append(
            p.StepFinished(
                step=number,
                outcome=more.get("outcome", "ok"),
                duration=1.0,
                bound=list(bound),
                reads=list(reads),
                deleted=list(deleted),
                exact=exact,
            )
        )
        return self

    def changes(self, *names, reads=(), **more):
        """A step that changes ``names`` in place."""
        return self.step(reads=reads, lineage=lineage((*names, *reads), (), names), **more)

    def saved(self, **more):
        """The checkpoint of the step before."""
        self.payloads.append(p.CheckpointSaved(step=self.steps, **more))
        return self

    def graph(self, head=None):
        """Its graph."""
        return Graph.of(self.session(), head)

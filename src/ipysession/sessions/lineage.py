"""The verbs over the graph of steps: what is needed, what rests on it, what is stale, a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipysession.documents import counted
from ipysession.errors import InvalidRequest
from ipysession.lineage.graph import Graph
from ipysession.lineage.stale import changed_inputs, stale_steps
from ipysession.report import Report, Table, first_line, to_json
from ipysession.sessions.browsing import graph_document
from ipysession.sessions.drawing import DRAWINGS
from ipysession.sessions.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ipysession.model import Step

_MOST_DRAWN = 200
"""Steps that a picture shows; of more, the newest."""
_FORMATS = (*DRAWINGS, "json")


class LineageVerbs(Finding):
    """Needs, uses, stale, graph."""

    def graph_of(self, reference: str | None = None) -> Graph:
        """The graph of the branch that a session stands on."""
        return Graph.of(self.read(reference).session)

    def needs(self, what: str, reference: str | None = None, *, at: int | None = None) -> Report:
        """The steps that make a variable what it is (after step ``at``, by default now), or
        those that step ``what`` rests on, in order.
        """
        graph = self.graph_of(reference)
        try:
            if what.isdigit():
                found = graph.needs_step(int(what))
            else:
                found = graph.needs([_known(graph, what)], at)
        except LookupError as error:
            raise InvalidRequest(str(error)) from error
        said = f"step {what}" if what.isdigit() else what
        return _listed(graph, what, found, f"{said} needs {counted(len(found), 'step')}")

    def uses(self, what: str, reference: str | None = None) -> Report:
        """The steps that rest on a variable, or on step ``what``, directly or not."""
        graph = self.graph_of(reference)
        try:
            number = int(what) if what.isdigit() else None
            found = graph.uses_of(_known(graph, what)) if number is None else graph.uses(number)
        except LookupError as error:
            raise InvalidRequest(str(error)) from error
        said = f"step {what}" if what.isdigit() else what
        verb = "rests" if len(found) == 1 else "rest"
        return _listed(graph, what, found, f"{counted(len(found), 'step')} {verb} on {said}")

    def stale(self, reference: str | None = None) -> Report:
        """The steps that rest on a step or a file that changed since. Files are read and compared
        by their digests.
        """
        graph = self.graph_of(reference)
        found = stale_steps(graph, changed_inputs(graph.steps))
        data = {
            "stale": [
                {**_step_document(step), "reasons": list(found[step.number])}
                for step in graph.steps
                if step.number in found
            ],
            "problems": [str(problem) for problem in graph.problems],
        }
        rows = tuple(
            (str(step.number), "\n".join(found[step.number]), first_line(step.source))
            for step in graph.steps
            if step.number in found
        )
        headline = f"{counted(len(rows), 'step')} stale" if rows else "No step is stale."
        table = Table(("Step", "Why", "Source"), rows, right=frozenset({"Step"}))
        return Report(data, headline, (table,), text=_told(graph))

    def graph(
        self, reference: str | None = None, *, names: Sequence[str] = (), form: str | None = None
    ) -> Report:
        """The graph itself. ``form`` is ``svg`` (also what a notebook shows), ``dot``, ``mermaid``
        or ``json``; the steps that ``names`` need are marked.
        """
        if form is not None and form not in _FORMATS:
            message = f"there is no format {form!r}; known: {', '.join(_FORMATS)}"
            raise InvalidRequest(message)
        session = self.read(reference).session
        document = graph_document(session, names)
        found = Graph.of(session)
        data = {**document, "problems": [str(problem) for problem in found.problems]}
        if form == "json":
            return Report(data, text=to_json(data))
        if form is not None:
            return Report(data, text=DRAWINGS[form](document))
        steps, edges = document["steps"], document["edges"]
        headline = f"{session.id}: {counted(len(steps), 'step')}, {counted(len(edges), 'edge')}"
        before: dict[int, list[str]] = {}
        for edge in edges:
            before.setdefault(edge["target"], []).append(str(edge["source"]))
        rows = tuple(
            (
                str(step["step"]),
                ", ".join(before.get(step["step"], ())),
                "stale" if step["stale"] else step["outcome"],
                step["title"],
            )
            for step in steps[-_MOST_DRAWN:]
        )
        table = Table(("Step", "Uses", "State", "Source"), rows, state="State")
        left_out = len(steps) - len(rows)
        hint = f"{counted(left_out, 'earlier step')} not shown" if left_out > 0 else ""
        drawn = DRAWINGS["svg"]({**document, "steps": steps[-_MOST_DRAWN:]})
        return Report(data, headline, (table,), text=_told(found), hint=hint, picture=drawn)


def _known(graph: Graph, name: str) -> str:
    if name.partition("[")[0].partition(".")[0] in graph.names() or name in graph.things():
        return name
    message = f"no step of this branch made {name!r}"
    raise LookupError(message)


def _step_document(step: Step) -> dict[str, Any]:
    return {
        "step": step.number,
        "cell_id": step.cell_id,
        "execution_count": step.execution_count,
        "outcome": str(step.outcome),
        "title": first_line(step.source),
    }


def _listed(graph: Graph, what: str, numbers: Iterable[int], headline: str) -> Report:
    wanted = set(numbers)
    steps = [step for step in graph.steps if step.number in wanted]
    whys: Mapping[int, dict[int, list[str]]] = {
        step.number: {
            edge.before: list(edge.things)
            for edge in graph.direct(step.number)
            if edge.before in wanted
        }
        for step in steps
    }
    data = {
        "of": what,
        "steps": [
            {
                **_step_document(step),
                "needs": [
                    {"step": before, "names": names} for before, names in whys[step.number].items()
                ],
            }
            for step in steps
        ],
        "problems": [str(problem) for problem in graph.problems],
    }
    rows = tuple(
        (
            str(step.number),
            ", ".join(
                f"{before} ({', '.join(names)})" if names else str(before)
                for before, names in whys[step.number].items()
            ),
            first_line(step.source),
        )
        for step in steps
    )
    table = Table(("Step", "Uses", "Source"), rows, right=frozenset({"Step"}))
    return Report(data, headline, (table,), text=_told(graph))


def _told(graph: Graph) -> str:
    return "\n".join(f"The log has {problem}." for problem in graph.problems)

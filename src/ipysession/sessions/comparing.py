"""The verbs that put versions beside each other: of a cell, of a name, two steps, two sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipysession.documents import counted, output_text, step_outputs
from ipysession.errors import InvalidRequest
from ipysession.lineage.graph import Graph
from ipysession.lineage.things import thing
from ipysession.report import Report, Table, clean, duration, first_line
from ipysession.sessions.finding import Finding, chosen_steps
from ipysession.sessions.versions import (
    diff_document,
    fingerprints,
    run_differences,
    source_diff,
    version_document,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipysession.model import Session, Step
    from ipysession.store import Reading

_RESULT_LINES = 6
"""So much of a version's result is shown to people; ``--json`` has all of it."""


class ComparingVerbs(Finding):
    """The verbs that compare."""

    def history(self, what: str | None = None, reference: str | None = None) -> Report:
        """The versions of a cell, oldest first, each with what changed in it and its result.

        ``what`` is a cell's id, the number of a step of the cell, or a variable: then the
        versions are the steps that made or changed it. Without it, all cells that ran more
        than once are told.
        """
        reading = self.read(reference)
        session = reading.session
        if what is None:
            return _cells_report(session)
        how, steps = _versions(session, what)
        outputs = step_outputs(reading)
        data: dict[str, Any] = {"session": session.id, how: what, "versions": []}
        rows, text = [], []
        before: Step | None = None
        for step in steps:
            shown = outputs.get(step.number, [])
            said = "\n".join(output_text(output).rstrip("\n") for output in shown)
            version = version_document(step, before)
            data["versions"].append({**version, "cell_id": step.cell_id, "outputs": shown})
            changed = _changed_lines(version["diff"]) if before is not None else "first"
            rows.append(
                (str(step.number), str(step.outcome), duration(step.duration), changed,
                 first_line(said))
            )  # fmt: skip
            text.append(f"── step {step.number}, {step.started:%Y-%m-%d %H:%M:%S}: {step.outcome}")
            text.append(step.source if before is None else version["diff"] or "(the same text)")
            text += ["", *said.splitlines()[:_RESULT_LINES], ""]
            before = step
        table = Table(
            ("Step", "Outcome", "Time", "Lines", "Result"), tuple(rows), "Versions",
            frozenset({"Step", "Time"}), "Outcome",
        )  # fmt: skip
        kind = "cell" if how == "cell" else "variable"
        headline = f"{counted(len(steps), 'version')} of {kind} {clean(what)} in {session.id}"
        return Report(data, headline, (table,), text="\n".join(text))

    def diff(self, one: str, other: str, reference: str | None = None) -> Report:
        """What differs between two sessions, or between two steps of one session: sources,
        outputs, variables, environment. Two numbers mean steps.
        """
        if one.isdecimal() and other.isdecimal() and len(one) < 8 and len(other) < 8:
            return _steps_report(self.read(reference), int(one), int(other))
        if reference is not None:
            message = "--session names the session of two steps; compare two sessions without it"
            raise InvalidRequest(message)
        return _sessions_report(self.read(one), self.read(other))


# -- history ---------------------------------------------------------------------------


def _versions(session: Session, what: str) -> tuple[str, list[Step]]:
    steps = [step for step in session.steps if step.replay_of is None]
    if what.isdecimal() and any(step.number == int(what) for step in steps):
        cell = session.step(int(what)).cell_id
        what = cell if cell is not None else what
        if cell is None:
            source = session.step(int(what)).source
            return "cell", [step for step in steps if step.source == source]
    versions = [step for step in steps if step.cell_id == what]
    if versions:
        return "cell", versions
    graph = Graph.of(session)
    versions = [
        step
        for step in graph.steps
        if any(thing(text).root == what for part in graph.facts(step.number)[1:] for text in part)
    ]
    if versions:
        return "name", versions
    message = (
        f"session {session.id} has no cell, step or variable {what[:80]!r}; "
        "without one, history lists the cells that ran more than once"
    )
    raise InvalidRequest(message)


def _cells_report(session: Session) -> Report:
    cells: dict[str, list[Step]] = {}
    for step in session.steps:
        if step.replay_of is None and step.cell_id is not None:
            cells.setdefault(step.cell_id, []).append(step)
    again = {cell: steps for cell, steps in cells.items() if len(steps) > 1}
    data = {
        "session": session.id,
        "cells": [
            {
                "cell_id": cell,
                "steps": [step.number for step in steps],
                "texts": len({step.source for step in steps}),
            }
            for cell, steps in again.items()
        ],
    }
    rows = tuple(
        (cell, str(len(steps)), str(len({s.source for s in steps})), str(steps[-1].number),
         first_line(steps[-1].source))
        for cell, steps in again.items()
    )  # fmt: skip
    columns = ("Cell", "Runs", "Texts", "Last step", "Source")
    table = Table(columns, rows, "", frozenset({"Runs", "Texts", "Last step"}))
    headline = f"{counted(len(again), 'cell')} of {session.id} ran more than once"
    hint = "See one with: history CELL, or the number of one of its steps" if again else ""
    return Report(data, headline, (table,), hint=hint)


def _changed_lines(diff: str) -> str:
    lines = [line for line in diff.splitlines()[2:] if line[:1] in "+-"]
    added = sum(line.startswith("+") for line in lines)
    return f"+{added} −{len(lines) - added}" if lines else "same"


# -- differences -----------------------------------------------------------------------


def _steps_report(reading: Reading, one: int, other: int) -> Report:
    session = reading.session
    left, right = chosen_steps(session, [one, other])
    outputs = step_outputs(reading)
    data: dict[str, Any] = {
        "session": session.id,
        "left": left.number,
        "right": right.number,
        "source": source_diff(left, right),
        "outcomes": [str(left.outcome), str(right.outcome)],
        "outputs": _output_diff(outputs.get(one, []), outputs.get(other, [])),
        "variables": _variables(fingerprints(session, one), fingerprints(session, other)),
        "environment": run_differences(session, left.run, session, right.run),
    }
    headline = f"steps {one} and {other} of {session.id}: {_said(data)}"
    tables = (_variables_table(data["variables"], (f"After step {one}", f"After step {other}")),
              _environment_table(data["environment"]))  # fmt: skip
    text = "\n\n".join(part for part in (data["source"], data["outputs"]) if part)
    return Report(data, headline, tables, text=text)


def _sessions_report(one: Reading, other: Reading) -> Report:
    data = diff_document(one.session, other.session)
    left, right = step_outputs(one), step_outputs(other)
    for cell in data["cells"]:
        both = cell["left"] is not None and cell["right"] is not None
        cell["outputs"] = (
            _output_diff(left.get(cell["left"], []), right.get(cell["right"], [])) if both else ""
        )
    shown = [c for c in data["cells"] if c["kind"] != "same" or c["outputs"]]
    rows = tuple(
        (
            str(cell["left"] or ""),
            str(cell["right"] or ""),
            cell["kind"] if cell["kind"] != "same" else "other output",
            first_line(cell["right_source"] or cell["left_source"] or ""),
        )
        for cell in shown
    )
    columns = (one.session.id, other.session.id, "What", "Source")
    numbers = frozenset({one.session.id, other.session.id})
    if one.session.id == other.session.id:
        message = f"{one.session.id} is the same session twice; two numbers compare its steps"
        raise InvalidRequest(message)
    tables = (
        Table(columns, rows, "Cells", numbers),
        _variables_table(data["variables"], (one.session.id, other.session.id)),
        _environment_table(data["environment"]),
    )
    parts = [part for cell in shown for part in (cell["diff"], cell["outputs"]) if part]
    same = len(data["cells"]) - len(shown)
    headline = (
        f"{one.session.id} and {other.session.id}: {counted(same, 'cell')} the same, "
        f"{counted(len(shown), 'cell')} not, {counted(len(data['variables']), 'variable')} and "
        f"{counted(len(data['environment']), 'thing')} of the environment differ"
    )
    return Report(data, headline, tables, text="\n\n".join(parts))


def _output_diff(left: Sequence[dict[str, Any]], right: Sequence[dict[str, Any]]) -> str:
    """A diff of what was shown; addresses, durations and the like do not count."""
    from ipysession.export.compare import difference, readable

    return difference(readable(left), readable(right)) or ""


def _variables(left: dict[str, Any], right: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "left": left.get(name), "right": right.get(name)}
        for name in sorted({*left, *right})
        if left.get(name) != right.get(name)
    ]


def _said(data: dict[str, Any]) -> str:
    parts = [
        word
        for word, differs in (
            ("sources", data["source"]),
            ("outcomes", len(set(data["outcomes"])) > 1),
            ("outputs", data["outputs"]),
            (counted(len(data["variables"]), "variable"), data["variables"]),
            ("environments", data["environment"]),
        )
        if differs
    ]
    return f"{', '.join(parts)} differ" if parts else "nothing differs"


def _variables_table(variables: Sequence[dict[str, Any]], sides: tuple[str, str]) -> Table:
    rows = tuple((v["name"], v["left"] or "", v["right"] or "") for v in variables)
    return Table(("Name", *sides), rows, "Variables")


def _environment_table(differences: Sequence[dict[str, str]]) -> Table:
    rows = tuple((item["what"], item["then"], item["now"]) for item in differences)
    return Table(("What", "One", "Other"), rows, "Environment")

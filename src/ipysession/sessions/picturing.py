"""The tree of steps, and the variables after a step: from the records, nothing is unpickled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipysession.documents import counted
from ipysession.errors import InvalidRequest
from ipysession.model import tree
from ipysession.report import Report, Table, byte_size, duration, first_line
from ipysession.sessions.finding import Finding
from ipysession.sessions.opened import opened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ipysession.model import Session

_LONG = 12
"""Steps in a row without a branch that are shown; of more, the middle is left out."""


class PicturingVerbs(Finding):
    """Tree and variables."""

    def tree(self, reference: str | None = None) -> Report:
        """Which step grew from which, and where the session stands."""
        session = self.read(reference).session
        head = tree.head(session)
        parents, children = tree.parents_of(session), tree.children_of(session)
        path = {step.number for step in tree.branch(session)}
        data = {
            "session": session.id,
            "head": head,
            "steps": [
                {
                    "step": number,
                    "parent": parent,
                    "children": list(children.get(number, ())),
                    "outcome": str(session.step(number).outcome),
                    "on_branch": number in path,
                    "source": session.step(number).source,
                }
                for number, parent in parents.items()
            ],
        }
        rows = tuple(
            _tree_row(session, prefix, number, head) for prefix, number in _drawn(children, path)
        )
        ends = sum(number not in children for number in parents)
        headline = f"{session.id}: {counted(len(parents), 'step')}, {counted(ends, 'end')}" + (
            f", standing on step {head}" if head is not None else ""
        )
        columns = ("Tree", "Outcome", "Time", "Source")
        hint = "Go to a step: %session checkout STEP" if parents else ""
        table = Table(columns, rows, right=frozenset({"Time"}), state="Outcome")
        return Report(data, headline, (table,), hint=hint)

    def variables(self, reference: str | None = None, *, step: int | None = None) -> Report:
        """The variables after ``step`` (default: where the session stands): types, sizes, shapes
        and short texts, as recorded.
        """
        session = opened(self.read(reference))
        try:
            found = (session if step is None else session.at(step)).variables
        except LookupError as error:
            raise InvalidRequest(str(error)) from error
        rows = tuple(
            (
                item.name,
                item.type,
                " × ".join(map(str, item.shape or ())),
                byte_size(item.size),
                str(item.step),
                item.text or item.missing,
            )
            for item in found.values()
        )
        columns = ("Name", "Type", "Shape", "Size", "Step", "Value")
        table = Table(columns, rows, right=frozenset({"Shape", "Size", "Step"}))
        where = "where it stands" if step is None else f"after step {step}"
        headline = f"{counted(len(found), 'variable')} of {session.session.id} {where}"
        data = {
            "session": session.session.id,
            "step": step,
            "variables": [item.document() for item in found.values()],
        }
        return Report(data, headline, (table,))


def _tree_row(
    session: Session, prefix: str, number: int | None, head: int | None
) -> tuple[str, str, str, str]:
    if number is None:
        return f"{prefix}⋮", "", "", ""
    step = session.step(number)
    here = "  ← here" if number == head else ""
    return (
        f"{prefix}● {number}{here}",
        str(step.outcome),
        duration(step.duration),
        first_line(step.source),
    )


def _drawn(children: Mapping[int, Sequence[int]], path: set[int]) -> list[tuple[str, int | None]]:
    """Rows of the picture: what stands before the step, and the step (None: some left out).

    Of the steps that grow from one, the one on the path to where the session stands (else the
    newest) goes straight on; the others are drawn before it, aside.
    """
    rows: list[tuple[str, int | None]] = []
    todo: list[tuple[str, str, int]] = []

    def follow(grown: Sequence[int], prefix: str) -> None:
        straight = next((n for n in grown if n in path), grown[-1])
        todo.append((prefix, prefix, straight))
        others = (number for number in reversed(grown) if number != straight)
        todo.extend((f"{prefix}├─", f"{prefix}│ ", number) for number in others)

    if children.get(tree.ROOT):
        follow(children[tree.ROOT], "")
    while todo:
        mark, prefix, number = todo.pop()
        row = [number]
        while len(grown := children.get(row[-1], ())) == 1:
            row.append(grown[0])
        for index, step in enumerate(row):
            if len(row) > _LONG and _LONG // 2 <= index < len(row) - _LONG // 2:
                if index == _LONG // 2:
                    rows.append((prefix, None))
                continue
            rows.append((mark if index == 0 else prefix, step))
        if grown:
            follow(grown, prefix)
    return rows

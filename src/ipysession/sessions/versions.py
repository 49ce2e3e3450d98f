"""A cell as it ran again and again, and two sessions beside each other, as JSON data."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from ipysession.model import tree
from ipysession.sessions.browsing import saved_hashes, variables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipysession.model import Session, Step
    from ipysession.model.provenance import Environment


def history_document(session: Session, cell: str | None = None) -> dict[str, Any]:
    """The versions of each cell, or of one, oldest first; each with what changed in its source
    since the version before.
    """
    cells: dict[str, list[Step]] = {}
    for step in session.steps:
        if step.cell_id is not None and step.replay_of is None and cell in (None, step.cell_id):
            cells.setdefault(step.cell_id, []).append(step)
    return {
        "session": session.id,
        "cells": [
            {
                "cell_id": cell_id,
                "versions": [
                    version_document(step, steps[place - 1] if place else None)
                    for place, step in enumerate(steps)
                ],
            }
            for cell_id, steps in cells.items()
        ],
    }


def version_document(step: Step, before: Step | None) -> dict[str, Any]:
    """A step as a version of its cell; ``before`` is the version before it."""
    return {
        "step": step.number,
        "source": step.source,
        "outcome": str(step.outcome),
        "execution_count": step.execution_count,
        "started": step.started.isoformat(),
        "duration": step.duration,
        "diff": "" if before is None else source_diff(before, step),
    }


def source_diff(before: Step, after: Step) -> str:
    """A unified diff of two steps' sources; empty where they are the same."""
    lines = difflib.unified_diff(
        before.source.splitlines(),
        after.source.splitlines(),
        f"step {before.number}",
        f"step {after.number}",
        lineterm="",
    )
    return "\n".join(lines)


def diff_document(session: Session, other: Session) -> dict[str, Any]:
    """What differs between the branches that two sessions stand on: their cells in order, the
    types of their variables, their environments.
    """
    return {
        "session": session.id,
        "other": other.id,
        "cells": _cells(tree.branch(session), tree.branch(other)),
        "variables": _variables(session, other),
        "environment": _environment(session, other),
    }


def _cells(left: Sequence[Step], right: Sequence[Step]) -> list[dict[str, Any]]:
    matcher = difflib.SequenceMatcher(
        None, [step.source for step in left], [step.source for step in right], autojunk=False
    )
    found = []
    for _, start, end, other_start, other_end in matcher.get_opcodes():
        ours, theirs = left[start:end], right[other_start:other_end]
        paired = min(len(ours), len(theirs))
        found += [_pair(one, two) for one, two in zip(ours, theirs, strict=False)]
        found += [_pair(one, None) for one in ours[paired:]]
        found += [_pair(None, two) for two in theirs[paired:]]
    return found


def _pair(left: Step | None, right: Step | None) -> dict[str, Any]:
    kind, diff = "changed", ""
    if left is None:
        kind = "added"
    elif right is None:
        kind = "removed"
    else:
        diff = source_diff(left, right)
        kind = "changed" if diff else "same"
    return {
        "kind": kind,
        "left": None if left is None else left.number,
        "right": None if right is None else right.number,
        "left_source": None if left is None else left.source,
        "right_source": None if right is None else right.source,
        "diff": diff,
    }


def _variables(session: Session, other: Session) -> list[dict[str, Any]]:
    """The names that do not say the same of themselves in both."""
    left, right = fingerprints(session), fingerprints(other)
    return [
        {"name": name, "left": left.get(name), "right": right.get(name)}
        for name in sorted({*left, *right})
        if left.get(name) != right.get(name)
    ]


def fingerprints(session: Session, step: int | None = None) -> dict[str, str]:
    """What each variable says of itself after a step (default: where the session stands), and
    the first digits of the hash of what was saved of it, so that values that look alike are
    told apart. Equal fingerprints mean equal pickles; unequal ones mostly other values.
    """
    said = {}
    hashes = saved_hashes(session, step)
    for item in variables(session, step)["variables"]:
        shape = "" if item["shape"] is None else " × ".join(map(str, item["shape"]))
        name = item["name"]
        hashed = f"#{hashes[name][:8]}" if item["saved"] and name in hashes else ""
        parts = (item["type"], shape, item["preview"] or "", hashed)
        said[name] = " ".join(part for part in parts if part) or "not saved"
    return said


def _environment(session: Session, other: Session) -> list[dict[str, Any]]:
    if not session.runs or not other.runs:
        return []
    return run_differences(session, session.runs[-1].number, other, other.runs[-1].number)


def run_differences(
    session: Session, number: int, other: Session, other_number: int
) -> list[dict[str, Any]]:
    """What differs between the environments of two runs, each of its session."""
    left, right = _environment_of(session, number), _environment_of(other, other_number)
    if left is None or right is None:
        return []
    pairs = [
        ("Python", left.python, right.python),
        ("host", left.host, right.host),
        ("user", left.user, right.user),
        ("folder", left.cwd, right.cwd),
        ("IPython", left.ipython, right.ipython),
    ]
    names = sorted({*left.packages, *right.packages})
    pairs += [
        (f"package {name}", left.packages.get(name, ""), right.packages.get(name, ""))
        for name in names
        if name in left.packages and name in right.packages
    ]
    return [{"what": what, "then": then, "now": now} for what, then, now in pairs if then != now]


def _environment_of(session: Session, number: int) -> Environment | None:
    return next((run.environment for run in session.runs if run.number == number), None)

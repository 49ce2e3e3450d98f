"""Which steps are stale: something that they rest on was made anew since.

A step that was run again stands for its earlier execution. A step is stale where the cell that
made what it used was run again after it, or where a file that it read has another content now.
Whoever rests on a stale step is stale, too.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ipysession.lineage.things import kind_of
from ipysession.log.files import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ipysession.lineage.graph import Graph
    from ipysession.model import Step
    from ipysession.model.provenance import FileUse


def stale_steps(
    graph: Graph, changed: Mapping[int, Iterable[str]] | None = None
) -> dict[int, tuple[str, ...]]:
    """The stale steps of a branch, in order, each with the reasons in words. ``changed`` are
    files that differ from how steps read them, by step: see `changed_inputs`.
    """
    newest = newest_runs(graph.steps)
    current = set(newest.values())
    reasons: dict[int, list[str]] = {}
    for number, paths in (changed or {}).items():
        if number in current:
            reasons[number] = [f"{path} changed since" for path in paths]
    for step in graph.steps:
        if step.number not in current:
            continue
        said = reasons.setdefault(step.number, [])
        for edge in graph.direct(step.number):
            later = newest[edge.before]
            if later > step.number:
                what = ", ".join(edge.things) or "what it made"
                said.append(f"step {edge.before} made {what}, and ran again as step {later}")
        for edge in graph.direct(step.number):
            if reasons.get(edge.before):
                said.append(f"it rests on step {edge.before}, which is stale")
    return {number: tuple(reasons[number]) for number in sorted(reasons) if reasons[number]}


def newest_runs(steps: Iterable[Step]) -> dict[int, int]:
    """Of each step the newest execution of its cell, which may be itself."""
    steps = list(steps)
    newest = {cell_of(step): step.number for step in steps}
    return {step.number: newest[cell_of(step)] for step in steps}


def cell_of(step: Step) -> tuple[str, ...]:
    """What tells a cell from others: its id; without one, its text."""
    return ("id", step.notebook or "", step.cell_id) if step.cell_id else ("text", step.source)


def changed_inputs(steps: Sequence[Step]) -> dict[int, tuple[str, ...]]:
    """Of each of a branch's ``steps`` the files that it read and that have another content now.
    What a later step wrote is as it should be.
    """
    written: dict[str, int] = {}
    for step in steps:
        lineage = step.provenance.lineage
        if lineage is not None:
            for text in (*lineage.made, *lineage.changed):
                if kind_of(text) == "file":
                    written[text.partition(":")[2]] = step.number
        for use in step.provenance.files:
            if use.action != "read":
                written[use.path] = step.number
    digests: dict[str, str | None] = {}
    found: dict[int, tuple[str, ...]] = {}
    for step in steps:
        paths = tuple(
            use.path
            for use in step.provenance.files
            if use.action == "read"
            and written.get(use.path, 0) <= step.number
            and _differs(use, digests)
        )
        if paths:
            found[step.number] = paths
    return found


def _differs(use: FileUse, digests: dict[str, str | None]) -> bool:
    try:
        known = os.stat(use.path)  # noqa: PTH116 - a path that is not text for pathlib, too
    except (OSError, ValueError):
        return True
    if use.size is not None and known.st_size != use.size:
        return True
    if use.mtime is not None and known.st_mtime == use.mtime:
        return False
    if use.digest is None:
        return use.mtime is not None
    if use.path not in digests:
        digests[use.path] = _digest(use.path)
    return digests[use.path] != use.digest


def _digest(path: str) -> str | None:
    try:
        with Path(path).open("rb") as file:
            return digest_of(file)
    except OSError:
        return None

"""The graph of steps drawn: as SVG, for Graphviz, for Mermaid. All recorded text is escaped."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

from ipysession.report import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_ROW = 26
_NAMES = 3
"""Names that an edge shows; of more, how many."""
_TITLE = 60


def _title(step: Mapping[str, Any]) -> str:
    text = clean(str(step["title"]))
    return text if len(text) <= _TITLE else text[: _TITLE - 1] + "…"


def _names(edge: Mapping[str, Any]) -> str:
    names = [clean(name) for name in edge["names"]]
    more = f" +{len(names) - _NAMES}" if len(names) > _NAMES else ""
    return ", ".join(names[:_NAMES]) + more


def _tone(step: Mapping[str, Any]) -> str:
    if step["stale"]:
        return "stale"
    return "ok" if step["outcome"] == "ok" else "failed"


_COLOURS = {"ok": "#4c8bf5", "stale": "#e08a00", "failed": "#d13438"}


def dot(document: Mapping[str, Any]) -> str:
    """For Graphviz."""

    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    lines = ["digraph session {", "  rankdir=TB; node [shape=box, style=rounded];"]
    for step in document["steps"]:
        label = quoted(f"{step['step']}: {_title(step)}")
        colour = quoted(_COLOURS[_tone(step)])
        lines.append(f"  s{step['step']} [label={label}, color={colour}];")
    lines += [
        f"  s{edge['source']} -> s{edge['target']} [label={quoted(_names(edge))}];"
        for edge in document["edges"]
    ]
    return "\n".join([*lines, "}"])


def mermaid(document: Mapping[str, Any]) -> str:
    """For Mermaid, which Markdown cells and many wikis draw."""

    def quoted(text: str) -> str:
        safe = re.sub(r"[^\w .,:=+*/()\[\]'-]", lambda found: f"#{ord(found[0])};", text)
        return f'"{safe}"'

    lines = ["flowchart TD"]
    for step in document["steps"]:
        label = quoted(f"{step['step']}: {_title(step)}")
        lines.append(f"  s{step['step']}[{label}]:::{_tone(step)}")
    for edge in document["edges"]:
        label = f"|{quoted(_names(edge))}|" if edge["names"] else ""
        lines.append(f"  s{edge['source']} -->{label} s{edge['target']}")
    lines += [f"  classDef {tone} stroke:{colour}" for tone, colour in _COLOURS.items()]
    return "\n".join(lines)


def svg(document: Mapping[str, Any]) -> str:
    """One row a step, in the order of execution; arcs on the left lead to what used it."""
    steps: Sequence[Mapping[str, Any]] = document["steps"]
    row = {step["step"]: index for index, step in enumerate(steps)}
    edges = [e for e in document["edges"] if e["source"] in row and e["target"] in row]
    longest = max((row[e["target"]] - row[e["source"]] for e in edges), default=1)
    left = 24 + min(160, 12 + 6 * longest)
    width, height = left + 560, _ROW * len(steps) + 16
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" role="img">'
        ),
        "<title>The graph of steps</title>",
    ]
    for edge in edges:
        first, last = (_middle(row[edge[end]]) for end in ("source", "target"))
        reach = left - 12 - (left - 24) * (row[edge["target"]] - row[edge["source"]]) / longest
        hint = html.escape(f"step {edge['target']} uses {_names(edge)} of step {edge['source']}")
        parts.append(
            f'<path d="M{left - 6},{first} C{reach:.0f},{first} {reach:.0f},{last} '
            f'{left - 6},{last}" fill="none" stroke="#8a8a8a"><title>{hint}</title></path>'
        )
    for step in steps:
        middle = _middle(row[step["step"]])
        label = html.escape(f"{step['step']}  {_title(step)}")
        weight = ' font-weight="bold"' if step["marked"] else ""
        parts.append(
            f'<circle cx="{left}" cy="{middle}" r="5" fill="{_COLOURS[_tone(step)]}"/>'
            f'<text x="{left + 12}" y="{middle + 4}" fill="currentColor"{weight}>{label}</text>'
        )
    return "".join([*parts, "</svg>"])


def _middle(index: int) -> int:
    return 8 + _ROW // 2 + _ROW * index


DRAWINGS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "dot": dot,
    "mermaid": mermaid,
    "svg": svg,
}

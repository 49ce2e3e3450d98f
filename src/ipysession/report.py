"""What a verb answers, and how it looks: text, HTML, JSON.

A `Report` is made once by `ipysession.sessions`; the faces only choose the look. Everything
recorded is data: it is escaped on its way into HTML and stripped of control characters on
its way to a terminal.
"""

from __future__ import annotations

import html
import json
import math
import re
import unicodedata
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

_CONTROL = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
"""Escape sequences and control characters: recorded text must not steer a terminal."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a title; without a header where all columns are blank.

    ``right`` names columns that align right; ``state`` names the column whose words are
    states, which a face may colour.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    right: frozenset[str] = frozenset()
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A verb's answer. ``data`` is what ``--json`` prints; ``headline`` says it in a sentence;
    ``tables`` and ``text`` (as typed: sources, outputs) tell more. ``failed`` makes a shell
    end with 1.
    """

    data: Any
    headline: str = ""
    tables: tuple[Table, ...] = ()
    text: str = ""
    hint: str = ""
    failed: bool = False
    picture: str = ""
    """An SVG of our own drawing, shown in place of the tables where there is room for pictures."""


def clean(text: str) -> str:
    """``text`` without escape sequences and control characters."""
    return _CONTROL.sub("", text)


def to_json(data: Any) -> str:
    """JSON text that every reader takes: numbers that JSON lacks (NaN, infinities) become
    null; lone surrogates stay escaped. The log itself loses nothing.
    """
    try:
        return json.dumps(data, indent=2, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(data), indent=2, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def to_text(report: Report) -> str:
    """The report as plain text, tables aligned."""
    parts = [report.headline] if report.headline else []
    parts += [_text_table(table) for table in report.tables if table.rows]
    if report.text:
        parts.append(report.text.rstrip("\n"))
    if report.hint:
        parts.append(report.hint)
    return "\n\n".join(parts)


def _width(text: str) -> int:
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def _text_table(table: Table) -> str:
    cells = [table.columns, *(tuple(clean(cell) for cell in row) for row in table.rows)]
    widths = [max(_width(row[index]) for row in cells) for index in range(len(table.columns))]
    lines = [] if not table.title else [table.title]
    for row in cells:
        padded = []
        for name, cell, width in zip(table.columns, row, widths, strict=True):
            space = " " * (width - _width(cell))
            padded.append(space + cell if name in table.right else cell + space)
        lines.append("  ".join(padded).rstrip())
    if any(name.strip() for name in table.columns):
        lines.insert(1 + bool(table.title), "  ".join("-" * width for width in widths))
    else:
        del lines[bool(table.title)]
    return "\n".join(lines)


_STYLE = """<style>
.ipysession{font-family:var(--jp-ui-font-family,sans-serif);font-size:var(--jp-ui-font-size1,13px);
color:var(--jp-ui-font-color1,inherit);line-height:1.4}
.ipysession table{border-collapse:collapse;margin:.5em 0;max-width:100%}
.ipysession caption{text-align:left;font-weight:600;padding:.5em 0 .25em;color:inherit}
.ipysession th,.ipysession td{text-align:left!important;padding:.25em .8em;vertical-align:top;
border-bottom:1px solid var(--jp-border-color2,#ccc);white-space:pre-wrap;
overflow-wrap:break-word;max-width:60em}
.ipysession th{font-weight:600;white-space:nowrap;color:inherit;opacity:.8}
.ipysession td.long{overflow-wrap:anywhere}
.ipysession .right{text-align:right!important;font-variant-numeric:tabular-nums}
.ipysession .right,.ipysession .state{white-space:nowrap}
.ipysession .hint{color:inherit;opacity:.8}
.ipysession .state{font-weight:600}
.ipysession .good{color:#1b5e20;color:color-mix(in srgb,#2ea043 60%,currentColor)}
.ipysession .bad{color:#b71c1c;color:color-mix(in srgb,#e5393d 65%,currentColor)}
.ipysession pre{white-space:pre-wrap;margin:.5em 0;font-family:var(--jp-code-font-family,monospace)}
</style>"""

_GOOD = frozenset({"running", "completed", "ok", "restored", "replayed", "load"})
_BAD = frozenset({"interrupted", "failed", "error", "died", "lost", "give up"})


def tone(word: str) -> str:
    """``good``, ``bad`` or nothing: how a state's word may be coloured."""
    return "good" if word in _GOOD else "bad" if word in _BAD else ""


_NO_MATHS = "tex2jax_ignore mathjax_ignore"
"""Tells MathJax, 2 and later, to leave this alone. It would make formulas of whatever stands
between dollar signs, shell commands among them, and a link that runs code of ``\\href``.
"""


def to_html(report: Report) -> str:
    """The report as an HTML fragment in the colours of the Jupyter theme. All text is escaped."""
    parts = [_STYLE, f'<div class="ipysession {_NO_MATHS}">']
    if report.headline:
        parts.append(f"<div>{html.escape(clean(report.headline))}</div>")
    if report.picture:
        parts.append(report.picture)
    else:
        parts += [_html_table(table) for table in report.tables if table.rows]
    if report.text:
        parts.append(f"<pre>{html.escape(clean(report.text))}</pre>")
    if report.hint:
        parts.append(f'<div class="hint">{html.escape(clean(report.hint))}</div>')
    parts.append("</div>")
    return "".join(parts)


_LONG = 24
"""Longer texts, paths and ids among them, may break anywhere; shorter ones only between words."""


def _html_table(table: Table) -> str:
    def cell(tag: str, name: str, text: str, scope: str = "") -> str:
        classes = ["right"] if name in table.right else []
        if tag == "td" and name == table.state:
            classes += ["state", tone(text)]
        elif tag == "td" and len(text) > _LONG and name not in table.right:
            classes.append("long")
        attribute = f' class="{" ".join(filter(None, classes))}"' if classes else ""
        return f"<{tag}{scope}{attribute}>{html.escape(clean(text))}</{tag}>"

    caption = f"<caption>{html.escape(table.title)}</caption>" if table.title else ""
    head = "".join(cell("th", name, name, ' scope="col"') for name in table.columns)
    titled = any(name.strip() for name in table.columns)
    head = f"<thead><tr>{head}</tr></thead>" if titled else ""
    body = "".join(
        "<tr>"
        + "".join(cell("td", name, text) for name, text in zip(table.columns, row, strict=True))
        + "</tr>"
        for row in table.rows
    )
    return f"<table>{caption}{head}<tbody>{body}</tbody></table>"


def duration(seconds: float | None) -> str:
    """``0.4 s``, ``12 s``, ``3 min 5 s``, ``2 h 4 min``; nothing for None."""
    if seconds is None:
        return ""
    if seconds < 0.001:
        return "<1 ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def ago(age: timedelta) -> str:
    """``5 minutes ago``."""
    seconds = max(0.0, age.total_seconds())
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count = int(seconds // size)
        if count:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def byte_size(count: float | None) -> str:
    """``512 B``, ``1.5 MB``; nothing for None."""
    if count is None:
        return ""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def first_line(text: str, width: int = 60) -> str:
    """The first line of ``text`` that says something, shortened."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    head = clean(lines[0]) if lines else ""
    more = len(lines) > 1
    return head[: width - 1] + "…" if len(head) > width else head + (" …" if more else "")

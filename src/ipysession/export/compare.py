"""Are two runs of a cell the same to a reader? Tolerant where no two runs ever agree.

Memory addresses, durations, names of temporary files and random ids of HTML elements do not
count; a picture counts by its type alone. Numbers and words do count, as they are.
"""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_OVERWRITTEN = re.compile(r"[^\n\r]*\r(?!\n|\Z)")
_TOLERATED = (
    (re.compile(r"\b0x[0-9a-fA-F]+"), "0x…"),
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\b(?:sk-(?:\w+-)*id|T)[-_][0-9a-f]{1,12}(?=[\s\"'_#{>.,]|$)"), "<element>"),
    (re.compile(r"(?:/private)?/(?:tmp|var/folders)/[^\s'\"<>:]*"), "<temporary file>"),
    (re.compile(r"\d+:\d\d<\d*:?[\d?]*:?[\d?]*"), "<time>"),  # tqdm: elapsed<left
    (re.compile(r"\d[\d.,]*\s?(?:it/s|s/it|[KMG]?i?B/s)"), "<speed>"),
    (
        re.compile(r"(?<![\w.])\d[\d.,]*(?:e[+-]?\d+)?\s?(?:ns|µs|μs|us|ms|sec(?:onds?)?|s|min)\b"),
        "<time>",
    ),
    (re.compile(r"(?i)\bin \d+ loops?\b|\b\d+ loops? each\b|\b\d+ runs?\b"), "<loops>"),
    (re.compile(r"(?m)[ \t]+$"), ""),
)
_BY_TYPE = re.compile(r"(?:image|audio|video|font)/|application/(?:pdf|octet-stream|x-)")
_VIEW = "application/vnd.jupyter.widget-view+json"
_MAX_DIFF_LINES = 20
_MAX_LINE = 200


def tolerant(text: str, folders: Iterable[str] = ()) -> str:
    """``text`` without what no two runs have in common. ``folders``, the places where the
    two runs took place, are taken out by name.
    """
    text = _ANSI.sub("", text)
    text = _OVERWRITTEN.sub("", text)  # a progress bar shows its last state only
    for folder in sorted(filter(None, folders), key=len, reverse=True):
        text = text.replace(folder, "<folder>")
    for pattern, replacement in _TOLERATED:
        text = pattern.sub(replacement, text)
    return text


def readable(outputs: Iterable[dict[str, Any]], folders: Sequence[str] = ()) -> list[str]:
    """The outputs of a cell as lines of text, in which equal runs have equal lines.

    Each stream is taken as a whole: how it came in pieces, and between which displays, is
    left to chance.
    """
    streams: dict[str, str] = {}
    shown: list[str] = []
    for output in outputs:
        kind = output["output_type"]
        if kind == "stream":
            streams[output["name"]] = streams.get(output["name"], "") + output["text"]
        elif kind == "error":
            shown.append(tolerant(f"{output['ename']}: {output['evalue']}", folders))
        else:
            shown += _bundle_lines(output["data"], folders)
    lines: list[str] = []
    for name in sorted(streams, reverse=True):  # stdout, then stderr
        text = tolerant(streams[name], folders).rstrip()
        lines += [f"[{name}] {line}" for line in text.splitlines()]
    return lines + shown


def _bundle_lines(data: dict[str, Any], folders: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for mime in sorted(data):
        value = data[mime]
        if mime == _VIEW or _BY_TYPE.match(mime):
            lines.append(f"[{mime}]")
            continue
        if not isinstance(value, str):
            value = json.dumps(value, sort_keys=True, ensure_ascii=False)
        text = tolerant(value, folders)
        lines += [f"[{mime}] {line}" for line in text.splitlines()]
    return lines


def difference(recorded: Sequence[str], rerun: Sequence[str]) -> str | None:
    """A short unified diff of `readable` outputs; None where they are the same."""
    if list(recorded) == list(rerun):
        return None
    lines = list(difflib.unified_diff(recorded, rerun, "recorded", "re-run", lineterm="", n=1)) or [
        "(the outputs differ)"
    ]
    shown = [line if len(line) <= _MAX_LINE else line[:_MAX_LINE] + "…" for line in lines]
    if len(shown) > _MAX_DIFF_LINES:
        left_out = len(shown) - _MAX_DIFF_LINES
        shown = [*shown[:_MAX_DIFF_LINES], f"… {left_out} more lines"]
    return "\n".join(shown)

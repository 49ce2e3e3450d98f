"""The redactor: finds secrets in texts and outputs, and puts markers in their place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from ipysession.record.redact.anchors import Anchors, anchors
from ipysession.record.redact.names import DEFAULT_NAMES, Family, families
from ipysession.record.redact.patterns import own_pattern, spot_own
from ipysession.record.redact.spans import MARKER, Span
from ipysession.record.redact.values import LONGEST_NAME

_ROUNDS = 20
_PLAIN_ROUNDS = 4
_MOST_KEYS = 10_000
_BINARY = re.compile(
    r"(?:image/(?!svg\+xml)|audio/|video/|font/|application/(?:pdf|octet-stream)\b)"
).match


_Part = tuple[Any, int, Any]
"""A dict or list in an output, the place of what holds it, and the key there."""


class Redactor:
    """Replaces secrets by ``[redacted:kind]``. Any thread may use it.

    ``extra`` maps a kind of the user's own to a regular expression; what it matches (or only
    its group ``secret``, where it has one) is redacted. ``names`` takes the place of
    DEFAULT_NAMES. Raises InvalidRequest for what cannot be used.
    """

    def __init__(
        self,
        *,
        enabled: bool = True,
        extra: Mapping[str, str] | None = None,
        names: frozenset[str] | None = None,
    ) -> None:
        self.enabled = enabled
        self._extra = [own_pattern(kind, pattern) for kind, pattern in (extra or {}).items()]
        self._names = DEFAULT_NAMES if names is None else names
        self._families = families(self._names)
        self._keys: dict[str, Family | None] = {}

    def text(self, text: str) -> tuple[str, dict[str, int]]:
        """The text without its secrets, and how many of each kind were taken out."""
        counts: dict[str, int] = {}
        if not self.enabled:
            return text, counts
        # Taking one secret out can lay open another that stood against it. Each round takes out
        # characters that are not part of a marker, so it ends. A text that still is not done
        # after some rounds is made to confuse: then what could be a value counts as one.
        for turn in range(_ROUNDS):
            spans = self._find(text, anchors(self._names, wary=turn >= _PLAIN_ROUNDS))
            if not spans:
                break
            text = _replace(text, spans, counts)
        return text, counts

    def value(self, value: Any) -> tuple[Any, dict[str, int]]:
        """A Jupyter output (dicts, lists, strings) without its secrets, and the counts.

        What does not change is not copied. Payloads of binary media types are passed over.
        """
        counts: dict[str, int] = {}
        if not self.enabled:
            return value, counts
        # A loop and not a recursion: an output may be nested deeper than the stack allows.
        parts: list[_Part] = [([value], -1, None)]
        changes: dict[int, dict[Any, Any]] = {}
        for at, (part, _, _) in enumerate(parts):  # grows on the way
            changed = self._changes(part, at, parts, counts)
            if changed:
                changes[at] = changed
        for at in range(len(parts) - 1, 0, -1):  # what holds stands before what it holds
            if at in changes:
                part, holder, key = parts[at]
                changes.setdefault(holder, {})[key] = _copied(part, changes[at])
        return changes.get(0, {}).get(0, value), counts

    def _changes(
        self, part: Any, at: int, parts: list[_Part], counts: dict[str, int]
    ) -> dict[Any, Any]:
        """What changes directly in ``part``; adds the dicts and lists in it to ``parts``."""
        changed: dict[Any, Any] = {}
        named = isinstance(part, dict)
        if not named and (text := _joined(part)) is not None:
            new, found = self.text(text)
            _add(counts, found)
            return dict(enumerate(_split(new, len(part)))) if found else changed
        items: Iterable[tuple[Any, Any]] = part.items() if named else enumerate(part)
        for key, held in items:
            if named and isinstance(key, str) and _BINARY(key):
                continue
            if isinstance(held, str):
                new, found = self._held(key, held) if named else self.text(held)
                if found:
                    changed[key] = new
                    _add(counts, found)
            elif isinstance(held, (dict, list, tuple)):
                parts.append((held, at, key))
        return changed

    def _held(self, key: Any, held: str) -> tuple[str, dict[str, int]]:
        """The text that a dict holds: its key may say that it is a secret, as a name would."""
        new, found = self.text(held)
        family = self._family(key) if isinstance(key, str) else None
        if family is None or (found and MARKER.fullmatch(new)):
            return new, found
        kind = family.judge(key, held)
        return (new, found) if kind is None else (f"[redacted:{kind}]", {kind: 1})

    def _family(self, key: str) -> Family | None:
        with suppress(KeyError):
            return self._keys[key]
        lowered = key.lower() if len(key) <= LONGEST_NAME else ""
        family = next(
            (
                family
                for word, family in self._families.items()
                if lowered.endswith(word) and family.names(lowered.removesuffix(word))
            ),
            None,
        )
        if len(self._keys) < _MOST_KEYS:
            self._keys[key] = family
        return family

    def _find(self, text: str, anchors: Anchors) -> list[Span]:
        spans: list[Span] = []
        for anchor, spots in anchors:
            found = anchor.search(text)
            while found is not None:
                back, spot = spots[found.lastindex or 0]
                on = spot(text, found.start() - back, spans)
                found = anchor.search(text, max(on, found.end()))
        for kind, pattern in self._extra:
            spot_own(kind, pattern, text, spans)
        return spans


def _add(counts: dict[str, int], found: dict[str, int]) -> None:
    for kind, count in found.items():
        counts[kind] = counts.get(kind, 0) + count


def _joined(part: list[Any] | tuple[Any, ...]) -> str | None:
    """The text that nbformat keeps as a list of lines, as a secret may span some of them."""
    whole = all(isinstance(line, str) and line.endswith("\n") for line in part[:-1])
    if whole and len(part) > 1 and isinstance(part[-1], str):
        return "".join(part)
    return None


def _split(text: str, count: int) -> list[str]:
    """The text in as many lines as it was kept in, with empty ones at the end if need be."""
    lines = text.splitlines(keepends=True)
    if len(lines) > count:  # it was split at "\n" only
        lines = [*lines[: count - 1], "".join(lines[count - 1 :])]
    return lines + [""] * (count - len(lines))


def _copied(part: Any, changed: dict[Any, Any]) -> Any:
    if isinstance(part, dict):
        return {**part, **changed}
    copy = [changed.get(at, held) for at, held in enumerate(part)]
    return tuple(copy) if isinstance(part, tuple) else copy


def _replace(text: str, spans: list[Span], counts: dict[str, int]) -> str:
    """The text with each span replaced. Spans that overlap become one.

    Of those, one that is a secret by its own form gives the kind, rather than a name before it.
    """
    pieces: list[str] = []
    done = 0
    spans.sort()
    at = 0
    while at < len(spans):
        start, end, kind, assigned = spans[at]
        at += 1
        while at < len(spans) and spans[at].start < end:
            end = max(end, spans[at].end)
            if assigned and not spans[at].assigned:
                kind, assigned = spans[at].kind, False
            at += 1
        pieces += (text[done:start], "[redacted:", kind, "]")
        counts[kind] = counts.get(kind, 0) + 1
        done = end
    pieces.append(text[done:])
    return "".join(pieces)

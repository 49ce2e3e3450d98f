"""The user's own patterns: checked when they are given, applied after all others."""

from __future__ import annotations

import re

from ipysession.errors import InvalidRequest
from ipysession.record.redact.spans import MARKER, Span


def own_pattern(kind: str, pattern: str) -> tuple[str, re.Pattern[str]]:
    """The kind and its compiled pattern. Raises InvalidRequest for what cannot be used."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", kind):
        message = (
            f"{kind!r} cannot name a kind of secret: use up to 64 letters, digits, '-', '_', '.'"
        )
        raise InvalidRequest(message)
    try:
        compiled = re.compile(pattern)
    except (re.error, TypeError, OverflowError, RecursionError) as error:
        message = f"the redaction pattern {kind!r} is not a regular expression: {error}"
        raise InvalidRequest(message) from error
    if compiled.match("") is not None:
        message = (
            f"the redaction pattern {kind!r} ({pattern}) matches where there is nothing; "
            "make it demand at least one character"
        )
        raise InvalidRequest(message)
    return kind, compiled


def spot_own(kind: str, pattern: re.Pattern[str], text: str, spans: list[Span]) -> None:
    """Add to ``spans`` what the user's pattern finds, markers spared."""
    group: str | int = "secret" if "secret" in pattern.groupindex else 0
    markers = [found.span() for found in MARKER.finditer(text)]
    for found in pattern.finditer(text):
        start, end = found.span(group)
        # A marker may be swallowed by something larger, but is never redacted itself.
        kept = [mark for mark in markers if mark[0] < end and start < mark[1]] if markers else []
        if start < end and all(start <= mark[0] and mark[1] <= end for mark in kept):
            outside = end - start - sum(last - first for first, last in kept)
            if outside > 0:
                spans.append(Span(start, end, kind))

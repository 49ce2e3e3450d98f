"""Places in a text: where a secret stands, and where a form may begin."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple


class Span(NamedTuple):
    """A secret's place in a text."""

    start: int
    end: int
    kind: str
    assigned: bool = False
    """Only the name before it told that it is one."""


Spot = Callable[[str, int, list[Span]], int]
"""Looks at the text around a literal that stands at the given place, adds what it finds, and
returns where the search for that literal goes on."""


class Rule(NamedTuple):
    """A literal, what must follow it (as an expression), and who looks at the places then."""

    literal: str
    guard: str
    spot: Spot


MARKER = re.compile(r"\[redacted:[A-Za-z0-9_.-]{1,64}\]")


COLOUR = r"\x1b\[[0-9;]{0,24}m"
COLOUR_BEFORE = re.compile(COLOUR + r"\Z")
COLOURS = re.compile(f"(?:{COLOUR})+")
WORD = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
WORD_DASH = WORD | frozenset("_-")


def begins(text: str, at: int, glue: frozenset[str]) -> bool:
    """Does a run of ``glue`` characters begin at ``at``?

    The ``m`` of a colour code, the ``n`` of a backslash-n and a percent escape do not belong to
    the run, though they are letters.
    """
    if at <= 0:
        return at == 0
    before = text[at - 1]
    if before not in glue:
        return True
    if before in "nrt" and text[at - 2 : at - 1] == "\\":
        return True
    if at >= 3 and text[at - 3] == "%" and before in "0123456789ABCDEFabcdef":
        return True
    return before == "m" and COLOUR_BEFORE.search(text, max(0, at - 28), at) is not None


def cases(word: str) -> tuple[str, str, str]:
    """The ways in which people write a word; a search that ignores case is too slow."""
    return word, word.capitalize(), word.upper()

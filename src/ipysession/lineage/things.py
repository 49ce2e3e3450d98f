"""What steps read and write, each as a short text: a *thing*.

A thing is a name (``x``), a part of one (``d['a']``, ``o.count``), or, with a kind before a
colon, what no name holds: ``file:/data/in.csv``, ``random:numpy``, ``environ:HOME``, ``cwd:``.
A part is told apart from the rest only where both its writer and its reader could be; whoever
reads ``d`` reads all parts of it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

KEYS = "[*]"
"""The part that holds which parts there are, and their order: ``d[*]``."""

_NAMED = re.compile(r"([^\W\d]\w*)(.*)", re.DOTALL)


class Thing(NamedTuple):
    """A thing taken apart. ``root`` is what it is a part of, ``part`` is empty for a whole."""

    root: str
    part: str


@lru_cache(maxsize=65_536)
def thing(text: str) -> Thing:
    """Take a thing apart. Only names have parts; what has a kind is whole."""
    if text.isidentifier():
        return Thing(text, "")
    found = _NAMED.fullmatch(text)
    if found is not None and found[2][:1] in ("[", "."):
        return Thing(found[1], found[2])
    return Thing(text, "")


def of_kind(kind: str, what: str = "") -> str:
    """The thing of a kind: ``of_kind("file", "/data/in.csv")``."""
    return f"{kind}:{what}"


def kind_of(text: str) -> str:
    """The kind of a thing; empty for names and their parts."""
    root = thing(text).root
    kind, colon, _ = root.partition(":")
    return kind if colon else ""


def item(name: str, key: object) -> str:
    """The part of a dict, or the column of a table, under ``key``."""
    return f"{name}[{key!r}]"


def attribute(name: str, attr: str) -> str:
    """The part of an object that an attribute holds."""
    return f"{name}.{attr}"

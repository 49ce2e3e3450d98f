"""Names that say that their literal value is a secret: which they are, and their values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache, partial
from typing import NamedTuple

from ipysession.errors import InvalidRequest
from ipysession.record.redact.literals import bare, quoted
from ipysession.record.redact.spans import COLOUR, COLOUR_BEFORE, WORD, Rule, Span, cases
from ipysession.record.redact.values import (
    PATH,
    TYPE_NAMES,
    is_aws_secret,
    is_placeholder,
    is_random,
)

DEFAULT_NAMES: frozenset[str] = frozenset(
    {
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "api_key",
        "access_key",
        "account_key",
        "auth_key",
        "encryption_key",
        "master_key",
        "private_key",
        "secret_key",
        "signing_key",
        "subscription_key",
    }
)
"""What the name of a variable, key or option ends with when its literal value is a secret.

Upper and lower case, ``_``, ``-`` and neither are one: ``api_key`` is also ``X-API-Key`` and
``apiKey``."""


_QUOTE = r"\\{0,3}[\"']|&quot;|&\#3[49];|&\#x2[27];"
_SPACE = rf"(?:[ \t]|{COLOUR}){{0,40}}+"
_ASSIGNED = re.compile(
    rf"(?:_?(?i:base|value|prod|production|dev|staging|stage|test|live)(?![A-Za-z]))?[0-9]{{0,2}}"
    rf"(?:{COLOUR}){{0,4}}+(?P<closed>{_QUOTE})?(?:{_SPACE}\])?{_SPACE}"
    rf"(?P<sign>=>|:=|[=!]=|=|:(?!//|:)|,|>)?{_SPACE}"
    rf"(?:[A-Za-z_][\w.\[\]| ,]{{0,60}}?{_SPACE}={_SPACE}(?=[rbfuRBFU]{{0,2}}[\"'\x1b]))?"
    rf"(?:\(?(?:{COLOUR}){{0,4}}+(?P<prefix>[rbfuRBFU]{{0,2}})(?:{COLOUR}){{0,4}}+(?P<open>\"\"\"|\'\'\'|{_QUOTE}))?",
)
FOLLOWS = r"(?=[\t\"'\\=:,>&\]!_\x1b0-9]|[ ](?:[ \t\"'\\=:>&\]!\x1b]|\S{0,64}\d))"
"""What must follow a word, so that it can be a name with a value: a first, cheap look."""
_NAME_CHARACTERS = WORD | frozenset("_-.")
HEAD_LENGTH = 16


class Family(NamedTuple):
    """Names that end with one word: what must stand before it, and what their value must be."""

    word: str
    heads: tuple[str, ...]
    """Empty: anything may stand before the word."""
    kind: str
    strict: bool
    """Any literal is a secret; otherwise only one that looks made by a machine."""

    def names(self, before: str) -> bool:
        """Does a name belong to the family, of which ``before`` stands before the word?"""
        if not self.heads:
            return True
        squashed = before[-HEAD_LENGTH:].lower().replace("_", "").replace("-", "")
        return squashed.replace(".", "").endswith(self.heads)

    def judge(self, name: str, value: str) -> str | None:
        """The kind of secret that the quoted value of that name is; None for none."""
        if is_placeholder(value) or value.lower() in TYPE_NAMES:
            return None
        if not self.strict and not is_random(value):
            return None
        if self.word == "key" and PATH.match(value):
            return None
        return self.kind_of(name, value)

    def kind_of(self, name: str, value: str) -> str:
        """The kind of a value that is a secret."""
        name = name.lower()
        if ("aws" in name or "secret_access" in name) and is_aws_secret(value):
            return "aws-secret-key"
        if "account" in name and self.word == "key":
            return "azure-storage-key"
        return self.kind


def spot_assigned(family: Family, text: str, at: int, spans: list[Span], *, wary: bool) -> int:
    """The literal that is assigned to a name which ends with the word of ``family``."""
    end = at + len(family.word)
    if not family.names(text[max(0, at - HEAD_LENGTH) : at]):
        return end
    found = _ASSIGNED.match(text, end)
    if found is None:
        return end
    start = _name_start(text, at)
    name = text[start:end]
    if found["open"] is not None:
        span = quoted(text, start, found, wary=wary)
        kind = None if span is None else family.judge(name, text[span[0] : span[1]])
    else:
        span = bare(text, start, end, found, strict=family.strict)
        kind = None if span is None else family.kind_of(name, text[span[0] : span[1]])
    if span is not None and kind is not None:
        spans.append(Span(*span, kind, assigned=True))
    return end  # a form in the value may have a better name for it


def _name_start(text: str, at: int) -> int:
    start = at
    while start > 0 and at - start < 64 and text[start - 1] in _NAME_CHARACTERS:
        if text[start - 1] == "m" and COLOUR_BEFORE.search(text, max(0, start - 28), start):
            break
        if text[start - 1] in "nrt" and text[start - 2 : start - 1] == "\\":
            break
        start -= 1
    return start


def assignments(names: frozenset[str], *, wary: bool) -> Iterable[Rule]:
    """The rules that find assignments to names; ``wary`` ones take more for a value."""
    for word, family in families(names).items():
        spot = partial(spot_assigned, family, wary=wary)
        for literal in cases(word):
            # "key": … is frequent; a name that goes on before it is not.
            goes_on = rf"(?<=[\w.-]{literal})" if family.heads else ""
            yield Rule(literal, goes_on + FOLLOWS, spot)


@lru_cache(maxsize=16)
def families(names: frozenset[str]) -> dict[str, Family]:
    """The names by their last word, which is what is searched for."""
    heads: dict[str, set[str]] = {}
    for name in names:
        *head, word = re.split("[_-]", name.lower())
        if not word.isalpha():
            message = (
                f"{name!r} cannot be what a secret's name ends with: its last word needs letters"
            )
            raise InvalidRequest(message)
        heads.setdefault(word, set()).add("".join(head)[-HEAD_LENGTH:])
    return {
        word: Family(
            word=word,
            heads=() if "" in before else tuple(sorted(before)),
            kind={"key": "api-key", "passwd": "password", "passphrase": "password"}.get(word, word),
            strict=word != "token",
        )
        for word, before in sorted(heads.items())
    }

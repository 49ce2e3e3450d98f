"""The literal that follows a name: in quotes, or bare as in a shell, a URL, a YAML file."""

from __future__ import annotations

import re

from ipysession.record.redact.spans import COLOUR_BEFORE, COLOURS
from ipysession.record.redact.values import (
    TOKEN,
    TYPE_NAMES,
    is_long_random,
    is_placeholder,
    is_random,
)

# In quotes

_SETTER = re.compile(r"(?:setdefault|putenv|setenv|set_key)\([^\S\n]*\\?[\"']\Z")
_SQL = re.compile(r"(?i:password) '[^'\s]+'")
_CODE_AFTER_QUOTE = re.compile(r"[)\],;:}+.%]|\s|\Z")
_JOINED = re.compile(r"[\"']\s*[+.,%)]")


def quoted(text: str, start: int, found: re.Match[str], *, wary: bool) -> tuple[int, int] | None:
    """Where the content of the quotes stands; None where they hold something else."""
    sign = found["sign"]
    if sign == ">" or (sign is None and not _SQL.match(text, start)):
        return None
    if sign == "," and not (found["closed"] and _SETTER.search(text, max(0, start - 80), start)):
        return None
    first = found.end()
    last = _closing(text, first, found["open"])
    if "f" in found["prefix"].lower() and "{" in text[first:last]:
        return None
    if (
        found["closed"] is None
        and not wary
        and (
            # input("Password: ") and print("token=" + x): the quote ends a text instead.
            (_CODE_AFTER_QUOTE.match(text, first) and _is_open(text, start, found["open"]))
            or _JOINED.match(text, first)
        )
    ):
        return None
    while (colour := COLOURS.match(text, first, last)) is not None:
        first = colour.end()
    while (colour := COLOUR_BEFORE.search(text, max(first, last - 28), last)) is not None:
        last = colour.start()
    return (first, last) if last > first else None


_CLOSING = {quote: re.compile(rf"(?:[^\\\n{quote}]|\\(?s:.))*+") for quote in ('"', "'")}


def _closing(text: str, first: int, quote: str) -> int:
    """Where the quote closes, or else the line, or else the text."""
    if quote in _CLOSING:
        found = _CLOSING[quote].match(text, first)
        return first if found is None else found.end()
    line = len(text) if quote in {'"""', "'''"} else text.find("\n", first)
    line = len(text) if line < 0 else line
    last = text.find(quote, first, line)
    return line if last < 0 else last


def _is_open(text: str, at: int, quote: str) -> bool:
    """Is a quote of this kind open before ``at``, on its line?"""
    return text.count(quote, line_start(text, at), at) % 2 == 1


def line_start(text: str, at: int) -> int:
    """Where the line of ``at`` starts; lines are looked at for 400 characters back."""
    nearest = max(0, at - 400)
    return max(nearest, text.rfind("\n", nearest, at) + 1)


# Without quotes: a shell's, a URL's, a YAML file's

_BARE = re.compile(r"[^\s\"'`,;&<>|\x1b\[{][^\s\"'`,;&<>|\x1b]{0,511}")
_BARE_IN_URL = re.compile(r"[^\s\"'`&#<>;)\]}\x1b\[{]{1,512}")
_IN_FORM = re.compile(r"[^\s\"'`&=]{1,512}&[\w.-]{1,64}=")
_ENV_MAGIC = re.compile(r"[ \t]*%(?:set_)?env[ \t]+\Z")
_EXPRESSION = re.compile(
    r"-?[A-Za-z_][\w.]*(?:[(\[].*)?\Z"  # a name, an attribute, a call
    r"|-?[\d._]+(?:[eE][+-]?\d+)?[jJ]?\Z"  # a number
    r"|[(\[{@*~-]"
    r"|[^\d!@#$%^*?=]*\Z"  # names joined by operators; nothing in it says otherwise
)
_COMMAND = re.compile(
    r"[ \t]*(?:.*[;|&(][ \t]*|.*\$ |!|%\w+[ \t]+)?(?:(?:export|set|setx|env|declare -x)[ \t]+)?\Z"
)
_ITEM = re.compile(r"[ \t]*(?:-[ \t]+)?\Z")
_COMMENT = re.compile(r"[ \t]*(?:#.*)?\r?(?:\n|\Z)")


def bare(
    text: str, start: int, end: int, found: re.Match[str], *, strict: bool
) -> tuple[int, int] | None:
    """Where a literal without quotes stands. In Python code, only what cannot be an expression."""
    first, sign = found.end(), found["sign"]
    option = text.startswith("--", start) or (
        sign is None and _ENV_MAGIC.match(text, line_start(text, start), start) is not None
    )
    if found["closed"] is not None or not (sign in {"=", ":", ">"} or (sign is None and option)):
        return None
    tight = first == end + 1
    before = text[start - 1 : start]
    in_url = sign == "=" and tight and (before in {"?", "&", ";"} or _IN_FORM.match(text, first))
    value = (_BARE_IN_URL if in_url else _BARE).match(text, first)
    if value is None:
        return None
    said = _without_closing_brackets(value.group())
    last = first + len(said)
    if is_placeholder(said) or said.lower() in TYPE_NAMES or said[:1] in {"/", "~", "$", "%"}:
        return None
    if in_url:
        fits = True
    elif sign == ">":
        fits = before == "<" and text.startswith("</", last)
    elif "(" in said and _EXPRESSION.match(said):
        fits = False
    elif option:
        fits = sign == "=" or (sign is None and any(map(str.isdigit, said)))
    elif sign == ":":
        fits = (
            first > found.end("sign")
            and _ITEM.match(text, line_start(text, start), start) is not None
            and _COMMENT.match(text, last) is not None
            and (said.islower() or any(map(str.isdigit, said)))
            and (strict or is_random(said))
        )
    else:
        shell = tight and text[start:end].isupper() and not said.isupper()
        shell = shell and _COMMAND.match(text, line_start(text, start), start) is not None
        fits = (
            shell
            or not _EXPRESSION.match(said)
            or is_long_random(said)
            or (strict and said.isdigit() and len(said) >= 4)
        ) and (strict or (is_random(said) and TOKEN.match(said) is not None))
    return (first, last) if fits else None


def _without_closing_brackets(value: str) -> str:
    for opening, closing in ("()", "[]", "{}"):
        while value.endswith(closing) and value.count(closing) > value.count(opening):
            value = value[:-1]
    return value

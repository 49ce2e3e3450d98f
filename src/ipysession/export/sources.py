"""The text of cells: sources without ipysession's own lines, and ids that a notebook may hold."""

from __future__ import annotations

import re
from dataclasses import dataclass

_OWN_MAGIC = re.compile(
    r"%(?:session|(?:load_ext|reload_ext|unload_ext)[ \t]+(?P<quote>['\"]?)ipysession(?P=quote))"
    r"(?=\s|$|\?)"
)
_OWN_CALL = re.compile(
    r"get_ipython\(\)\.run_line_magic\("
    r"(?:'session'|'(?:load_ext|reload_ext|unload_ext)', '\s*ipysession\b)"
)
_VALID_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)")
_TOKEN = re.compile(r"#[^\r\n]*|'''|\"\"\"|'|\"|[()\[\]{}]|\\\r?\n?|[^#'\"()\[\]{}\\]+")
_TRIPLE_BODY = {
    quote: re.compile(rf"(?:[^\\{quote[0]}]|\\.|{quote[0]}(?!{quote[0] * 2}))*", re.DOTALL)
    for quote in ("'''", '"""')
}
_SINGLE_BODY = {
    quote: re.compile(rf"(?:[^\\{quote}\r\n]|\\\r?\n|\\.)*", re.DOTALL) for quote in ("'", '"')
}


@dataclass(frozen=True, slots=True)
class CleanSource:
    """A cell's source without ipysession's own lines; ``removed`` are those lines."""

    text: str
    removed: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Is nothing left to run?"""
        return not self.text.strip()


def clean_source(source: str, transformed: str | None = None) -> CleanSource:
    """Take ``%session …`` and ``%load_ext ipysession`` (also ``%reload_ext`` and
    ``%unload_ext``) out of ``source``.

    Only lines at the top level go: never a part of a string, of a statement that goes on over
    several lines, of an indented block, or of a cell magic's body. ``transformed`` is the
    Python that IPython made of the source; it tells ``session list``, typed without ``%``.
    """
    single = len(source.strip().splitlines()) == 1
    if single and transformed is not None and _OWN_CALL.match(transformed):
        return CleanSource("", (source.strip(),))
    if "%" not in source or source.lstrip().startswith("%%"):
        return CleanSource(source)
    lines = _LINE.findall(source)
    indent = _first_indent(lines)
    kept: list[str] = []
    removed: list[str] = []
    state = _Statement()
    going = ""  # a magic's line goes on after a backslash, as in IPython
    for line in lines:
        body = line.rstrip("\r\n")
        kind = going or "code"
        if not going and state.complete and body.lstrip()[:1] in {"%", "!"}:
            own = body.startswith(indent) and _OWN_MAGIC.match(body, len(indent))
            kind = "own" if own else "magic"
        going = kind if kind != "code" and body.endswith("\\") else ""
        if kind == "own":
            removed.append(body)
            continue
        kept.append(line)
        if kind == "code":
            state.feed(line)
    if not removed:
        return CleanSource(source)
    return CleanSource(_trim("".join(kept)), tuple(removed))


def _first_indent(lines: list[str]) -> str:
    """IPython takes the first line's indentation off the whole cell; so do we."""
    for line in lines:
        if line.strip():
            return line[: len(line) - len(line.lstrip())]
    return ""


def _trim(text: str) -> str:
    """Without the blank lines that a removed first or last line leaves behind."""
    return re.sub(r"\A(?:[ \t]*(?:\r\n|\r|\n))+", "", text).rstrip()


class _Statement:
    """Fed line by line, it knows whether a logical line of Python is complete.

    Python's own tokenizer gives up at a magic; this follows only strings, brackets and
    backslashes.
    """

    def __init__(self) -> None:
        self._quote: str | None = None
        self._depth = 0
        self._continued = False

    @property
    def complete(self) -> bool:
        return self._quote is None and self._depth == 0 and not self._continued

    def feed(self, line: str) -> None:
        self._continued = False
        position = 0
        while position < len(line):
            if self._quote is not None:
                position = self._string(line, position)
                continue
            token = _TOKEN.match(line, position)
            assert token is not None  # noqa: S101 - the alternatives cover every character
            text = token.group()
            position = token.end()
            if text[0] in "'\"":
                self._quote = text
            elif text in "([{":
                self._depth += 1
            elif text in ")]}":
                self._depth = max(0, self._depth - 1)
            elif text[0] == "\\":
                self._continued = text[-1] == "\n" or position == len(line)

    def _string(self, line: str, position: int) -> int:
        quote = self._quote
        assert quote is not None  # noqa: S101 - asked only inside a string
        pattern = _TRIPLE_BODY[quote] if len(quote) == 3 else _SINGLE_BODY[quote]
        body = pattern.match(line, position)
        end = position if body is None else body.end()
        if line.startswith(quote, end):
            self._quote = None
            return end + len(quote)
        if len(quote) == 3:
            # The string goes on in the next line; a backslash at the end escapes the newline.
            return len(line)
        if not line[:end].endswith(("\\\n", "\\\r\n")):
            self._quote = None  # unterminated: Python reports it, and the next line starts anew
        return max(end, position + 1) if end < len(line) else len(line)


class CellIds:
    """Ids for the cells of one notebook: the recorded one where it is valid and still free.

    ``reserved`` ids are kept for code cells.
    """

    def __init__(self, reserved: frozenset[str] = frozenset()) -> None:
        self._used: set[str] = set()
        self._reserved = reserved

    def take(self, wanted: str | None, fallback: str, *, owner: bool = False) -> str:
        """``wanted`` if a notebook may hold it and no cell has it, else ``fallback``, made
        unique. ``owner`` says that a reserved id may be taken. The same session gives the
        same ids each time.
        """
        free = wanted not in self._used and (owner or wanted not in self._reserved)
        if wanted is not None and free and _VALID_ID.fullmatch(wanted):
            self._used.add(wanted)
            return wanted
        candidate, count = fallback, 1
        while candidate in self._used or candidate in self._reserved:
            count += 1
            candidate = f"{fallback}-{count}"
        self._used.add(candidate)
        return candidate

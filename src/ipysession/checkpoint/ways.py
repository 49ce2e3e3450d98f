"""Which names a cell can reach: from the words in its text and, through functions, from the names
that their code asks for.

Every function of the notebook comes from a cell's text or from a group that was loaded, so no cell
meets a missing name.
"""

from __future__ import annotations

import dis
import re
import unicodedata
from typing import TYPE_CHECKING

from ipysession.lineage import cell_names

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import CodeType

_IMPORT_NAME = dis.opmap["IMPORT_NAME"]

_WORD = re.compile(r"[^\W\d]\w*")

_REACHES_ALL = frozenset(
    {
        "__main__", "dir", "eval", "exec", "globals", "locals", "user_global_ns", "user_ns", "vars",
        "who", "who_ls", "whos",
    }
)  # fmt: skip
"""Words through which a cell, or a function, can reach names without saying them."""

IMPORTS = frozenset({"__import__", "import", "import_module", "importlib", "reload"})
"""Words through which a cell, or a function, can import."""

OUTPUTS = frozenset({"Out", "_", "__", "___", "_oh"})
"""Words through which outputs are reached."""


class Ways:
    """The ways from a cell's text to names. Until told, there are none but the text's own words."""

    def __init__(self) -> None:
        self._asks: dict[str, frozenset[str]] = {}
        """The names that functions ask for, by the names that lead to them."""

    def add(self, names: Iterable[str], asked: Iterable[str]) -> None:
        """Who reaches ``names`` may run code that asks for the names ``asked``."""
        words = frozenset(asked)
        if words:
            for name in names:
                self._asks[name] = self._asks.get(name, frozenset()) | words

    def words(self, python: str) -> set[str] | None:
        """The words that a cell's text, and what it reaches, may use as names; None: any."""
        if cell_names(python).unbounded:
            return None
        words = words_of(python)
        todo = list(words)
        while todo:
            new = self._asks.get(todo.pop(), frozenset()) - words
            words |= new
            todo.extend(new)
        return None if words & _REACHES_ALL else words


def asked_by(codes: Iterable[CodeType]) -> set[str]:
    """The names that code, and the code inside of it, may ask for (attributes among them), and
    ``import`` where it does.
    """
    asked: set[str] = set()
    todo = list(codes)
    while todo:
        code = todo.pop()
        asked.update(code.co_names)
        if _IMPORT_NAME in code.co_code[::2]:
            asked.add("import")
        todo.extend(const for const in code.co_consts if hasattr(const, "co_names"))
    return asked


def words_of(source: str) -> set[str]:
    """All words of a cell's text that may be names."""
    return set(_WORD.findall(unicodedata.normalize("NFKC", source)))

"""What a function's code uses when it is called, read off its bytecode; nothing is run or traced.

The compiler has settled every question of scope by then: comprehensions, walrus, match,
``global`` and lambdas are right by construction. What a cell does to names, in order, stands in
``flow.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from types import CodeType
from typing import TYPE_CHECKING

from ipysession.lineage.opcodes import (
    BY_NAME,
    CALLS,
    DELETE_GLOBAL,
    IMPORT_NAME,
    LOAD_ATTR,
    LOAD_GLOBAL,
    LOAD_SUPER,
    PLAIN_ATTRIBUTES,
    STORE_GLOBAL,
    attribute_index,
    instructions_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

UNBOUNDED = frozenset(
    {"exec", "eval", "globals", "locals", "vars", "dir", "get_ipython", "__import__"}
)
"""Names through which code reaches any name without saying it."""

_LONGEST_WORD = 300


@dataclass(frozen=True, slots=True)
class Use:
    """What code uses when it runs, with all the code inside it."""

    loads: frozenset[str] = frozenset()
    """Globals that it reads."""
    stores: frozenset[str] = frozenset()
    """Globals that it binds or deletes."""
    attributes: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    """Texts in it, short ones."""
    imports: frozenset[str] = frozenset()
    calls: bool = False

    def __or__(self, other: Use) -> Use:
        return Use(
            self.loads | other.loads,
            self.stores | other.stores,
            self.attributes | other.attributes,
            self.words | other.words,
            self.imports | other.imports,
            self.calls or other.calls,
        )


@lru_cache(maxsize=8192)
def function_use(code: CodeType) -> Use:
    """What a function with this code uses when it is called."""
    loads: set[str] = set()
    stores: set[str] = set()
    names = code.co_names
    instructions = list(instructions_of(code))
    for operation, argument in instructions:
        if operation == LOAD_GLOBAL:
            loads.add(names[argument >> 1])
        elif operation in BY_NAME:
            loads.add(names[argument])
        elif operation in (STORE_GLOBAL, DELETE_GLOBAL):
            stores.add(names[argument])
    use = Use(frozenset(loads), frozenset(stores)) | use_but_names(code, instructions)
    for other in constants_of(code)[1]:
        use |= function_use(other)
    return use


def use_but_names(code: CodeType, instructions: Iterable[tuple[int, int]]) -> Use:
    """What a code uses besides names, without the code inside it."""
    attributes: set[str] = set()
    imports: set[str] = set()
    calls = False
    names = code.co_names
    for operation, argument in instructions:
        if operation in (LOAD_ATTR, LOAD_SUPER):
            attributes.add(names[attribute_index(operation, argument)])
        elif operation in PLAIN_ATTRIBUTES:
            attributes.add(names[argument])
        elif operation == IMPORT_NAME:
            imports.add(names[argument])
        elif operation in CALLS:
            calls = True
    words, _ = constants_of(code)
    return Use(
        attributes=frozenset(attributes), words=words, imports=frozenset(imports), calls=calls
    )


def constants_of(code: CodeType) -> tuple[frozenset[str], list[CodeType]]:
    """The short texts among a code's constants, and the code inside it."""
    words: set[str] = set()
    inner: list[CodeType] = []
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner.append(constant)
        elif type(constant) is str:
            if len(constant) <= _LONGEST_WORD:
                words.add(constant)
        elif type(constant) in (tuple, frozenset) and len(constant) <= _LONGEST_WORD:
            words.update(
                word for word in constant if type(word) is str and len(word) <= _LONGEST_WORD
            )
    return frozenset(words), inner

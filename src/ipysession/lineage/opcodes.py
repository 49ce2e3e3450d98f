"""The instructions of Python's bytecode that have to do with names, in all supported versions."""

from __future__ import annotations

import dis
from opcode import EXTENDED_ARG, opmap
from sys import version_info
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

_ABSENT = 256
"""No opcode: what this version of Python lacks."""


def _op(name: str) -> int:
    return opmap.get(name, _ABSENT)


LOAD_NAME, STORE_NAME, DELETE_NAME = _op("LOAD_NAME"), _op("STORE_NAME"), _op("DELETE_NAME")
LOAD_GLOBAL, STORE_GLOBAL = _op("LOAD_GLOBAL"), _op("STORE_GLOBAL")
DELETE_GLOBAL = _op("DELETE_GLOBAL")
LOAD_ATTR, LOAD_METHOD, LOAD_SUPER = _op("LOAD_ATTR"), _op("LOAD_METHOD"), _op("LOAD_SUPER_ATTR")
LOAD_CONST, MAKE_FUNCTION = _op("LOAD_CONST"), _op("MAKE_FUNCTION")
BUILD_CLASS = _op("LOAD_BUILD_CLASS")
FROM_DICT = _op("LOAD_FROM_DICT_OR_GLOBALS")
IMPORT_NAME = _op("IMPORT_NAME")
BY_NAME = frozenset({LOAD_NAME, FROM_DICT})
STORES = frozenset({STORE_NAME, STORE_GLOBAL})
DELETES = frozenset({DELETE_NAME, DELETE_GLOBAL})
PLAIN_ATTRIBUTES = frozenset({_op("STORE_ATTR"), _op("DELETE_ATTR"), LOAD_METHOD})
CALLS = frozenset(_op(name) for name in ("CALL", "CALL_FUNCTION_EX", "CALL_KW")) - {_ABSENT}
BETWEEN = frozenset(_op(name) for name in ("CACHE", "NOP", "SET_FUNCTION_ATTRIBUTE")) - {_ABSENT}
"""What may stand between a function's making and its binding."""
JUMPS = frozenset(dis.hasjrel) | frozenset(dis.hasjabs)
NO_FALL_THROUGH = frozenset(
    {
        "JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT", "RETURN_VALUE",
        "RETURN_CONST", "RAISE_VARARGS", "RERAISE", "INTERPRETER_EXIT",
    }
)  # fmt: skip
RETURNS = frozenset({"RETURN_VALUE", "RETURN_CONST", "INTERPRETER_EXIT"})


def instructions_of(code: CodeType) -> Iterator[tuple[int, int]]:
    """The instructions of a code, with their arguments put together."""
    raw = code.co_code
    extended = 0
    for index in range(0, len(raw), 2):
        argument = raw[index + 1] | extended
        if raw[index] == EXTENDED_ARG:
            extended = argument << 8
            continue
        extended = 0
        yield raw[index], argument


def attribute_index(operation: int, argument: int) -> int:
    """Which of a code's names an instruction takes from an object."""
    if operation == LOAD_SUPER:
        return argument >> 2
    return argument >> 1 if version_info >= (3, 12) else argument

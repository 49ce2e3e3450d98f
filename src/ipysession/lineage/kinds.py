"""What kinds of values there are: those that cannot change, containers, the user's own classes."""

from __future__ import annotations

import _abc  # type: ignore[import-not-found] # typeshed does not know it
import enum
import functools
import sys
from collections import deque
from types import BuiltinFunctionType, CodeType, ModuleType
from typing import Any

from ipysession.lineage.identity import identity, library_of

ATOMS = frozenset(
    {int, float, complex, bool, str, bytes, type(None), range, type(Ellipsis), type(NotImplemented)}
)
NUMBERS = frozenset({int, float, complex})
_BY_IDENTITY = (ModuleType, CodeType)
_UNCHANGING = frozenset(
    {
        "datetime",
        "decimal",
        "fractions",
        "pathlib",
        "uuid",
        "re",
        "zoneinfo",
        "_decimal",
        "ipaddress",
    }
)
"""Modules whose objects cannot change."""
_HEAP_TYPE = 1 << 9


def is_atom(value: Any) -> bool:
    """Can the value surely neither change nor hold what can? Not all such values are known."""
    kind = type(value)
    return (
        kind in ATOMS
        or isinstance(value, _BY_IDENTITY)
        or (isinstance(value, BuiltinFunctionType) and not is_bound(value))
        or (isinstance(value, type) and value.__module__ != "__main__")
        or kind.__module__ in _UNCHANGING
        or isinstance(value, enum.Enum)
        or (kind.__module__ == "numpy" and _is_number(value))
    )


def is_bound(function: BuiltinFunctionType) -> bool:
    """Is it a method of an object, such as ``numbers.append``?"""
    owner = function.__self__
    return owner is not None and not isinstance(owner, (ModuleType, type))


def registered_with(kind: type) -> frozenset[int]:
    """Which classes were registered with an abstract one, by the weak references to them."""
    return frozenset(map(identity, _abc._get_dump(kind)[0]))  # noqa: SLF001 - no public way


def _is_number(value: Any) -> bool:
    numpy: Any = sys.modules["numpy"]
    return isinstance(value, numpy.generic) and not isinstance(value, numpy.void)


def is_numbers(value: Any) -> bool:
    """Is it an array that holds no objects? However large, it shares only its memory."""
    numpy: Any = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray) and not value.dtype.hasobject


def is_users(kind: type) -> bool:
    """Was the class made in the notebook?"""
    return kind.__module__ == "__main__"


def is_container(value: Any) -> bool:
    """One of Python's own containers, or of a class derived from one."""
    return isinstance(value, (list, tuple, dict, set, frozenset, deque))


def instance_dict(value: Any) -> dict[str, Any] | None:
    """The attributes of an instance, without asking its class; None where it has none."""
    try:
        held = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None
    return held if type(held) is dict else None


@functools.lru_cache(maxsize=1024)
def is_of_python(kind: type) -> bool:
    """Is all that its instances hold in their dict and slots? So it is where no ancestor but
    object, and the containers that are looked into, is made in C.
    """
    known = (object, list, tuple, dict, set, frozenset, deque)
    return all(base in known or base.__flags__ & _HEAP_TYPE for base in kind.__mro__) and (
        library_of(kind) not in {"torch", "sqlite3", "_io", "socket", "threading"}
    )

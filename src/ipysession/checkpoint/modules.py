"""The user's own modules: a cell that calls into one that keeps state can change what it was given
earlier, under no name of the namespace.
"""

from __future__ import annotations

import functools
import sys
import sysconfig
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from ipysession.checkpoint.groups import is_plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_INSTALLED = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))

_LOOKS = 500
"""So many globals of a module are looked at; one with more counts as one that keeps state."""


def keep_state(names: Iterable[str], namespace: Mapping[str, Any]) -> bool:
    """Can code that uses ``names`` get at a module of the user's that keeps state? Then it may
    change any value.
    """
    seen: set[str] = set()
    for name in names:
        value = namespace.get(name)
        kind = type(value)
        module = (
            vars(value).get("__name__")
            if kind is ModuleType
            else (value.__module__ if isinstance(value, (FunctionType, type)) else kind.__module__)
        )
        if (
            not isinstance(module, str)
            or module in seen
            or (module == "__main__" or is_library(module))
        ):
            continue
        seen.add(module)
        found = sys.modules.get(module)
        if found is not None and _keeps_state(found):
            return True
    return False


@functools.cache
def is_library(module: str) -> bool:
    """Is it a module that is installed, or Python's own?"""
    if module == "__main__":
        return False
    found = getattr(sys.modules.get(module), "__file__", None)
    return not isinstance(found, str) or found.startswith(_INSTALLED)


def _keeps_state(module: ModuleType) -> bool:
    values = [value for name, value in vars(module).items() if not name.startswith("__")]
    return len(values) > _LOOKS or any(map(_is_state, values))


def _is_state(value: Any) -> bool:
    if isinstance(value, ModuleType) or is_plain(value):
        # A class of the module itself is plain for groups; what it keeps is looked at here.
        return (
            isinstance(value, type)
            and not is_library(value.__module__)
            and any(map(_is_state, [v for k, v in vars(value).items() if not k.startswith("__")]))
        )
    if isinstance(value, FunctionType):
        kept = (value.__closure__, value.__dict__, value.__kwdefaults__)
        return any(kept) or not is_plain(value.__defaults__)
    return not isinstance(value, (staticmethod, classmethod, property))

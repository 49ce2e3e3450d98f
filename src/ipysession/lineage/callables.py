"""What functions, and what Python makes of functions, hold of other objects."""

from __future__ import annotations

import functools
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def held_by_callable(item: Any) -> Iterable[Any] | None:
    """What a function, method, partial, decorated method or property holds that may be, or lead
    to, a function of the notebook; None for anything else.
    """
    match item:
        case FunctionType():
            return _held_by_function(item)
        case MethodType():
            return (item.__func__, item.__self__)
        case functools.partial():
            return (item.func, *item.args, *item.keywords.values())
        case staticmethod() | classmethod():
            return (item.__func__,)
        case property():
            return (item.fget, item.fset, item.fdel)
    return None


def _held_by_function(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # a cell that is still empty
            continue
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    yield getattr(function, "__wrapped__", None)


def held_by_instance(item: Any, width: int) -> Iterator[Any]:
    """What an instance of the notebook's classes, or what `functools` made, holds of that kind;
    of more than ``width`` attributes none is looked at.
    """
    kind = type(item)
    if kind.__module__ == "__main__":
        yield kind
        held = getattr(item, "__dict__", None)
        if type(held) is dict and len(held) <= width:
            yield from held.values()
    elif kind.__module__ == "functools":  # lru_cache, singledispatch, cached_property
        yield getattr(item, "__wrapped__", None)

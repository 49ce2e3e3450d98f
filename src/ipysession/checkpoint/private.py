"""Whether something can change that is shared with the outside of what is looked at, or is held
there: the reference counts prove that it is not.
"""

from __future__ import annotations

import datetime as dt
import decimal
import gc
import sys
import uuid
from itertools import chain
from typing import TYPE_CHECKING, Any

from ipysession.lineage import identity, module_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_LEVELS = 12
"""So deep may what a page holds be nested."""

_OBJECTS_PER_ITEM = 64
"""A page that holds more objects is not worth the look."""

_ATOMS = frozenset(
    {
        int, float, complex, bool, str, bytes, type(None), type(Ellipsis), range, dt.date, dt.time,
        dt.datetime, dt.timedelta, dt.timezone, decimal.Decimal, uuid.UUID,
    }
)  # fmt: skip
_CONTAINERS = frozenset({list, dict, set, frozenset, tuple})


def classes_of_private(page: list[Any], holders: int) -> list[type] | None:
    """The notebook's classes among what ``page`` holds, or None where something that could
    change may be shared with the outside, or is of a type that is not known to be private.

    ``holders`` lists besides the container refer to each element, this one included.
    """
    classes: list[type] = []
    level = changeable(page)
    if not level:
        return classes
    distinct = {identity(item): item for item in level}
    # Each element is counted once for the container and for each list that holds it here.
    surplus = holders + _HELD_TOP
    if len(distinct) != len(level) or _references(level) != len(level) * (1 + surplus):
        return None
    del distinct
    seen = 0
    for _ in range(_LEVELS):
        for kind in set(map(type, level)):
            if kind in _CONTAINERS:
                continue
            if not is_simple(kind):
                return None
            if not _is_importable(kind) and kind not in classes:
                classes.append(kind)
        below = changeable(gc.get_referents(*level))
        if not below:
            return classes
        seen += len(below)
        if seen > _OBJECTS_PER_ITEM * len(page):
            return None
        distinct = {identity(item): item for item in below}
        times = len(below)
        level = list(distinct.values())
        # Once for each reference found, once for its place in `below`; see `_calibrated`.
        if _references(level) != 2 * times + _HELD_BELOW * len(level):
            return None
        del distinct, below
    return None


def changeable(items: list[Any]) -> list[Any]:
    """Those that may change or hold what may; classes apart, which pages name."""
    kinds = {kind for kind in set(map(type, items)) if not _is_atomic(kind)}
    if not kinds:
        return []
    return [item for item in items if type(item) in kinds and not isinstance(item, type)]


def _references(items: list[Any]) -> int:
    return sum(map(sys.getrefcount, items))


def _is_atomic(kind: type) -> bool:
    """Can no object of this type change, or hold anything that can?"""
    if kind in _ATOMS:
        return True
    numpy = sys.modules.get("numpy")
    if numpy is not None and issubclass(kind, numpy.generic):
        return not issubclass(kind, (numpy.void, numpy.object_))
    return module_of(kind).startswith("pandas._libs.tslibs") and kind.__name__ in {
        "NaTType", "Period", "Timedelta", "Timestamp",
    }  # fmt: skip


def is_simple(kind: type) -> bool:
    """Is an object of this type pickled as its class and its attributes, by Python's own rules,
    so that the garbage collector sees all of it?
    """
    return (
        type(kind) is type
        and all(getattr(kind, name) is getattr(object, name) for name in _OWN_RULES)
        and not any(hasattr(kind, name) for name in _FURTHER_RULES)
        and all(_is_python_class(base) for base in kind.__mro__[:-1])
    )


_OWN_RULES = ("__reduce_ex__", "__reduce__", "__getstate__")
_FURTHER_RULES = ("__setstate__", "__getnewargs__", "__getnewargs_ex__")


def _is_python_class(kind: type) -> bool:
    """Was it made by a class statement? (Types made in C may hold what nobody sees.)"""
    return (
        bool(kind.__flags__ & (1 << 9))
        and "__module__" in vars(kind)
        and ("__dict__" in vars(kind) or "__weakref__" in vars(kind) or "__slots__" in vars(kind))
    )


def _is_importable(kind: type) -> bool:
    """Is it pickled by name?"""
    if kind.__module__ == "__main__":
        return False
    found: Any = sys.modules.get(kind.__module__)
    for part in kind.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is kind


def _calibrated() -> tuple[int, int]:
    """How many references this module's own looking adds, which differs between Pythons."""
    container = [[0], [1]]
    page = list(container)
    level = changeable(page)
    distinct = {identity(item): item for item in level}
    top = _references(level) // len(level) - 2  # the container, the page
    del distinct, level, page
    below = changeable(gc.get_referents(container))
    distinct = {identity(item): item for item in below}
    level = list(distinct.values())
    under = _references(level) // len(level) - 2  # the container, `below`
    return top, under


_HELD_TOP, _HELD_BELOW = _calibrated()


def is_only_in(
    value: Any, values: Mapping[str, Any], result: Mapping[str, Any], namespace: Mapping[str, Any]
) -> bool:
    """Do nothing but these three, and IPython's memory of outputs, refer to ``value``?"""
    outputs: Any = namespace.get("_oh")
    shown = outputs.values() if type(outputs) is dict else ()
    known = sum(
        item is value for item in chain(values.values(), result.values(), namespace.values(), shown)
    )
    return sys.getrefcount(value) == known + _held_alone


def _calibrated_alone() -> int:
    """How many references `is_only_in` and its caller's loop add."""
    global _held_alone
    space = {"x": [0]}
    result = dict(space)
    for name in space:  # noqa: PLC0206 - as the caller does: `items` would hold a reference
        value = space[name]
        for _held_alone in range(16):
            if is_only_in(value, space, result, {}):
                break
    return _held_alone


_held_alone = 0
_calibrated_alone()

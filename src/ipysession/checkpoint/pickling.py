"""Pickle protocol 5 for values of a notebook, with the notebook's functions kept alive.

A function or class that lives in the notebook is pickled by value (cloudpickle), but its
globals are not: it is rebuilt on the live namespace, so that it sees a later rebinding of a
global that it reads. (A private copy of the globals, which every other tool restores, is
silently wrong.) Closure cells keep their identity: two functions that share one still do. A
class that is there already stays as it is when an instance of it is loaded from an older pickle.
"""

from __future__ import annotations

import pickle
import sys
import threading
import weakref
from dataclasses import dataclass, field
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import cloudpickle
from cloudpickle.cloudpickle import _class_setstate

from ipysession.checkpoint import pages, private, reducers
from ipysession.checkpoint.groups import shared_bases
from ipysession.checkpoint.pieces import PART_BYTES
from ipysession.checkpoint.unpickler import AT_ONCE, Pace, Unpickler
from ipysession.lineage import identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ipysession.checkpoint.pieces import Packing

_PROTOCOL = 5

_SMALL_DICT = 1_000
"""A dict with more entries is not searched for large containers."""

_NUMBERS = frozenset({bool, float, int, complex, type(None)})


def _is_owner(base: Any) -> bool:
    """Can a view be described by where it lies in the memory of ``base``?"""
    return type(base) in (bytes, bytearray) or type(base) is sys.modules["numpy"].ndarray


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc] # cloudpickle is untyped
    def __init__(self, packing: Packing, value: Any, namespace: dict[str, Any]) -> None:
        super().__init__(packing, protocol=_PROTOCOL, buffer_callback=packing.take_outside)
        self._packing = packing
        self._value = value
        self._namespace = namespace
        self._shared: set[int] | None = None
        self._looked = False
        self._closure_cells: set[int] = set()

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        self._packing.kinds.add(kind)
        if kind is FunctionType and obj.__globals__ is self._namespace:
            return self._reduce_function(obj)
        if kind is CellType:
            return self._reduce_cell(obj)
        if kind is MethodType:
            name = _name_in_class(obj)
            return NotImplemented if name is None else (_bound_method, (obj.__self__, name))
        if kind is pages.Paged:
            return _assemble, (obj.kind, obj.classes, obj.runs)
        if kind is ModuleType and vars(obj) is self._namespace:
            return _main_module, ()
        numpy = sys.modules.get("numpy")
        if numpy is not None and kind is numpy.ndarray:
            return self._reduce_array(obj)
        if kind.__module__ == "__main__" and _keeps_pages(obj):
            return _make_object, (kind,), _with_pages(vars(obj), {}, self._packing)
        reduced = reducers.reduce(obj)
        if reduced is not NotImplemented:
            return reduced
        reduced = super().reducer_override(obj)
        if isinstance(obj, type) and isinstance(reduced, tuple) and len(reduced) == 6:
            _whole_classes.add(obj)
            if obj.__qualname__ != obj.__name__:
                # It stands in no class's dict, so cloudpickle leaves it out.
                reduced[2][0]["__qualname__"] = obj.__qualname__
            return (*reduced[:5], _fill_class)
        return reduced

    def _reduce_array(self, array: Any) -> Any:
        base, flags = array.base, array.flags
        if base is not None and self._is_shared_view(base):
            return _reduce_view(array, base)
        if array.dtype.hasobject:
            if array.dtype == object and flags.c_contiguous and array.size >= 2 * pages.PAGE_ITEMS:
                paged = pages.page_array(array, self._packing)
                if paged is not None:
                    return _make_object_array, (array.shape, bool(flags.writeable), paged)
        elif array.nbytes >= PART_BYTES and (flags.c_contiguous or flags.f_contiguous):
            order = "C" if flags.c_contiguous else "F"
            number = self._packing.add(_bytes_of(array, order))
            return _make_array, (array.dtype, array.shape, order, bool(flags.writeable), number)
        return NotImplemented

    def _is_shared_view(self, base: Any) -> bool:
        """Is the memory of ``base`` shown by something else in this pickle, too?"""
        if not self._looked:
            self._shared, self._looked = shared_bases(self._value), True
        if self._shared is None:  # too much to look at: it may be
            return _is_owner(base)
        return identity(base) in self._shared

    def _reduce_function(self, function: FunctionType) -> Any:
        cells = function.__closure__ or ()
        self._closure_cells.update(id(cell) for cell in cells)
        state = {
            "attributes": {
                "__qualname__": function.__qualname__,
                "__module__": function.__module__,
                "__doc__": function.__doc__,
                "__annotations__": function.__annotations__,
                "__defaults__": function.__defaults__,
                "__kwdefaults__": function.__kwdefaults__,
            },
            "dict": function.__dict__,
            "cells": [_contents(cell) for cell in cells],
        }
        arguments = (function.__code__, function.__name__, tuple(cells))
        return _make_function, arguments, state, None, None, _fill_function

    def _reduce_cell(self, cell: CellType) -> Any:
        # A function's cells are made empty and filled with the function's state: their content
        # may be the function itself.
        if id(cell) in self._closure_cells:
            return CellType, ()
        return CellType, (), [_contents(cell)], None, None, _fill_cell


def _name_in_class(method: MethodType) -> str | None:
    """The name by which its class holds the function of a bound method, if it does."""
    name = getattr(method.__func__, "__name__", "")
    try:
        same = _bound_method(method.__self__, name).__func__ is method.__func__
    except AttributeError:
        return None
    return name if same else None


def _bound_method(owner: Any, name: str) -> MethodType:
    """The method of an object, or of a class, as its class defines it: no code of the user's runs.

    (So it is the class's own function, not a copy beside it.) Raises AttributeError.
    """
    kinds = owner.__mro__ if isinstance(owner, type) else ()
    for kind in (*kinds, *type(owner).__mro__):
        found = vars(kind).get(name)
        if isinstance(found, classmethod):
            return MethodType(found.__func__, owner)
        if isinstance(found, FunctionType) and kind not in kinds:
            return MethodType(found, owner)
    message = f"{type(owner).__name__} has no method {name}"
    raise AttributeError(message)


def _reduce_view(view: Any, base: Any) -> Any:
    """A view as its place in what owns the memory; NumPy would copy it.

    The owner is an array, or the bytes that an array was restored from.
    """
    offset = view.__array_interface__["data"][0] - _address(base)
    state = (view.dtype, view.shape, view.strides, offset, bool(view.flags.writeable))
    return _make_view, (base, *state)


def _address(base: Any) -> int:
    import numpy as np

    if type(base) in (bytes, bytearray):
        base = np.frombuffer(base, dtype=np.uint8)
    elif type(base) is not np.ndarray:
        message = f"arrays share memory that belongs to a {type(base).__name__}"
        raise TypeError(message)
    elif not (base.flags.c_contiguous or base.flags.f_contiguous):
        message = "arrays share the memory of an array in an unusual order"
        raise TypeError(message)
    return int(base.__array_interface__["data"][0])


def _make_view(  # noqa: PLR0917 - pickle passes arguments by position
    base: Any,
    dtype: Any,
    shape: Any,
    strides: Any,
    offset: int,
    writeable: bool,  # noqa: FBT001 - as pickle passes it
) -> Any:
    import numpy as np

    view: Any = np.ndarray(shape, dtype, base, offset, strides)
    view.flags.writeable = writeable
    return view


def _contents(cell: CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:  # empty
        return ()


def _fill_cell(cell: CellType, state: list[tuple[Any, ...]]) -> None:
    for value in state[0]:
        cell.cell_contents = value


class PartBytes(Protocol):
    """Gives the bytes of a group's parts."""

    def part(self, number: int) -> bytes | bytearray:
        """The bytes of the part that the pickle names by this number."""

    def read_into(self, number: int, target: memoryview) -> None:
        """The same, into ``target``, which has their size."""

    def outside(self) -> Iterator[bytearray]:
        """The out-of-band buffers, in the order in which the pickle asks for them."""


@dataclass(slots=True)
class _Loading:
    """What `loads` needs to know while it runs, and what it learns."""

    namespace: dict[str, Any]
    """Functions are rebuilt on it."""
    codes: list[CodeType]
    """Of the notebook's functions that were made."""
    parts: PartBytes | None = None
    pace: Pace = AT_ONCE
    classes: list[type] = field(default_factory=list)
    """The notebook's classes that the pages of the container in hand name by number."""
    older: list[tuple[type, Any]] = field(default_factory=list)
    """Classes that were there already, and what the pickle says of them."""


class _ThreadLoading(threading.local):
    stack: tuple[_Loading, ...] = ()


_loading = _ThreadLoading()

_whole_classes: weakref.WeakSet[type] = weakref.WeakSet()
"""Classes of the notebook that were pickled or loaded in this process, so are no skeletons."""


def _make_function(code: CodeType, name: str, cells: tuple[CellType, ...]) -> FunctionType:
    loading = _loading.stack[-1]
    loading.codes.append(code)
    return FunctionType(code, loading.namespace, name, None, cells)


def _fill_class(cls: type, state: Any) -> type:
    """Give a class its attributes. One that lives already may have newer ones: `loads` decides."""
    if cls in _whole_classes:
        _loading.stack[-1].older.append((cls, state))
    else:
        _whole_classes.add(cls)
        _class_setstate(cls, state)
    return cls


def _fill_function(function: FunctionType, state: dict[str, Any]) -> None:
    for name, value in state["attributes"].items():
        setattr(function, name, value)
    function.__dict__.update(state["dict"])
    for cell, contents in zip(function.__closure__ or (), state["cells"], strict=True):
        for value in contents:
            cell.cell_contents = value


def _main_module() -> ModuleType:
    return sys.modules["__main__"]


def _parts() -> PartBytes:
    parts = _loading.stack[-1].parts
    if parts is None:
        message = "the pickle names parts, and there are none"
        raise ValueError(message)
    return parts


def _bytes_of(array: Any, order: str) -> Any:
    """The memory of a contiguous array; some dtypes (times) have no buffer of their own."""
    return (array if order == "C" else array.T).reshape(-1).view("u1")


def _make_array(
    dtype: Any,
    shape: Any,
    order: Any,
    writeable: bool,  # noqa: FBT001 - as pickle passes it
    number: int,
) -> Any:
    import numpy as np

    array: Any = np.empty(shape, dtype, order)
    _parts().read_into(number, memoryview(_bytes_of(array, order)))
    array.flags.writeable = writeable
    return array


def _make_object_array(shape: Any, writeable: bool, items: list[Any]) -> Any:  # noqa: FBT001 - as pickle passes it
    import numpy as np

    array: Any = np.empty(shape, dtype=object)
    # Not by assignment of the list: elements that are lists would become a further dimension.
    array.reshape(-1)[:] = np.fromiter(items, dtype=object, count=len(items))
    array.flags.writeable = writeable
    return array


def _assemble(kind: str, classes: list[type], runs: list[Any]) -> Any:
    """A container from its pages and from the elements that are no page."""
    loading, parts = _loading.stack[-1], _parts()

    def elements() -> Iterator[list[Any]]:
        for run in runs:
            if type(run) is int:
                loading.classes = classes
                yield Unpickler(parts.part(run), loading.pace).load()
            else:
                yield run

    return pages.assemble(kind, elements())


def _class_of_page(number: int) -> type:
    """What a page says for a class of the notebook."""
    return _loading.stack[-1].classes[number]


def dump(values: Mapping[str, Any], namespace: dict[str, Any], packing: Packing) -> None:
    """Pickle ``values`` into ``packing``. ``namespace`` is the live one: it is never copied.

    Raises what the gate of ``packing`` raises, and whatever the values' own reducers raise where
    they cannot be pickled.
    """
    if all(type(item) in _NUMBERS for item in values.values()):
        packing.write(pickle.dumps(values, _PROTOCOL))  # at a third of the price
        return
    shown = values
    if any(map(_holds_pages, values.values())):
        shown = _with_pages(values, namespace, packing)
    _Pickler(packing, shown, namespace).dump(shown)


def _holds_pages(value: Any) -> bool:
    """Is it a large container, or a small dict of such?"""
    if type(value) is dict and len(value) <= _SMALL_DICT:
        return any(map(pages.is_large, value.values()))
    return pages.is_large(value)


def _keeps_pages(obj: Any) -> bool:
    """Is it an object with large containers among its attributes, all of which are in its dict?"""
    kind = type(obj)
    return (
        _holds_pages(getattr(obj, "__dict__", None))
        and private.is_simple(kind)
        and not any("__slots__" in vars(base) for base in kind.__mro__)
    )


def _make_object(kind: Any) -> Any:
    return kind.__new__(kind)


def _with_pages(
    values: Mapping[str, Any], namespace: Mapping[str, Any], packing: Packing
) -> dict[str, Any]:
    """``values`` with what is pickled in pages replaced."""
    made: dict[int, Any] = {}
    result = dict(values)
    for name in values:  # not `items`, which holds a reference of its own: see `is_only_in`
        value = values[name]
        if not _holds_pages(value):
            continue
        key = identity(value)
        if key in made:
            result[name] = made[key]
        elif private.is_only_in(value, values, result, namespace):
            if pages.is_large(value):
                made[key] = pages.page_container(value, packing, _class_of_page)
            else:
                made[key] = _with_pages(value, {}, packing)
            result[name] = made[key]
    return result


def loads(
    data: bytes | bytearray,
    namespace: dict[str, Any],
    codes: list[CodeType] | None = None,
    parts: PartBytes | None = None,
    pace: Pace = AT_ONCE,
) -> dict[str, Any]:
    """Unpickle the values, by name, that `dump` wrote; functions of the notebook get
    ``namespace`` as globals, and their code is added to ``codes``; what is not imported yet is, at
    ``pace``.

    Unpickling runs code: verify where ``data`` comes from before.
    """
    loading = _Loading(namespace, [] if codes is None else codes, parts, pace)
    before = _loading.stack
    _loading.stack = (*before, loading)
    try:
        outside = None if parts is None else parts.outside()
        values: dict[str, Any] = Unpickler(data, pace, outside).load()
        wanted = {identity(value) for value in values.values()}
        for cls, state in loading.older:
            if identity(cls) in wanted:  # it was saved for its own sake, not along with others
                _class_setstate(cls, state)
    finally:
        _loading.stack = before
    return values

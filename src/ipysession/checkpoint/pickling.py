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
import time
import weakref
from dataclasses import dataclass, field
from types import CellType, CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import cloudpickle
from cloudpickle.cloudpickle import _class_setstate

from ipysession.checkpoint.groups import shared_bases
from ipysession.lineage import identity

if TYPE_CHECKING:
    from collections.abc import Callable

_PROTOCOL = 5

_NUMBERS = frozenset({bool, float, int, complex, type(None)})


class BudgetExceededError(Exception):
    """The pickle would have taken longer, or become larger, than allowed."""


class _Sink:
    """Collects a pickle's bytes; the pickler calls it about every 64 KB, so it can give up."""

    def __init__(self, deadline: float, max_bytes: int, stop: Callable[[], bool]) -> None:
        self.chunks: list[bytes] = []
        self.size = 0
        self._deadline = deadline
        self._max_bytes = max_bytes
        self._stop = stop

    def write(self, data: Any) -> int:
        chunk = bytes(data)
        self.size += len(chunk)
        if self.size > self._max_bytes:
            message = f"larger than {self._max_bytes:,} bytes"
            raise BudgetExceededError(message)
        if self._stop():
            message = "a cell began"
            raise BudgetExceededError(message)
        if time.perf_counter() > self._deadline:
            message = "saving it took longer than the step's budget"
            raise BudgetExceededError(message)
        self.chunks.append(chunk)
        return len(chunk)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc] # cloudpickle is untyped
    def __init__(self, sink: _Sink, value: Any, namespace: dict[str, Any]) -> None:
        super().__init__(sink, protocol=_PROTOCOL)
        self._value = value
        self._namespace = namespace
        self._shared: set[int] | None = None
        self._closure_cells: set[int] = set()

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, FunctionType) and obj.__globals__ is self._namespace:
            return self._reduce_function(obj)
        if isinstance(obj, CellType):
            return self._reduce_cell(obj)
        if isinstance(obj, ModuleType) and vars(obj) is self._namespace:
            return _main_module, ()
        base = getattr(obj, "base", None)
        if base is not None and self._is_shared_view(obj, base):
            return _reduce_view(obj, base)
        reduced = super().reducer_override(obj)
        if isinstance(obj, type) and isinstance(reduced, tuple) and len(reduced) == 6:
            _whole_classes.add(obj)
            return (*reduced[:5], _fill_class)
        return reduced

    def _is_shared_view(self, obj: Any, base: Any) -> bool:
        """Is ``obj`` a NumPy view whose memory something else in this pickle shows, too?"""
        numpy = sys.modules.get("numpy")
        if numpy is None or type(obj) is not numpy.ndarray:
            return False
        if self._shared is None:
            self._shared = shared_bases(self._value)
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
    writeable: bool,  # noqa: FBT001
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


@dataclass(slots=True)
class _Loading:
    """What `loads` needs to know while it runs, and what it learns."""

    namespace: dict[str, Any]
    """Functions are rebuilt on it."""
    codes: list[CodeType]
    """Of the notebook's functions that were made."""
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


def dumps(
    value: Any,
    namespace: dict[str, Any],
    *,
    seconds: float,
    max_bytes: int,
    stop: Callable[[], bool] = lambda: False,
) -> list[bytes]:
    """Pickle ``value`` into chunks. ``namespace`` is the live one: it is never copied.

    Raises BudgetExceededError past ``seconds`` or ``max_bytes``, or when ``stop`` says so, and
    whatever the value's own reducers raise where it cannot be pickled.
    """
    if type(value) is dict and all(type(item) in _NUMBERS for item in value.values()):
        return [pickle.dumps(value, _PROTOCOL)]  # at a third of the price
    sink = _Sink(time.perf_counter() + seconds, max_bytes, stop)
    _Pickler(sink, value, namespace).dump(value)
    return sink.chunks


def loads(
    data: bytes, namespace: dict[str, Any], codes: list[CodeType] | None = None
) -> dict[str, Any]:
    """Unpickle the values, by name, that `dumps` wrote; functions of the notebook get
    ``namespace`` as globals, and their code is added to ``codes``.

    Unpickling runs code: verify where ``data`` comes from before.
    """
    loading = _Loading(namespace, [] if codes is None else codes)
    before = _loading.stack
    _loading.stack = (*before, loading)
    try:
        values: dict[str, Any] = pickle.loads(data)  # noqa: S301 - the caller has verified its origin
        wanted = {identity(value) for value in values.values()}
        for cls, state in loading.older:
            if identity(cls) in wanted:  # it was saved for its own sake, not along with others
                _class_setstate(cls, state)
    finally:
        _loading.stack = before
    return values

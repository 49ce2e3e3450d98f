"""Are the values of a second run the recorded ones? Runs inside the kernel that verifies.

Two values are the same when everything that they are made of is. What cannot be taken apart,
or has nothing that could be compared (a picture's axes, a connection), counts as unknown, never
as the same.
"""

from __future__ import annotations

import copyreg
import math
import time
from enum import Enum
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from ipysession.checkpoint.load import load_group
from ipysession.log import Blobs
from ipysession.model.payloads import SavedGroup

MIME = "application/vnd.ipysession.values+json"
SECONDS = 20.0
"""So long may all comparisons take; past it values are unknown."""

_LEAVES = (str, bytes, bytearray, int, bool, complex, type(None), type(...), range, slice)
_OPAQUE = ("matplotlib", "IPython", "ipywidgets", "ipykernel", "logging", "asyncio", "sqlite3")
"""Libraries whose objects hold what differs from run to run and shows nowhere."""
_RELATIVE = 1e-9
"""Floats may differ by so much: sums depend on how many threads made them."""


class Same(Enum):
    """What is known of two values."""

    YES = "same"
    NO = "differs"
    UNKNOWN = "unknown"


def compare_namespace(
    namespace: dict[str, Any], folder: str, saved: list[tuple[list[str], dict[str, Any]]]
) -> dict[str, str]:
    """For each name: how its value in ``namespace`` compares with the saved one.

    ``folder`` holds the session's blobs; ``saved`` are names with the group that holds them.
    The caller has verified the records that the groups stand in.
    """
    blobs = Blobs(Path(folder))
    deadline = time.monotonic() + SECONDS
    found: dict[str, str] = {}
    for names, group in saved:
        wanted = [name for name in names if name in namespace]
        found.update({name: Same.NO.value for name in names if name not in namespace})
        if not wanted:
            continue
        try:
            # Functions get a namespace of their own: the live one must not change.
            recorded = load_group(SavedGroup.model_validate(group), blobs, dict(namespace))
        except Exception:  # noqa: BLE001 - a blob that is gone, a class that changed: not known
            found.update(dict.fromkeys(wanted, Same.UNKNOWN.value))
            continue
        for name in wanted:
            said = same(recorded.get(name), namespace[name], deadline)
            found[name] = said.value if name in recorded else Same.UNKNOWN.value
    return found


def same(one: Any, other: Any, deadline: float = math.inf) -> Same:
    """Compare two values. ``deadline`` is a time of `time.monotonic`."""
    try:
        return _Comparison(deadline).of(one, other, 0)
    except Exception:  # noqa: BLE001 - the values' own code raised: nothing is known
        return Same.UNKNOWN


class _Comparison:
    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._seen: dict[tuple[int, int], tuple[Any, Any]] = {}
        """Pairs that are being compared, or were the same; kept alive, so that ids stay true."""

    def of(self, one: Any, other: Any, depth: int) -> Same:
        if one is other:
            return Same.YES
        kind = type(one)
        if _full_name(kind) != _full_name(type(other)):
            return Same.NO
        if kind in _LEAVES:
            return _known(one == other)
        if kind is float:
            close = math.isclose(one, other, rel_tol=_RELATIVE)
            return _known(close or (math.isnan(one) and math.isnan(other)))
        pair = (id(one), id(other))
        if pair in self._seen:
            return Same.YES
        if depth > 200 or time.monotonic() > self._deadline:
            return Same.UNKNOWN
        self._seen[pair] = (one, other)
        return self._parts(one, other, kind, depth + 1)

    def _parts(self, one: Any, other: Any, kind: type, depth: int) -> Same:
        root = (kind.__module__ or "").partition(".")[0]
        if root == "numpy" and hasattr(one, "dtype"):
            return self._arrays(one, other, depth)
        if root in {"pandas", "polars"} and hasattr(one, "equals"):
            return self._tables(one, other)
        if kind in (list, tuple):
            return self._all(one, other, depth)
        if kind is dict:
            if list(one) != list(other):
                # Equal keys in another order show in whatever goes over them.
                return self._all(list(one), list(other), depth)
            return self._all(one.values(), other.values(), depth)
        if kind in (set, frozenset):
            return _known(one == other) if len(one) == len(other) else Same.NO
        if isinstance(one, ModuleType):
            return _known(one.__name__ == other.__name__)
        if kind in (FunctionType, MethodType, BuiltinFunctionType, CodeType):
            return self._functions(one, other, depth)
        if isinstance(one, type):
            return _known(_full_name(one) == _full_name(other)) if root else Same.UNKNOWN
        if root in _OPAQUE:
            return Same.UNKNOWN
        return self._objects(one, other, depth)

    def _all(self, ones: Any, others: Any, depth: int) -> Same:
        if len(ones) != len(others):
            return Same.NO
        said = Same.YES
        for one, other in zip(ones, others, strict=True):
            found = self.of(one, other, depth)
            if found is Same.NO:
                return found
            if found is Same.UNKNOWN:
                said = found
        return said

    def _arrays(self, one: Any, other: Any, depth: int) -> Same:
        import numpy as np

        if one.dtype != other.dtype or one.shape != other.shape:
            return Same.NO
        if one.dtype.kind in "fc":
            return _known(np.allclose(one, other, rtol=_RELATIVE, atol=0.0, equal_nan=True))
        if one.dtype.kind == "O":
            return self._all(list(one.ravel()), list(other.ravel()), depth)
        return _known(np.array_equal(one, other))

    def _tables(self, one: Any, other: Any) -> Same:
        if one.equals(other):
            return Same.YES
        try:
            import pandas.testing

            check = {
                "DataFrame": pandas.testing.assert_frame_equal,
                "Series": pandas.testing.assert_series_equal,
            }[type(one).__name__]
            check(one, other, rtol=_RELATIVE, atol=0.0)
        except (AssertionError, KeyError, ImportError):
            return Same.NO
        return Same.YES

    def _functions(self, one: Any, other: Any, depth: int) -> Same:
        if isinstance(one, CodeType):
            return self._all(
                [one.co_code, one.co_names, one.co_varnames, one.co_consts],
                [other.co_code, other.co_names, other.co_varnames, other.co_consts],
                depth,
            )
        if isinstance(one, MethodType):
            return self._all([one.__func__, one.__self__], [other.__func__, other.__self__], depth)
        if isinstance(one, BuiltinFunctionType):
            return self._all(
                [one.__name__, getattr(one, "__self__", None)],
                [other.__name__, getattr(other, "__self__", None)],
                depth,
            )
        cells = [[c.cell_contents for c in f.__closure__ or ()] for f in (one, other)]
        return self._all(
            [one.__code__, one.__defaults__, one.__kwdefaults__, cells[0]],
            [other.__code__, other.__defaults__, other.__kwdefaults__, cells[1]],
            depth,
        )

    def _objects(self, one: Any, other: Any, depth: int) -> Same:
        """By what pickle would keep of them."""
        parts = []
        for value in (one, other):
            reduce = copyreg.dispatch_table.get(type(value))
            made = value.__reduce_ex__(2) if reduce is None else reduce(value)
            if isinstance(made, str):
                return _known(one == other)
            parts.append(
                [
                    list(part) if index in (3, 4) and part is not None else part
                    for index, part in enumerate(made)
                ]
            )
        return self._all(parts[0], parts[1], depth)


def _known(equal: Any) -> Same:
    return Same.YES if bool(equal) else Same.NO


def _full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"

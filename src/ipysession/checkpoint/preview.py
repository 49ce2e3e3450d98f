"""What can be told of a value without unpickling it: its type, size, shape and a short text.

No code of the user's runs for it: only well-known types are asked, and of containers only a few
elements are looked at.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ipysession.lineage import library_of
from ipysession.model.payloads import Preview

if TYPE_CHECKING:
    from collections.abc import Callable

_TEXT = 80
"""Characters of a preview's text at most."""

_ITEMS = 6
_DEPTH = 2

_NUMBERS = frozenset({int, float, complex, bool, type(None)})
_SIZED = frozenset({list, tuple, dict, set, frozenset, str, bytes, bytearray, range})
_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"), tuple: ("(", ")"), set: ("{", "}"), frozenset: ("{", "}"), dict: ("{", "}"),
}  # fmt: skip


def type_name(value: Any) -> str:
    """A value's type as people say it: ``list``, ``pandas.DataFrame``."""
    kind = type(value)
    return (
        kind.__name__
        if kind.__module__ in {"builtins", "__main__"}
        else (f"{library_of(kind)}.{kind.__name__}")
    )


def preview(value: Any, redact: Callable[[str], str]) -> Preview:
    """What to record of ``value``. ``redact`` takes secrets out of a text. Takes some µs."""
    kind = type(value)
    if kind in _NUMBERS:
        return Preview(type=kind.__name__, size=sys.getsizeof(value), text=_short(value, 0))
    if kind in _SIZED:
        text = _short(value, 0)
        return Preview(
            type=kind.__name__,
            size=sys.getsizeof(value),
            shape=[len(value)],
            text=redact(text) if text else None,
        )
    described = _of_library(value)
    return Preview(type=type_name(value)) if described is None else described


def _of_library(value: Any) -> Preview | None:
    """Arrays and tables; their values are told of arrays of numbers only."""
    kind = type(value)
    root = library_of(kind)
    if root == "numpy" and kind is sys.modules["numpy"].ndarray:
        shape, size = list(value.shape), int(value.nbytes)
        text = f"{value.dtype}"
        if value.dtype.kind in "iufb" and value.size:
            first = ", ".join(repr(item) for item in value.ravel()[:_ITEMS].tolist())
            text = f"{text}: {first}{', …' if value.size > _ITEMS else ''}"
        return Preview(type="numpy.ndarray", size=size, shape=shape, text=_cut(text))
    if root == "pandas" and kind.__name__ in {"DataFrame", "Series"}:
        shape = [int(length) for length in value.shape]
        if kind.__name__ == "Series":
            return Preview(
                type="pandas.Series", size=_held(value), shape=shape, text=str(value.dtype)
            )
        columns = ", ".join(str(name) for name in list(value.columns[:_ITEMS]))
        text = _cut(f"{columns}{', …' if value.shape[1] > _ITEMS else ''}")
        return Preview(type="pandas.DataFrame", size=_held(value), shape=shape, text=text)
    if root in {"polars", "pyarrow", "scipy", "torch", "xarray"}:
        said = getattr(value, "shape", None)
        if isinstance(said, tuple):
            return Preview(type=type_name(value), shape=[int(length) for length in said])
    return None


def _held(value: Any) -> int | None:
    """Bytes of a table, text counted as pointers: to count it whole would take its time."""
    usage = value.memory_usage(index=True, deep=False)
    return int(usage if isinstance(usage, int) else usage.sum())


def _short(value: Any, depth: int) -> str:
    """A repr of builtin types that looks at few elements; '…' for the rest."""
    kind = type(value)
    if kind in _NUMBERS:
        # The digits of a huge integer take Python a long time.
        return repr(value) if kind is not int or value.bit_length() < 256 else "…"
    if kind in (str, bytes, bytearray):
        return _cut(repr(value[:_TEXT])) + ("" if len(value) <= _TEXT else "…")
    if kind is range:
        return repr(value)
    if kind not in _BRACKETS:
        return "…"
    left, right = _BRACKETS[kind]
    if depth >= _DEPTH and value:
        return f"{left}…{right}"
    shown: list[str] = []
    for item in value:
        if len(shown) == _ITEMS:
            shown.append("…")
            break
        text = _short(item, depth + 1)
        shown.append(f"{text}: {_short(value[item], depth + 1)}" if kind is dict else text)
    return _cut(left + ", ".join(shown) + right)


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"

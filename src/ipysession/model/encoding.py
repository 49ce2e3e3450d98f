"""JSON text that gives back exactly the value it was made from.

Plain JSON cannot hold NaN and infinities, integers beyond what a reader's number
type holds, or nesting deeper than a reader's stack. Such values are wrapped in an
object with a single key that begins with ``$``; everything else is plain JSON, in
ASCII, so one byte is one character and U+2028 or a lone surrogate cannot break a line.

======================  =====================================================
``{"$float": "nan"}``   ``nan``, ``inf`` or ``-inf``
``{"$int": "0x…"}``     an integer with more than 1,000 decimal digits, in hex (only
                        where JSON text cannot be written without it)
``{"$json": "…"}``      the JSON text of a value nested deeper than 64 levels
``{"$esc": {…}}``       an object of the user's whose only key begins with ``$``
``{"$blob": "…", …}``   a part that lies in a blob (see `BlobRef`)
======================  =====================================================
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DEPTH = 64
"""Levels of nesting that are written as plain JSON."""

_HUGE_INT = 10**1000
"""Python refuses to turn more than 4,300 digits into text; far below that we use hex."""


class BlobRef(NamedTuple):
    """Stands in a payload for a part that lies in a blob.

    ``hash`` names the blob, ``size`` is its length in bytes, and ``media`` says how the
    bytes become the value again: ``text`` (UTF-8, lone surrogates passed through) or ``json``.
    """

    hash: str
    size: int
    media: str


def dumps(value: Any) -> str:
    """Encode ``value`` as one line of ASCII JSON; `loads` gives an equal value back.

    ``value`` consists of dicts with string keys, lists, strings, numbers, booleans and
    None. Raises TypeError for anything else.
    """
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        return dumps_with_blobs(value)
    if '"$' in text or _is_deep(value, text):
        return dumps_with_blobs(value)
    return text


def loads(text: str | bytes, blob: Callable[[BlobRef], Any] | None = None) -> Any:
    """Decode what `dumps` wrote. ``blob`` turns a `BlobRef` into its value; without it
    the `BlobRef` itself is returned in its place. Raises ValueError on malformed text.
    """
    value = json.loads(text)
    wrapped = b'"$' in text if isinstance(text, bytes) else '"$' in text
    return unwrap(value, blob) if wrapped else value


def unwrap(value: Any, blob: Callable[[BlobRef], Any] | None = None) -> Any:
    """Undo the ``$`` wrappers in a decoded JSON value (see `loads`)."""
    if isinstance(value, list):
        return [unwrap(item, blob) for item in value]
    if not isinstance(value, dict):
        return value
    if "$blob" in value and set(value) == {"$blob", "size", "media"}:
        ref = BlobRef(value["$blob"], value["size"], value["media"])
        return ref if blob is None else blob(ref)
    if len(value) == 1:
        ((key, inner),) = value.items()
        if key == "$float":
            return float(inner)
        if key == "$int":
            return int(inner, 16)
        if key == "$flat":
            return _unflatten(inner, blob)
        if key == "$esc":
            return {name: unwrap(item, blob) for name, item in inner.items()}
    return {name: unwrap(item, blob) for name, item in value.items()}


def wrap_blob(ref: BlobRef) -> dict[str, Any]:
    """The wrapper that stands for ``ref`` in an encoded payload."""
    return {"$blob": ref.hash, "size": ref.size, "media": ref.media}


def dumps_with_blobs(value: Any) -> str:
    """`dumps` for a value in which `BlobRef` stand for parts that lie in blobs."""
    wrapped = _flatten(value) if _depth_exceeds(value) else _wrap(value)
    return json.dumps(wrapped, allow_nan=False, separators=(",", ":"))


def _is_deep(value: Any, text: str) -> bool:
    """Is ``value`` nested deeper than `MAX_DEPTH`? Counting brackets rules it out quickly."""
    return text.count("{") + text.count("[") > MAX_DEPTH and _depth_exceeds(value)


def _depth_exceeds(root: Any) -> bool:
    level = [root]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for value in level
            if isinstance(value, (dict, list, tuple))
            for child in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return False
    return True


def _is_reserved(value: dict[str, Any]) -> bool:
    """Would `unwrap` take this object of the user's for one of our wrappers?"""
    if len(value) == 1:
        return next(iter(value)).startswith("$")
    return set(value) == {"$blob", "size", "media"}


def _wrap_scalar(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, int) and not -_HUGE_INT < value < _HUGE_INT:
        return {"$int": hex(value)}
    return value


def _wrap(value: Any) -> Any:
    if isinstance(value, BlobRef):
        return wrap_blob(value)
    if isinstance(value, (list, tuple)):
        return [_wrap(item) for item in value]
    if isinstance(value, dict):
        wrapped = {name: _wrap(item) for name, item in value.items()}
        return {"$esc": wrapped} if _is_reserved(value) else wrapped
    return _wrap_scalar(value)


def _flatten(root: Any) -> dict[str, Any]:
    """``root`` as a flat list of its containers, innermost first, so that no reader needs
    a deep stack. A container inside another is written as ``{"$at": index}``; the last item
    of the list is the value itself.
    """
    items: list[Any] = []
    place: dict[int, int] = {}

    def child(value: Any) -> Any:
        if isinstance(value, BlobRef):
            return wrap_blob(value)
        if isinstance(value, (dict, list, tuple)):
            return {"$at": place[id(value)]}
        return _wrap_scalar(value)

    stack: list[tuple[Any, bool]] = [(root, False)]
    while stack:
        value, ready = stack.pop()
        if isinstance(value, BlobRef) or not isinstance(value, (dict, list, tuple)):
            continue
        if id(value) in place:
            continue
        if not ready:
            stack.append((value, True))
            children = value.values() if isinstance(value, dict) else value
            stack.extend((item, False) for item in children)
            continue
        if isinstance(value, dict):
            items.append({name: child(item) for name, item in value.items()})
        else:
            items.append([child(item) for item in value])
        place[id(value)] = len(items) - 1
    return {"$flat": items}


def _unflatten(items: list[Any], blob: Callable[[BlobRef], Any] | None) -> Any:
    built: list[Any] = []

    def child(value: Any) -> Any:
        if isinstance(value, dict) and "$at" in value:
            return built[value["$at"]]
        return unwrap(value, blob)

    for item in items:
        if isinstance(item, dict):
            built.append({name: child(value) for name, value in item.items()})
        else:
            built.append([child(value) for value in item])
    return built[-1]

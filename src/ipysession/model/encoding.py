"""JSON text that gives back exactly the value it was made from.

Plain JSON cannot hold NaN and infinities, integers beyond what a reader's number
type holds, or nesting deeper than a reader's stack. Such values are wrapped in an
object with a single key that begins with ``$``; everything else is plain JSON, in
ASCII, so one byte is one character and U+2028 or a lone surrogate cannot break a line.

======================  =====================================================
``{"$float": "nan"}``   ``nan``, ``inf`` or ``-inf``
``{"$int": "0x…"}``     an integer with more than 640 decimal digits, in hex
``{"$flat": […]}``      a value nested deeper than 64 levels, as the flat list of its
                        containers, innermost first; ``{"$at": 3}`` inside stands for
                        the container at index 3, the last one is the value
``{"$esc": {…}}``       an object of the user's that looks like a wrapper
``{"$blob": "…", …}``   a part that lies in a blob (see `BlobRef`)
======================  =====================================================
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

MAX_DEPTH = 64
"""Levels of nesting that are written as plain JSON."""

_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
"""What `json.dumps` makes anew for each call that gives options: a quarter of its time for a tiny
record."""

_HUGE_INT = 10**640
"""Python turns this many digits into text however its limit is set; beyond, we use hex."""

_BLOB_KEYS = {"$blob", "size", "media"}

_DIGITS_THAT_READERS_TAKE = 4300
"""Python's limit where nobody changed it."""


class BlobRef(NamedTuple):
    """Stands in a payload for a part that lies in a blob.

    ``hash`` names the blob, ``size`` is its length in bytes, and ``media`` says how the
    bytes become the value again: ``text`` (UTF-8, lone surrogates passed through) or ``json``.
    """

    hash: str
    size: int
    media: str


Resolve = Callable[[BlobRef], Any]
"""Fetches the value that a reference stands for."""


def dumps(value: Any) -> str:
    """Encode ``value`` as one line of ASCII JSON; `loads` gives an equal value back.

    ``value`` consists of dicts with string keys, lists, strings, numbers, booleans and
    None. Raises TypeError for anything else. (Tuples become lists, and keys that are
    numbers become strings, as JSON has it.)
    """
    try:
        text = _encode(value)
    except (ValueError, RecursionError):
        return dumps_with_blobs(value)
    if '"$' in text or _is_deep(value, text) or _digits_are_unlimited():
        return dumps_with_blobs(value)
    return text


def loads(text: str | bytes, blob: Resolve | None = None, *, unwrapping: bool = True) -> Any:
    """Decode what `dumps` wrote. ``blob`` turns a `BlobRef` into its value; without it
    the `BlobRef` itself is returned in its place. Without ``unwrapping`` the wrappers are
    returned as they stand. Raises ValueError on malformed text.
    """
    try:
        value = json.loads(text)
        wrapped = b'"$' in text if isinstance(text, bytes) else '"$' in text
        return _unwrap(value, blob) if wrapped and unwrapping else value
    except (TypeError, AttributeError, IndexError, RecursionError) as error:
        # A wrapper that holds what we never wrote, or nesting that we never wrote.
        message = f"not a value that ipysession wrote: {error}"
        raise ValueError(message) from error


def _unwrap(value: Any, blob: Resolve | None) -> Any:
    """Undo the ``$`` wrappers in a decoded JSON value (see `loads`)."""
    if isinstance(value, list):
        return [_unwrap(item, blob) for item in value]
    if not isinstance(value, dict):
        return value
    if "$blob" in value and set(value) == _BLOB_KEYS:
        ref = BlobRef(str(value["$blob"]), int(value["size"]), str(value["media"]))
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
            return {name: _unwrap(item, blob) for name, item in inner.items()}
    return {name: _unwrap(item, blob) for name, item in value.items()}


def _wrap_blob(ref: BlobRef) -> dict[str, Any]:
    """The wrapper that stands for ``ref`` in an encoded payload."""
    return {"$blob": ref.hash, "size": ref.size, "media": ref.media}


def dumps_with_blobs(value: Any) -> str:
    """`dumps` for a value in which `BlobRef` stand for parts that lie in blobs."""
    wrapped = _flatten(value) if _depth_exceeds(value) else _wrap(value)
    try:
        return _encode(wrapped)
    except ValueError as error:
        message = f"a key that is no text: {error}"  # all else that JSON lacks was wrapped
        raise TypeError(message) from error


def _digits_are_unlimited() -> bool:
    """Did the user lift Python's limit? Then a plain number might have more digits than any
    other process would read.
    """
    limit = sys.get_int_max_str_digits()
    return limit == 0 or limit > _DIGITS_THAT_READERS_TAKE


def _is_deep(value: Any, text: str) -> bool:
    """Is ``value`` nested deeper than `MAX_DEPTH`? Counting brackets rules it out quickly."""
    return text.count("{") + text.count("[") > MAX_DEPTH and _depth_exceeds(value)


def _depth_exceeds(root: Any) -> bool:
    level = [root] if isinstance(root, (dict, list, tuple)) else []
    for _ in range(MAX_DEPTH + 1):
        # By identity, so that a container that stands in many places is looked at once.
        children = {
            id(child): child
            for value in level
            for child in (value.values() if isinstance(value, dict) else value)
            if isinstance(child, (dict, list, tuple))
        }
        if not children:
            return False
        level = list(children.values())
    return True


def _is_reserved(value: dict[Any, Any]) -> bool:
    """Would `loads` take this object of the user's for one of our wrappers?"""
    if len(value) == 1:
        (key,) = value
        return isinstance(key, str) and key.startswith("$")
    return set(value) == _BLOB_KEYS


def _wrap_scalar(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": float.__repr__(value)}
    if isinstance(value, int) and not -_HUGE_INT < value < _HUGE_INT:
        return {"$int": hex(value)}
    return value


def _wrap(value: Any) -> Any:
    if isinstance(value, BlobRef):
        return _wrap_blob(value)
    if isinstance(value, (list, tuple)):
        return [_wrap(item) for item in value]
    if isinstance(value, dict):
        wrapped = {name: _wrap(item) for name, item in value.items()}
        return {"$esc": wrapped} if _is_reserved(value) else wrapped
    return _wrap_scalar(value)


def _flatten(root: Any) -> dict[str, Any]:
    """``root`` as a flat list of its containers, innermost first, so that no reader needs
    a deep stack. A container inside another is written as ``{"$at": index}``; the last item
    of the list is the value itself. Raises TypeError where a container holds itself.
    """
    items: list[Any] = []
    place: dict[int, int] = {}

    def child(value: Any) -> Any:
        if isinstance(value, BlobRef):
            return _wrap_blob(value)
        if isinstance(value, (dict, list, tuple)):
            return {"$at": place[id(value)]}
        return _wrap_scalar(value)

    opened: set[int] = set()
    stack: list[tuple[Any, bool]] = [(root, False)]
    while stack:
        value, children_placed = stack.pop()
        if children_placed:
            place[id(value)] = len(items)
            if isinstance(value, dict):
                items.append({name: child(item) for name, item in value.items()})
            else:
                items.append([child(item) for item in value])
        elif isinstance(value, (dict, list, tuple)) and id(value) not in place:
            if isinstance(value, BlobRef):
                continue
            if id(value) in opened:
                message = f"a {type(value).__name__} that contains itself cannot be recorded"
                raise TypeError(message)
            opened.add(id(value))
            stack.append((value, True))
            children = value.values() if isinstance(value, dict) else value
            stack.extend((item, False) for item in children)
    return {"$flat": items}


def _unflatten(items: list[Any], blob: Resolve | None) -> Any:
    built: list[Any] = []

    def child(value: Any) -> Any:
        if isinstance(value, dict) and "$at" in value:
            return built[value["$at"]]
        return _unwrap(value, blob)

    for item in items:
        if isinstance(item, dict):
            built.append({name: child(value) for name, value in item.items()})
        else:
            built.append([child(value) for value in item])
    return built[-1]

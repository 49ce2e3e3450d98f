"""A trial of what was saved: loaded into a scratch namespace, is it what it was?

A value may pickle and not load, or load as something else. The trial costs idle time, so small
groups are tried, and each type once.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ipysession.checkpoint import pickling
from ipysession.checkpoint.modules import is_library

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEPTH = 6
_LOOKS = 2_000


def loads_as_it_was(stream: bytes, values: Mapping[str, Any]) -> str:
    """Why a group pickled as ``stream`` does not load as ``values``; empty where it does."""
    if any(isinstance(value, type) for value in values.values()):
        return ""  # loading a class for its own sake would set the attributes of the living one
    try:
        loaded = pickling.loads(stream, {})
    except Exception as error:  # noqa: BLE001 - loading runs code that may raise anything
        return f"it pickles but does not load: {type(error).__name__}: {error}"[:300]
    looks = [_LOOKS]
    for name, value in values.items():
        if not _alike(value, loaded.get(name), _DEPTH, looks):
            return "it pickles but loads as something else"
    return ""


def _alike(one: Any, other: Any, depth: int, looks: list[int]) -> bool:
    """Do both look the same, as far as types, sizes, attributes and plain values tell?"""
    looks[0] -= 1
    if one is other or depth == 0 or looks[0] < 0:
        return True
    kind = type(one)
    if kind is not type(other):
        return False
    if kind in (int, str, bytes, bool, complex):
        return bool(one == other)
    if kind is float:
        return bool(one == other or (one != one and other != other))  # noqa: PLR0124 - NaN
    if kind in (list, tuple):
        return len(one) == len(other) and all(
            _alike(a, b, depth - 1, looks) for a, b in zip(one, other, strict=True)
        )
    if kind is dict:
        return len(one) == len(other) and all(
            _alike(a, b, depth - 1, looks)
            for pair in zip(one.items(), other.items(), strict=True)
            for a, b in zip(*pair, strict=True)
        )
    if kind in (set, frozenset):
        return len(one) == len(other)
    numpy = sys.modules.get("numpy")
    if numpy is not None and kind is numpy.ndarray:
        return bool(one.dtype == other.dtype and one.shape == other.shape)
    if is_library(kind.__module__):
        # Libraries keep caches, counters and what they make anew: who could tell these apart?
        return True
    held, theirs = getattr(one, "__dict__", None), getattr(other, "__dict__", None)
    if type(held) is dict and type(theirs) is dict:
        # A class may leave out what it makes anew; what it restores is to be what it was.
        return all(
            _alike(held[key], theirs[key], depth - 1, looks) for key in held.keys() & theirs.keys()
        )
    return True

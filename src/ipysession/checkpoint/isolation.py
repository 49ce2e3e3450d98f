"""Proof by reference counts that nothing else can reach some objects: all references to them are
their own and the namespace's. What has no such proof may be shared with anything.
"""

from __future__ import annotations

import gc
import sys
from itertools import chain
from typing import TYPE_CHECKING, Any

from ipysession.lineage import identity

if TYPE_CHECKING:
    from collections.abc import Mapping


def stand_alone(items: list[Any], namespace: Mapping[str, Any]) -> bool:
    """Do only ``items`` themselves, the namespace, and IPython's memory of outputs refer to
    ``items``? Each is in the list once, and no other list of the caller's holds it.

    An object that holds others unseen by the garbage collector makes it False, never True.
    """
    known = dict.fromkeys(map(identity, items), 0)
    links = _tuples_between(items, known)
    _count(known, items, links, namespace)
    return all(
        sys.getrefcount(item) == known[identity(item)] + _HELD_BY_LOOP
        for held in (items, links)
        for item in held
    )


def _count(
    known: dict[int, int], items: list[Any], links: list[Any], namespace: Mapping[str, Any]
) -> None:
    """Count the references that are accounted for. (In a function of its own, whose variables
    refer to nothing any more when it has returned.)
    """
    outputs: Any = namespace.get("_oh")
    shown = outputs.values() if type(outputs) is dict else ()
    for value in chain(namespace.values(), shown):
        if identity(value) in known:
            known[identity(value)] += 1
    for item in chain(items, links):
        for part in gc.get_referents(item):
            if identity(part) in known:
                known[identity(part)] += 1


def _tuples_between(items: list[Any], known: dict[int, int]) -> list[Any]:
    """The tuples inside of ``items`` that are none of them, such as a function's closure: they
    must stand alone, too.
    """
    found: list[Any] = []
    for item in items:
        for part in gc.get_referents(item):
            if type(part) is tuple and part and identity(part) not in known:
                known[identity(part)] = 0
                found.append(part)
    return found


def _calibrated() -> int:
    """How many references the list and the loop above add, which differs between Pythons."""
    items = [[0]]
    return next(sys.getrefcount(item) for item in items)


_HELD_BY_LOOP = _calibrated()

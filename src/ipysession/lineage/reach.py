"""From names in a cell's code to every name that the cell can reach by running.

A function that the cell uses contributes the globals that its code uses, and so do the
methods of a class from the notebook and of its instances; all transitively. Looking at the
namespace costs the user's code nothing: nothing is wrapped or traced.
"""

from __future__ import annotations

import functools
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from ipysession.lineage.callables import held_by_callable, held_by_instance
from ipysession.lineage.identity import identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_WIDTH = 200
"""Members of a container or object that are looked at; a wider one counts as a whole."""


def reachable_names(
    names: Iterable[str], namespace: Mapping[str, Any]
) -> tuple[frozenset[str], bool]:
    """The names of ``namespace`` that code using ``names`` can reach, and whether that code
    may reach any name (it calls ``exec`` or the like somewhere).
    """
    found: set[str] = set()
    unbounded = False
    seen: set[int] = set()
    todo = [name for name in names if name in namespace]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        for function in _functions(namespace[name], namespace, seen):
            used, any_name = code_globals(function.__code__)
            unbounded = unbounded or any_name
            todo.extend(other for other in used if other in namespace and other not in found)
    return frozenset(found), unbounded


@functools.lru_cache(maxsize=4096)
def code_globals(code: CodeType) -> tuple[frozenset[str], bool]:
    """The names that ``code`` and the code inside it may use as globals (attribute names are
    among them: too many is safe), and whether it may reach any name.
    """
    used: set[str] = set()
    todo = [code]
    while todo:
        current = todo.pop()
        used.update(current.co_names)
        todo.extend(const for const in current.co_consts if isinstance(const, CodeType))
    unbounded = bool(used & {"exec", "eval", "globals", "run_line_magic", "run_cell_magic"})
    return frozenset(used), unbounded


_PLAIN = (str, bytes, int, float, complex, type(None))


def _functions(value: Any, namespace: Mapping[str, Any], seen: set[int]) -> Iterator[FunctionType]:
    """Functions of the notebook that ``value`` is, holds or is made by."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, _PLAIN) or identity(item) in seen or item is namespace:
            continue
        seen.add(identity(item))
        if isinstance(item, FunctionType) and (
            item.__globals__ is namespace or item.__module__ == "__main__"
        ):
            yield item
        todo.extend(_held(item))


def _held(item: Any) -> Iterable[Any]:
    """What ``item`` holds that may be, or lead to, a function of the notebook."""
    held = held_by_callable(item)
    if held is not None:
        return held
    if isinstance(item, type):
        return (*vars(item).values(), *item.__mro__[1:]) if item.__module__ == "__main__" else ()
    if type(item) in (list, tuple, set, frozenset):
        return item if len(item) <= _WIDTH else ()
    if type(item) is dict:
        return item.values() if len(item) <= _WIDTH else ()
    return held_by_instance(item, _WIDTH)

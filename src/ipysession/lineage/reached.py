"""From what a cell loads to all that running it can reach, at the versions that stand there now.

A function that the cell uses contributes the globals that its code uses, and so do methods,
closures, decorators, default arguments, generators, threads and tasks that have not ended; all
transitively. Looking costs the user's code nothing: nothing is wrapped or traced.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from types import (
    AsyncGeneratorType,
    BuiltinFunctionType,
    CodeType,
    CoroutineType,
    FunctionType,
    GeneratorType,
    ModuleType,
)
from typing import TYPE_CHECKING, Any

from ipysession.lineage.callables import held_by_callable, held_by_instance
from ipysession.lineage.code import Use, function_use
from ipysession.lineage.identity import identity
from ipysession.lineage.kinds import is_bound

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_WIDTH = 200
"""Members of a container or object that are looked at."""
_MOST = 2_000
"""Objects that are looked at in all."""
_PLAIN = frozenset({str, bytes, int, float, complex, bool, type(None)})
_ANY_NAME = frozenset({"exec", "eval", "globals", "get_ipython"})


@dataclass(slots=True)
class Reached:
    """What running a cell can reach."""

    names: dict[str, str] = field(default_factory=dict)
    """Names whose values from before the cell it may use, and how it comes to them: ``code`` or
    ``calls``."""
    through: set[str] = field(default_factory=set)
    """Names that functions use."""
    touched: set[str] = field(default_factory=set)
    """All names that it may use, those that it bound itself among them."""
    use: Use = field(default_factory=Use)
    """All of the code that it can reach."""
    libraries: set[str] = field(default_factory=set)
    """Packages that the objects come from."""
    modules: dict[str, ModuleType] = field(default_factory=dict)
    """Modules that it names, or whose functions it can call, by their names."""
    unbounded: bool = False
    spared: bool = False
    """Methods were left out that no code mentions."""


def reached(
    loads: Mapping[str, frozenset[str]],
    namespace: Mapping[str, Any],
    use: Use,
) -> Reached:
    """What a cell reaches that ``loads`` these names (each with those that it had bound by then)
    and whose own code is ``use``.

    Of the methods of a class only those count that some code mentions, as long as no library
    is there that could call others of them by its own rules.
    """
    found = _Search(namespace, use, wary=True).run(loads)
    if found.spared and not found.libraries <= _OWN:
        return _Search(namespace, use, wary=False).run(loads)
    return found


_OWN = frozenset({"builtins", "__main__"})


class _Search:
    def __init__(self, namespace: Mapping[str, Any], use: Use, *, wary: bool) -> None:
        self._namespace = namespace
        self._found = Reached(use=use)
        self._wary = wary
        self._next: dict[str, frozenset[str]] = {}
        """Of each name those that the functions which it holds use."""
        self._looked = 0

    def run(self, loads: Mapping[str, frozenset[str]]) -> Reached:
        found = self._found
        attributes = -1
        while attributes != len(found.use.attributes):
            # Code that is reached may mention more methods; those may reach more.
            attributes = len(found.use.attributes)
            found.spared = False
            self._next.clear()
            self._looked = 0
            for name, bound in loads.items():
                if name in self._namespace:
                    self._take(name, bound)
            if not found.spared:
                break
        return found

    def _take(self, name: str, bound: frozenset[str]) -> None:
        found = self._found
        if name not in bound:
            found.names[name] = "code"
        todo = [name]
        seen = {name}
        while todo:
            current = todo.pop()
            found.touched.add(current)
            if current not in self._next:
                self._next[current] = self._used_by(current)
            for other in self._next[current]:
                if other in seen or other not in self._namespace:
                    continue
                seen.add(other)
                todo.append(other)
                found.through.add(other)
                if other not in bound:
                    found.names.setdefault(other, "calls")

    def _used_by(self, name: str) -> frozenset[str]:
        """The globals that functions use which the value of ``name`` is, holds or is made by."""
        value = self._namespace[name]
        if type(value) in _PLAIN:
            return frozenset()
        used: set[str] = set()
        seen: set[int] = set()
        todo: list[Any] = [value]
        while todo and self._looked < _MOST:
            item = todo.pop()
            if type(item) in _PLAIN or identity(item) in seen or item is self._namespace:
                continue
            self._looked += 1
            seen.add(identity(item))
            self._note(item)
            if isinstance(item, FunctionType):
                used |= self._code(item.__code__, item.__globals__, item.__module__)
            elif isinstance(item, (GeneratorType, CoroutineType, AsyncGeneratorType)):
                code, scope = _running(item)
                if code is not None:
                    used |= self._code(code, scope, "")
            for kind in (item, type(item)) if isinstance(item, type) else (type(item),):
                if kind.__module__ == "__main__" and self._namespace.get(kind.__name__) is kind:
                    used.add(kind.__name__)
            todo.extend(self._held(item))
        return frozenset(used)

    def _code(self, code: CodeType, scope: Mapping[str, Any], module: str) -> frozenset[str]:
        found = self._found
        use = function_use(code)
        if scope is not self._namespace and module != "__main__":
            name = scope.get("__name__", "")
            if name in self._users_modules(scope, name):
                found.use |= use
            return frozenset()
        found.use |= use
        found.unbounded = found.unbounded or bool(use.loads & _ANY_NAME)
        return use.loads | use.stores

    def _users_modules(self, scope: Mapping[str, Any], name: str) -> tuple[str, ...]:
        import sys

        module = sys.modules.get(name)
        if module is None or vars(module) is not scope:
            return ()
        self._found.modules[name] = module
        return (name,)

    def _note(self, item: Any) -> None:
        found = self._found
        if isinstance(item, ModuleType):
            found.modules[item.__name__] = item
            found.libraries.add(item.__name__.partition(".")[0])
            return
        origin = (
            getattr(item, "__module__", None)
            if isinstance(item, (type, FunctionType))
            else type(item).__module__
        )
        if isinstance(origin, str):
            found.libraries.add(origin.partition(".")[0])

    def _held(self, item: Any) -> Iterable[Any]:
        """What ``item`` holds that may be, or lead to, a function of the notebook."""
        held = held_by_callable(item)
        if held is not None:
            return held
        match item:
            case BuiltinFunctionType():
                return (item.__self__,) if is_bound(item) else ()
            case type():
                return self._held_by_class(item)
            case threading.Thread():
                known = vars(item)
                called = (known.get("_target"), *(known.get("_args") or ()))
                of_timer = (known.get("function"), *(known.get("args") or ()))
                return (*called, *of_timer, type(item))
        if type(item) in (list, tuple, set, frozenset):
            return list(item)[:_WIDTH] if len(item) <= _WIDTH * 10 else ()
        if type(item) is dict:
            return list(item.values())[:_WIDTH] if len(item) <= _WIDTH * 10 else ()
        return self._held_by_instance(item)

    def _held_by_class(self, kind: type) -> Iterator[Any]:
        if kind.__module__ != "__main__":
            return
        wary = self._wary and all(base.__module__ in _OWN for base in kind.__mro__)
        for name, value in vars(kind).items():
            special = name.startswith("__") and name.endswith("__")
            if not wary or special or name in self._found.use.attributes:
                yield value
            else:
                self._found.spared = True
        yield from kind.__mro__[1:]

    def _held_by_instance(self, item: Any) -> Iterator[Any]:
        kind = type(item)
        yield from held_by_instance(item, _WIDTH)
        if kind.__module__ == "logging":  # its handlers and filters may be the user's
            yield from _listed(item)
        elif kind.__module__ in {"_asyncio", "asyncio.tasks"} and hasattr(item, "get_coro"):
            yield item.get_coro()
        elif kind.__module__ == "builtins" and kind.__name__ in {"map", "filter", "zip"}:
            import gc

            yield from gc.get_referents(item)


def _listed(item: Any) -> Iterator[Any]:
    for name in ("handlers", "filters"):
        listed = getattr(item, name, None)
        if isinstance(listed, list):
            yield from listed
    parent = getattr(item, "parent", None)
    if parent is not None and getattr(item, "propagate", False):
        yield parent


def _running(item: Any) -> tuple[CodeType | None, Mapping[str, Any]]:
    """The code of a generator or coroutine, and the globals that it runs with."""
    for prefix in ("gi", "cr", "ag"):
        frame = getattr(item, f"{prefix}_frame", None)
        if frame is not None:
            return getattr(item, f"{prefix}_code"), frame.f_globals
    return None, {}

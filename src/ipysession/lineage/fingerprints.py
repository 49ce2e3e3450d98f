"""What a value looks like, so that a change in place can be told: whole, and part by part.

For values of moderate size only: larger ones are compared by the checkpointer, which reads
them anyway. Nothing of a value is kept, and none of its own code runs. What cannot be looked
into (a connection, an axes, a lock, an iterator of a library's) counts as changed whenever it is
touched.
"""

from __future__ import annotations

import functools
import gc
import random
import sys
import time
from collections import Counter, OrderedDict, defaultdict, deque
from contextvars import ContextVar
from dataclasses import dataclass
from types import (
    BuiltinFunctionType,
    FunctionType,
    MappingProxyType,
    MethodType,
    SimpleNamespace,
)
from typing import TYPE_CHECKING, Any

from ipysession.lineage.identity import identity, library_of
from ipysession.lineage.kinds import (
    ATOMS,
    NUMBERS,
    instance_dict,
    is_atom,
    is_container,
    is_numbers,
    is_of_python,
    is_users,
    registered_with,
)
from ipysession.lineage.paused import place_of
from ipysession.lineage.things import attribute, item

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_MOST_NODES = 1_500
_MOST_ATOMS = 20_000
_MOST_BYTES = 1 << 18
_MOST_PARTS = 64
"""Parts of a dict, an object or a table that are told apart; of more, none is."""

_CALLED = (
    FunctionType, BuiltinFunctionType, MethodType, functools.partial, staticmethod, classmethod,
    property,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Print:
    """A fingerprint. Two that are equal and not opaque mean that nothing changed."""

    whole: int
    """Of all that is not in a part."""
    parts: dict[str, int] | None
    """Of each part, as things call it without the name: ``['a']``, ``.count``. None where parts
    are not told apart."""
    opaque: bool
    """It cannot be seen whether it changed."""
    unsure: bool
    """It was too large to look at."""
    shared: frozenset[int]
    """Identities of objects in it that can change: whoever shares one may change with it."""
    complete: bool = True
    """``shared`` are all of them."""


class _TooLargeError(Exception):
    """A value is larger than the budget."""


def fingerprint(value: Any, namespace: Mapping[str, Any], deadline: float) -> Print:
    """Look at ``value``; past ``deadline`` (by `time.perf_counter`) it counts as too large."""
    eye = _Eye(namespace, deadline)
    try:
        whole, parts = eye.look(value)
    except _TooLargeError:
        return Print(
            0, None, opaque=False, unsure=True, shared=frozenset(eye.shared),
            complete=is_numbers(value),
        )  # fmt: skip
    except Exception:  # noqa: BLE001 - a library's object may refuse anything: it is opaque then
        return Print(0, None, opaque=True, unsure=False, shared=frozenset(eye.shared))
    return Print(whole, parts, eye.opaque, unsure=False, shared=frozenset(eye.shared))


class _Eye:
    """Looks at one value."""

    def __init__(self, namespace: Mapping[str, Any], deadline: float) -> None:
        self._namespace = namespace
        self._deadline = deadline
        self._nodes = 0
        self._seen: dict[int, int] = {}
        self._alive: list[Any] = []
        self.shared: set[int] = set()
        self.opaque = False

    def look(self, value: Any) -> tuple[int, dict[str, int] | None]:
        kind = type(value)
        if (
            kind in (dict, OrderedDict, defaultdict, Counter)
            and 0 < len(value) <= _MOST_PARTS
            and all(type(key) in (str, int) for key in value)
        ):
            self._enter(value)
            parts = {item("", key): self.mix(held) for key, held in value.items()}
            return hash((kind, self._factory(value))), parts
        if is_users(kind) or kind is SimpleNamespace:
            held = instance_dict(value)
            if held is not None and len(held) <= _MOST_PARTS and not is_container(value):
                self._enter(value)
                rest = (identity(kind), self._class_of(value), self._slots(value))
                return hash(rest), {attribute("", name): self.mix(v) for name, v in held.items()}
        elif kind.__name__ == "DataFrame" and library_of(kind) == "pandas":
            return self._table(value)
        return self.mix(value), None

    def mix(self, value: Any) -> int:
        """A number that differs where the value does, nearly surely."""
        kind = type(value)
        if kind in ATOMS:
            # Python gives -1 and -2 the same hash.
            return hash((kind, value, kind in NUMBERS and value == -1))
        self._nodes += 1
        if self._nodes > _MOST_NODES or (
            self._nodes % 256 == 0 and time.perf_counter() > self._deadline
        ):
            raise _TooLargeError
        if kind is tuple:
            return hash((kind, self._all(value)))
        if value is self._namespace:
            return 1
        known = self._seen.get(identity(value))
        if known is not None:
            return hash((kind, known))
        if is_atom(value):
            return self._unchanging(value)
        self._enter(value)
        if kind in (list, deque):
            return hash((kind, self._all(value)))
        if kind in (dict, OrderedDict, defaultdict, Counter, MappingProxyType):
            return hash((kind, self._all(value), self._all(value.values()), self._factory(value)))
        if kind in (set, frozenset):
            return hash((kind, frozenset(map(self.mix, value))))
        if kind is bytearray:
            return hash((kind, bytes(value))) if len(value) <= _MOST_BYTES else self._too_large()
        return self.mix(value.obj) if kind is memoryview else self._object(value, kind)

    def _enter(self, value: Any) -> None:
        self._seen[identity(value)] = len(self._seen)
        self._alive.append(value)
        self.shared.add(identity(value))

    def _too_large(self) -> int:
        raise _TooLargeError

    def _all(self, items: Collection[Any]) -> int:
        count = len(items)
        if count > _MOST_ATOMS:
            raise _TooLargeError
        kinds = tuple(map(type, items))
        if ATOMS.issuperset(kinds):
            ones: tuple[int, ...] = ()
            if not NUMBERS.isdisjoint(kinds) and -1 in items:
                ones = tuple(i for i, number in enumerate(items) if number == -1)  # as in `mix`
            return hash((kinds, tuple(items), ones))
        return hash(tuple(map(self.mix, items)))

    def _factory(self, value: Any) -> int:
        return self.mix(value.default_factory) if type(value) is defaultdict else 0

    def _unchanging(self, value: Any) -> int:
        try:
            return hash((type(value), value))
        except TypeError:
            return identity(value)

    def _object(self, value: Any, kind: type) -> int:
        if isinstance(value, _CALLED):
            return self._callable(value, kind)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, random.Random):
            return hash(value.getstate())
        if isinstance(value, ContextVar):
            return self.mix(value.get(None))
        place = place_of(value)
        if place is not None:
            return hash((kind, place[0], *map(self.mix, place[1])))
        library = library_of(kind)
        if library == "numpy":
            return self._of_numpy(value)
        if library == "pandas":
            whole, parts = self._table(value)
            return hash((whole, *(parts or {}).values()))
        if library == "functools" and hasattr(value, "cache_info"):
            info = value.cache_info()
            return hash((info.misses, info.currsize, self.mix(value.__wrapped__)))
        if library in ("matplotlib", "mpl_toolkits") and hasattr(value, "figure"):
            return self._opaque(getattr(value, "figure", None))
        held = instance_dict(value)
        if held is not None and is_of_python(kind):
            return hash(
                (identity(kind), self._class_of(value), self._slots(value), self._all(held),
                 self._all(held.values()), self._contents(value))
            )  # fmt: skip
        if is_users(kind):
            return hash((identity(kind), self._slots(value), self._contents(value)))
        return self._opaque(*gc.get_referents(value)[:50])

    def _callable(self, value: Any, kind: type) -> int:
        if isinstance(value, BuiltinFunctionType):
            return hash((kind, value.__name__, self.mix(value.__self__)))
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, MethodType):
            return hash((self.mix(value.__func__), self.mix(value.__self__)))
        if isinstance(value, functools.partial):
            return hash((self.mix(value.func), self.mix(value.args), self.mix(value.keywords)))
        if isinstance(value, (staticmethod, classmethod)):
            return hash((kind, self.mix(value.__func__)))
        return hash((kind, *map(self.mix, (value.fget, value.fset, value.fdel))))

    def _opaque(self, *near: Any) -> int:
        """It cannot be looked into; what lies ``near`` it may change with it."""
        self.opaque = True
        todo = [(other, True) for other in near]
        while todo:
            other, further = todo.pop()
            if is_atom(other) or other is self._namespace:
                continue
            self.shared.add(identity(other))
            self._alive.append(other)
            if further and hasattr(type(other), "__next__"):
                # A generator holds an iterator, which holds the list.
                todo += [(inner, False) for inner in gc.get_referents(other)[:20]]
        return 0

    def _function(self, value: FunctionType) -> int:
        if value.__globals__ is not self._namespace and value.__module__ != "__main__":
            return identity(value)
        cells = []
        for cell in value.__closure__ or ():
            self.shared.add(identity(cell))
            try:
                cells.append(self.mix(cell.cell_contents))
            except ValueError:  # a cell that is still empty
                cells.append(0)
        return hash(
            (identity(value.__code__), tuple(cells), self.mix(value.__defaults__),
             self.mix(value.__kwdefaults__), self.mix(value.__dict__), value.__doc__,
             value.__name__, value.__qualname__)
        )  # fmt: skip

    def _class(self, value: type) -> int:
        held = {
            name: part
            for name, part in vars(value).items()
            if not (name.startswith("__") and name.endswith("__"))
            or isinstance(part, (FunctionType, staticmethod, classmethod, property))
            if name != "_abc_impl"
        }
        notes = vars(value).get("__annotations__")
        registered = registered_with(value) if "_abc_impl" in vars(value) else frozenset()
        told = tuple((n, identity(a)) for n, a in notes.items()) if type(notes) is dict else ()
        said = value.__doc__ if type(value.__doc__) is str else ""
        return hash(
            (self._all(held), self._all(held.values()), value.__bases__, told, said, registered)
        )

    def _class_of(self, value: Any) -> int:
        """The class's own content, where no name leads to it any more; else the name does."""
        kind = type(value)
        if is_users(kind) and self._namespace.get(kind.__name__) is not kind:
            return self.mix(kind)
        return 0

    def _slots(self, value: Any) -> int:
        found = []
        for kind in type(value).__mro__:
            slots = kind.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if name not in ("__dict__", "__weakref__"):
                    try:
                        found.append(self.mix(object.__getattribute__(value, name)))
                    except AttributeError:
                        found.append(0)
        return hash(tuple(found))

    def _contents(self, value: Any) -> int:
        """What an instance of a class derived from a container holds."""
        kinds: tuple[Any, ...] = (list, tuple, deque, set, frozenset)
        for kind in kinds:
            if isinstance(value, kind):
                return hash(tuple(map(self.mix, kind.__iter__(value))))
        if isinstance(value, dict):
            return hash((self._all(dict.keys(value)), self._all(dict.values(value))))
        return 0

    # -- arrays and tables -------------------------------------------------------------

    def _of_numpy(self, value: Any) -> int:
        numpy: Any = sys.modules["numpy"]
        if isinstance(value, numpy.ndarray):
            return self._array(value)
        if isinstance(value, numpy.generic) and not isinstance(value, numpy.void):
            return hash((type(value), value.tobytes()))
        if isinstance(value, (numpy.dtype, numpy.ufunc)):
            return identity(value)
        generator = getattr(value, "bit_generator", value)
        state = getattr(generator, "state", None)
        if isinstance(state, dict):
            self.shared.add(identity(generator))
            return hash(repr(state))
        if type(value).__name__ == "RandomState":
            return hash(repr(value.get_state(legacy=False)))
        return self._opaque()

    def _array(self, value: Any) -> int:
        owner = value
        while owner is not None:
            self.shared.add(identity(owner))
            self._alive.append(owner)
            owner = getattr(owner, "base", None)
        if value.dtype.hasobject:
            return hash((value.shape, value.flags.writeable, self._all(value.ravel().tolist())))
        if value.nbytes > _MOST_BYTES:
            raise _TooLargeError
        return hash((value.shape, value.flags.writeable, str(value.dtype), value.tobytes()))

    def _table(self, value: Any) -> tuple[int, dict[str, int] | None]:
        """A table of pandas, its columns as parts; or a column, or an index."""
        pandas: Any = sys.modules["pandas"]
        self._enter(value)
        if isinstance(value, pandas.DataFrame):
            if value.shape[1] > _MOST_PARTS or value.size > _MOST_ATOMS:
                raise _TooLargeError
            columns = list(value.columns)
            names = self.mix(tuple(value.columns.names))
            rest = hash((self._labels(value.index), names, self._notes(value)))
            printed = [self._column(value._get_column_array(i)) for i in range(len(columns))]  # noqa: SLF001 - the public ways make copies, or caches in the user's table
            if len(set(columns)) == len(columns) and all(type(c) in (str, int) for c in columns):
                return rest, {
                    item("", name): one for name, one in zip(columns, printed, strict=True)
                }
            return hash((rest, self.mix(columns), *printed)), None
        if isinstance(value, pandas.Series):
            if value.size > _MOST_ATOMS:
                raise _TooLargeError
            parts = self._labels(value.index), self._column(value.array), self.mix(value.name)
            return hash((*parts, self._notes(value))), None
        if isinstance(value, pandas.Index):
            return self._labels(value), None
        return self._opaque(*gc.get_referents(value)[:50]), None

    def _labels(self, index: Any) -> int:
        return hash((self._column(index), self.mix(tuple(index.names))))

    def _notes(self, table: Any) -> int:
        return hash((self.mix(table.attrs), table.flags.allows_duplicate_labels))

    def _column(self, values: Any) -> int:
        if len(values) > _MOST_ATOMS:
            raise _TooLargeError
        array = getattr(values, "_ndarray", values)
        kind = type(array).__module__
        if kind.startswith("numpy") and not array.dtype.hasobject:
            return self._array(array) if array is values else self._coded(values, array)
        if type(values).__name__ == "RangeIndex":
            return hash((values.start, values.stop, values.step, values.name))
        if not kind.startswith("numpy"):
            self.shared.add(identity(array))
            self._alive.append(array)
        else:
            self._array_owner(array)
        return hash((str(values.dtype), self._all(array.tolist())))

    def _coded(self, values: Any, array: Any) -> int:
        """An array of pandas that numbers stand for: of categories, or of times."""
        kind = values.dtype
        categories = getattr(kind, "categories", None)
        if categories is None:
            return hash((str(kind), self._array(array)))
        return hash((self._column(categories), bool(kind.ordered), self._array(array)))

    def _array_owner(self, array: Any) -> None:
        while array is not None:
            self.shared.add(identity(array))
            self._alive.append(array)
            array = getattr(array, "base", None)

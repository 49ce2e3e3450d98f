"""Which names belong together: those that may share a mutable object.

A step can only create an alias between things that it reaches, so only its candidates are
looked at, and groups grow step by step. Merging too much is safe and costs only storage;
links run through mutable objects of the user, never through modules, classes from
libraries, or the namespace itself.
"""

from __future__ import annotations

import datetime as dt
import enum
import gc
import math
import sys
import weakref
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from ipysession.checkpoint.isolation import stand_alone
from ipysession.lineage import identity, library_of, module_of
from ipysession.lineage.kinds import is_bound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_BUDGET = 20_000
"""Objects that are looked at per step; past that, what is left counts as one group."""

_THOROUGH_BUDGET = 1_000_000
"""The same where it matters that things are told apart: one of them cannot be saved. Takes some
150 bytes for each object while it lasts."""

_GATE_EVERY = 1_000
"""Objects between two looks at the gate."""

_QUICK_BUDGET = 500
"""The same in a cell's own time: half a millisecond at most."""

LIGHT_BYTES = 64 * 1024
"""What seems larger is left for idle time, and saved alone."""

_FIGURE_BYTES = 1_000_000
"""About what a figure takes; for `rough_size`."""

_ATOMS = (
    type(None), bool, int, float, complex, str, bytes, range, ModuleType,
    type(Ellipsis), type(NotImplemented), CodeType, slice,
)  # fmt: skip
_COUNTED = frozenset({list, tuple, dict, set, frozenset})
_TIMES = (dt.date, dt.time, dt.timedelta, dt.tzinfo)


def is_plain(value: Any) -> bool:
    """Can ``value`` neither change nor share anything that can?"""
    kind = type(value)
    if kind in _ATOMS or isinstance(value, (ModuleType, enum.Enum)):
        return True
    if kind is BuiltinFunctionType:
        return not is_bound(value)  # `numbers.append` changes numbers
    if kind in (tuple, frozenset):
        return len(value) <= 100 and all(is_plain(item) for item in value)
    if isinstance(value, type):
        return value.__module__ != "__main__"
    return kind.__module__ != "__main__" and (
        isinstance(value, _TIMES) or _is_plain_for_libraries(value)
    )


def _is_plain_for_libraries(value: Any) -> bool:
    """The unchanging objects that arrays and tables have in common, and would link all of them."""
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if numpy is not None:
        if isinstance(value, numpy.generic):
            return not isinstance(value, numpy.void)  # a structured scalar can be written to
        if isinstance(value, numpy.dtype):
            return True
    if pandas is not None:
        kind = type(value)
        return isinstance(value, pandas.api.extensions.ExtensionDtype) or (
            kind.__name__ == "BlockPlacement" and kind.__module__ == "pandas._libs.internals"
        )
    return False


def co_variable_groups(
    names: Iterable[str],
    namespace: Mapping[str, Any],
    *,
    gate: Callable[[], None] | None = None,
) -> list[frozenset[str]]:
    """Partition ``names`` into groups that may share mutable objects.

    Names whose values are plain share nothing; they come as one group each. What could not be
    looked at may share with anything: one group for all of it, but for what is proven to be
    reached by nothing else. With a ``gate``, which is passed now and then and may raise, the look
    is a thorough one, which takes about a second for a million objects.
    """
    budget = _BUDGET if gate is None else _THOROUGH_BUDGET
    groups, unfinished, items = _partition(names, namespace, budget, gate)
    if not unfinished:
        return groups
    alone = []
    for group in groups:
        if not group.isdisjoint(unfinished):
            continue
        held = [item for name in group for item in items.pop(name)]
        if stand_alone(held, namespace):
            alone.append(group)
    merged = frozenset(name for group in groups if group not in alone for name in group)
    return [merged, *alone]


def quick_groups(names: Iterable[str], namespace: Mapping[str, Any]) -> list[frozenset[str]] | None:
    """As `co_variable_groups`, or None where more than a few objects would have to be looked at."""
    groups, unfinished, _ = _partition(names, namespace, _QUICK_BUDGET)
    return None if unfinished else groups


def _partition(
    names: Iterable[str],
    namespace: Mapping[str, Any],
    budget: int,
    gate: Callable[[], None] | None = None,
) -> tuple[list[frozenset[str]], list[str], dict[str, list[Any]]]:
    """The groups, as far as ``budget`` objects tell, the names not wholly looked at, and the
    objects that were met first behind each name.
    """
    parent: dict[str, str] = {}

    def find(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    owner: dict[int, str] = {}
    unfinished: list[str] = []
    met: dict[str, list[Any]] = {}  # keeps them alive: else an id may come to mean another
    # What is small comes first: what is large may use the budget up.
    for name in sorted(names, key=lambda name: rough_size(namespace[name])):
        parent[name] = name
        met[name] = []
        todo = [] if is_plain(namespace[name]) else [namespace[name]]
        while todo and budget > 0:
            item = todo.pop()
            if item is namespace or is_plain(item) or _links_nothing(item):
                continue
            first = owner.get(identity(item))
            if first is not None:
                parent[find(name)] = find(first)
                continue
            if type(item) in _COUNTED and len(item) > budget:
                # To list what it holds would take as long as to look at it.
                todo.append(item)
                break
            owner[identity(item)] = name
            met[name].append(item)
            budget -= 1
            if gate is not None and budget % _GATE_EVERY == 0:
                gate()
            todo.extend(_parts(item))
        if todo:
            unfinished.append(name)
    members: dict[str, set[str]] = {}
    for name in parent:
        members.setdefault(find(name), set()).add(name)
    return [frozenset(group) for group in members.values()], unfinished, met


def _links_nothing(item: Any) -> bool:
    """Is it a part of the kernel itself (a thread of the user's holds its stderr, and through that
    all there is), or memory that nobody can write to, which copies of a table share?
    """
    return module_of(type(item)).startswith(_LINKING_NOTHING)


_LINKING_NOTHING = ("ipykernel.", "IPython.terminal.", "zmq.", "tornado.", "pyarrow.lib")


def small_plain(names: Iterable[str], namespace: Mapping[str, Any]) -> list[str]:
    """Those of ``names``, in order, whose values are plain and small: they share nothing, but are
    saved together, as each of them is hardly larger than what has to be said of it.
    """
    return sorted(
        name
        for name in names
        if is_plain(namespace[name]) and rough_size(namespace[name]) <= LIGHT_BYTES
    )


def rough_size(value: Any) -> int:
    """About how many bytes ``value`` holds, from what well-known types say of themselves at no
    cost; only to put values into an order.
    """
    if isinstance(value, (list, tuple, dict, set, frozenset, bytearray)):
        return 64 * len(value)
    if isinstance(value, (str, bytes)):
        return len(value)
    if _is_drawn(value):
        return _FIGURE_BYTES
    if library_of(type(value)) not in _ARRAY_LIBRARIES:
        return 0  # asking an object of the user's may cost anything
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and all(isinstance(length, int) for length in shape):
        return 8 * math.prod(shape)
    return 0


_ARRAY_LIBRARIES = frozenset({"numpy", "pandas", "polars", "pyarrow", "scipy", "torch", "xarray"})


_OWN_THREAD = frozenset(
    {"matplotlib", "tkinter", "PyQt5", "PyQt6", "PySide2", "PySide6", "gi", "wx"}
)
"""Libraries whose objects only the thread that made them may touch."""


_OBJECT = "O"


def needs_kernel_thread(values: Iterable[Any]) -> bool:
    """Is one of ``values``, or something in a small list of them, bound to the kernel's thread?"""
    for value in values:
        items = [value]
        if type(value) in (list, tuple) and len(value) <= 100:
            items += value
        elif type(value).__module__ == "numpy" and getattr(value, "dtype", None) == _OBJECT:
            items += value.ravel()[:1].tolist()  # the axes of plt.subplots(2, 2)
        if any(library_of(type(item)) in _OWN_THREAD for item in items):
            return True
    return False


def _is_drawn(value: Any) -> bool:
    """Is it a part of a matplotlib figure?"""
    return module_of(type(value)).startswith("matplotlib.") and hasattr(value, "figure")


def shared_bases(value: Any) -> set[int] | None:
    """The identities of arrays in ``value`` whose memory more than one array shows; None where
    there is too much to look at.

    NumPy pickles a view as a copy, which breaks the sharing; a view that nobody shares its
    memory with may well be copied, which leaves a large owner behind.
    """
    shown: dict[int, int] = {}
    seen: set[int] = set()
    numpy: Any = sys.modules["numpy"]
    todo, keep_alive, budget = [value], [], _BUDGET
    while todo and budget > 0:
        item = todo.pop()
        if identity(item) in seen or is_plain(item):
            continue
        seen.add(identity(item))
        keep_alive.append(item)
        budget -= 1
        if isinstance(item, numpy.ndarray):
            owner = item if item.base is None else item.base
            shown[identity(owner)] = shown.get(identity(owner), 0) + 1
            if item.dtype.hasobject:
                todo.extend(item.ravel()[: _BUDGET + 1].tolist())
        else:
            todo.extend(_parts(item))
    if todo:
        return None
    return {owner for owner, count in shown.items() if count > 1}


def _parts(item: Any) -> list[Any]:
    """What ``item`` holds and could change or be changed through."""
    if isinstance(item, FunctionType):
        state = (item.__defaults__, item.__kwdefaults__, item.__dict__)
        return [*(item.__closure__ or ()), *filter(None, state)]
    if isinstance(item, MethodType):
        return [item.__func__, item.__self__]
    if isinstance(item, type):
        return list(vars(item).values())
    if isinstance(item, memoryview):
        return [item.obj]
    unseen = _unseen_parts(item)
    if unseen is not None:
        return unseen
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(item, numpy.ndarray):
        # A view keeps the array that owns its memory in `base`, unseen by the collector.
        # (One entry beyond the budget is enough to make it run out.)
        entries = item.ravel()[: _BUDGET + 1].tolist() if item.dtype.hasobject else []
        return [item.base, *entries]
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(item, pandas.Index):
        # Copies of a table share the labels' memory and caches; no user can write to those.
        if isinstance(item, pandas.MultiIndex):
            return list(item.levels)
        return list(item[: _BUDGET + 1]) if item.dtype == object else []
    if _is_drawn(item):
        # All parts of a figure belong together, by the figure; behind them lie thousands of
        # objects, the library's own among them, which would link all figures to one another.
        return [item.figure]
    kind = type(item)
    held = gc.get_referents(item)
    if kind.__module__ == "__main__":
        return held
    return [part for part in held if part is not kind]


def _unseen_parts(item: Any) -> list[Any] | None:
    """What ``item`` holds unseen by the garbage collector, or None where it sees all."""
    if isinstance(item, weakref.ref):
        return [item()]  # what it means must be restored with it
    if isinstance(item, weakref.WeakValueDictionary):
        return list(item.items())
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.is_tensor(item):
        return _parts_of_tensor(item)
    return None


def _parts_of_tensor(tensor: Any) -> list[Any]:
    # Others have no gradient, and warn when they are asked for it.
    grad = tensor.grad if tensor.is_leaf else None
    try:
        memory = [tensor.untyped_storage()]
    except (NotImplementedError, RuntimeError):  # a sparse one keeps several tensors
        memory = [
            getattr(tensor, part)()
            for part in ("_indices", "_values")
            if str(tensor.layout) == "torch.sparse_coo"
        ]
    return [*memory, grad, vars(tensor)]

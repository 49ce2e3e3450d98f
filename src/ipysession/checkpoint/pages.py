"""Large containers in pages: a list, dict, set or object array is pickled some thousand elements
at a time, so that an edit of one element writes one page.

A page is pickled on its own only where nothing in it that could change is shared with anything
outside it; the reference counts prove that. What cannot be proved stays in the group's pickle,
where identity is kept.
"""

from __future__ import annotations

import io
import pickle
import sys
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128

from ipysession.checkpoint.private import changeable, classes_of_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ipysession.checkpoint.pieces import Packing

PAGE_ITEMS = 2048
"""Elements of a page. Measured on 500,000 small dicts: 65 KB a page, a fifth of it when packed."""


class Paged:
    """Stands in a pickle for a large container. ``runs`` are numbers of parts, or the elements
    themselves where they are not a page; ``classes`` are those that pages name by number.
    """

    __slots__ = ("classes", "kind", "runs")

    def __init__(self, kind: str, classes: list[type], runs: list[Any]) -> None:
        self.kind = kind
        self.classes = classes
        self.runs = runs


def is_large(value: Any) -> bool:
    """Is it a container that is pickled in pages?"""
    return type(value) in (list, dict, set) and len(value) >= 2 * PAGE_ITEMS


def page_container(value: Any, packing: Packing, class_of_page: Callable[[int], type]) -> Paged:
    """Pickle a large container in pages. Nothing but names may refer to it: see `is_only_in`.

    ``class_of_page`` is the function that gives a class of the notebook when a page is loaded.
    """
    kind = type(value).__name__
    if type(value) is dict:
        keys, values = list(value), list(value.values())

        def items(start: int, end: int) -> list[Any]:
            return [*keys[start:end], *values[start:end]]

        holders = 2
    else:
        # A set gives its elements in the same order as long as it is not changed.
        ordered = value if type(value) is list else list(value)
        holders = 1 if type(value) is list else 2

        def items(start: int, end: int) -> list[Any]:
            return list(ordered[start:end])

    work = _Work(packing, holders, class_of_page)
    return Paged(kind, work.classes, work.pages(items, len(value)))


def page_array(array: Any, packing: Packing) -> Paged | None:
    """Pickle the elements of a contiguous object array in pages; None where one cannot be."""
    flat = array.ravel()

    def items(start: int, end: int) -> list[Any]:
        found: list[Any] = flat[start:end].tolist()
        return found

    work = _Work(packing, 1, None, _memory_of(flat, packing))
    runs = work.pages(items, flat.size)
    # An element that is shared may refer to the array itself, which pickle makes from its parts.
    return Paged("list", [], runs) if all(type(run) is int for run in runs) else None


@dataclass(slots=True)
class _Work:
    """Making the pages of one container."""

    packing: Packing
    holders: int
    """Lists besides the container that refer to each element while it is looked at."""
    class_of_page: Callable[[int], type] | None
    memory: _Memory | None = None
    classes: list[type] = field(default_factory=list)

    def pages(self, items: Callable[[int, int], list[Any]], count: int) -> list[Any]:
        """Numbers of parts, and the elements themselves where they cannot be a page."""
        runs: list[Any] = []
        for start in range(0, count, PAGE_ITEMS):
            self.packing.gate()
            end = min(start + PAGE_ITEMS, count)
            known = None if self.memory is None else self.memory.unchanged(start, end)
            if known is not None:
                runs.append(self.packing.again(*known))
            else:
                page = items(start, end)
                number = self._page(start, page)
                runs.append(page if number is None else number)
        return runs

    def _page(self, start: int, page: list[Any]) -> int | None:
        used = classes_of_private(page, self.holders)
        if used is None or (used and self.class_of_page is None):
            return None
        self.classes += [cls for cls in used if cls not in self.classes]
        data = _dump_page(page, self.classes, self.class_of_page)
        number = self.packing.add(data)
        if self.memory is not None:
            self.memory.keep(start, self.packing.numbered[number], data, page)
        return number


class _PagePickler(pickle.Pickler):
    """Names the notebook's classes by their number in the group's pickle, so that a class is the
    same in all pages.
    """

    def __init__(
        self, sink: io.BytesIO, classes: Sequence[type], class_of_page: Callable[[int], type]
    ) -> None:
        super().__init__(sink, protocol=5)
        self._classes = classes
        self._class_of_page = class_of_page

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, type) and obj in self._classes:
            return self._class_of_page, (self._classes.index(obj),)
        return NotImplemented


def _dump_page(
    page: list[Any], classes: Sequence[type], class_of_page: Callable[[int], type] | None
) -> bytes:
    if not classes or class_of_page is None:
        return pickle.dumps(page, 5)
    sink = io.BytesIO()
    _PagePickler(sink, classes, class_of_page).dump(page)
    return sink.getvalue()


# -- what an object array held the last time ------------------------------------------------


class _Memory:
    """An object array's elements as they were last pickled: as long as its pages hold the same
    objects, and those cannot change, nothing is pickled again. Costs 8 bytes per element.
    """

    def __init__(self, array: Any) -> None:
        # Keeps the objects alive, so that an address means one of them.
        self._array = sys.modules["numpy"].empty(array.shape, object)
        self._pages: dict[int, tuple[Any, bytes]] = {}
        self._now: Any = None

    def look(self, array: Any) -> None:
        """Compare with ``array`` from now on."""
        self._now = array

    def unchanged(self, start: int, end: int) -> tuple[Any, bytes] | None:
        """The part that holds these elements, if they are those that it was made from."""
        known = self._pages.get(start)
        if known is None:
            return None
        same = (_addresses(self._array)[start:end] == _addresses(self._now)[start:end]).all()
        return known if same else None

    def keep(self, start: int, part: Any, data: bytes, page: list[Any]) -> None:
        """The elements of ``page``, which begins at ``start``, are in ``part`` now."""
        end = start + len(page)
        if changeable(page) or len(part.pieces) != 1:
            self._pages.pop(start, None)
            self._array[start:end] = None
            return
        self._array[start:end] = self._now[start:end]
        self._pages[start] = (part, xxh3_128(data).digest())


class _Addresses:
    """Shows an object array's pointers as numbers."""

    def __init__(self, array: Any) -> None:
        self._array = array
        self.__array_interface__ = {
            "version": 3,
            "data": (array.__array_interface__["data"][0], True),
            "shape": array.shape,
            "typestr": f"<u{array.itemsize}"
            if sys.byteorder == "little"
            else f">u{array.itemsize}",
        }


def _addresses(array: Any) -> Any:
    return sys.modules["numpy"].asarray(_Addresses(array))


_MEMORIES = 64
_MEMORY_ITEMS = 20_000_000
"""Elements remembered at most, in all arrays: 160 MB of pointers."""


def _memory_of(flat: Any, packing: Packing) -> _Memory | None:
    """What is remembered of this array, by the place and size of its memory: another array at the
    same place is found to hold other objects.
    """
    if packing.pieces is None:
        return None
    memories = packing.pieces.memories
    key = (int(flat.__array_interface__["data"][0]), int(flat.size))
    memory: _Memory | None = memories.pop(key, None)
    if memory is None:
        if sum(size for _, size in memories) + flat.size > _MEMORY_ITEMS:
            return None
        memory = _Memory(flat)
    memories[key] = memory
    while len(memories) > _MEMORIES:
        del memories[next(iter(memories))]
    memory.look(flat)
    return memory


# -- back ------------------------------------------------------------------------------------


def assemble(kind: str, runs: Iterable[list[Any]]) -> Any:
    """The container from its runs of elements."""
    if kind == "dict":
        made: dict[Any, Any] = {}
        for run in runs:
            half = len(run) // 2
            made.update(zip(run[:half], run[half:], strict=True))
        return made
    if kind == "set":
        return set(chain.from_iterable(runs))
    return list(chain.from_iterable(runs))

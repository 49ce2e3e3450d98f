"""What waits to be saved when the kernel is idle: names that were left over, and the groups that
they turn out to be. Whoever asks or changes it holds the lock of `idle`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ipysession.checkpoint.groups import needs_kernel_thread, rough_size

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """A group that waits, or names that may be several groups."""

    step: int
    bound: frozenset[str]
    """The names that the step bound."""
    is_group: bool = False
    looked_closer: bool = False
    """It was told apart as well as can be."""
    again: int = 0
    """How often it could not be saved because something changed it meanwhile."""


class Waitlist:
    """The groups that wait, by their names. ``namespace`` holds their values."""

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        self._namespace = namespace
        self._entries: dict[frozenset[str], Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, group: frozenset[str]) -> bool:
        return group in self._entries

    @property
    def names(self) -> list[str]:
        """All names that wait."""
        return sorted(name for group in self._entries for name in group)

    def get(self, group: frozenset[str]) -> Entry | None:
        """What is known of a group; None where it does not wait any more."""
        return self._entries.get(group)

    def add(
        self,
        step: int,
        touched: Collection[str],
        left_over: Collection[str],
        bound: Collection[str],
    ) -> None:
        """After a step: groups that hold a name that it ``touched`` are its business, and what is
        ``left_over`` waits for it.
        """
        touched = set(touched)
        for group in [group for group in self._entries if group & touched]:
            del self._entries[group]
        if left_over:
            names = frozenset(left_over)
            self._entries[names] = Entry(step, names.intersection(bound))

    def remove(self, group: frozenset[str]) -> None:
        """It was saved, or refused."""
        del self._entries[group]

    def split(
        self, group: frozenset[str], parts: Iterable[frozenset[str]], *, closer: bool
    ) -> None:
        """It turned out to be these groups; ``closer``: as well as can be told."""
        entry = self._entries.pop(group)
        for part in parts:
            self._entries[part] = Entry(
                entry.step, entry.bound & part, is_group=True, looked_closer=closer
            )

    def put_back(self, group: frozenset[str]) -> None:
        """It is to be tried once more."""
        entry = self._entries[group]
        self._entries[group] = replace(entry, again=entry.again + 1)

    def oldest_first(self) -> list[frozenset[str]]:
        """All groups."""
        return sorted(self._entries, key=lambda group: self._entries[group].step)

    def next(self, *, own_thread: bool) -> frozenset[str] | None:
        """The group to save next: the oldest, and of those the smallest; without
        ``own_thread`` none that only the kernel's own thread may pickle.
        """
        found = [
            group
            for group, entry in self._entries.items()
            # To tell groups apart is everybody's.
            if own_thread
            or not entry.is_group
            or not needs_kernel_thread(self._namespace.get(name) for name in group)
        ]
        return min(found, key=self._order, default=None)

    def _order(self, group: frozenset[str]) -> tuple[int, int]:
        size = sum(rough_size(self._namespace.get(name)) for name in group)
        return self._entries[group].step, size

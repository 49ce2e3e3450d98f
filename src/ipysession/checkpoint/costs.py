"""How long saving takes, as far as is known, and what is light enough for a step's own time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipysession.checkpoint.groups import (
    LIGHT_BYTES,
    needs_kernel_thread,
    quick_groups,
    rough_size,
)
from ipysession.lineage import library_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ipysession.checkpoint.packed import Limits

_LIGHT_SHARE = 1 / 3
"""A group that took a larger share of a step's own time the last time is left for idle time."""

OWN_THREAD_SECONDS = 0.02
"""How long a cell waits for objects that only the kernel's own thread may pickle."""

_SEEN_THROUGH = frozenset(
    {
        "__main__", "array", "builtins", "collections", "dataclasses", "datetime", "decimal",
        "enum", "fractions", "functools", "numpy", "operator", "pathlib", "random", "re", "string",
        "types", "uuid",
    }
)  # fmt: skip
"""Modules whose objects show at no cost how much they hold."""


class Costs:
    """What saving took so far, by name."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._seconds: dict[str, float] = {}

    def took(self, name: str, seconds: float) -> None:
        """The group that ``name`` is in was saved in so long."""
        self._seconds[name] = seconds

    def forget(self, name: str) -> None:
        """The name is gone, or stands for something else."""
        self._seconds.pop(name, None)

    def expect(self, names: Collection[str], seconds: float) -> None:
        """Saving this group takes at least so long."""
        for name in names:
            self._seconds[name] = max(seconds, self._seconds.get(name, 0.0))

    def estimate(self, names: Collection[str], namespace: Mapping[str, Any]) -> float:
        """About how many seconds saving a group takes."""
        known = [self._seconds[name] for name in names if name in self._seconds]
        size = sum(rough_size(namespace[name]) for name in names if name in namespace)
        return max(known, default=0.0) if len(known) == len(names) else size / 200e6 + 0.005

    def small_groups(
        self, names: Collection[str], namespace: Mapping[str, Any]
    ) -> tuple[list[list[str]], list[str]]:
        """The groups that can be saved at once, and the names that had better wait."""
        if not names:
            return [], []
        heavy = [name for name in names if not self._is_light(name, namespace[name])]
        if heavy and len(heavy) == len(names):
            return [], heavy
        found = quick_groups(sorted(names), namespace)
        if found is None:
            return [], list(names)
        waits = {name for group in found if not group.isdisjoint(heavy) for name in group}
        return sorted(sorted(group) for group in found if waits.isdisjoint(group)), sorted(waits)

    def _is_light(self, name: str, value: Any) -> bool:
        known = self._seconds.get(name)
        if needs_kernel_thread((value,)):
            return known is None or known < OWN_THREAD_SECONDS
        if rough_size(value) > LIGHT_BYTES or (
            known is not None and known > _LIGHT_SHARE * self._limits.seconds
        ):
            return False
        return known is not None or library_of(type(value)) in _SEEN_THROUGH

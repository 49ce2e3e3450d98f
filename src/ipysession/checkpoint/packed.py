"""What saving a group comes to: its bytes on the disk, what a record will tell of it, the limits.
No code that saves lives here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ipysession.checkpoint.pieces import BudgetExceededError

if TYPE_CHECKING:
    from ipysession.model.payloads import SavedGroup, SkippedGroup


@dataclass(frozen=True, slots=True)
class Limits:
    """What saving may cost. Seconds and bytes."""

    seconds: float = 0.003
    """In a step's own time."""
    share: float = 0.05
    """Of the time that cells ran, where the kernel is never idle."""
    patience: float = 0.02
    """How long a cell that begins waits for the thread to let go."""
    settle: float = 0.1
    """The kernel counts as idle this long after a cell."""
    alone: float = 60.0
    """For one group while nobody waits for it."""
    max_bytes: int = 1 << 34
    """Of one group."""
    min_free: int = 256 << 20
    """Of the disk, left to others."""


@dataclass(slots=True)
class Packed:
    """A group on the disk, on its way into the log."""

    names: frozenset[str]
    group: SavedGroup
    fingerprint: bytes
    by_name: dict[str, bytes]
    """Each name's own fingerprint, where that was cheap."""
    blobs: list[str]
    written: int
    stream: bytes
    """The pickle, where it is small and all there is; empty otherwise."""
    kinds: set[type]
    """Types that were not pickled by Python's own code alone."""


@dataclass(slots=True)
class Told:
    """What is known of a checkpoint so far."""

    groups: list[SavedGroup] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    skipped: list[SkippedGroup] = field(default_factory=list)
    blobs: list[str] = field(default_factory=list)
    written: int = 0


def why_not(error: Exception) -> str:
    """Why a value could not be saved, in words."""
    if isinstance(error, BudgetExceededError):
        return str(error)
    if isinstance(error, OSError):
        return f"the disk refused it: {error.strerror or error}"
    if isinstance(error, MemoryError):
        return "there was not enough memory to pickle it"
    return f"it cannot be pickled: {type(error).__name__}: {error}"[:300]

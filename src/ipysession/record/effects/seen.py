"""What one step did outside the namespace, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class EffectsSeen:
    """What one step did, as plain data. Paths are absolute, and as the system spells them: those
    of ``reads``, ``writes`` and ``deleted`` are for `describe_files`, which makes texts of them.
    What follows ``asked_input`` says how it did these; two that did the same are equal.
    """

    reads: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    """Also folders that were made, and both names of what was renamed over another."""
    deleted: list[str] = field(default_factory=list)
    processes: list[str] = field(default_factory=list)
    connections: list[tuple[str, str]] = field(default_factory=list)
    """Kind (``socket``, ``unix`` or ``sqlite``) and address."""
    omitted: int = 0
    """How many further effects were heard once CAP was reached; repeated ones count again."""
    environ_changed: list[str] = field(default_factory=list)
    """Names of environment variables that have another value than before the step."""
    cwd: str | None = None
    """The working directory after the step, where it is another one than before."""
    asked_input: bool = False
    """Python's own input() was called. A kernel's goes another way: see `EffectsWatch.asked`."""
    anew: frozenset[str] = field(default=frozenset(), compare=False)
    """Those of ``writes`` of which nothing is left that stood there before."""
    folders: frozenset[str] = field(default=frozenset(), compare=False)
    """Folders that it went to."""
    listed: frozenset[str] = field(default=frozenset(), compare=False)
    """Folders whose entries it looked at."""
    relative: bool = field(default=False, compare=False)
    """It named a file by a path that is relative to the working directory."""
    by_processes: frozenset[str] = field(default=frozenset(), compare=False)
    """Those of ``writes`` and ``deleted`` that differ since a process was started."""

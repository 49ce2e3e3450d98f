"""The sessions, and what is right for each: tests/lineage/cases.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).parents[2] / "tests" / "lineage" / "cases.json"


@dataclass(frozen=True, slots=True)
class Case:
    """A session. Its executions are counted from 1, and the last one is what is wanted."""

    name: str
    cells: tuple[str, ...]
    """The cell of each execution."""
    sources: tuple[str, ...]
    needed: frozenset[int]
    """The fewest executions that show the same."""
    harmless: frozenset[int]
    """Those that may be kept, too."""

    @property
    def last(self) -> int:
        """The execution that is wanted."""
        return len(self.sources)


def cases(*, quick: bool) -> list[Case]:
    """All of them; every eighth where it is to be ``quick``."""
    known = json.loads(_FILE.read_text(encoding="utf-8"))["cases"]
    return [
        Case(
            case["name"],
            tuple(one["cell_id"] for one in case["executions"]),
            tuple(one["source"] for one in case["executions"]),
            frozenset(case["needed"]),
            frozenset(case["harmless"]),
        )
        for case in (known[::8] if quick else known)
    ]

"""Does a step cost the same late in a session as early in it?

Two IPython shells, plain and recorded, each in a process of its own, run the same cells with
history on, so that IPython's namespace grows as a user's does. Between the points that are
measured both run ahead at once; at a point they take turns.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from benchmarks.figures import Aim, Figure, beyond

if TYPE_CHECKING:
    from benchmarks.workplace import Workplace

_TURNS = 10
_BLOCK = 50


class _Shell:
    """A child process that runs steps when told to: see shell.py."""

    def __init__(self, workplace: Workplace, kind: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.shell", kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=workplace.environment(workplace.folder / "growth"),
            text=True,
        )
        self.step = 0

    def begin(self, steps: int) -> None:
        """Begin to run so many steps; `taken` waits for them."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        self.step += steps

    def taken(self) -> list[float]:
        """The seconds of each step that was begun."""
        assert self._process.stdout is not None
        said: Any = json.loads(self._process.stdout.readline())
        return list(said)

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def growth(workplace: Workplace) -> list[Figure]:
    """What recording adds to a step at step 100, 10,000 and 100,000."""
    points = (100, 1_000) if workplace.quick else (100, 10_000, 100_000)
    figures: list[Figure] = []
    with ExitStack() as stack:
        shells = [_Shell(workplace, kind) for kind in ("plain", "recorded")]
        for shell in shells:
            stack.callback(shell.stop)
        for point in points:
            for shell in shells:
                shell.begin(point - shell.step)
            for shell in shells:
                shell.taken()
            plain, recorded = _measured(shells)
            first = figures[0] if figures else None
            figures.append(
                Figure(
                    f"beyond plain IPython at step {point:,}",
                    beyond(recorded, plain),
                    first,
                    None if first is None else Aim(times=1.25),
                    f"plain {_median_ms(plain)} ms, recorded {_median_ms(recorded)} ms",
                )
            )
    return figures


def _measured(shells: list[_Shell]) -> tuple[list[float], list[float]]:
    plain: list[float] = []
    recorded: list[float] = []
    for _ in range(_TURNS):
        for shell, times in zip(shells, (plain, recorded), strict=True):
            shell.begin(_BLOCK)
            times.extend(shell.taken())
    return plain, recorded


def _median_ms(samples: list[float]) -> str:
    return f"{Figure('', tuple(samples)).median * 1e3:.2f}"

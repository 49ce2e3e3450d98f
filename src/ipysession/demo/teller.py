"""How the demo speaks: parts with their times; in colour on a terminal, as plain lines else."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_WIDTH = 60


class Teller:
    """Tells the demo's story line by line, and remembers how long each part took."""

    def __init__(self, echo: Callable[[str], None]) -> None:
        self._echo = echo
        on_terminal = echo is print and sys.stdout.isatty()
        self._console = Console(highlight=False) if on_terminal else None
        self._seconds: dict[str, float] = {}

    @contextmanager
    def part(self, title: str, about: str) -> Iterator[None]:
        """A part of the story; its time is told when it ends, also when it fails."""
        self._say("")
        self._say(f"{len(self._seconds) + 1}. {title}: {about}", "bold")
        began = time.monotonic()
        try:
            yield
        finally:
            self._seconds[title] = time.monotonic() - began
            self._say(f"   {title} took {self._seconds[title]:.1f} s", "dim")

    def times(self) -> None:
        """All parts with their times."""
        self._say("")
        for title, seconds in self._seconds.items():
            self._say(f"{title:<10}{seconds:>6.1f} s")
        self._say(f"{'All':<10}{sum(self._seconds.values()):>6.1f} s", "bold")
        self._say("")

    def cell(self, number: int | None, source: str, seconds: float | None) -> None:
        """A cell that ran, or runs when ``seconds`` is None."""
        first = source.strip().splitlines()[0]
        first = first if len(first) <= _WIDTH else f"{first[: _WIDTH - 1]}…"
        took = "running …" if seconds is None else f"{seconds:.2f} s"
        self._say(f"   {f'[{number}]':>5} {first:<{_WIDTH}} {took:>9}")

    def text(self, text: str) -> None:
        """Something that a kernel or a command said, as it said it."""
        for line in text.strip("\n").splitlines():
            self._say(f"         {line}".rstrip(), "cyan")

    def line(self, text: str) -> None:
        """One line of the story."""
        self._say(f"   {text}")

    def good(self, text: str) -> None:
        """Something that was checked and holds."""
        self._say(f"   ✓ {text}", "green")

    def failed(self, text: str) -> None:
        """Something that does not hold."""
        self._say(f"   {text}", "bold red")

    def _say(self, text: str, style: str = "") -> None:
        if self._console is None:
            self._echo(text)
        else:
            self._console.print(Text(text, style=style), soft_wrap=True)

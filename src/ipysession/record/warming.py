"""What the first cell needs and loading need not wait for: imported while the kernel is idle."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ipysession.model import payloads as p
from ipysession.model.provenance import Environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipysession.record.redact import Redactor

_FIRST_RECORDS = (
    p.SessionCreated, Environment, p.RunStarted, p.StepStarted, p.StepOutput, p.StepFinished,
    p.SavedGroup, p.CheckpointSaved,
)  # fmt: skip
"""Models whose validators, which are built at their first use, each session needs."""


class Warming:
    """Imports in a thread of its own, once."""

    def __init__(self, redactor: Callable[[], Redactor]) -> None:
        self._redactor = redactor
        self._thread = threading.Thread(
            target=self._warm_up, name="ipysession-warming", daemon=True
        )
        self._started = False

    def start(self) -> None:
        """Loading is over."""
        self._started = True
        self._thread.start()

    def wait(self) -> None:
        """A cell is about to run: it shall neither share the interpreter with us nor be forked
        while we hold an import's lock.
        """
        if self._started:
            self._thread.join()

    def _warm_up(self) -> None:
        import ipysession.checkpoint.idle
        import ipysession.checkpoint.saver  # noqa: F401

        for model in _FIRST_RECORDS:
            model.model_rebuild()
        self._redactor().text("a text: its patterns are compiled for the first one")

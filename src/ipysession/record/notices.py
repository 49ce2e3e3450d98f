"""What goes wrong inside the recorder stays inside: it is told once, and recording goes on."""

from __future__ import annotations

import functools
import logging
import os
import traceback
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipysession.record.outputs import Tap

_logger = logging.getLogger(__name__)
# Without a handler Python would print our tracebacks to the user's stderr; a kernel that
# configures logging still gets them.
logging.getLogger("ipysession").addHandler(logging.NullHandler())

_Params = ParamSpec("_Params")
_Part = TypeVar("_Part")


class Notices:
    """Tells the user, in the notebook, what the recorder has to say."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self._told: set[str] = set()
        self._waiting: list[str] = []

    def guarded(self, part: Callable[[], _Part], default: _Part | None = None) -> _Part | None:
        """A part of a step's record: where it fails, the rest of the record is written."""
        try:
            return part()
        except Exception:  # noqa: BLE001 - told and logged
            self.internal_error()
            return default

    def internal_error(self) -> None:
        """An exception of ours is being handled: log it, tell it once."""
        _logger.error("an internal error; recording goes on\n%s", traceback.format_exc())
        last = traceback.format_exc(limit=-1).strip().splitlines()[-1]
        self.tell_once(
            "internal",
            f"ipysession: an internal error ({last}); this step may be incomplete in the log, "
            "recording goes on. Please report it with the kernel's log.",
        )

    def tell_once(self, topic: str, text: str) -> None:
        """Show ``text`` in the notebook, the first time for ``topic``."""
        if topic not in self._told:
            self._told.add(topic)
            try:
                self._tap.say(text)
            except Exception:  # the frontend is gone; the kernel's log has it
                _logger.exception("a notice could not be shown: %s", text)

    def tell_at_end(self, text: str) -> None:
        """Show ``text`` when the cell ends. Any thread may call this."""
        self._waiting.append(text)

    def say_waiting(self) -> None:
        """The cell ended: show what waits."""
        while self._waiting:
            self._tap.say(self._waiting.pop(0))


def fenced(method: Callable[_Params, None]) -> Callable[_Params, None]:
    """Whatever goes wrong inside stays inside. An interrupt that hits our own code was meant
    for the cell that has just ended, so the method runs once more: each is repeatable.
    """

    @functools.wraps(method)
    def fence(*args: _Params.args, **kwargs: _Params.kwargs) -> None:
        recorder: Any = args[0]
        if os.getpid() != recorder.process:
            return  # a forked child shares our hooks, not our session
        for attempt in (1, 2):
            try:
                method(*args, **kwargs)
            except KeyboardInterrupt:
                if attempt == 1:
                    continue
                recorder.notices.tell_once(
                    "interrupted", "ipysession: recording a step was interrupted."
                )
            except Exception:  # noqa: BLE001 - see the docstring; it is told and logged
                recorder.notices.internal_error()
            return

    return fence

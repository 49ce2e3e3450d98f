"""The watch, and the audit hook that it listens with.

An audit hook cannot be removed, and an exception that leaves it stops what the user does. So
there is one per process, installed at the first start; it does nothing while no step runs; and
it takes no lock, swallows every error of its own, and lets only an interrupt of the user's pass.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from ipysession.record.effects.events import HANDLERS
from ipysession.record.effects.habits import both_spellings, elsewhere_paths
from ipysession.record.effects.heard import Heard, working
from ipysession.record.effects.hearing import here, is_silent, quiet
from ipysession.record.effects.seen import EffectsSeen

if TYPE_CHECKING:
    from pathlib import Path


class EffectsWatch:
    """Hears what steps do. One watch at a time is started in a process.

    ``ignored`` are folders whose files are never the user's doing: the store, the runtime
    folder, IPython's profile.
    """

    def __init__(self, *, ignored: tuple[Path, ...] = ()) -> None:
        self._ignored = tuple(
            sorted({text for folder in ignored for text in both_spellings(str(folder))})
        )
        self._steps: dict[int, list[Heard]] = {}
        """Of each thread that runs cells: its step, and those inside it."""
        self._life = -1

    def start(self) -> None:
        """Be ready to hear. The first start in a process installs the hook."""
        global _installed  # noqa: PLW0603  # there is one hook per process, by nature
        if not _installed:
            _installed = True
            sys.addaudithook(_hook)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=_fall_silent)
        self._life = _lives
        self._steps = {}

    def stop(self) -> None:
        """Hear nothing any more: the hook stays, and does nothing."""
        global _heard  # noqa: PLW0603
        if self._life == _lives:
            _heard = None
            here.step = None
        self._life = -1
        self._steps = {}

    def begin(self) -> None:
        """A step starts in this thread. One inside another is heard as part of both."""
        global _heard  # noqa: PLW0603
        if self._life != _lives:
            return
        step = Heard((*elsewhere_paths(), *self._ignored))
        self._steps.setdefault(threading.get_ident(), []).append(step)
        _heard = here.step = step

    def end(self) -> EffectsSeen:
        """This thread's latest step ends: what it did."""
        global _heard  # noqa: PLW0603
        mine = self._steps.get(threading.get_ident())
        if not mine or self._life != _lives:
            return EffectsSeen()
        step = mine.pop()
        outer = mine[-1] if mine else None
        if outer is None:
            del self._steps[threading.get_ident()]
        here.step = outer
        _heard = outer or next((steps[-1] for steps in self._steps.values()), None)
        with quiet():
            seen = step.sum_up()
            if outer is not None:
                outer.take_over(step)
        return seen

    def asked(self) -> None:
        """The running step asked for input, which a kernel does by a message."""
        step = here.step or _heard
        if step is not None:
            step.asked_input = True


_heard: Heard | None = None
"""The latest running step; None while none runs, and then the hook is inert."""
_installed = False
_lives = 0
"""Grows in each forked child, so that watches started before the fork are stopped there."""


def _fall_silent() -> None:
    global _heard, _lives  # noqa: PLW0603
    _heard = here.step = None
    _lives += 1


def _hook(event: str, args: tuple[Any, ...]) -> None:
    # First what most events are: of no meaning here. A loop that calls id() raises one each time.
    if event not in HANDLERS:
        return
    if event == "os.chdir":
        working.may_move()
    step = _heard
    if step is None or here.silent:
        return
    try:
        if here.silent is not None or not is_silent():
            HANDLERS[event](here.step or step, args)
    except Exception:  # noqa: BLE001, S110  # whatever leaves a hook stops what the user does
        pass

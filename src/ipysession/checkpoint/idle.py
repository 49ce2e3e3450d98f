"""Saving while the kernel is idle: what a step's own time had no room for.

A thread packs group by group after a cell has ended; the pickler asks the thread's gate about
every 64 KB. When the next cell begins and can reach what is in hand, the thread gives that up and
tries again when the kernel is idle; where it cannot, the thread pauses. The thread holds no lock
of ours while it runs foreign code, and a cell waits for it at most `Limits.patience`, whatever
happens to it. Where the kernel is never idle (Run All), a bounded share of the cells' time goes
to the groups that fit into it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING

from ipysession.checkpoint.handover import HANDOVER
from ipysession.checkpoint.leftover import GivenUpError, LeftOver
from ipysession.checkpoint.pieces import BudgetExceededError
from ipysession.checkpoint.waitlist import Waitlist

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

    from ipysession.checkpoint.leftover import Append
    from ipysession.checkpoint.saver import Checkpointer

_MOST_EARNED = 30.0
"""Seconds that a long run without idle time may save in one go."""

_KERNEL_RESTED = 1.0
"""Seconds that the kernel must have been idle before its own thread is asked to save something."""

_KERNEL_SECONDS = 0.1
"""How long it may take: a cell that comes meanwhile waits so long."""

_logger = logging.getLogger(__name__)


class IdleSaver:
    """The thread that saves one session's left-over groups. Close it with the session.

    ``append`` puts a record into the log. ``others_run`` says whether threads or tasks of the
    user's run while the kernel is idle: then a group is saved only if two fingerprints agree.
    ``refused`` is told why a group was refused for lack of space. ``call_soon`` has the kernel's
    own thread call something once it is idle; what only that thread may save waits for it.
    """

    def __init__(
        self,
        checkpointer: Checkpointer,
        namespace: dict[str, Any],
        append: Append,
        others_run: Callable[[], bool],
        *,
        refused: Callable[[str], None] = lambda _: None,
        call_soon: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self._checkpointer = checkpointer
        self._limits = checkpointer.limits
        self._namespace = namespace
        self._call_soon = call_soon
        self._asked = False
        """The kernel's own thread was asked to save something."""
        self._state = threading.Condition()
        self._waiting = Waitlist(namespace)
        self._left_over = LeftOver(
            checkpointer, self._waiting, namespace, append, self._state, lambda: self._give_up,
            others_run=others_run, refused=refused,
        )  # fmt: skip
        self._idle = False
        self._ended = 0.0
        self._hurried = False
        self._earned = 0.0
        self._hand: frozenset[str] | None = None
        self._give_up = False
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> list[str]:
        """The names that wait to be saved."""
        with self._state:
            return self._waiting.names

    # -- the cell's life -----------------------------------------------------------------

    def cell_begins(self, reach: Callable[[], Collection[str] | None] = lambda: None) -> None:
        """A cell is about to run. ``reach`` tells which names it can reach, None for all; it is
        asked only where something is being saved.
        """
        with self._state:
            rested = time.perf_counter() - self._ended
            self._hurried = rested < self._limits.settle
            self._idle = False
            hand = self._hand
        if hand is None:
            return
        names = reach()
        with self._state:
            if self._hand is not None and (names is None or not self._hand.isdisjoint(names)):
                self._give_up = True
                self._state.notify_all()
                self._state.wait_for(lambda: self._hand is None, self._limits.patience)

    def step_saved(
        self,
        step: int,
        touched: Collection[str],
        left_over: Collection[str],
        bound: Collection[str] = (),
        seconds: float = 0.0,
    ) -> None:
        """After a step that ran ``seconds``: groups that hold a name that it ``touched`` are its
        business, and names that are ``left_over`` wait for the kernel to be idle.
        """
        self._earned = min(self._earned + self._limits.share * seconds, _MOST_EARNED)
        with self._state:
            self._waiting.add(step, touched, left_over, bound)

    def cell_ended(self) -> None:
        """No cell runs any more."""
        if self._hurried and self._waiting:
            self._save_in_line()
        with self._state:
            self._idle = True
            self._asked = False
            self._ended = time.perf_counter()
            work = self._waiting or self._checkpointer.unproven
            if work and self._thread is None and not self._closed:
                self._thread = threading.Thread(
                    target=self._run, name="ipysession-idle", daemon=True
                )
                self._thread.start()
            # Whom nothing waits for sleeps on: waking the thread costs each cell.
            if work or self._hand is not None:
                self._state.notify_all()

    def finish(self, seconds: float) -> None:
        """At an orderly end: save what waits, here and now, within ``seconds``."""
        self.cell_begins()
        deadline = time.perf_counter() + seconds
        with self._state:
            if self._hand is not None:
                return  # foreign code does not come back
            self._give_up = False
        while time.perf_counter() < deadline:
            group = self._next(own_thread=True)
            if group is None:
                return
            self._left_over.save(group, _until(deadline))

    def close(self) -> None:
        """Stop the thread; what it has in hand is given up."""
        with self._state:
            self._closed = self._give_up = True
            self._state.notify_all()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(timeout=1.0)

    # -- without idle time ---------------------------------------------------------------

    def _save_in_line(self) -> None:
        """Save, in the kernel's own thread, what fits into the share that the cells have earned."""
        with self._state:
            if self._hand is not None:
                return
        for group in self._waiting.oldest_first():
            price = self._checkpointer.costs.estimate(group, self._namespace)
            if price > self._earned:
                continue
            started = time.perf_counter()
            self._left_over.save(group, _until(started + self._earned), in_line=True)
            spent = time.perf_counter() - started
            self._earned -= spent
            if group in self._waiting:
                self._checkpointer.costs.expect(group, 2 * spent)

    # -- the thread ----------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._state:
                self._hand = None
                self._give_up = self._closed
                self._state.notify_all()
                self._state.wait_for(self._has_work)
                if self._closed:
                    return
                ended = self._ended
                rest = ended + self._limits.settle - time.perf_counter()
                if rest > 0:
                    self._state.wait(rest)
                    continue
                group = self._next(own_thread=False)
                if group is None and not self._checkpointer.unproven:
                    self._ask_kernel()
                    continue
                if group is None:
                    self._hand = frozenset()
                else:
                    self._hand = group
            try:
                with HANDOVER.soon():
                    self._work_on(group)
            except Exception:  # the next group may do; this one is told as skipped already
                _logger.exception("saving in idle time failed")

    def _work_on(self, group: frozenset[str] | None) -> None:
        if group is None:
            self._left_over.try_out(self._still_idle)
        else:
            deadline = time.perf_counter() + self._limits.alone
            self._left_over.save(group, self._gate(deadline))

    def _has_work(self) -> bool:
        if self._closed:
            return True
        if not self._idle:
            return False
        return (
            self._next(own_thread=False) is not None
            or bool(self._checkpointer.unproven)
            or self._kernels_group() is not None
        )

    def _still_idle(self) -> bool:
        return self._idle and not self._give_up

    def _next(self, *, own_thread: bool) -> frozenset[str] | None:
        with self._state:
            return self._waiting.next(own_thread=own_thread)

    # -- in the kernel's own thread ------------------------------------------------------

    def _kernels_group(self) -> frozenset[str] | None:
        """The group that the kernel's own thread could save now, if it was not asked yet."""
        if self._call_soon is None or self._asked:
            return None
        costs = self._checkpointer.costs
        for group in self._waiting.oldest_first():
            if costs.estimate(group, self._namespace) <= _KERNEL_SECONDS:
                return group
        return None

    def _ask_kernel(self) -> None:
        """Once it has been idle for a while. With the lock held."""
        rest = self._ended + _KERNEL_RESTED - time.perf_counter()
        if rest > 0:
            self._state.wait(rest)
        elif self._call_soon is not None:
            self._asked = True
            with contextlib.suppress(RuntimeError):  # the kernel's loop has been closed
                self._call_soon(self._save_in_kernel)

    def _save_in_kernel(self) -> None:
        with self._state:
            self._asked = False
            free = self._idle and self._hand is None and not self._closed
            group = self._kernels_group() if free else None
        if group is None:
            return
        try:
            gate = _until(time.perf_counter() + _KERNEL_SECONDS)
            self._left_over.save(group, gate, in_line=True)
        except Exception:  # as in `_run`; here it would end up among the kernel's own troubles
            _logger.exception("saving in idle time failed")
        with self._state:
            if group in self._waiting:
                self._checkpointer.costs.expect(group, 2 * _KERNEL_SECONDS)
            self._state.notify_all()

    def _gate(self, deadline: float) -> Callable[[], None]:
        """What the thread passes about every 64 KB: pauses while a cell runs."""

        def gate() -> None:
            if self._give_up:
                message = "a cell began that can reach it"
                raise GivenUpError(message)
            if not self._idle:
                with HANDOVER.paused(), self._state:
                    self._state.wait_for(lambda: self._idle or self._give_up)
                gate()
            if time.perf_counter() > deadline:
                message = f"saving it took longer than {self._limits.alone:g} s"
                raise BudgetExceededError(message)

        return gate


def _until(deadline: float) -> Callable[[], None]:
    def gate() -> None:
        if time.perf_counter() > deadline:
            message = "there was no time left to save it"
            raise GivenUpError(message)

    return gate

"""Saving, while the kernel is idle, what a step's budget left over.

A thread pickles group by group after the cell has ended. When the next cell begins it gives
up what it has in hand (the pickler asks in its sink, about every 64 KB) and tries again when
the kernel is idle; what it made while a cell began is thrown away, because the cell may have
changed it. The thread holds no lock of ours while it runs foreign code, and a cell waits for
it at most `PATIENCE_SECONDS`, whatever happens to it.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from ipysession.checkpoint.pickling import BudgetExceededError
from ipysession.model.payloads import CheckpointSaved

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from ipysession.checkpoint.saver import Checkpointer, PickledGroup

PATIENCE_SECONDS = 0.02
"""How long a cell that begins waits for the thread to let go of what it pickles."""

_SETTLE_SECONDS = 0.1
"""The kernel counts as idle this long after a cell: with Run All the next one comes sooner."""

_ALONE_SECONDS = 60.0
"""How long pickling one group may take while nobody waits for it."""


class Append(Protocol):
    """Puts a record into the log, with the blobs that must become durable with it."""

    def __call__(self, payload: CheckpointSaved, *, blobs: Iterable[str]) -> object:
        """Append ``payload``."""


_logger = logging.getLogger(__name__)


class IdleSaver:
    """The thread that saves one session's left-over groups. Close it with the session.

    ``append`` puts a record into the log. ``others_run`` says whether threads or tasks of the
    user's run while the kernel is idle: then a group is saved only if two pickles agree.
    """

    def __init__(
        self,
        checkpointer: Checkpointer,
        namespace: dict[str, Any],
        append: Append,
        others_run: Callable[[], bool],
    ) -> None:
        self._checkpointer = checkpointer
        self._namespace = namespace
        self._append = append
        self._others_run = others_run
        self._state = threading.Condition()
        self._pending: dict[frozenset[str], int] = {}
        self._idle = False
        self._epoch = 0
        self._working = False
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> list[str]:
        """The names that wait to be saved."""
        with self._state:
            return sorted(name for group in self._pending for name in group)

    def cell_begins(self) -> None:
        """A cell is about to run: whatever is being pickled is given up."""
        with self._state:
            self._idle = False
            self._epoch += 1
            if self._working:
                self._state.wait_for(lambda: not self._working, PATIENCE_SECONDS)

    def step_saved(self, step: int, touched: Collection[str], left_over: list[list[str]]) -> None:
        """After a step: groups that hold a name that it ``touched`` are its business, and those
        that are ``left_over`` wait for the kernel to be idle.
        """
        touched = set(touched)
        with self._state:
            for group in [group for group in self._pending if group & touched]:
                del self._pending[group]
            for names in left_over:
                self._pending[frozenset(names)] = step

    def cell_ended(self) -> None:
        """No cell runs any more."""
        with self._state:
            self._idle = True
            if self._pending and self._thread is None and not self._closed:
                self._thread = threading.Thread(
                    target=self._run, name="ipysession-idle", daemon=True
                )
                self._thread.start()
            self._state.notify_all()

    def finish(self, seconds: float) -> None:
        """At an orderly end: save what waits, here and now, within ``seconds``."""
        self.cell_begins()
        deadline = time.perf_counter() + seconds
        for group, step in sorted(self._pending.items(), key=lambda item: item[1]):
            if time.perf_counter() < deadline:
                self._save(group, step, self._epoch, deadline)

    def close(self) -> None:
        """Stop the thread; what it has in hand is given up."""
        with self._state:
            self._closed = True
            self._epoch += 1
            self._state.notify_all()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(timeout=1.0)

    def _run(self) -> None:
        while True:
            with self._state:
                self._working = False
                self._state.notify_all()
                self._state.wait_for(lambda: self._closed or (self._idle and self._pending))
                if self._closed:
                    return
                epoch = self._epoch
                self._state.wait(_SETTLE_SECONDS)
                if self._epoch != epoch or not self._pending or self._closed:
                    continue
                group, step = min(self._pending.items(), key=lambda item: item[1])
                self._working = True
            self._save(group, step, epoch, time.perf_counter() + _ALONE_SECONDS)

    def _save(self, group: frozenset[str], step: int, epoch: int, deadline: float) -> None:
        try:
            values = {name: self._namespace[name] for name in sorted(group)}
            pickled = self._pickle(values, epoch, deadline)
            saved, blobs = self._checkpointer.store(pickled)
        except BudgetExceededError:
            if self._epoch == epoch:
                self._drop(group)
            return
        except Exception as error:  # noqa: BLE001 - a value's own reducers may raise anything
            # The log says already that it was skipped, so a resume replays it.
            _logger.info("%s was not saved: %s", ", ".join(sorted(group)), error)
            self._drop(group)
            return
        with self._state:
            # Under the lock, so that no cell begins between the look and the record.
            if self._epoch == epoch and self._pending.get(group) == step:
                record = CheckpointSaved(step=step, groups=[saved], seconds=pickled.seconds)
                self._append(record, blobs=blobs)
                self._checkpointer.saved_late(pickled)
                del self._pending[group]

    def _pickle(self, values: dict[str, Any], epoch: int, deadline: float) -> PickledGroup:
        def pickled() -> PickledGroup:
            return self._checkpointer.pickle_group(
                values, self._namespace, deadline=deadline, stop=lambda: self._epoch != epoch
            )

        first = pickled()
        if self._others_run() and pickled().digest != first.digest:
            message = "threads or tasks change it while the kernel is idle"
            raise BudgetExceededError(message)
        return first

    def _drop(self, group: frozenset[str]) -> None:
        with self._state:
            self._pending.pop(group, None)

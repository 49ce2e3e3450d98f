"""Values that are still in the store: loaded before the first cell that can reach them, and the
rest by a thread while no cell runs.

A waiting name is not in the namespace: nothing stands there that could be taken for its value.
Which names a cell can reach is decided by `checkpoint.ways`. Imports no IPython.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from ipysession.checkpoint.handover import HANDOVER
from ipysession.checkpoint.unpickler import Pace, is_installed, missing_library, reason
from ipysession.checkpoint.ways import IMPORTS, OUTPUTS, Ways, asked_by, words_of
from ipysession.lineage import is_output

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from types import CodeType

    from ipysession.checkpoint.course import GroupKey
    from ipysession.checkpoint.slices import Load

    Loader = Callable[[Load, list[CodeType], Pace], dict[str, Any]]

_THREAD_BOUND = ("matplotlib.", "tkinter.", "PyQt", "PySide", "wx.")
"""Types whose making touches what belongs to the main thread: loaded only when needed."""

_SETTLE_SECONDS = 0.05
"""The kernel counts as idle this long after a cell: with Run All the next one comes sooner."""

_FORK_SECONDS = 10.0
"""So long a fork waits for an import, at most: the import may wait for who forks."""

_logger = logging.getLogger(__name__)


class _State(StrEnum):
    WAITS = "waits"
    LOADING = "loading"
    LOADED = "loaded"
    """By the thread; not yet in the namespace."""
    DONE = "done"
    FAILED = "failed"


@dataclass(slots=True, eq=False)
class _Group:
    load: Load
    state: _State = _State.WAITS
    names: set[str] = field(default_factory=set)
    """Those that still wait."""
    values: dict[str, Any] = field(default_factory=dict)
    codes: list[CodeType] = field(default_factory=list)
    error: str = ""
    missing: str = ""
    """The library whose lack made it fail."""
    wanted: bool = False
    """A cell waits for it."""
    loader: int = 0
    """The thread that loads it."""


class _GivenUp(BaseException):
    """The thread is to end; no code of the user's may catch this."""


@dataclass(slots=True, eq=False)
class Errand:
    """Something else to do before a cell in whose reach one of ``words`` is, and as soon as
    ``due`` says so (a library was imported); ``prepare`` may take long, ``run`` does not.
    """

    words: frozenset[str]
    due: Callable[[], bool]
    prepare: Callable[[Pace], None]
    run: Callable[[], None]


class Waiting:
    """The values of one session that wait to be brought into ``namespace``.

    ``load`` unpickles one group (safe in any thread), at the pace that it is given: that waits
    while a cell runs that does not need the group. ``arrived`` is told the names that came, in the
    thread that brought them. ``when_idle``: a thread brings the rest. `cell_begins` and
    `cell_ended` say when the kernel is busy; it is, when this is made.

    The thread begins no import while a cell runs that does not wait for it. An import that it has
    begun before goes on: what the cell waits for, and a cell that may import itself, comes after.
    """

    def __init__(
        self,
        namespace: dict[str, Any],
        loads: Iterable[Load],
        load: Loader,
        *,
        arrived: Callable[[Collection[str]], None] = lambda _: None,
        when_idle: bool = True,
        errands: Iterable[Errand] = (),
    ) -> None:
        self._namespace = namespace
        self._load = load
        self._arrived = arrived
        self._when_idle = when_idle
        self._errands = list(errands)
        self._changed = threading.Condition(threading.RLock())
        self._groups = [_Group(item, names=set(item.wanted)) for item in loads]
        self._of = {name: group for group in self._groups for name in group.names}
        self.ways = Ways()
        self._busy = 1
        self._ended = 0.0
        """When the latest cell did, by the monotonic clock."""
        self._closed = False
        self._thread: threading.Thread | None = None
        self._importer = 0
        """The thread that imports for a load."""
        _all.add(self)

    @property
    def names(self) -> list[str]:
        """The names that wait."""
        with self._changed:
            return sorted(n for n, group in self._of.items() if group.state is not _State.FAILED)

    @property
    def anything(self) -> bool:
        """Is there anything left to bring or to do?"""
        with self._changed:
            return bool(self._errands) or bool(self.names)

    @property
    def failed(self) -> dict[str, str]:
        """The names that could not be loaded, and why."""
        with self._changed:
            found = {n: group.error for n, group in self._of.items() if group.error}
        return dict(sorted(found.items()))

    @property
    def broken(self) -> set[GroupKey]:
        """The groups that could not be loaded."""
        with self._changed:
            return {g.load.key for g in self._groups if g.state is _State.FAILED}

    @property
    def bytes(self) -> int:
        """What is still to be loaded."""
        with self._changed:
            groups = {id(g): g for g in self._of.values() if g.state is not _State.FAILED}
        return sum(group.load.group.size for group in groups.values())

    # -- what a cell can reach ---------------------------------------------------------

    def reached_by(self, python: str) -> set[str]:
        """The waiting names that a cell with this text can reach, as far as what is loaded
        tells; ask again when they have come.
        """
        with self._changed:
            waiting = {n for n, group in self._of.items() if group.state is not _State.FAILED}
            words = self.ways.words(python) if waiting else set()
            if words is None:
                return waiting
            found = waiting & words
            if words & OUTPUTS:
                found.update(name for name in waiting if is_output(name))
            return found

    def bring_for(self, python: str) -> dict[str, str]:
        """Bring all that a cell with this text can reach. Returns those of the names that it can
        reach and that could not be loaded, now or before, and why.
        """
        self._try_again()
        while names := self.reached_by(python):
            self.bring(names)
        if self._errands or self._importer:
            reached = self.ways.words(python)
            self._do([e for e in self._errands if reached is None or e.words & reached])
            if reached is None or reached & IMPORTS:
                self.wait_for_import()
        words = words_of(python)
        return {name: why for name, why in self.failed.items() if name in words}

    # -- bringing ----------------------------------------------------------------------

    def can_bring(self, name: str) -> bool:
        """Does this name wait, and does this thread not load it just now? (What is loaded may
        ask for what comes with it.)
        """
        with self._changed:
            group = self._of.get(name)
            return (
                group is not None
                and group.state is not _State.FAILED
                and not (group.state is _State.LOADING and group.loader == threading.get_ident())
            )

    def bring(self, names: Iterable[str]) -> None:
        """Bring these names (and those of their groups) into the namespace, in this thread.
        What cannot be loaded is in `failed` afterwards.
        """
        self._try_again()
        for name in sorted(names):
            with self._changed:
                group = self._of.get(name)
                if group is None or group.state is _State.FAILED:
                    continue
                group.wanted = True
                self._changed.notify_all()
                # The thread has it in hand: it will be through sooner than a second one.
                self._changed.wait_for(lambda g=group: g.state is not _State.LOADING)  # type: ignore[misc] # mypy cannot infer a lambda with a default
                mine = group.state is _State.WAITS
                if mine:
                    group.state = _State.LOADING
            if mine:
                self._fetch(group, Pace(turn=self._turn))
            with self._changed:
                self._settle(group)

    def _try_again(self) -> None:
        """What failed for lack of a library waits again when that was installed."""
        with self._changed:
            for group in self._groups:
                if group.missing and is_installed(group.missing):
                    group.state, group.error, group.missing = _State.WAITS, "", ""

    def _do(self, errands: Iterable[Errand]) -> None:
        for errand in errands:
            errand.prepare(Pace(turn=self._turn))
            with self._changed:
                if errand in self._errands:
                    self._errands.remove(errand)
                    errand.run()

    def forget(self, names: Iterable[str]) -> None:
        """These names are not waited for any more: they were replayed, or left behind."""
        with self._changed:
            for name in names:
                group = self._of.pop(name, None)
                if group is not None:
                    group.names.discard(name)

    def _fetch(self, group: _Group, pace: Pace) -> None:
        """Unpickle a group; its state says how that went."""
        state, error, missing = _State.LOADED, "", ""
        group.loader = threading.get_ident()
        try:
            group.values = self._load(group.load, group.codes, pace)
        except Exception as failure:  # noqa: BLE001 - unpickling runs code that may raise anything
            state, error, missing = _State.FAILED, reason(failure), missing_library(failure)
        except BaseException:  # an interrupt is the user's, and may come again
            state = _State.WAITS
            raise
        finally:
            with self._changed:
                group.state, group.error, group.missing = state, error, missing
                self._changed.notify_all()

    def _settle(self, group: _Group) -> None:
        """Put a loaded group into the namespace. A name that the user has bound meanwhile is
        theirs.
        """
        if group.state is not _State.LOADED:
            return
        group.state = _State.DONE
        came = sorted(name for name in group.names if name not in self._namespace)
        for name in came:
            self._namespace[name] = group.values[name]
        self.ways.add(group.load.group.names, asked_by(group.codes))
        for name in group.names:
            self._of.pop(name, None)
        group.values, group.codes = {}, []
        self._arrived(came)
        self._do([errand for errand in self._errands if errand.due()])

    # -- imports -----------------------------------------------------------------------

    @contextmanager
    def _turn(self, may_go_on: Callable[[], bool] = lambda: True) -> Iterator[None]:
        """One thread at a time imports for a load."""
        me = threading.get_ident()
        if self._importer == me:  # what it imports asks for a name that waits
            yield
            return
        with self._changed:
            self._changed.wait_for(lambda: not self._importer and may_go_on())
            self._importer = me
        try:
            yield
        finally:
            with self._changed:
                self._importer = 0
                self._changed.notify_all()

    @contextmanager
    def _turn_in_idle_time(self, group: _Group | None = None) -> Iterator[None]:
        """The turn of the thread, for ``group``: none begins while a cell runs."""
        self._give_way(group)
        with self._turn(lambda: self._may_go_on(group)):
            yield

    def wait_for_import(self, seconds: float | None = None) -> None:
        """Wait for the end of what another thread imports for a load; at most ``seconds``."""
        me = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: self._importer in {0, me}, seconds)

    # -- in idle time ------------------------------------------------------------------

    def cell_begins(self) -> None:
        """A cell is about to run: nothing comes into the namespace unasked until it ended."""
        with self._changed:
            self._busy += 1

    def cell_ended(self) -> None:
        """A cell ended; the thread may go on."""
        with self._changed:
            self._busy = max(0, self._busy - 1)
            self._ended = time.monotonic()
            for name in [name for name in self._of if name in self._namespace]:
                self.forget([name])  # bound by the cell, without a look at what it was
            left = self._next() is not None or self._errands
            if self._when_idle and self._thread is None and left:
                self._thread = threading.Thread(
                    target=self._run, name="ipysession-arrivals", daemon=True
                )
                self._thread.start()
            self._changed.notify_all()

    def close(self) -> None:
        """Stop the thread after what it has in hand."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _next(self) -> _Group | None:
        """What the thread loads next: small ones first, so that imports are done early."""
        groups = {id(group): group for group in self._of.values() if group.state is _State.WAITS}
        free = [
            group
            for group in groups.values()
            if not any(kind.startswith(_THREAD_BOUND) for kind in group.load.group.types.values())
        ]
        return min(free, key=lambda group: group.load.group.size, default=None)

    def _run(self) -> None:
        try:
            while (group := self._take()) is not None:
                pace = Pace(partial(self._give_way, group), partial(self._turn_in_idle_time, group))
                with HANDOVER.soon():
                    self._fetch(group, pace)
                with self._changed:
                    if not self._idle():
                        return
                    self._settle(group)
            for errand in tuple(self._errands):
                with HANDOVER.soon():
                    errand.prepare(Pace(turn=self._turn_in_idle_time))
                with self._changed:
                    if not self._idle():
                        return
                    self._do([errand])
        except _GivenUp:
            return

    def _give_way(self, group: _Group | None) -> None:
        """The thread pauses while a cell runs, unless that waits for this group."""
        with self._changed:
            if not self._may_go_on(group):
                with HANDOVER.paused():
                    self._changed.wait_for(lambda: self._may_go_on(group))
            if self._closed:
                raise _GivenUp

    def _may_go_on(self, group: _Group | None) -> bool:
        return self._closed or not self._busy or (group is not None and group.wanted)

    def _take(self) -> _Group | None:
        """The group that the thread is to load, when the kernel is idle; None: it may end."""
        with self._changed:
            # With Run All the next cell is on its way.
            while self._idle() and (rest := self._ended + _SETTLE_SECONDS - time.monotonic()) > 0:
                self._changed.wait(rest)
            group = None if self._closed else self._next()
            if group is None:
                self._thread = None
            else:
                group.state = _State.LOADING
            return group

    def _idle(self) -> bool:
        """Wait until no cell runs; False where there is nothing to wait for any more."""
        self._changed.wait_for(lambda: self._closed or not self._busy)
        return not self._closed


_all: weakref.WeakSet[Waiting] = weakref.WeakSet()


def _before_fork() -> None:
    """A child would find the lock of a module for ever taken that a thread here imports."""
    for waiting in tuple(_all):
        waiting.wait_for_import(_FORK_SECONDS)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork)

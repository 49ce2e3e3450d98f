"""Saving what was left over, one group at a time: told apart, packed, put into the log. When that
is done is the business of `idle`; it may be in any thread, and gives way wherever ``gate`` asks.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Protocol

from ipysession.checkpoint.groups import co_variable_groups, small_plain
from ipysession.checkpoint.packed import Told, why_not
from ipysession.checkpoint.pieces import BudgetExceededError
from ipysession.checkpoint.trial import loads_as_it_was
from ipysession.model.payloads import CheckpointSaved, SkippedGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from threading import Condition
    from typing import Any

    from ipysession.checkpoint.packed import Packed
    from ipysession.checkpoint.saver import Checkpointer
    from ipysession.checkpoint.waitlist import Entry, Waitlist

_STEADY_SECONDS = 0.02
"""A value that threads or tasks may change stands still if it does so for that long."""

_TRIALS = 8
"""Groups that are loaded for a test after one step; each costs some 100 µs of idle time."""

_logger = logging.getLogger(__name__)


class Append(Protocol):
    """Puts a record into the log, with the blobs that must become durable with it."""

    def __call__(self, payload: CheckpointSaved, *, blobs: Iterable[str]) -> object:
        """Append ``payload``."""


class GivenUpError(BudgetExceededError):
    """A cell began that can reach what was being saved, or the time for it is over."""


class LeftOver:
    """Saves the groups of a `Waitlist`. ``state`` is its lock. ``given_up`` says that nothing may
    be recorded any more of what is in hand. For the rest see `idle.IdleSaver`.
    """

    def __init__(  # noqa: PLR0917 - the idle saver's own, which it hands on
        self,
        checkpointer: Checkpointer,
        waiting: Waitlist,
        namespace: dict[str, Any],
        append: Append,
        state: Condition,
        given_up: Callable[[], bool],
        *,
        others_run: Callable[[], bool],
        refused: Callable[[str], None],
    ) -> None:
        self._checkpointer = checkpointer
        self._waiting = waiting
        self._namespace = namespace
        self._append = append
        self._state = state
        self._given_up = given_up
        self._others_run = others_run
        self._refused = refused

    def save(
        self, group: frozenset[str], gate: Callable[[], None], *, in_line: bool = False
    ) -> None:
        """Save one group, or find out which groups it is made of."""
        waiting = self._waiting.get(group)
        if waiting is None:
            return
        try:
            if not waiting.is_group:
                self._split(group, waiting, gate)
                return
            told, packed = self._pack(group, waiting, gate)
            if told.skipped and len(group) > 1 and not waiting.looked_closer:
                # One of them cannot be pickled. Does it share anything with the others?
                self._split(group, waiting, gate, closer=True)
                return
            if not in_line:
                self._make_durable(told, gate)
            self._record(group, waiting, told, packed)
        except GivenUpError:
            return
        except RuntimeError as error:  # a container changed while it was walked: tried once more
            if waiting.again:
                self._refuse(group, waiting, why_not(error))
            else:
                self._put_back(group, waiting)
        except Exception as error:  # noqa: BLE001 - a value's own reducers may raise anything
            self._refuse(group, waiting, why_not(error))

    def _pack(
        self, group: frozenset[str], waiting: Entry, gate: Callable[[], None]
    ) -> tuple[Told, Packed | None]:
        told = Told()
        if not self._others_run():
            return told, self._checkpointer.save(group, self._namespace, waiting.bound, gate, told)
        before = self._checkpointer.fingerprint(group, self._namespace, gate)
        packed = self._checkpointer.save(group, self._namespace, waiting.bound, gate, told)
        time.sleep(_STEADY_SECONDS)  # lets the others come to what they would do
        saved = before if packed is None else packed.fingerprint
        after = self._checkpointer.fingerprint(group, self._namespace, gate)
        if not before == saved == after:
            message = "threads or tasks change it while the kernel is idle"
            raise BudgetExceededError(message)
        return told, packed

    def _split(
        self,
        group: frozenset[str],
        waiting: Entry,
        gate: Callable[[], None],
        *,
        closer: bool = False,
    ) -> None:
        gate()
        names = {name for name in group if name in self._namespace}
        small = frozenset(small_plain(names, self._namespace))
        others = sorted(names - small)
        found = co_variable_groups(others, self._namespace, gate=gate if closer else None)
        found += [small] if small else []
        gate()
        with self._state:
            if self._waiting.get(group) is not waiting or self._given_up():
                return
            self._waiting.split(group, found, closer=closer)
            self._checkpointer.regroup(found)

    def _make_durable(self, told: Told, gate: Callable[[], None]) -> None:
        """The log names what is on the disk already: so its own sync stays short."""
        for _ in self._checkpointer.pieces.blobs.sync_all(told.blobs):
            gate()
        self._checkpointer.pieces.synced(told.blobs)
        told.blobs.clear()

    def _record(
        self, group: frozenset[str], waiting: Entry, told: Told, packed: Packed | None = None
    ) -> None:
        with self._state:
            # Under the lock, so that no cell begins between the look and the record.
            if self._given_up() or self._waiting.get(group) is not waiting:
                return
            self._waiting.remove(group)
            self._append(
                CheckpointSaved(
                    step=waiting.step,
                    groups=told.groups,
                    changed=sorted(told.changed),
                    unchanged=sorted(told.unchanged),
                    skipped=told.skipped,
                    written=told.written or None,
                    seconds=sum(item.seconds for item in told.groups),
                ),
                blobs=told.blobs,
            )
            self._checkpointer.count(told)
            if packed is not None:
                self._checkpointer.is_saved(packed, waiting.step)
        for skipped in told.skipped:
            _logger.info("%s: %s", ", ".join(skipped.names), skipped.reason)
            if "the disk" in skipped.reason or "memory" in skipped.reason:
                self._refused(f"{', '.join(skipped.names)}: {skipped.reason}")

    def _refuse(self, group: frozenset[str], waiting: Entry, reason: str) -> None:
        told = Told(skipped=[SkippedGroup(names=sorted(group), reason=reason)])
        self._record(group, waiting, told)

    def _put_back(self, group: frozenset[str], waiting: Entry) -> None:
        with self._state:
            if self._waiting.get(group) is waiting:
                self._waiting.put_back(group)

    def try_out(self, is_free: Callable[[], bool]) -> None:
        """Load what was saved of types not seen before, while the kernel ``is_free``: what does
        not come back is not saved.
        """
        queue = self._checkpointer.unproven
        for _ in range(_TRIALS):
            if not queue or not is_free():
                return
            step, packed = queue.pop(0)
            values = {name: self._namespace.get(name) for name in packed.names}
            reason = loads_as_it_was(packed.stream, values)
            if not reason:
                self._checkpointer.proven.update(packed.kinds)
                continue
            with self._state:
                if not is_free() or not self._checkpointer.holds(packed):
                    continue  # a cell may have changed what it was compared with
                told = Told(skipped=[SkippedGroup(names=sorted(packed.names), reason=reason)])
                self._append(CheckpointSaved(step=step, skipped=told.skipped), blobs=())
                self._checkpointer.count(told)
                self._checkpointer.distrust(packed)

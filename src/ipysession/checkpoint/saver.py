"""Saving after a step: what it bound or may have changed, group by group. What is small is saved
at once; the rest is left over for idle time (`idle`), which packs and compares the same way.
"""

from __future__ import annotations

import logging
import time
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

from ipysession.checkpoint import hidden, pickling
from ipysession.checkpoint.costs import OWN_THREAD_SECONDS, Costs
from ipysession.checkpoint.groups import (
    LIGHT_BYTES,
    is_plain,
    needs_kernel_thread,
    small_plain,
)
from ipysession.checkpoint.modules import keep_state
from ipysession.checkpoint.packed import Limits, Packed, Told, why_not
from ipysession.checkpoint.pieces import BudgetExceededError, Packing, Pieces, until
from ipysession.checkpoint.preview import preview, type_name
from ipysession.lineage import is_internal
from ipysession.model.payloads import CheckpointSaved, SavedGroup, SkippedGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from ipysession.log import Blobs

_logger = logging.getLogger(__name__)

_PLAIN_NAMES = frozenset({"*plain*"})

WAITS = "it waits for the kernel to be idle"
"""Why a name is skipped that idle time will save."""

_STATE_SECONDS = 1.0
"""Random states are small: values that overran their budget do not take them along."""


class _State(NamedTuple):
    """State that no variable holds."""

    random: dict[str, Any]
    cwd: str | None


class Checkpointer:
    """Saves values into one session's blobs. ``redact`` takes secrets out of previews."""

    def __init__(
        self,
        blobs: Blobs,
        limits: Limits | None = None,
        *,
        redact: Callable[[str], str] = lambda text: text,
    ) -> None:
        self.limits = Limits() if limits is None else limits
        self.pieces = Pieces(blobs, min_free=self.limits.min_free)
        self._redact = redact
        self._group_of: dict[str, frozenset[str]] = {}
        # What the log says already, and what it will say once the latest record is in it.
        self._digests: dict[frozenset[str], bytes] = {}
        self._by_name: dict[str, bytes] = {}
        self._key_of: dict[str, frozenset[str]] = {}
        self._fresh: list[Packed] = []
        self._step = 0
        self._state = self._new_state = _State({}, None)
        self._state_is_owed = False
        self.costs = Costs(self.limits)
        self.proven: weakref.WeakSet[type] = weakref.WeakSet()
        """Types of which an object was loaded again and was what it had been."""
        self._bad: weakref.WeakSet[type] = weakref.WeakSet()
        """Types of which an object did not come back."""
        self.unproven: list[tuple[int, Packed]] = []
        """Groups whose types are not proven, and their step: idle time loads them for a test."""
        self.touched: set[str] = set()
        """The names that the latest step may have changed or deleted."""
        self.left_over: list[str] = []
        """Its names that wait for idle time."""
        self.saved_bytes: dict[str, int] = {}
        """Names whose newest value is in the log, and the size of their group."""
        self.skipped: dict[str, str] = {}
        """Names whose newest value is not, and why."""

    def after_step(
        self,
        step: int,
        namespace: dict[str, Any],
        *,
        bound: Collection[str],
        reachable: Collection[str],
        deleted: Collection[str],
        execution_count: int | None,
        still: bool = False,
    ) -> tuple[CheckpointSaved | None, list[str]]:
        """Save what the step bound or may have changed, as far as it is small. Returns the record
        to append, or None where there is nothing to say, and the blobs that must become durable
        with it. A step that is ``still`` has not changed what no variable holds. Call `appended`
        when the record is in the log.
        """
        started = time.perf_counter()
        self._fresh.clear()
        self._step = step
        for name in deleted:
            self._forget(name)
        candidates = self._candidates(namespace, bound, reachable)
        told = Told()
        plain = {name for name in candidates if is_plain(namespace[name])}
        small = small_plain(plain, namespace)
        groups, left_over = self.costs.small_groups(candidates - plain, namespace)
        left_over += plain.difference(small)
        if small:
            groups.insert(0, small)
        deadline = started + self.limits.seconds
        for names in groups:
            own = needs_kernel_thread(namespace[name] for name in names)
            limit = max(deadline, time.perf_counter() + OWN_THREAD_SECONDS) if own else deadline
            key = _PLAIN_NAMES if names is small else frozenset(names)
            for name in names:
                if key is _PLAIN_NAMES:
                    self._group_of.pop(name, None)
                else:
                    self._group_of[name] = key
            try:
                packed = self.save(names, namespace, bound, until(limit), told)
            except (BudgetExceededError, RuntimeError):  # or a thread changes it
                self.costs.expect(names, self.limits.alone)
                left_over += names
            else:
                self._fresh += [] if packed is None else [packed]
        # What waits counts as one group until idle time has had a look.
        self._group_of.update(dict.fromkeys(left_over, frozenset(left_over)))
        if left_over:
            told.skipped.append(SkippedGroup(names=sorted(left_over), reason=WAITS))
        self.touched, self.left_over = candidates.union(deleted), sorted(left_over)
        state, self._new_state = None, self._state
        if self._state_is_owed or not (still and self._state.random):
            random, state = self._random_states(namespace, told)
            self._new_state = _State(random, hidden.working_directory())
        moved = self._new_state.cwd != self._state.cwd
        self._state_is_owed = moved or state is not None
        self.count(told)
        if not (told.groups or told.unchanged or told.skipped or deleted or state or moved):
            return None, []
        record = CheckpointSaved(
            step=step,
            groups=told.groups,
            changed=sorted(told.changed),
            unchanged=sorted(told.unchanged),
            skipped=told.skipped,
            deleted=sorted(deleted),
            state=state,
            cwd=self._new_state.cwd if moved else None,
            execution_count=execution_count,
            written=told.written or None,
            seconds=time.perf_counter() - started,
        )
        return record, told.blobs

    @property
    def written(self) -> int:
        """Bytes of blobs written in this run, those of what was given up among them."""
        return self.pieces.written

    def appended(self) -> None:
        """The record of the last `after_step` is in the log. Until then nothing in it counts as
        saved: a step whose saving was interrupted is saved anew.
        """
        for packed in self._fresh:
            self.is_saved(packed, self._step)
        self._fresh.clear()
        self._state, self._state_is_owed = self._new_state, False

    def is_saved(self, packed: Packed, step: int) -> None:
        """The record that names this group is in the log, for this step."""
        key = _PLAIN_NAMES if packed.group.plain else packed.names
        for name in packed.names:
            before = self._key_of.get(name)
            if before is not None and before != key:
                # What was saved with other partners is not the newest any more.
                self._digests.pop(before, None)
            self._key_of[name] = key
            self._by_name.pop(name, None)
        if key is not _PLAIN_NAMES:
            self._digests[key] = packed.fingerprint
        self._by_name.update(packed.by_name)
        if packed.stream and not all(kind in self.proven for kind in packed.kinds):
            self.unproven.append((step, packed))

    def adopt(self, groups: Collection[Collection[str]]) -> None:
        """After a resume: these names were restored together and may share objects."""
        for group in groups:
            self._group_of.update(dict.fromkeys(group, frozenset(group)))

    def regroup(self, groups: Collection[Collection[str]]) -> None:
        """Idle time has had a look at names that waited: these groups share nothing."""
        self.adopt(groups)

    def _forget(self, name: str) -> None:
        self._group_of.pop(name, None)
        self._unsaved(name)
        self.costs.forget(name)
        for known in (self._by_name, self.saved_bytes, self.skipped):
            known.pop(name, None)

    def _unsaved(self, name: str) -> None:
        """What the log says of it is not its value any more, and will not be again."""
        self._digests.pop(self._key_of.pop(name, frozenset()), None)

    def _candidates(
        self, namespace: Mapping[str, Any], bound: Collection[str], reachable: Collection[str]
    ) -> set[str]:
        candidates = {name for name in bound if name in namespace and not is_internal(name)}
        if keep_state(reachable, namespace):
            reachable = self._key_of.keys() | set(reachable)
        for name in reachable:
            if name in candidates or name not in namespace or is_internal(name):
                continue
            # A plain value that was only read cannot have changed.
            if not is_plain(namespace[name]):
                candidates.add(name)
        groups = {id(g): g for name in candidates if (g := self._group_of.get(name)) is not None}
        for partners in groups.values():
            candidates.update(
                other
                for other in partners
                if other in namespace and (other in self.skipped or not is_plain(namespace[other]))
            )
        return candidates

    def _random_states(
        self, namespace: dict[str, Any], told: Told
    ) -> tuple[dict[str, Any], SavedGroup | None]:
        """The states of random generators, and they saved where they are not as they were: to
        compare them costs less than to pickle them.
        """
        try:
            states = hidden.read_states()
            if states == self._state.random:
                return states, None
            gate = until(time.perf_counter() + _STATE_SECONDS)
            packed = self.pack(states, namespace, gate, is_state=True)
        except Exception as error:  # noqa: BLE001 - they must not take the values along, either
            _logger.warning("random states were not saved: %s", why_not(error))
            return {}, None
        told.blobs += self.pieces.unsynced(packed.blobs)
        told.written += packed.written
        return states, packed.group

    # -- one group, in any thread --------------------------------------------------------

    def save(
        self,
        names: Collection[str],
        namespace: dict[str, Any],
        bound: Collection[str],
        gate: Callable[[], None],
        told: Told,
    ) -> Packed | None:
        """Pack one group and tell what became of it. Nothing counts as saved before `is_saved`.
        Returns None where the log holds the same already, or the group cannot be saved.

        Raises BudgetExceededError where the gate does; any other failure is told.
        """
        values = {name: namespace[name] for name in sorted(names)}
        try:
            packed = self.pack(values, namespace, gate)
            bad = next((kind for kind in packed.kinds if kind in self._bad), None)
            if bad is not None:
                message = f"a {bad.__name__} loads as something else"
                raise TypeError(message)  # noqa: TRY301 - told below, like any other
        except (BudgetExceededError, RuntimeError):
            raise
        except Exception as error:  # noqa: BLE001 - a value's own reducers may raise anything
            for name in names:
                self._unsaved(name)
            told.skipped.append(SkippedGroup(names=sorted(names), reason=why_not(error)))
            return None
        for name in names:
            self.costs.took(name, packed.group.seconds)
        told.written += packed.written
        self._compare(packed, bound, told)
        if not packed.group.plain and self._digests.get(packed.names) == packed.fingerprint:
            return None
        told.groups.append(packed.group)
        told.blobs += self.pieces.unsynced(packed.blobs)
        return packed

    def _compare(self, packed: Packed, bound: Collection[str], told: Told) -> None:
        """Which of the names differ from before the step?"""
        for name in packed.names:
            before, now = self._by_name.get(name), packed.by_name.get(name)
            if before is not None and now is not None:
                (told.unchanged if before == now else told.changed).append(name)
            elif packed.fingerprint == self._digests.get(packed.names):
                told.unchanged.append(name)
            elif name in bound:
                told.changed.append(name)

    def pack(
        self,
        values: dict[str, Any],
        namespace: dict[str, Any],
        gate: Callable[[], None],
        *,
        is_state: bool = False,
    ) -> Packed:
        """Pickle a group into pieces. Safe in any thread.

        Raises BudgetExceededError where ``gate`` does or the group is too large, OSError where
        the disk refuses, and whatever the values' own reducers raise.
        """
        started = time.perf_counter()
        packing = Packing(gate, self.pieces, self.limits.max_bytes)
        pickling.dump(values, namespace, packing)
        fingerprint = packing.fingerprint()
        plain = not is_state and all(map(is_plain, values.values()))
        by_name: dict[str, bytes] = {}
        if not (plain or is_state):
            if len(values) == 1:
                by_name = dict.fromkeys(values, fingerprint)
            elif packing.is_small:
                by_name = {name: self._alone(name, values, namespace, gate) for name in values}
        is_testable = not packing.numbered and packing.size <= LIGHT_BYTES
        group = SavedGroup(
            names=sorted(values),
            types={name: type_name(value) for name, value in values.items()},
            previews={}
            if is_state
            else {name: preview(value, self._redact) for name, value in values.items()},
            plain=plain,
            **packing.fields(),
            seconds=time.perf_counter() - started,
        )
        return Packed(
            frozenset(values),
            group,
            fingerprint,
            by_name,
            packing.blobs,
            packing.written,
            packing.stream() if is_testable else b"",
            packing.kinds,
        )

    @staticmethod
    def _alone(
        name: str, values: dict[str, Any], namespace: dict[str, Any], gate: Callable[[], None]
    ) -> bytes:
        """The fingerprint of one name of a group."""
        alone = Packing(gate)
        pickling.dump({name: values[name]}, namespace, alone)
        return alone.fingerprint()

    def fingerprint(
        self, names: Collection[str], namespace: dict[str, Any], gate: Callable[[], None]
    ) -> bytes:
        """The fingerprint that a group has now. Raises as `pack`."""
        packing = Packing(gate, max_bytes=self.limits.max_bytes)
        pickling.dump({name: namespace[name] for name in sorted(names)}, namespace, packing)
        return packing.fingerprint()

    def holds(self, packed: Packed) -> bool:
        """Is this group what the log says last of its names?"""
        return all(self._by_name.get(name) == packed.by_name.get(name) for name in packed.names)

    def distrust(self, packed: Packed) -> None:
        """What was saved of this group is not what it was: it does not count as saved."""
        for name in packed.names:
            self._unsaved(name)
            self._by_name.pop(name, None)
            self.saved_bytes.pop(name, None)
        suspects = [kind for kind in packed.kinds if kind not in self.proven]
        if len(suspects) == 1:
            self._bad.add(suspects[0])

    def count(self, told: Told) -> None:
        """Remember, for `status`, what was told."""
        for group in told.groups:
            for name in group.names:
                self.saved_bytes[name] = group.size
                self.skipped.pop(name, None)
        for name in told.unchanged:
            self.skipped.pop(name, None)
        for skipped in told.skipped:
            self.skipped.update(dict.fromkeys(skipped.names, skipped.reason))

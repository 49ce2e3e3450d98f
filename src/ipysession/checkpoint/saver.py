"""Saving after a step: what it bound or may have changed, group by group, within a budget."""

from __future__ import annotations

import base64
import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from ipysession.checkpoint import hidden, pickling
from ipysession.checkpoint.groups import co_variable_groups, is_plain, rough_size
from ipysession.lineage import is_internal
from ipysession.log.blobs import blob_name
from ipysession.model.payloads import CheckpointSaved, SavedGroup, SkippedGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ipysession.log import Blobs

INLINE_BYTES = 4096
"""A pickle up to this size stands in the record itself: no file, no sync."""

_logger = logging.getLogger(__name__)

_PLAIN_NAMES = frozenset({"*plain*"})
_STATE_NAMES = frozenset({"*state*"})


class _State(NamedTuple):
    """State that no variable holds."""

    random: dict[str, Any]
    cwd: str | None


class PickledGroup(NamedTuple):
    """A group as bytes, on its way into the store."""

    types: dict[str, str]
    """Each name's type, in words."""
    data: bytes
    digest: str
    seconds: float


class Checkpointer:
    """Saves values into one session's blobs. ``seconds`` is the budget per step; a step that
    ran long may take ``share`` of its own duration instead. ``max_bytes`` bounds one group.
    """

    def __init__(self, blobs: Blobs, *, seconds: float, share: float, max_bytes: int) -> None:
        self._blobs = blobs
        self._seconds = seconds
        self._share = share
        self._max_bytes = max_bytes
        self._group_of: dict[str, frozenset[str]] = {}
        # What the log says already, and what it will say once the latest record is in it.
        self._digests: dict[frozenset[str], str] = {}
        self._new_digests: dict[frozenset[str], str] = {}
        self._state = self._new_state = _State({}, None)
        self.touched: set[str] = set()
        """The names that the latest step may have changed or deleted."""
        self.left_over: list[list[str]] = []
        """The groups that did not fit into its budget."""

    def after_step(
        self,
        step: int,
        namespace: dict[str, Any],
        *,
        bound: Collection[str],
        reachable: Collection[str],
        deleted: Collection[str],
        duration: float,
        execution_count: int | None,
    ) -> tuple[CheckpointSaved | None, list[str]]:
        """Save what the step bound or may have changed. Returns the record to append, or None
        where there is nothing to say, and the blobs that must become durable with it. Call
        `appended` when the record is in the log.
        """
        started = time.perf_counter()
        self._new_digests.clear()
        deadline = started + max(self._seconds, self._share * duration)
        for name in deleted:
            self._forget(name)
        candidates = self._candidates(namespace, bound, reachable)
        plain = sorted(name for name in candidates if is_plain(namespace[name]))
        groups = co_variable_groups(sorted(candidates - set(plain)), namespace)
        saved: list[SavedGroup] = []
        unchanged: list[str] = []
        skipped: list[SkippedGroup] = []
        blobs: list[str] = []
        left_over: list[list[str]] = []
        work = [(_PLAIN_NAMES, plain)] if plain else []
        # The small ones first: a large one must not use up the budget of all others.
        work += sorted(
            ((group, sorted(group)) for group in groups),
            key=lambda item: (sum(rough_size(namespace[name]) for name in item[1]), item[1]),
        )
        for key, names in work:
            for name in names:
                self._group_of[name] = frozenset(names) if key is not _PLAIN_NAMES else key
            values = {name: namespace[name] for name in names}
            try:
                group = self._save(key, values, namespace, deadline, blobs)
            except pickling.BudgetExceededError as error:
                self._digests.pop(key, None)
                skipped.append(SkippedGroup(names=names, reason=str(error)))
                left_over.append(names)
                continue
            except Exception as error:  # noqa: BLE001 - a value's own reducers may raise anything
                self._digests.pop(key, None)
                skipped.append(SkippedGroup(names=names, reason=_reason(error)))
                continue
            if group is None:
                unchanged.extend(names)
            else:
                saved.append(group)
        self.touched, self.left_over = candidates.union(deleted), left_over
        random, state = self._random_states(namespace, blobs)
        cwd = hidden.working_directory()
        moved = cwd != self._state.cwd
        self._new_state = _State(random, cwd)
        if not (saved or unchanged or skipped or deleted or state or moved):
            return None, []
        record = CheckpointSaved(
            step=step,
            groups=saved,
            unchanged=sorted(unchanged),
            skipped=skipped,
            deleted=sorted(deleted),
            state=state,
            cwd=cwd if moved else None,
            execution_count=execution_count,
            seconds=time.perf_counter() - started,
        )
        return record, blobs

    def appended(self) -> None:
        """The record of the last `after_step` is in the log. Until then nothing in it counts as
        saved: a step whose saving was interrupted is saved anew.
        """
        self._digests.update(self._new_digests)
        self._state = self._new_state

    def adopt(self, groups: Collection[Collection[str]]) -> None:
        """After a resume: these names were restored together and may share objects."""
        for group in groups:
            for name in group:
                self._group_of[name] = frozenset(group)

    def _forget(self, name: str) -> None:
        group = self._group_of.pop(name, None)
        if group is not None:
            self._digests.pop(group, None)

    def _candidates(
        self, namespace: dict[str, Any], bound: Collection[str], reachable: Collection[str]
    ) -> set[str]:
        candidates = {name for name in bound if name in namespace and not is_internal(name)}
        for name in reachable:
            if name in candidates or name not in namespace or is_internal(name):
                continue
            # A plain value that was only read cannot have changed.
            if not is_plain(namespace[name]):
                candidates.add(name)
        for name in tuple(candidates):
            partners = self._group_of.get(name, frozenset()) - {name}
            candidates.update(
                other for other in partners if other in namespace and not is_plain(namespace[other])
            )
        return candidates

    def _random_states(
        self, namespace: dict[str, Any], blobs: list[str]
    ) -> tuple[dict[str, Any], SavedGroup | None]:
        """The states of random generators, and they saved where they are not as they were: to
        compare them costs less than to pickle them.
        """
        try:
            states = hidden.read_random_states()
            if states == self._state.random:
                return states, None
            # Small, and always saved: values that overran their budget do not take it along.
            later = time.perf_counter() + 1.0
            return states, self._save(_STATE_NAMES, states, namespace, later, blobs)
        except Exception as error:  # noqa: BLE001 - they must not take the values along, either
            _logger.warning("random states were not saved: %s", _reason(error))
            return {}, None

    def pickle_group(
        self,
        values: dict[str, Any],
        namespace: dict[str, Any],
        *,
        deadline: float,
        stop: Callable[[], bool] = lambda: False,
    ) -> PickledGroup:
        """Pickle a group and hash it; nothing counts as saved yet. Safe in any thread.

        Raises BudgetExceededError past ``deadline`` or when ``stop`` says so, and whatever the
        values' own reducers raise.
        """
        started = time.perf_counter()
        chunks = pickling.dumps(
            values,
            namespace,
            seconds=deadline - started,
            max_bytes=self._max_bytes,
            stop=stop,
        )
        data = b"".join(chunks)
        types = {name: type_name(value) for name, value in values.items()}
        return PickledGroup(types, data, blob_name(data), time.perf_counter() - started)

    def store(self, pickled: PickledGroup) -> tuple[SavedGroup, list[str]]:
        """Write a group's bytes; nothing counts as saved yet. Safe in any thread.

        Returns what a record says of it, and the blobs that must become durable with that.
        """
        blobs: list[str] = []
        return self._stored(pickled, blobs), blobs

    def saved_late(self, pickled: PickledGroup) -> None:
        """The record of a group that was left over is in the log."""
        self._digests[frozenset(pickled.types)] = pickled.digest

    def _save(
        self,
        key: frozenset[str],
        values: dict[str, Any],
        namespace: dict[str, Any],
        deadline: float,
        blobs: list[str],
    ) -> SavedGroup | None:
        """Pickle a group; None where the bytes are those that were saved before."""
        pickled = self.pickle_group(values, namespace, deadline=deadline)
        if key is not _PLAIN_NAMES and key is not _STATE_NAMES:
            if self._digests.get(key) == pickled.digest:
                return None
            self._new_digests[key] = pickled.digest
        return self._stored(pickled, blobs, plain=key is _PLAIN_NAMES)

    def _stored(
        self, pickled: PickledGroup, blobs: list[str], *, plain: bool = False
    ) -> SavedGroup:
        inline = blob = None
        if len(pickled.data) <= INLINE_BYTES:
            inline = base64.b64encode(pickled.data).decode("ascii")
        else:
            blob = self._blobs.put(pickled.data, sync=False)
            blobs.append(blob)
        return SavedGroup(
            names=sorted(pickled.types),
            size=len(pickled.data),
            inline=inline,
            blob=blob,
            types=pickled.types,
            plain=plain,
            seconds=pickled.seconds,
        )


def type_name(value: Any) -> str:
    """A value's type as people say it: ``list``, ``pandas.DataFrame``."""
    kind = type(value)
    return (
        kind.__name__
        if kind.__module__ in {"builtins", "__main__"}
        else (f"{kind.__module__.partition('.')[0]}.{kind.__name__}")
    )


def _reason(error: Exception) -> str:
    if isinstance(error, pickling.BudgetExceededError):
        return str(error)
    if isinstance(error, OSError):
        return f"the disk refused it: {error.strerror or error}"
    return f"it cannot be pickled: {type(error).__name__}: {error}"[:300]

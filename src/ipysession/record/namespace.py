"""Which names a cell bound or deleted, by looking at the namespace before and after.

IPython adds a name to the namespace with every cell (``_i1``, ``_i2`` …), so looking at all
of them would cost more with every step. New names stand at the end of a dict, so only those
are walked, and of the others only the user's are compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipysession.lineage import identity, is_internal, is_output

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class NamespaceWatch:
    """Watches one namespace. ``hidden`` is IPython's record of what it put there itself.

    Identities are compared, never kept alive: holding the old values would keep a large one
    in memory that the cell replaces. A new object at the address of the old one goes unseen
    here; the cell's code tells of that binding.
    """

    def __init__(self, namespace: dict[str, Any], hidden: Mapping[str, Any]) -> None:
        self._namespace = namespace
        self._hidden = hidden
        self._identities: dict[str, int] = {}
        self._outputs: set[str] = set()
        self._given: set[str] = set()
        """Names that IPython put there, and that the user may bind."""
        self._last: str | None = None
        self.begin()

    @property
    def names(self) -> frozenset[str]:
        """The user's names, as of the last `begin` or `end`, outputs such as ``_3`` included."""
        return frozenset(self._identities).union(self._outputs)

    def begin(self) -> set[str]:
        """A cell begins: what changed since the last one ended is not its doing. Returns that."""
        bound, deleted = self.end()
        return bound | deleted

    def came(self, names: Iterable[str]) -> None:
        """These names came while a cell ran, and are not its doing."""
        for name in names:
            if name in self._namespace and not is_internal(name):
                self._identities[name] = identity(self._namespace[name])

    def end(self) -> tuple[set[str], set[str]]:
        """A cell ended: the names that it bound, and those that it deleted."""
        namespace, hidden, identities = self._namespace, self._hidden, self._identities
        bound: set[str] = set()
        deleted: set[str] = set()
        missing = object()
        for name, known in list(identities.items()):
            value = namespace.get(name, missing)
            if value is missing or (name in hidden and hidden[name] is value):
                deleted.add(name)
                del identities[name]
                self._given.add(name)
            elif identity(value) != known:
                bound.add(name)
                identities[name] = identity(value)
        gone = (
            {name for name in self._outputs if name not in namespace} if self._culled() else set()
        )
        self._outputs -= gone
        for name in self._new_names():
            if is_output(name):
                if name not in self._outputs:
                    self._outputs.add(name)
                    bound.add(name)
            elif name not in identities and not is_internal(name):
                self._given.add(name)
        for name in list(self._given):
            # IPython's until the user binds it (anew).
            value = namespace.get(name, missing)
            if value is missing:
                self._given.discard(name)
            elif name not in hidden or hidden[name] is not value:
                identities[name] = identity(value)
                bound.add(name)
                self._given.discard(name)
        self._last = next(reversed(namespace), None)
        return bound, deleted | gone

    def _culled(self) -> bool:
        """Has IPython dropped old outputs (it keeps 1,000), or has the user reset them?"""
        return len(self._outputs) > len(self._namespace.get("_oh", ()))

    def _new_names(self) -> list[str]:
        """Names that were added since the last look, or all where that cannot be told."""
        namespace = self._namespace
        if self._last is None or self._last not in namespace:
            return list(namespace)
        new: list[str] = []
        for name in reversed(namespace):
            if name == self._last:
                break
            new.append(name)
        return new

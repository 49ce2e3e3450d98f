"""How the values of names looked last, and which names share objects with which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipysession.lineage.things import KEYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ipysession.lineage.fingerprints import Print


class Prints:
    """The newest fingerprint of each name whose value can change."""

    def __init__(self) -> None:
        self._known: dict[str, Print] = {}
        self._owners: dict[int, set[str]] = {}
        """The names that hold an object, by its identity."""
        self._links: dict[str, set[str]] = {}
        """Names that may share objects with one that is too large to look at."""

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def get(self, name: str) -> Print | None:
        """How the value of ``name`` looked last; None where nobody looked."""
        return self._known.get(name)

    def remember(self, name: str, known: Print) -> None:
        """The value of ``name`` looks like this now."""
        before = self._known.get(name)
        if before is not None and before.shared is not known.shared:
            self._disown(name, before)
        self._known[name] = known
        for one in known.shared:
            self._owners.setdefault(one, set()).add(name)

    def forget(self, name: str) -> None:
        """``name`` has no value any more, or another."""
        known = self._known.pop(name, None)
        if known is not None:
            self._disown(name, known)
        for other in self._links.pop(name, set()):
            self._links.get(other, set()).discard(name)

    def link(self, one: str, other: str) -> None:
        """These two may share an object that was not seen."""
        self._links.setdefault(one, set()).add(other)
        self._links.setdefault(other, set()).add(one)

    def sharing(self, names: Iterable[str]) -> set[str]:
        """``names``, and all that may share an object with one of them."""
        found: set[str] = set()
        for name in names:
            found.add(name)
            known = self._known.get(name)
            for one in () if known is None else known.shared:
                found |= self._owners.get(one, set())
            found |= self._links.get(name, set())
        return found

    def _disown(self, name: str, known: Print) -> None:
        for one in known.shared:
            owners = self._owners.get(one)
            if owners is not None:
                owners.discard(name)
                if not owners:
                    del self._owners[one]


def differing(before: Print, now: Print) -> Iterator[str]:
    """The parts of a value that changed; an empty text is the whole."""
    if before.opaque or now.opaque or before.whole != now.whole:
        yield ""
    elif before.parts is None or now.parts is None:
        if before.parts != now.parts:
            yield ""
    else:
        for part in {**before.parts, **now.parts}:
            if before.parts.get(part) != now.parts.get(part):
                yield part
        if list(before.parts) != list(now.parts):
            yield KEYS

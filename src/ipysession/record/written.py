"""The files that a step read and wrote, in its lineage: as heard, as processes left them, as its
texts name them, and as those look that the session wrote.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from ipysession.lineage.things import of_kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ipysession.record.effects import EffectsSeen
    from ipysession.record.hidden import Look

_MOST_WATCHED = 50
"""Files that the session wrote and that are looked at after each step."""
_FILE = of_kind("file")
_LONGEST_PATH = 300
_GRAIN = 0.01
"""Seconds by which a file's time may lie before the clock's."""
_PATH_LIKE = re.compile(r"[\w~./]")
_SCRIPT = re.compile(
    r"\.(py|sh|pl|rb|r|jl|ipynb)\b|\b(make|ls|find|tree|du)\b|\*|<\w+>", re.IGNORECASE
)
"""What a command says that runs code which may read anything, or that lists folders."""


class FileWatch:
    """Knows the files that the steps of one kernel wrote."""

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        self._namespace = namespace
        self._written: dict[str, tuple[int, int] | None] = {}
        """Files that steps wrote, with size and time."""

    def adopt(self, path: str) -> None:
        """A step of an earlier kernel wrote this file."""
        self._written[path] = _look_at(path)

    def end(self, look: Look, began: float) -> None:
        """A step ended that ``began`` then (by the clock): adds files to its ``look``."""
        seen = look.seen
        self._heard(look, seen)
        self._listed(look, seen)
        for path in self._named(look):
            self._by_text(look, path, began)
        self._commanded(look, seen)
        self._later(look)
        for thing in (*look.made, *look.changed):
            if thing.startswith(_FILE):
                path = thing.removeprefix(_FILE)
                self._written[path] = _look_at(path)
        self._folders(look)

    @staticmethod
    def _heard(look: Look, seen: EffectsSeen) -> None:
        for path in (*seen.reads, *seen.deleted):
            look.read[of_kind("file", path)] = "effects"
        for path in seen.deleted:
            look.made[of_kind("file", path)] = "effects"
        for path in seen.writes:
            written = look.made if path in seen.anew else look.changed
            written[of_kind("file", path)] = "folder" if path in seen.by_processes else "effects"
        for folder in seen.folders:
            look.read.setdefault(of_kind("file", folder), "effects")

    def _listed(self, look: Look, seen: EffectsSeen) -> None:
        """What a folder holds rests on who made, or removed, what lay in it."""
        for path in self._written if seen.listed else ():
            thing = of_kind("file", path)
            if os.path.dirname(path) in seen.listed and thing not in look.made:
                look.read.setdefault(thing, "effects")

    def _named(self, look: Look) -> Iterator[str]:
        """The paths that its texts name. Native readers and writers are not heard."""
        words = {word for word in look.found.use.words if len(word) > 1 and "\n" not in word}
        for name in look.found.names:
            value = self._namespace.get(name)
            if isinstance(value, os.PathLike) or (
                type(value) is str and 1 < len(value) < _LONGEST_PATH and "\n" not in value
            ):
                try:
                    words.add(os.fsdecode(value))
                except Exception:  # noqa: BLE001, S112 - a path of the user's own class
                    continue
        for word in words:
            if ("." in word or os.sep in word) and _PATH_LIKE.match(word):
                yield os.path.abspath(os.path.expanduser(word))

    def _by_text(self, look: Look, path: str, began: float) -> None:
        thing = of_kind("file", path)
        if thing in look.read or thing in look.made or thing in look.changed:
            return
        known = _look_at(path)
        if known is None and path in self._written:
            look.read[thing] = "text"  # that it is gone
        if known is None or os.path.isdir(path):
            return
        recent = known[1] / 1e9 >= began - _GRAIN
        if recent and self._written.get(path) != known:
            look.changed[thing] = "text"
        elif recent or path in self._written:
            look.read[thing] = "text"
        # An input that nobody here wrote is told by the effects, if at all.

    def _commanded(self, look: Look, seen: EffectsSeen) -> None:
        """Of what the session wrote, a process may have read what its command names; one that
        runs a script, any of it.
        """
        for kind, address in seen.connections:
            if kind == "sqlite":
                look.read.setdefault(of_kind("file", address), "effects")
                self._written.setdefault(address, _look_at(address))
        if not self._written or not (seen.processes or look.cell.commands):
            return
        said = "\n".join((*seen.processes, *look.cell.commands))
        any_of_them = _SCRIPT.search(said) is not None
        for path in self._written:
            thing = of_kind("file", path)
            if thing not in look.made and (any_of_them or os.path.basename(path) in said):
                look.read.setdefault(thing, "text")

    def _later(self, look: Look) -> None:
        """What the session wrote, and who wrote it again was not heard."""
        for path, before in list(self._written.items())[-_MOST_WATCHED:]:
            now = _look_at(path)
            thing = of_kind("file", path)
            if now != before:
                self._written[path] = now
                if thing not in look.made:
                    look.changed.setdefault(thing, "folder")

    def _folders(self, look: Look) -> None:
        """A file rests on the folders above it that the session made."""
        for thing in (*look.read, *look.made, *look.changed):
            if not thing.startswith(_FILE):
                continue
            folder = os.path.dirname(thing.removeprefix(_FILE))
            while len(folder) > 1:
                above = of_kind("file", folder)
                if folder in self._written and above not in look.made:
                    look.read.setdefault(above, "effects")
                folder = os.path.dirname(folder)


def _look_at(path: str) -> tuple[int, int] | None:
    try:
        known = os.stat(path)
    except (OSError, ValueError):
        return None
    return known.st_size, known.st_mtime_ns

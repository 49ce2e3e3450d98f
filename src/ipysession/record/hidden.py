"""State that no variable holds: what a step did to it, and who may have looked at it.

Each piece is a thing with a kind before its colon. Writes are seen by comparing before and after.
Reads leave no trace; but only state that some step has set can differ in a fresh kernel, so that
only of such state it is asked whether a step may have looked, and most notebooks set none. Only
libraries that the session has imported are asked; nothing is imported for it.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ipysession.lineage.fingerprints import fingerprint
from ipysession.lineage.identity import library_of
from ipysession.lineage.things import of_kind
from ipysession.record.effects.habits import code_folders
from ipysession.record.states import SETTERS, STATES, differences, draws, random_states

if TYPE_CHECKING:
    from ipysession.lineage.cell import Cell
    from ipysession.lineage.reached import Reached
    from ipysession.record.effects import EffectsSeen

_DRAWS = ("rand", "normal", "choice", "shuffle", "sample", "uniform", "integers", "permutation")
_OF_TRACEBACKS = frozenset(
    {"IPython", "stack_data", "executing", "asttokens", "pure_eval", "pygments"}
)
"""Packages that the first error in a kernel imports, whatever the cell was."""
_SETS = re.compile(
    r"(set|add_)\w+|(register|unregister|enable|disable|install|uninstall|configure|init)(_\w+)?"
    r"|signal|umask|tzset"
)
"""Functions of libraries, by their names, that set something for the whole process."""
_COMPARED = frozenset(
    {"numpy", "pandas", "matplotlib", "logging", "decimal", "warnings", "locale", "random", "os",
     "torch", "seaborn"}
)  # fmt: skip
"""Libraries whose settings are compared, or asked for otherwise."""
_SEEDS = frozenset({"seed", "set_state", "setstate", "manual_seed", "set_rng_state"})


@dataclass(slots=True)
class Look:
    """All that is known of a step when it has ended."""

    cell: Cell
    found: Reached
    seen: EffectsSeen
    shown: bool
    """It has a result that was shown."""
    deadline: float
    imported: list[str] = field(default_factory=list)
    """Modules that were not there before."""
    still: bool = True
    """Of what is compared, nothing differs from what it was when the last step had ended."""
    changed: dict[str, str] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)
    read: dict[str, str] = field(default_factory=dict)

    @property
    def is_inert(self) -> bool:
        """Did it call nothing and use no attribute, so that it can have reached no hidden state?"""
        use = self.found.use
        return not (use.calls or use.attributes or self.cell.unbounded or self.imported)

    def mentions(self, *words: str) -> bool:
        """Does any code that the step can reach mention one of these words?"""
        use, loads = self.found.use, self.cell.flow.loads
        return any(
            word in use.attributes or word in use.loads or word in use.words or word in loads
            or word in use.imports
            for word in words
        )  # fmt: skip

    def reaches(self, *libraries: str) -> bool:
        """Does the step use an object of one of these packages?"""
        return not self.found.libraries.isdisjoint(libraries) or any(
            name.partition(".")[0] in libraries for name in self.found.use.imports
        )


class HiddenWatch:
    """Watches the hidden state of this process."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace
        self._dirty: set[str] = set()
        """What some step has set; of nothing else the readers matter."""
        self._known: dict[str, Any] = {}
        self._count = len(sys.modules)
        self._last = next(reversed(sys.modules), None)
        self._users: dict[str, tuple[ModuleType, Any]] = {}
        """Modules of the user's, with their fingerprints."""
        for name, look, _ in STATES:
            self._known[name] = look()

    def set_before(self, things: set[str]) -> None:
        """What steps of an earlier kernel have set, which a resume brings back."""
        self._dirty |= {thing for thing in things if ":" in thing}
        for name, look, _ in STATES:
            self._known[name] = look()
        self._known.update((of_kind("random", name), state) for name, state in random_states())

    def begin(self) -> None:
        """A step begins: what was imported since the last one was not imported by a step."""
        self._new_modules()

    def end(self, look: Look) -> None:
        """A step ended: adds to ``look`` what it read, made and changed of hidden state."""
        look.imported = self._new_modules()
        self._settings(look)
        seen = look.seen
        if look.is_inert:
            if not (self._dirty or self._users or seen.environ_changed or seen.cwd):
                self._dirty.update(look.changed)
                return
        else:
            self._states(look)
            self._randomness(look)
        self._set_states(look)
        self._environ(look)
        self._folder(look)
        self._modules(look)
        self._patches(look)
        self._dirty.update(look.made, look.changed)

    # -- state that is compared --------------------------------------------------------

    def _states(self, look: Look) -> None:
        for name, probe, _ in STATES:
            now = probe()
            before = self._known[name]
            if now != before:
                look.still = False
            for key in differences(before, now):
                thing = of_kind(name, key)
                # What a library sets while it is imported, it sets in a fresh kernel as well.
                if not (look.imported and name in SETTERS):
                    look.changed[thing] = "hidden"
            if look.imported and before != now and look.mentions(*SETTERS.get(name, ())):
                look.changed[of_kind(name)] = "code"
            self._known[name] = now
        figures = of_kind("figures")
        if self._known["figures"] and figures in self._dirty and draws(look):
            look.read[figures] = look.changed[figures] = "hidden"

    def _set_states(self, look: Look) -> None:
        """Who may have looked at what earlier steps have set."""
        for name, _, reads in STATES:
            mine = [thing for thing in self._dirty if thing.startswith(name + ":")]
            if mine and name == "builtins":
                mine = [thing for thing in mine if look.mentions(thing.partition(":")[2])]
            if mine and reads(look):
                look.read.update(dict.fromkeys(mine, "hidden"))

    def _randomness(self, look: Look) -> None:
        for name, state in random_states():
            thing = of_kind("random", name)
            came = thing not in self._known and look.mentions(*_SEEDS)  # imported and seeded
            if came or self._known.get(thing, state) != state:
                if _seeds_first(look.cell, name):
                    look.made[thing] = "hidden"
                else:
                    look.read[thing] = look.changed[thing] = "hidden"
            if self._known.get(thing) != state:
                look.still = False
            self._known[thing] = state

    # -- what effects tell -------------------------------------------------------------

    def _environ(self, look: Look) -> None:
        made = dict.fromkeys(
            (of_kind("environ", name) for name in look.seen.environ_changed), "effects"
        )
        if any(thing.startswith("environ:") for thing in self._dirty) and (
            look.seen.processes
            or look.imported
            or look.mentions("environ", "getenv", "environb", "expandvars", "expanduser", "tzset")
        ):
            dirty = [thing for thing in self._dirty if thing.startswith("environ:")]
            named = [thing for thing in dirty if look.mentions(thing.partition(":")[2])]
            if look.seen.processes or look.imported or not named:
                named = dirty
            look.read.update(dict.fromkeys((n for n in named if n not in made), "hidden"))
        look.made.update(made)

    def _folder(self, look: Look) -> None:
        thing = of_kind("cwd")
        if thing in self._dirty and (
            look.seen.relative
            or look.seen.processes
            or look.mentions(
                "getcwd", "cwd", "abspath", "realpath", "resolve", "absolute", "curdir"
            )
            or (look.cell.commands and not look.seen.processes)
        ):
            look.read[thing] = "hidden"
        if look.seen.cwd is not None:
            look.made[thing] = "effects"

    # -- modules -----------------------------------------------------------------------

    def _new_modules(self) -> list[str]:
        if len(sys.modules) == self._count and next(reversed(sys.modules), None) == self._last:
            return []
        new: list[str] = []
        for name in reversed(list(sys.modules)):
            if name == self._last:
                break
            if name.partition(".")[0] not in _OF_TRACEBACKS:
                new.append(name)
        self._count, self._last = len(sys.modules), next(reversed(sys.modules), None)
        for name in new:
            module = sys.modules.get(name)
            path = getattr(module, "__file__", None)
            if module is not None and isinstance(path, str) and not path.startswith(code_folders()):
                self._users[name] = (module, None)
        return new

    def _modules(self, look: Look) -> None:
        """The user's own modules: their globals may change, and an import may find them changed."""
        for name, (module, before) in list(self._users.items()):
            named = name in look.found.modules
            imported = any(
                other == name or name.startswith(other + ".") or other.startswith(name + ".")
                for other in look.found.use.imports
            )
            if not named and not imported and not look.cell.unbounded:
                continue
            thing = of_kind("module", name)
            current = sys.modules.get(name, module)
            now = fingerprint(_content(current), self._namespace, look.deadline)
            if thing in self._dirty:
                look.read[thing] = "hidden"
            if imported and isinstance(current.__file__, str):
                look.read.setdefault(of_kind("file", current.__file__), "hidden")
            if before is not None and (
                now.unsure or (now.whole, now.parts) != (before.whole, before.parts)
            ):
                look.read[thing] = look.changed[thing] = "value"
            self._users[name] = (current, now)

    def _patches(self, look: Look) -> None:
        """Attributes that were set on what a library owns: ``pd.DataFrame.mine = …``."""
        names = set(look.cell.patched)
        if look.mentions("setattr", "delattr"):
            names |= look.found.touched
        for name in names:
            value = self._namespace.get(name)
            if isinstance(value, type) and value.__module__ != "__main__":
                look.changed[of_kind("library", library_of(value))] = "code"
            elif type(value).__name__ == "module" and name in look.cell.patched:
                assert value is not None  # noqa: S101 - None is no module
                if value.__name__ not in self._users and value.__name__ != "builtins":
                    look.changed[of_kind("library", value.__name__.partition(".")[0])] = "code"
        for call in look.cell.calls_first:
            self._set_by(call, look)
        for thing in self._dirty:
            kind, _, library = thing.partition(":")
            if kind == "library" and look.reaches(library):
                look.read[thing] = "hidden"

    def _set_by(self, call: str, look: Look) -> None:
        """A call such as ``sys.setrecursionlimit(…)``: it sets what the library keeps."""
        root, _, path = call.partition(".")
        last = path.rpartition(".")[2]
        module = self._namespace.get(root)
        if not isinstance(module, ModuleType) or _SETS.fullmatch(last) is None:
            return
        library = module.__name__.partition(".")[0]
        if module.__name__ not in self._users and (library not in _COMPARED or last == "umask"):
            look.changed[of_kind("library", library)] = "code"

    # -- IPython's settings ------------------------------------------------------------

    def _settings(self, look: Look) -> None:
        look.changed.update(dict.fromkeys(look.cell.sets, "code"))
        for thing in self._dirty:
            kind, _, what = thing.partition(":")
            if kind == "magic" and thing in look.cell.uses_settings:
                look.read[thing] = "code"
            elif kind == "ipython" and (
                thing in look.cell.uses_settings
                or (what == "display" and look.shown)
                or (what == "packages" and look.imported)
                or (what in {"matplotlib", "config"} and look.reaches("matplotlib", "seaborn"))
                or (what in {"autoreload", "transforms"} and bool(look.found.modules))
            ):
                look.read[thing] = "hidden"


def _seeds_first(cell: Cell, library: str) -> bool:
    """Does the cell set the generator before it, or anything that it calls, can draw from it?"""
    for call in cell.calls_first:
        last = call.rpartition(".")[2]
        if last in _SEEDS:
            return library in call or library == "python" or "random" in call
        if any(word in last for word in _DRAWS):
            return False
    return False


def _content(module: ModuleType) -> dict[str, Any]:
    """A module's globals that are the user's."""
    return {
        name: value
        for name, value in vars(module).items()
        if not (name.startswith("__") and name.endswith("__"))
    }

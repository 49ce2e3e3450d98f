"""What a step read and wrote, to the letter: the five sources of lineage, joined at its end.

Before the cell its code is read, and after it values are compared: with what they were when
they were last looked at. Nothing of the user's is wrapped, rewritten or traced.
"""

from __future__ import annotations

import re
import threading
import time
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ipysession.lineage import is_internal, is_output
from ipysession.lineage.cell import Cell, read_cell
from ipysession.lineage.fingerprints import fingerprint
from ipysession.lineage.kinds import is_atom
from ipysession.lineage.reached import Reached, reached
from ipysession.lineage.things import KEYS, of_kind, thing
from ipysession.model.provenance import Lineage
from ipysession.record.effects import quiet
from ipysession.record.hidden import HiddenWatch, Look
from ipysession.record.prints import Prints, differing
from ipysession.record.written import FileWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from ipysession.record.effects import EffectsSeen

_SECONDS = 0.01
"""How long values are compared after a step; what is left then counts as too large."""
_HISTORY = re.compile(r"_{1,3}|_\d+|_i{1,3}|_i\d+|_[iod]h|In|Out")


@dataclass(slots=True)
class StepLineage:
    """What `LineageWatch.end` found out."""

    bound: frozenset[str] = frozenset()
    deleted: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()
    reachable: frozenset[str] = frozenset()
    """All names that the step may have used."""
    lineage: Lineage | None = None
    """None where the others say it all."""
    inert: bool = False
    """It ran no code but its own, and that only made values of Python's own."""
    still: bool = False
    """It has not changed what no variable holds."""


@dataclass(slots=True)
class _Step:
    """What is known of a step when it begins."""

    cell: Cell
    before: frozenset[str]
    early: Reached | None
    """What it could reach through names that it makes anew, as they were."""
    held: dict[str, Any]
    """Small values of names that it may bind anew, so that it can be seen whether it did."""
    beside: bool
    """Something runs beside it."""
    began: float = field(default_factory=time.time)


class LineageWatch:
    """Watches what steps do to the names of one shell's namespace, and to what lies behind."""

    def __init__(
        self,
        namespace: dict[str, Any],
        *,
        expand: Callable[[str], str],
        others_run: Callable[[], bool],
    ) -> None:
        self._namespace = namespace
        self._expand = expand
        self._others_run = others_run
        self._hidden = HiddenWatch(namespace)
        self._files = FileWatch(namespace)
        self._prints = Prints()
        self._unseen: set[str] | None = None
        """Names that came by other means than a step and were not looked at yet; None for all."""
        self._gone: set[str] = set()
        """Names that steps deleted."""
        self._shown: list[int] = []
        """The counts of the outputs so far."""
        self._steps: dict[int, _Step] = {}
        """What runs, by its thread."""
        self._not_alone = False
        """Something of the user's went on when the last step ended."""

    def begin(self, python: str, users: frozenset[str], came: Collection[str] = ()) -> None:
        """A cell is about to run; ``users`` are the user's names, and ``came`` those of them that
        no step made what they are: a resume did.
        """
        here = threading.get_ident()
        self._steps.pop(here, None)  # left over where the end of a step failed
        cell = read_cell(python, self._expand)
        flow, namespace = cell.flow, self._namespace
        beside = self._not_alone or bool(self._steps) or self._others_run()
        self._hidden.begin()
        self._look_first(cell, users, came)
        # Used before the cell surely binds it: `x = []; x.append(1)` has nothing of the old x.
        replaced = {
            name
            for name in flow.stores | flow.deletes
            if name in flow.loads and name not in flow.loads[name]
        }
        early = None
        if replaced:
            loads = {name: frozenset[str]() for name in replaced if name in namespace}
            early = reached(loads, namespace, flow.use) if loads else None
        held = {
            name: namespace[name]
            for name in flow.stores - flow.surely
            if name in namespace and is_atom(namespace[name])
        }
        self._steps[here] = _Step(cell, users, early, held, beside)

    def _look_first(self, cell: Cell, users: frozenset[str], came: Collection[str]) -> None:
        """How that looks which the cell can reach and which no step of this kernel made."""
        for name in came:
            self._prints.forget(name)
        self._unseen = set(users) if self._unseen is None else self._unseen.union(came)
        if not self._unseen:
            return
        with quiet():
            deadline = time.perf_counter() + _SECONDS
            loads = {name: frozenset[str]() for name in (*cell.flow.loads, *cell.mentions)}
            found = reached(loads, self._namespace, cell.flow.use)
            unbounded = found.unbounded or cell.unbounded
            for name in self._unseen if unbounded else self._unseen & found.touched:
                value = self._namespace.get(name)
                if name in self._namespace and not is_atom(value):
                    self._prints.remember(name, fingerprint(value, self._namespace, deadline))
            self._unseen.difference_update(self._prints)

    def end(
        self,
        *,
        bound: set[str],
        deleted: set[str],
        users: frozenset[str],
        seen: EffectsSeen,
        ok: bool,
        count: int | None,
    ) -> StepLineage | None:
        """A cell has run: ``bound`` and ``deleted`` by the look of the namespace. ``count`` is
        its execution count where it is counted. None where its begin was not seen.
        """
        step = self._steps.pop(threading.get_ident(), None)
        if step is None:
            return None
        with quiet():
            found = self._end(step, bound, deleted, users, seen, ok=ok, count=count)
        # A step that ran no code but its own has started nothing.
        self._not_alone = not found.inert and self._others_run()
        return found

    def _end(
        self,
        step: _Step,
        bound: set[str],
        deleted: set[str],
        users: frozenset[str],
        seen: EffectsSeen,
        *,
        ok: bool,
        count: int | None,
    ) -> StepLineage:
        namespace, cell = self._namespace, step.cell
        deadline = time.perf_counter() + _SECONDS
        loads = dict(cell.flow.loads)
        loads.update((name, frozenset[str]()) for name in cell.mentions)
        found = reached(loads, namespace, cell.flow.use)
        if step.early is not None:
            found.names = {**step.early.names, **found.names}
            found.touched |= step.early.touched
            found.libraries |= step.early.libraries
            found.modules |= step.early.modules
            found.use |= step.early.use
            found.unbounded |= step.early.unbounded
        unbounded = found.unbounded or cell.unbounded
        if unbounded:
            found.names = {**dict.fromkeys((*step.before, *self._gone), "code"), **found.names}
            found.touched |= users
        made = self._made(step, bound, users, ok=ok)
        read = {
            name: by
            for name, by in found.names.items()
            if (name in step.before or name in self._gone) and not is_internal(name)
        }
        absent = {name for name in self._gone - users if name in cell.flow.reads}
        read.update(dict.fromkeys(absent.union(n for n in deleted if n in step.before), "code"))
        touched = found.touched if not step.beside else found.touched.union(self._prints)
        touched = {name for name in touched if name in users}
        changed, unsure = self._compare(step, touched, made, read, deadline)
        self._take_new(made, deleted, read, deadline)
        self._parts(cell, found, read, made)
        self._outputs(cell, read, made, namespace, count)
        look = Look(cell, found, seen, bool(made and any(map(is_output, made))), deadline)
        self._hidden.end(look)
        self._files.end(look, step.began)
        plain = dict.fromkeys(sorted(made | deleted), "code")
        reads = frozenset(name for name in read if name in step.before)
        inert = look.is_inert and not (step.beside or cell.magics) and self._are_atoms(found.names)
        result = StepLineage(
            frozenset(made | bound),
            frozenset(deleted),
            reads,
            frozenset(name for name in (*found.touched, *map(_root, changed)) if name in users),
            inert=inert,
            still=inert or (not (step.beside or look.is_inert) and look.still),
        )
        hidden = look.read or look.made or look.changed
        if changed or hidden or set(read) != reads or set(read.values()) - {"code"}:
            result.lineage = Lineage(
                read={**read, **look.read},
                made={**plain, **look.made},
                changed={**changed, **look.changed},
                unsure=unsure,
            )
        return result

    def _are_atoms(self, names: Iterable[str]) -> bool:
        return all(is_atom(self._namespace.get(name)) for name in names)

    # -- names -------------------------------------------------------------------------

    def _made(self, step: _Step, bound: set[str], users: frozenset[str], *, ok: bool) -> set[str]:
        """The names that it made anew, for sure. Where the look of the namespace says nothing
        (the new object lies where the old one did) the code does.
        """
        flow, namespace = step.cell.flow, self._namespace
        made = {name for name in bound if name in namespace}
        if ok:
            made |= flow.surely & flow.stores & users
        made.update(
            name for name, value in step.held.items() if namespace.get(name, step) is not value
        )
        return {name for name in made if name in namespace and not is_internal(name)}

    def _compare(
        self,
        step: _Step,
        touched: set[str],
        made: set[str],
        read: dict[str, str],
        deadline: float,
    ) -> tuple[dict[str, str], list[str]]:
        """What changed in place of what was touched, and of what shares objects with it."""
        namespace = self._namespace
        names = self._prints.sharing(touched)
        changed: dict[str, str] = {}
        unsure: list[str] = []
        for name in sorted(names - made):
            if name not in namespace or is_atom(namespace[name]):
                continue
            before = self._prints.get(name)
            now = fingerprint(namespace[name], namespace, deadline)
            self._prints.remember(name, now)
            if (before is None or before.unsure or now.unsure) and name in step.before:
                changed[name] = "budget"
                unsure.append(name)
            elif before is not None:
                by = "threads" if step.beside and name not in read else "value"
                changed.update((name + part, by) for part in differing(before, now))
        return changed, unsure

    def _take_new(
        self, made: set[str], deleted: set[str], read: dict[str, str], deadline: float
    ) -> None:
        """How the names look that the step made anew."""
        namespace = self._namespace
        for name in deleted:
            self._prints.forget(name)
            self._gone.add(name)
        prints = {n: known for n in read if (known := self._prints.get(n)) is not None}
        large = [n for n, known in prints.items() if not known.complete]
        for name in made:
            self._prints.forget(name)
            self._gone.discard(name)
            if is_atom(namespace[name]):
                continue
            known = fingerprint(namespace[name], namespace, deadline)
            self._prints.remember(name, known)
            others = [other for other in large if other != name]
            if not known.complete:
                others += [n for n in (*made, *read) if n != name and n in self._prints]
            for other in others:
                self._prints.link(name, other)

    def _parts(self, cell: Cell, found: Reached, read: dict[str, str], made: set[str]) -> None:
        """Readers of a part need only that part, where parts are told apart."""
        for name, parts in cell.parts.items():
            known = self._prints.get(name)
            if read.get(name) != "code" or name in found.through or name in made:
                continue
            if known is None or known.parts is None or known.opaque:
                continue
            needed: set[str] = set()
            for part, written in parts:
                if written:
                    needed.add(KEYS)
                elif part in known.parts:
                    needed.add(part)
                else:
                    break
            else:
                del read[name]
                read.update((name + part, "code") for part in needed)

    def _outputs(
        self,
        cell: Cell,
        read: dict[str, str],
        made: set[str],
        namespace: dict[str, Any],
        count: int | None,
    ) -> None:
        """``_``, ``__``, ``_3``, ``Out[3]`` and the like."""
        history = {name for name in cell.flow.loads if _HISTORY.fullmatch(name)}
        for name in history:
            if name in ("_", "__", "___"):
                # A step that is run again has the count that it had.
                until = len(self._shown) if count is None else bisect_left(self._shown, count)
                wanted = self._shown[max(0, until - len(name)) : until]
                read.update((f"_{number}", "hidden") for number in wanted)
                if name in self._prints or name in self._gone:
                    read[name] = "code"
            elif is_output(name):
                read[name] = "code"
                read[of_kind("numbering", name[1:])] = "code"
            elif name not in ("Out", "_oh"):
                read[of_kind("numbering")] = "code"
        for number in cell.outputs:
            if number is None:
                read[of_kind("numbering")] = "code"
                read.update((f"_{shown}", "code") for shown in self._shown)
            else:
                read[f"_{number}"] = "code"
                read[of_kind("numbering", str(number))] = "code"
        if count is not None and count in namespace.get("_oh", ()):
            made.add(f"_{count}")
            at = bisect_left(self._shown, count)
            if count not in self._shown[at : at + 1]:
                self._shown.insert(at, count)

    def adopt(self, things: Iterable[str]) -> None:
        """What the steps of an earlier kernel set and wrote, which a resume brought back."""
        known = set(things)
        self._hidden.set_before(known)
        self._shown = sorted(int(name[1:]) for name in known if is_output(name))
        file = of_kind("file")
        for text in known:
            if text.startswith(file) and not text.endswith("*"):
                self._files.adopt(text.removeprefix(file))


def _root(text: str) -> str:
    return thing(text).root

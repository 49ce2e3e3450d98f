"""Random small programs, recorded in this process: their slices give the same again."""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipysession.lineage.facts import FactReader
from ipysession.lineage.graph import Graph
from ipysession.model import Outcome, Step
from ipysession.model.provenance import Provenance
from ipysession.record.effects import EffectsSeen
from ipysession.record.lineage import LineageWatch
from ipysession.record.namespace import NamespaceWatch

CELLS = (
    "{a} = {n}",
    "{a} = [{n}, {m}]",
    "{a} = [{n}, [{m}]]",
    "{a} = {{'k': {n}, 'in': [{m}]}}",
    "{a} = {b}",
    "{a} = [{b}, {c}]",
    "{a} = {b} = []",
    "{a}, {b} = {b}, {a}",
    "{a} = str({b})",
    "{a} += [{n}]",
    "{a}.append({n})",
    "{a}[0] = {n}",
    "{a}[0].append({n})",
    "{a}['k'] = {n}",
    "{a}['k']",
    "{a}['in'].append({b})",
    "{a} = {b}['k']",
    "{a}.sort()",
    "{a}.extend(i * {n} for i in range(2))",
    "del {a}",
    "for {a} in {b}:\n    {c} = {a}",
    "if {n} % 2:\n    {a} = {b}",
    "try:\n    {a}.append({n})\nexcept AttributeError:\n    {a} = [{n}]",
    "{a} = {n}\nraise ValueError",
    "{a}.append({n})\n1 / 0",
    "{a} = undefined_name",
    "def {f}():\n    return {a}",
    "def {f}(v={n}):\n    {a}.append(v)\n    return len({a})",
    "def {f}():\n    global {a}\n    {a} = [{b}]",
    "def {f}(held={a}):\n    return held",
    "def {f}():\n    return {g}()",
    "{f} = lambda: [{a}, {n}]",
    "def make(held):\n  def step():\n    held.append({n})\n    return held\n  return step",
    "{f} = make([])",
    "class {f}:\n    count = []\n    def __init__(self):\n        self.count.append({a})",
    "{f}()",
    "{a} = {f}()",
    "{a} = [{f}() for _ in range(2)]",
    "{a} = (i for i in {b})",
    "{a} = next({b})",
    "{a} = list(map({f}, {b}[:3]))",
    "({a} := {b})",
    "{a} = {b} is {c}",
)
"""What cells do: {a}, {b} and {c} are values' names, {f} and {g} functions', {n}, {m} numbers."""

VALUES = st.sampled_from(["x", "y", "z"])
FUNCTIONS = st.sampled_from(["f", "g"])
NUMBERS = st.integers(0, 3)
PROGRAMS = st.lists(
    st.builds(
        str.format,
        st.sampled_from(CELLS),
        a=VALUES, b=VALUES, c=VALUES, f=FUNCTIONS, g=FUNCTIONS, n=NUMBERS, m=NUMBERS,
    ),
    min_size=2,
    max_size=12,
)  # fmt: skip


@dataclass
class Program:
    """Cells that ran in one namespace."""

    namespace: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})
    failed: dict[int, str] = field(default_factory=dict)
    graph: Graph = field(default_factory=Graph)

    def run(self, number: int, source: str) -> None:
        """Run a cell, as IPython would."""
        try:
            exec(compile(source, f"<cell {number}>", "exec"), self.namespace)
        except Exception as error:  # noqa: BLE001 - cells fail, that is part of the game
            self.failed[number] = type(error).__name__

    def record(self, sources: list[str]) -> None:
        """Run cells, recorded as a kernel would record them."""
        exec("", self.namespace)
        names = NamespaceWatch(self.namespace, {})
        watch = LineageWatch(self.namespace, expand=str, others_run=lambda: False)
        reader = FactReader({})
        for number, source in enumerate(sources, start=1):
            came = names.begin()
            watch.begin(source, names.names, came)
            self.run(number, source)
            bound, deleted = names.end()
            ok = number not in self.failed
            found = watch.end(
                bound=bound,
                deleted=deleted,
                users=names.names,
                seen=EffectsSeen(),
                ok=ok,
                count=None,
            )
            assert found is not None
            step = Step(
                number=number,
                run=1,
                source=source,
                started=datetime.now(UTC),
                outcome=Outcome.OK if ok else Outcome.ERROR,
                provenance=Provenance(
                    bound=tuple(found.bound),
                    deleted=tuple(found.deleted),
                    reads=tuple(found.reads),
                    lineage=found.lineage,
                    exact=True,
                ),
            )
            self.graph.add(step, reader.take(step))

    def values(self) -> dict[str, str]:
        """The values, and which of them are one object; of what runs code, what it gives."""
        seen: dict[int, int] = {}
        return {
            name: self._told(self.namespace[name], seen)
            for name in ("x", "y", "z")
            if name in self.namespace
        }

    def _told(self, value: Any, seen: dict[int, int]) -> str:
        if isinstance(value, (list, dict, tuple)):
            if id(value) in seen:
                return f"#{seen[id(value)]}"
            seen[id(value)] = len(seen)
            items = value.items() if isinstance(value, dict) else enumerate(value)
            return str([(key, self._told(item, seen)) for key, item in items])
        if inspect.isgenerator(value):
            place = {k: v for k, v in inspect.getgeneratorlocals(value).items() if k != ".0"}
            return f"{inspect.getgeneratorstate(value)} at {place}"
        return repr(value) if isinstance(value, (int, str, bool)) else type(value).__name__


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PROGRAMS)
def test_the_slice_of_a_name_makes_its_value_again(sources: list[str]) -> None:
    """Of each name at the end: just the steps that it needs, in a fresh namespace."""
    program = Program()
    program.record(sources)
    whole = copy.copy(program.namespace)
    for name in ("x", "y", "z"):
        needed = program.graph.needs([name])
        again = Program()
        for number in needed:
            again.run(number, sources[number - 1])
        there = name in whole
        assert (name in again.namespace) == there, f"{name}: kept {needed} of {sources}"
        if there:
            alone = Program(namespace={name: whole[name]})
            made = Program(namespace={name: again.namespace[name]})
            assert made.values() == alone.values(), f"{name}: kept {needed} of {sources}"


@settings(max_examples=100, deadline=None)
@given(PROGRAMS)
def test_the_slice_of_all_names_keeps_what_is_shared_between_them(sources: list[str]) -> None:
    """And the cells that failed then fail in the same way."""
    program = Program()
    program.record(sources)
    needed = program.graph.needs(["x", "y", "z"])
    again = Program()
    for number in needed:
        again.run(number, sources[number - 1])
    assert again.values() == program.values(), f"kept {needed} of {sources}"
    assert again.failed == {n: why for n, why in program.failed.items() if n in needed}


def test_a_cell_that_makes_its_names_anew_needs_no_earlier_run_of_itself() -> None:
    """Though they were there; unlike one that may have gone on with what was there."""
    for source, needed in {
        "x = [1]\nx.append(2)": (2,),
        "x, y = [1], [2]; x.append(3)": (2,),
        "x = 0\nfor x in [1]: pass\nx += 1": (2,),
        "try: x.append(2)\nexcept NameError: x = [1]": (1, 2),
        "if 'y' in globals(): x.append(2)\nelse: x = [1]; y = 2": (1, 2),
    }.items():
        program = Program()
        program.record([source, source])
        assert program.graph.needs(["x"]) == needed, source

"""The cells of a day's work, mixed as people mix them; the same for the same seed.

Each cell tells which names it uses and which it makes or changes, so that what could not be
brought back (and was said so) can be told from what came back wrong.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import NamedTuple

SETUP = """\
import collections, copy, dataclasses, enum, functools, itertools, json, random
from pathlib import Path
import numpy as np, pandas as pd
from matplotlib.figure import Figure
random.seed(11); np.random.seed(12)
count = 0"""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell; ``uses`` and ``makes`` name variables, `RANDOM` is the state of random numbers."""

    source: str
    uses: frozenset[str]
    makes: frozenset[str]


class Template(NamedTuple):
    """The text of a cell. In it, ``{a}`` is a name of a kind that the session has, ``{new}`` one
    that it makes, ``{n}`` a number and ``{i}`` a small one.
    """

    needs: str
    """The kinds of ``a`` and ``b``, in this order."""
    makes: str
    """The kind of ``new``; empty where the cell only changes or reads."""
    source: str
    changes: str = ""
    """Which of them it changes, besides ``new``: ``a``, ``b``, ``random``, ``count``."""
    weight: int = 2


RANDOM = "<random>"

_CLOSURE = """\
def make_counter(start, step=[{i}]):
    held = [start]
    def counter(by=1):
        held[0] += by * step[0]
        return held[0]
    return counter
{new} = make_counter({n})"""
_CLASS = """\
class {new}:
    made = 0
    def __init__(self, v):
        self.v, self.seen = v, []
        type(self).made += 1
    def look(self, at):
        self.seen.append(at)
        return self.v * {n} + count
    @property
    def size(self):
        return len(self.seen)"""
_DATACLASS = """\
@dataclasses.dataclass
class {new}:
    v: int
    seen: list = dataclasses.field(default_factory=list)
    def look(self, at):
        self.seen.append((at, {n}))
        return self.v + at"""
_ENUM = "class {new}(enum.Enum):\n    RED = {n}\n    BLUE = '{i}'"
_MEMOIZED = "@functools.lru_cache(maxsize=None)\ndef {new}(v):\n    return v * {n} + 1"
_DECORATED = """\
def louder(f):
    @functools.wraps(f)
    def inner(*given):
        return f(*given) + {n}
    return inner
@louder
def {new}(v):
    return v - count"""
_ROWS = "{new} = [{{'id': i, 'v': i * {n} % 97, 'tags': ['t' + str(i % 7)]}} for i in range({m})]"
_FRAME = (
    "{new} = pd.DataFrame({{'k': np.arange({m}) % {n}, 'v': np.random.rand({m}), "
    "'s': ['s' + str(i % 50) for i in range({m})]}})"
)
_STEPS = "def steps_of(start):\n    while True:\n        start += {i}\n        yield start\n"

TEMPLATES = (
    # Small things.
    Template("", "number", "{new} = {n}", weight=10),
    Template("number", "number", "{new} = {a} * {i} + {n}", weight=10),
    Template("", "", "count += {i}", "count", weight=6),
    Template("number", "", "{a}", weight=4),
    Template("", "text", "{new} = 'w{n}' * {i}", weight=4),
    Template("number number", "", "{a}, {b} = {b}, {a}", "a b"),
    Template("number", "", "print({a}, count)", weight=6),
    Template("number", "number", "%time {new} = {a} + {n}"),
    Template("number", "number", "import asyncio\nawait asyncio.sleep(0.001)\n{new} = {a} - {n}"),
    Template("", "number", "exec('{new} = {n} * 2')", weight=1),
    Template("", "number", "globals()['{new}'] = {n}", weight=1),
    Template("", "text", "{new} = !echo from the shell {n}", weight=1),
    # Lists, dicts, aliases.
    Template("", "list", "{new} = [{n}, [{i}]]", weight=4),
    Template("list", "list", "{new} = {a}"),
    Template("list", "dict", "{new} = {{'it': {a}, 'again': {a}, 'n': {n}}}", weight=3),
    Template("list", "", "{a}.append([{n}])", "a", weight=5),
    Template("list", "", "{a}[1:2] = [{n}, {i}]", "a"),
    Template("dict", "", "{a}['n'] = {n}; {a}.setdefault('it', []).append({i})", "a", weight=4),
    Template("dict list", "", "{a}['other'] = {b}", "a b"),
    Template("list", "list", "{new} = copy.deepcopy({a})"),
    Template("list", "pile", "{new} = collections.deque([{a}, {n}], maxlen=5)"),
    Template("pile", "", "{a}.append({n})", "a"),
    Template("", "dict", "{new} = collections.defaultdict(list, n={n})"),
    Template("", "set", "{new} = {{{n}, {i}, 'text'}}"),
    Template("set", "", "{a}.add({n})", "a"),
    Template("list", "list", "{new} = sorted(map(str, {a}))"),
    # Arrays.
    Template("", "array", "{new} = np.arange({m} * 10.0) * {i}", weight=4),
    Template("", "array", "{new} = np.random.rand({m}, 8)", "random", weight=2),
    Template("array", "", "{a}[{n}] = {i}", "a", weight=7),
    Template("array", "", "{a} += {i}", "a", weight=3),
    Template("array", "view", "{new} = {a}[{i}:500:2]", weight=3),
    Template("view", "", "{a}[{i}] = -{n}", "a", weight=4),
    Template("array", "number", "{new} = float({a}.sum())", weight=4),
    Template("array array", "dict", "{new} = {{'it': [], 'x': {a}, 'y': {b}}}"),
    Template("array", "array", "{new} = {a}.copy()"),
    # Frames.
    Template("", "frame", _FRAME, "random", weight=4),
    Template("frame", "", "{a}.loc[{n}, 'v'] = {i}", "a", weight=6),
    Template("frame", "", "{a}['c{i}'] = {a}['v'] * {n}", "a", weight=3),
    Template("frame", "table", "{new} = {a}.groupby('k')['v'].agg(['sum', 'max'])", weight=4),
    Template("frame", "frame", "{new} = {a}[{a}['k'] > 0].reset_index(drop=True)"),
    Template("frame", "", "{a}.sort_values('v', inplace=True, ignore_index=True)", "a"),
    Template("frame", "table", "{new} = {a}.describe()"),
    Template("frame", "", "{a}.head({i})", weight=4),
    Template("table", "", "{a}.iloc[0, 0] = {n}", "a"),
    Template("frame", "grouped", "{new} = {a}.groupby('k')", weight=1),
    Template("grouped", "table", "{new} = {a}['v'].mean().to_frame()", weight=1),
    # A list of dicts.
    Template("", "rows", _ROWS, weight=4),
    Template("rows", "", "{a}[{n}]['v'] = {i}", "a", weight=6),
    Template("rows", "chosen", "{new} = [{a}[{i}], {a}[{n}], {a}[{i}]]", weight=4),
    Template("chosen", "", "{a}[0]['tags'].append('n{n}')", "a", weight=5),
    Template("rows", "", "{a}.append({{'id': -{n}, 'v': {i}, 'tags': []}})", "a", weight=3),
    Template("rows", "index", "{new} = {{row['id']: row for row in {a}}}"),
    Template("index", "", "{a}[{n}]['v'] += {i}", "a", weight=3),
    Template("rows", "number", "{new} = sum(row['v'] for row in {a})", weight=3),
    Template("rows", "", "{a}.sort(key=lambda row: (row['v'], row['id']))", "a"),
    # Functions, closures, classes.
    Template("number", "function", "def {new}(v):\n    return v * {i} + {a} + count", weight=4),
    Template("function", "function", "def {new}(v, seen=[]):\n    seen.append(v)\n"
             "    return {a}(v) + len(seen)", weight=3),
    Template("", "function", "{new} = lambda v: v - {n} * count"),
    Template("", "function", _MEMOIZED),
    Template("", "function", _DECORATED, weight=2),
    Template("function", "number", "{new} = {a}({n})", "a", weight=8),
    Template("", "counter", _CLOSURE, weight=3),
    Template("counter", "number", "{new} = {a}({i})", "a", weight=6),
    Template("", "class", _CLASS, weight=3),
    Template("", "class", _DATACLASS, weight=2),
    Template("class", "class", "class {new}({a}):\n    def look(self, at):\n"
             "        return super().look(at) + {n}", "a"),
    Template("class", "object", "{new} = {a}({n})", "a", weight=6),
    Template("object", "number", "{new} = {a}.look({n})", "a", weight=7),
    Template("object list", "", "{a}.seen.append({b})", "a b"),
    Template("object", "method", "{new} = {a}.look"),
    Template("method", "number", "{new} = {a}({i})", "a"),
    Template("class", "list", "{new} = [{i}, [{a}({n}), {a}({i})]]", "a"),
    Template("", "enum", _ENUM, weight=1),
    Template("enum", "member", "{new} = [{a}.RED, {a}.BLUE, {a}]", weight=1),
    # Random numbers.
    Template("", "number", "{new} = random.randrange(10**6)", "random", weight=4),
    Template("", "number", "{new} = float(np.random.normal())", "random", weight=3),
    Template("", "generator", "{new} = np.random.default_rng({n})"),
    Template("generator", "number", "{new} = float({a}.random())", "a", weight=4),
    Template("list", "", "random.shuffle({a})", "a random"),
    # Files.
    Template("number", "file", "{new} = Path('{new}.txt')\n_ = {new}.write_text(f'{{{a}}} ' * {n})",
             weight=4),
    Template("file", "text", "{new} = {a}.read_text()", weight=4),
    Template("rows", "file", "{new} = Path('{new}.json')\n"
             "with {new}.open('w') as _out: json.dump({a}[:50], _out)", weight=2),
    Template("frame", "file", "{new} = Path('{new}.csv')\n{a}.head(50).to_csv({new}, index=False)"),
    Template("file", "number", "{new} = {a}.stat().st_size"),
    Template("", "", "with open('diary.txt', 'a') as _diary: print({k}, file=_diary)", weight=3),
    # Generators and figures.
    Template("", "stream", "{new} = (i * {n} for i in range({i}, 10**6))", weight=2),
    Template("", "stream", _STEPS + "{new} = steps_of({n})", weight=2),
    Template("stream", "number", "{new} = next({a})", "a", weight=4),
    Template("stream", "list", "{new} = list(itertools.islice({a}, {i}))", "a", weight=3),
    Template("array", "figure", "{new} = Figure()\n{new}.subplots().plot({a}.ravel()[:{n}])"),
    Template("figure", "", "_ = {a}.axes[0].plot([{i}, {n}]); "
             "_ = {a}.axes[0].set_title('t{n}')", "a", weight=3),
    # What fails, on its way.
    Template("", "number", "{new} = {n}\n1 / 0", weight=3),
    Template("list", "", "{a}.append({n}); undefined_name", "a", weight=3),
    Template("frame", "", "{a}['no such column']", weight=2),
    Template("class", "", "{a}()", "a", weight=2),
)  # fmt: skip

_POOL = 5
"""Names of one kind; a sixth replaces an earlier one, as in notebooks."""

_POOLS = {"class": 3, "array": 4, "frame": 3, "rows": 3, "function": 6, "number": 9}

_LINKED = frozenset(
    {
        "list", "dict", "pile", "view", "chosen", "index", "grouped", "function", "counter",
        "class", "object", "method", "member",
    }
)  # fmt: skip
"""Kinds of values that share objects with those they were made of, or ask for them later."""


def session(seed: int, count: int, rows: int = 20_000) -> list[Cell]:
    """``count`` cells; large values have ``rows`` elements, or as many rows."""
    author = _Author(random.Random(seed), rows)
    cells = [Cell(SETUP, frozenset(), frozenset({RANDOM, "count"}))]
    while len(cells) < count:
        cells.append(author.cell(len(cells)))
    return cells


class _Author:
    """Writes cells, and remembers which names of which kind there are."""

    def __init__(self, dice: random.Random, rows: int) -> None:
        self._dice = dice
        self._rows = rows
        self._names: dict[str, str] = {}
        """The kind of each name that there is."""
        self._linked: dict[str, frozenset[str]] = {}
        """What a name's value may share with others or ask for, at any distance."""

    def cell(self, number: int) -> Cell:
        if self._dice.random() < 0.04 and len(self._names) > 10:
            return self._deleting()
        ready = [one for one in TEMPLATES if self._has(one.needs.split())]
        template = self._dice.choices(ready, [one.weight for one in ready])[0]
        return self._written(template, number)

    def _has(self, kinds: list[str]) -> bool:
        held = list(self._names.values())
        return all(held.count(kind) >= kinds.count(kind) for kind in kinds)

    def _of(self, kind: str, *, but: str = "") -> str:
        return self._dice.choice([n for n, k in self._names.items() if k == kind and n != but])

    def _written(self, template: Template, number: int) -> Cell:
        kinds = template.needs.split()
        given = {"a": self._of(kinds[0])} if kinds else {}
        if len(kinds) > 1:
            given["b"] = self._of(kinds[1], but=given["a"])
        uses = frozenset({*given.values(), "count"}).union(
            *(self._linked.get(name, ()) for name in given.values())
        )
        makes = {given.get(word, word) for word in template.changes.split()}
        makes = {RANDOM if word == "random" else word for word in makes}
        if template.makes:
            pool = _POOLS.get(template.makes, _POOL)
            given["new"] = f"{template.makes}_{self._dice.randrange(pool)}"
            self._names[given["new"]] = template.makes
            makes.add(given["new"])
            self._linked[given["new"]] = uses if template.makes in _LINKED else frozenset()
        source = template.source.format(
            **given,
            n=self._dice.randrange(2, 99),
            i=self._dice.randrange(2, 6),
            m=self._rows,
            k=number,
        )
        if RANDOM in makes:
            uses |= {RANDOM}
        return Cell(source, uses, frozenset(makes))

    def _deleting(self) -> Cell:
        name = self._dice.choice(sorted(self._names))
        del self._names[name]
        return Cell(f"del {name}", frozenset({name}), frozenset({name}))

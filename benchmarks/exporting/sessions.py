"""Random sessions as people make them: cells run out of order, edited, run again, failing.

A session is a list of executions: the id of a cell and the text that it had then. The same seed
gives the same session.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SETUP = "import random, json, os\nrandom.seed({seed})"

_CLASS = """\
class C:
    count = 0
    def up(self):
        C.count += 1
        return {a}
{f} = C().up"""
_CLOSURE = """\
def make(start):
    held = [start]
    def step():
        held[0] += 1
        return held[0]
    return step
{f} = make({n})"""

# {n} is a number, {a}, {b} and {c} are names of values, {f} is one of a function.
TEMPLATES: dict[str, Sequence[str]] = {
    "binding": (
        "{a} = {n}",
        "{a} = [{n}]",
        "{a} = [{n}, {n} + 1]\nprint({a})",
        "{a} = {{'k': {n}}}",
        "{a} = str({b})",
        "{a} = [str({b}), {n}]",
        "{a}, {b} = {b}, {a}",
        "{a} = [i * {n} for i in range(3)]",
        "({a} := {n})",
        "if {n} % 2:\n    {a} = 'odd'\nelse:\n    {a} = 'even'",
        "for {a} in range({n} % 3):\n    pass",
    ),
    "aliases": (
        "{a} = {b}",
        "{a} = [{b}]",
        "{a} = {{'inner': {b}}}",
        "{a} = {b} = []",
        "{a} = ({b}, {b})",
    ),
    "in place": (
        "{a}.append({n})",
        "{a}['k'] = {n}",
        "{a} += [{n}]",
        "{a}.sort(key=str)",
        "{a}[0] = {n}",
        "{a}['inner'].append({n})",
        "{a}[0].append({n})",
        "for i in range(2):\n    {a}.append(i)",
        "{a}.update(k={n})",
        "del {a}",
        "list(map({a}.append, [{n}]))",
        "{a}.clear()",
    ),
    "looking": (
        "print({a})",
        "{a}",
        "print(len({a}), {b})",
        "{a} == {b}",
        "sorted({a}, key=str)",
        "[{a}, {b}]",
        "print(sum(v for v in {a}))",
    ),
    "functions": (
        "def {f}():\n    return {a}",
        "def {f}(v={n}):\n    {a}.append(v)\n    return len({a})",
        "def {f}():\n    global {a}\n    {a} = {n}\n    return {n}",
        "{f} = lambda: ({a}, {n})",
        "def {f}(v={a}):\n    return v",
        _CLASS,
        _CLOSURE,
    ),
    "calls": ("{f}()", "{b} = {f}()", "print({f}())", "{b} = [{f}(), {f}()]"),
    "files": (
        "with open('{a}.txt', 'w') as out:\n    out.write(str({b}))",
        "with open('{a}.txt', 'a') as out:\n    out.write('{n}')",
        "{b} = open('{a}.txt').read()",
        "json.dump({n}, open('{a}.json', 'w'))",
        "{b} = json.load(open('{a}.json'))",
        "print(sorted(os.listdir()))",
    ),
    "random numbers": (
        "{a} = random.random()",
        "random.seed({n})",
        "{a} = [random.randint(0, 9) for i in range(3)]",
        "random.shuffle({a})",
        "print(random.choice([1, 2, 3]))",
    ),
    "failures": (
        "{a} = {n}\n1 / 0",
        "{a}.append({n}); 1 / 0",
        "prnt({a})",
        "{a} = undefined_name",
        "raise ValueError({n})",
    ),
}
"""Texts of cells, by what they are about."""

_WEIGHTS = {
    "binding": 5,
    "aliases": 3,
    "in place": 6,
    "looking": 4,
    "functions": 3,
    "calls": 3,
    "files": 2,
    "random numbers": 2,
    "failures": 2,
}
_NAMES = ("x", "y", "z", "w")
_FUNCTIONS = ("f", "g")
_FIRST = ("[3, 1, 2]", "[[1], 2]", "{'k': 1, 'inner': []}", "[]", "7", "'text'", "[0]", "[[0]]")


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of a cell."""

    cell: str
    source: str


def session(seed: int, length: int | None = None) -> list[Execution]:
    """A session of ``length`` executions (by default 4 to 18) after the first, which imports."""
    rng = random.Random(seed)
    count = length or rng.choice([4, 5, 6, 7, 8, 12, 14, 18])
    cells = [
        (f"first-{name}", f"{name} = {rng.choice(_FIRST)}")
        for name in rng.sample(_NAMES, rng.choice([1, 2, 3]))
    ]
    run = [Execution("cell-0", SETUP.format(seed=rng.randrange(100)))]
    run += [Execution(*cell) for cell in cells]
    count = max(1, count - len(cells))
    for number in range(1, count + 1):
        again = cells and rng.random() < 0.45
        if not again:
            cells.append((f"cell-{number}", _text(rng)))
            place = len(cells) - 1
        else:
            place = rng.randrange(len(cells))  # out of order
            if rng.random() < 0.55:
                cells[place] = (cells[place][0], _edited(rng, cells[place][1]))
        run.append(Execution(*cells[place]))
    return run


def _text(rng: random.Random) -> str:
    kind = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
    template = rng.choice(TEMPLATES[kind])
    a, b, c = rng.sample(_NAMES, 3)
    return template.format(a=a, b=b, c=c, f=rng.choice(_FUNCTIONS), n=rng.randrange(10))


def _edited(rng: random.Random, source: str) -> str:
    """The cell with another number, with a line more, or as another cell altogether."""
    how = rng.random()
    digits = [place for place, char in enumerate(source) if char.isdigit()]
    if how < 0.4 and digits:
        place = rng.choice(digits)
        return source[:place] + str(rng.randrange(10)) + source[place + 1 :]
    if how < 0.6 and not source.startswith(("def", "class", "if", "for", "with")):
        return f"{source}\n{_text(rng)}"
    return _text(rng)

"""Random sessions of a notebook's user, the same for the same seed, and a look at their names.

A session is a list of cells as people write them: assignments, prints, displays, errors, data
frames, files, functions, sleeps, randomness. Each shows the same whenever it runs, so that what
was recorded of a run that was cut short can be compared with one that was not.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CELLS = 30
_FRAMES_FROM = 21
"""Importing pandas takes as long as starting a kernel, and a resume imports it too: so it comes
late, and only kernels of the last third pay for it."""


@dataclass(frozen=True)
class Cell:
    """One cell of a random session."""

    source: str
    reaches_out: bool = False
    """It writes a file or starts a process, which no resume may do again by itself."""


def random_session(seed: int) -> list[Cell]:
    """A session of `CELLS` cells. Only earlier cells' names are used."""
    author = _Author(random.Random(seed))
    cells = [Cell("import random, time\nrandom.seed(7)\nn0 = random.randrange(1000)")]
    early = author.early()
    late = author.late()
    while len(cells) < CELLS:
        writers = early if len(cells) < _FRAMES_FROM else early + late
        # What others rest on comes first: a writer that cannot write yet waits.
        ready = [writer for writer in writers if author.can(writer)]
        writer = author.dice.choice(ready)
        (early if writer in early else late).remove(writer)
        cells.append(writer(len(cells)))
    return cells


Writer = "Callable[[int], Cell]"


class _Author:
    """Writes cells, and remembers which names there are."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.numbers = ["n0"]
        self.made: set[str] = set()

    def can(self, writer: Callable[[int], Cell]) -> bool:
        needs = {
            self.change_list: "items",
            self.change_object: "Point",
            self.call_function: "scaled",
            self.update_display: "handle",
            self.step_generator: "squares",
            self.read_file: "table",
            self.change_frame: "frame",
            self.show_frame: "frame",
            self.group_frame: "frame",
            self.delete_name: "n",
        }
        needed = needs.get(writer)
        if needed == "n":
            return len(self.numbers) > 3
        return needed is None or needed in self.made

    def early(self) -> list[Callable[[int], Cell]]:
        often = [self.assign, self.print_lines, self.draw, self.fail, self.show_value]
        once = [
            self.make_list, self.change_list, self.change_list, self.make_function,
            self.call_function, self.make_class, self.change_object, self.tick, self.tick,
            self.make_display, self.update_display, self.write_file, self.read_file, self.note,
            self.note, self.wait, self.make_bytes, self.print_much, self.make_generator,
            self.step_generator, self.delete_name, self.time_it, self.call_shell,
        ]  # fmt: skip
        return [*often, *often, *once]

    def late(self) -> list[Callable[[int], Cell]]:
        self.made.discard("frame")
        return [self.make_frame, self.change_frame, self.show_frame, self.group_frame] * 2

    def number(self) -> str:
        return self.dice.choice(self.numbers)

    # -- cells -------------------------------------------------------------------------

    def assign(self, k: int) -> Cell:
        source = f"n{k} = {self.number()} * {self.dice.randrange(2, 9)} + {k}"
        self.numbers.append(f"n{k}")
        return Cell(source)

    def print_lines(self, k: int) -> Cell:
        return Cell(
            f"import sys\nfor i in range({self.dice.randrange(2, 9)}):\n"
            f"    print('line', i, {self.number()})\nprint('careful', {k}, file=sys.stderr)"
        )

    def draw(self, k: int) -> Cell:
        self.numbers.append(f"n{k}")
        return Cell(f"n{k} = random.randrange(10**6)\nn{k}")

    def fail(self, k: int) -> Cell:
        self.numbers.append(f"n{k}")
        how = self.dice.choice(["1 / 0", "[][3]", "raise ValueError('no ' + str(n0))", "absent"])
        return Cell(f"n{k} = {k}\nprint('so far')\n{how}\nnever{k} = 1")

    def show_value(self, k: int) -> Cell:
        return Cell(f"{{'cell': {k}, 'value': {self.number()}}}")

    def make_list(self, k: int) -> Cell:
        self.made.add("items")
        return Cell(f"items = [{k}, {self.number()}]\nsame_items = items\nholder = {{'it': items}}")

    def change_list(self, k: int) -> Cell:
        return Cell(f"same_items.append({k})\nlen(holder['it'])")

    def make_function(self, k: int) -> Cell:
        self.made.add("scaled")
        return Cell(f"factor = {k}\ndef scaled(value):\n    return value * factor")

    def call_function(self, k: int) -> Cell:
        return Cell(f"factor = factor + 1\ncalled{k} = scaled({self.number()})\ncalled{k}")

    def make_class(self, k: int) -> Cell:
        self.made.add("Point")
        return Cell(
            "class Point:\n    def __init__(self, x):\n        self.x = x\n"
            f"    def __repr__(self):\n        return f'Point({{self.x}})'\np = Point({k})\np"
        )

    def change_object(self, k: int) -> Cell:
        return Cell(f"p.x += {k}\npoints = [p, Point({k})]\nprint(points)")

    def tick(self, k: int) -> Cell:
        rounds = self.dice.randrange(3, 8)
        return Cell(
            f"for i in range({rounds}):\n    print('tick', i, flush=True)\n"
            f"    time.sleep(0.00{self.dice.randrange(3, 9)})\nticked{k} = i"
        )

    def make_display(self, k: int) -> Cell:
        self.made.add("handle")
        return Cell(
            "from IPython.display import HTML, display\n"
            f"display(HTML('<b>bold {k}</b>'))\nhandle = display('first', display_id='d{k}')"
        )

    def update_display(self, k: int) -> Cell:
        return Cell(f"handle.update('then {k}')\ndisplay({{'more': {k}}})")

    def write_file(self, k: int) -> Cell:
        self.made.add("table")
        return Cell(
            "from pathlib import Path\n"
            f"written{k} = Path('table.txt').write_text('1 {k} ' * {self.dice.randrange(1, 99)})",
            reaches_out=True,
        )

    def read_file(self, k: int) -> Cell:
        return Cell(f"words{k} = open('table.txt').read().split()\nlen(words{k})")

    def note(self, k: int) -> Cell:
        # The file tells afterwards how often this ran, and where.
        return Cell(
            f"def note{k}():\n    import os\n    with open('audit.txt', 'a') as file:\n"
            f"        print({k}, os.getpid(), file=file)\n    return {k}\nnoted{k} = note{k}()",
            reaches_out=True,
        )

    def wait(self, k: int) -> Cell:
        return Cell(f"import asyncio\nawait asyncio.sleep(0.01)\nwaited{k} = {k}\nwaited{k}")

    def make_bytes(self, k: int) -> Cell:
        return Cell(f"blob{k} = bytes(range(256)) * {self.dice.randrange(40, 4000)}\nlen(blob{k})")

    def print_much(self, k: int) -> Cell:
        # The first kind fills many messages, the second lies in a blob of its own.
        if self.dice.random() < 0.5:
            return Cell(f"for i in range(3000):\n    print('row', i, {k})")
        return Cell(f"'long {k}' * 60_000")

    def make_generator(self, k: int) -> Cell:
        self.made.add("squares")
        return Cell(f"squares = (i * i for i in range({k}, 1000))\nfirst{k} = next(squares)")

    def step_generator(self, k: int) -> Cell:
        return Cell(f"second{k} = next(squares) + next(squares)\nsecond{k}")

    def delete_name(self, k: int) -> Cell:
        victim = self.dice.choice(self.numbers[1:-1])
        self.numbers.remove(victim)
        return Cell(f"del {victim}\ngone{k} = '{victim}'")

    def time_it(self, k: int) -> Cell:
        self.numbers.append(f"n{k}")
        return Cell(f"%%capture captured\nn{k} = sum(range({k}000))\nprint('caught')")

    def call_shell(self, k: int) -> Cell:
        return Cell(f"!echo from the shell {k}", reaches_out=True)

    def make_frame(self, k: int) -> Cell:
        self.made.add("frame")
        return Cell(
            "import pandas as pd\nframe = pd.DataFrame({'group': list('abcd') * 50, "
            f"'value': [i * {k} % 97 for i in range(200)]}})\nframe.head(3)"
        )

    def change_frame(self, k: int) -> Cell:
        return Cell(f"frame['c{k}'] = frame['value'] * {k}\nframe.shape")

    def show_frame(self, k: int) -> Cell:
        return Cell(
            f"view{k} = frame[frame['value'] > {k}]\ndisplay(view{k}.head(2))\nlen(view{k})"
        )

    def group_frame(self, k: int) -> Cell:
        return Cell(f"by_group{k} = frame.groupby('group')['value'].sum()\nby_group{k}")


# Runs in the kernel, which knows nothing of this file.
_LOOK = """
def described(value, user):
    import types
    kind = type(value)
    if isinstance(value, types.ModuleType):
        return value.__name__
    if isinstance(value, (types.FunctionType, type)) and value.__module__ != "__main__":
        return value.__module__, value.__qualname__
    if isinstance(value, types.FunctionType):
        # A function must see today's globals, not a copy of yesterday's.
        live = value.__globals__ is user
        return value.__name__, value.__code__.co_code.hex(), value.__code__.co_names, live
    if isinstance(value, type):
        return value.__name__, sorted(n for n in vars(value) if n[:2] != "__")
    if isinstance(value, types.GeneratorType):
        return value.__name__, {n: v for n, v in value.gi_frame.f_locals.items() if n != ".0"}
    if isinstance(value, (list, tuple)):
        return [described(item, user) for item in value]
    if isinstance(value, dict):
        return [(described(k, user), described(v, user)) for k, v in value.items()]
    if hasattr(value, "to_csv"):
        return value.to_csv(), repr(value.dtypes)
    if kind.__name__ == "DisplayHandle":
        return value.display_id
    if kind.__name__ == "CapturedIO":
        return value.stdout
    if kind.__module__ == "__main__":
        # Of the class that has its name now, not of one with the same name.
        return kind.__name__, kind is user.get(kind.__name__), described(vars(value), user)
    return value

def short(value):
    import hashlib
    text = repr(value)
    return text if len(text) < 200 else hashlib.sha256(text.encode()).hexdigest()[:16]

def look(user):
    import random
    hidden = user["get_ipython"]().user_ns_hidden
    missing = object()
    names = sorted(n for n in user if n[0] != "_" and hidden.get(n, missing) is not user[n])
    shared = {}
    for name in names:
        if isinstance(user[name], (list, dict)) or type(user[name]).__module__ == "__main__":
            shared.setdefault(id(user[name]), []).append(name)
    holder = user.get("holder")
    return {
        "names": {n: short((type(user[n]).__name__, described(user[n], user))) for n in names},
        "shared": sorted(group for group in shared.values() if len(group) > 1),
        "held": isinstance(holder, dict) and holder["it"] is user.get("items"),
        "results": [short(described(value, user)) for value in user["Out"].values()],
        "random": short(random.getstate()),
    }
"""

LOOK = f"(lambda m: exec({_LOOK!r}, m) or m['look'](globals()))({{}})"
"""An expression whose value, in a kernel, describes its names; equal values look equal.

Its keys: ``names``, ``shared`` (names of one object), ``held`` (an object within another),
``results`` (``Out``, oldest first), ``random`` (the state of Python's random numbers).
"""

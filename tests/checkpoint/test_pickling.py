"""Values of a notebook come back as they were, on the live namespace."""

import threading

import numpy as np
import pytest

from ipysession.checkpoint import pickling
from ipysession.checkpoint.pieces import BudgetExceededError, Packing, until

SOURCE = """
import enum
from dataclasses import dataclass
K = 5
def f(v): return v + K
def make():
    c, n = [0], 0
    def inc():
        nonlocal n
        n += 1; c[0] += 1
        return n
    def get(): return n, c[0]
    return inc, get
inc, get = make(); inc()
def fact(n): return 1 if n < 2 else n * fact(n - 1)
def outer():
    def rec(n): return 1 if n < 2 else n * rec(n - 1)
    return rec
rec = outer()
class A:
    count = 0
    def __init__(self): self.x = K
    def m(self): return K
    @property
    def p(self): return K
    @staticmethod
    def s(): return K
    @classmethod
    def c(cls): return cls, K
a = A()
class B(A):
    def m(self): return super().m() + 1
b = B()
shared = [1]
holder = {'k': shared}
class Colour(enum.Enum):
    RED = 1
red = Colour.RED
@dataclass
class Point:
    x: int = 1
p = Point(3)
def documented(x: int = 3, *, y: list = [1]) -> int:
    "doc"
    return x
documented.extra = shared
g = lambda v: [f(v) for _ in range(2)]
"""


@pytest.fixture
def notebook():
    """A namespace after the cells of SOURCE."""
    made = {"__name__": "__main__"}
    exec(SOURCE, made)
    return made


def dumped(values, namespace, gate=lambda: None, max_bytes=1 << 30):
    """The pickle of small values."""
    packing = Packing(gate, max_bytes=max_bytes)
    pickling.dump(values, namespace, packing)
    assert not packing.numbered
    return packing.stream()


def names_of(made):
    """The user's names."""
    return {n: v for n, v in made.items() if not n.startswith("__")}


def restored(notebook, names=None):
    """The namespace of a fresh kernel after loading all values in one pickle."""
    values = names_of(notebook)
    if names is not None:
        values = {name: values[name] for name in names}
    data = dumped(values, notebook)
    fresh = {"__name__": "__main__", "__builtins__": __builtins__}
    fresh.update(pickling.loads(data, fresh))
    return fresh


def test_a_restored_function_sees_a_later_rebinding_of_the_global_that_it_reads(notebook):
    """Not a private copy of the globals: the live namespace. Every peer fails this."""
    fresh = restored(notebook)
    assert fresh["f"](1) == 6
    fresh["K"] = 1000
    assert fresh["f"](1) == 1001
    assert fresh["g"](1) == [1001, 1001]
    assert fresh["a"].m() == 1000
    assert fresh["a"].p == 1000
    assert fresh["A"].s() == 1000
    assert fresh["b"].m() == 1001
    assert fresh["A"].c() == (fresh["A"], 1000)


def test_functions_that_share_a_closure_cell_still_do(notebook):
    """What one counts, the other sees."""
    fresh = restored(notebook)
    assert fresh["get"]() == (1, 1)
    assert fresh["inc"]() == 2
    assert fresh["get"]() == (2, 2)


def test_recursive_functions_come_back(notebook):
    """By global name, and through their own closure cell."""
    fresh = restored(notebook)
    assert fresh["fact"](5) == 120
    assert fresh["rec"](5) == 120


def test_identity_of_classes_enum_members_and_shared_objects(notebook):
    """``type(new) is type(old)``, members by ``is``, aliases stay aliases."""
    fresh = restored(notebook)
    assert type(fresh["a"]) is fresh["A"]
    assert isinstance(fresh["b"], fresh["A"])
    assert fresh["red"] is fresh["Colour"].RED
    assert fresh["holder"]["k"] is fresh["shared"]
    assert fresh["documented"].extra is fresh["shared"]
    assert fresh["p"] == fresh["Point"](3)


def test_a_function_keeps_all_that_one_can_ask_of_it(notebook):
    """Doc, defaults, annotations, name."""
    fresh = restored(notebook, ["documented", "shared"])
    function = fresh["documented"]
    assert function.__doc__ == "doc"
    assert function() == 3
    assert function.__annotations__["return"] is int
    assert function.__kwdefaults__ == {"y": [1]}
    assert function.__qualname__ == "documented"
    assert function.__module__ == "__main__"


def test_class_identity_holds_across_pickles(notebook):
    """An instance saved in one group and its class in another meet again."""
    fresh = {"__name__": "__main__", "__builtins__": __builtins__}
    for name in ("A", "a", "b"):
        data = dumped({name: notebook[name]}, notebook)
        fresh.update(pickling.loads(data, fresh))
    assert type(fresh["a"]) is fresh["A"]
    assert isinstance(fresh["b"], fresh["A"])


def test_globals_are_never_copied_into_the_pickle(notebook):
    """A function that reads a large global does not drag it along."""
    notebook["K"] = "y" * 1_000_000
    data = dumped({"f": notebook["f"]}, notebook)
    assert len(data) < 10_000


def test_an_empty_closure_cell_stays_empty(notebook):
    """A function whose closure was not filled yet raises the same NameError."""
    source = """
def half():
    def inner(): return later
    if 0: later = 1
    return inner
h = half()
"""
    exec(source, notebook)
    fresh = restored(notebook, ["h"])
    with pytest.raises(NameError):
        fresh["h"]()


@pytest.mark.parametrize("value", [(i for i in range(3)), threading.Thread()])
def test_what_cannot_be_pickled_raises(value):
    """The saver turns it into a reason and the planner into a replay."""
    with pytest.raises(TypeError):
        dumped({"v": value}, {})


def test_the_budget_stops_a_pickle_that_is_too_large_or_too_slow():
    """The pickler gives up inside its own sink: no thread, no signal."""
    value = [str(i) for i in range(500_000)]
    with pytest.raises(BudgetExceededError, match="larger than"):
        dumped({"v": value}, {}, max_bytes=100_000)
    with pytest.raises(BudgetExceededError, match="longer"):
        dumped({"v": value}, {}, until(0.0))


def test_views_still_show_the_memory_of_their_array_also_after_a_second_restore():
    """NumPy alone would restore copies."""
    array = np.arange(12.0).reshape(3, 4)
    values = {"a": array, "v": array[1:, ::2], "t": array.T, "own": np.arange(3)}
    for _ in range(3):
        data = dumped(values, {})
        values = pickling.loads(data, {})
        values["v"][0, 1] += 100
        assert values["a"][1, 2] == values["v"][0, 1] == values["t"][2, 1]
        assert not np.shares_memory(values["a"], values["own"])
    assert values["a"][1, 2] == 306.0
    assert values["v"].strides == (32, 16)


def test_a_small_view_that_nobody_shares_with_does_not_drag_its_owner_along():
    """A slice of a large array that is gone is saved as what it shows."""
    small = np.zeros(1_000_000)[:10]
    data = dumped({"small": small}, {})
    assert len(data) < 10_000


def namespace_of(source):
    """What a cell with ``source`` leaves behind."""
    namespace = {"__name__": "__main__"}
    exec(source, namespace)
    return namespace


def pickled(namespace, *names):
    """The pickle of these names together."""
    values = {name: namespace[name] for name in names}
    return dumped(values, namespace)


def test_an_older_pickle_does_not_turn_back_the_class_of_its_instances():
    """``c`` was saved before ``C.count`` changed: loading it late must not undo that."""
    live = namespace_of("class C:\n    count = 0\nc = C()")
    old = pickled(live, "c")
    live["C"].count = 5
    found = pickling.loads(old, live)
    assert type(found["c"]) is live["C"]
    assert live["C"].count == 5


def test_a_class_that_was_saved_for_its_own_sake_gets_its_attributes_back():
    """Going back to an earlier step brings the class as it was then."""
    live = namespace_of("class C:\n    count = 0")
    old = pickled(live, "C")
    live["C"].count = 5
    assert pickling.loads(old, live)["C"] is live["C"]
    assert live["C"].count == 0


def test_the_code_of_loaded_functions_is_told():
    """Also of those inside of objects: it says which names they will ask for."""
    live = namespace_of("def f(): return big + K\nheld = {'a': [f]}")
    codes = []
    pickling.loads(pickled(live, "held"), {}, codes)
    assert [set(code.co_names) for code in codes] == [{"big", "K"}]


def test_two_threads_load_on_namespaces_of_their_own():
    """One brings what waits while the other replays in another place."""
    live = namespace_of("def f(): return K")
    data = pickled(live, "f")
    places = [{"K": n} for n in range(8)]
    found = {}

    def load(place):
        for _ in range(200):
            found[place["K"]] = pickling.loads(data, place)["f"]

    threads = [threading.Thread(target=load, args=(place,)) for place in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: f() for n, f in found.items()} == {n: n for n in range(8)}


METHODS = """
class A:
    def m(self): return self
    @classmethod
    def c(cls): return cls
class B(A):
    def m(self): return super().m()
b = B()
m, c, own = b.m, B.c, A.m.__get__(b)
"""


def test_a_bound_method_is_that_of_the_class_that_lives():
    """Also where its class came with another group: it is no copy of the class's function."""
    space = {"__name__": "__main__"}
    exec(METHODS, space)
    fresh = {"__name__": "__main__"}
    groups = (("A", "B", "b"), ("b", "m", "c", "own"))
    for data in [dumped({name: space[name] for name in names}, space) for names in groups]:
        fresh.update(pickling.loads(data, fresh))
    assert fresh["m"] == fresh["b"].m
    assert fresh["m"].__func__ is vars(fresh["B"])["m"]
    assert fresh["c"]() is fresh["B"]
    assert fresh["own"].__func__.__qualname__ == "A.m"
    assert fresh["m"]() is fresh["own"]() is fresh["b"]

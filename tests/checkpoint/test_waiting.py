"""Values that wait: no cell meets a missing name, and nothing is brought that nobody asked for."""

from __future__ import annotations

import os
import threading
import time

import pytest

from ipysession.checkpoint.slices import Load
from ipysession.checkpoint.waiting import Errand, Waiting
from ipysession.checkpoint.ways import asked_by
from ipysession.model.payloads import SavedGroup

SECONDS = 30
"""After which a wait has failed."""


class Store:
    """Groups by name: ``x=y`` are two names of one group. ``sources`` make functions."""

    def __init__(self, *groups, sources=None):
        self.groups = groups
        self.sources = sources or {}
        self.loaded = []
        self.broken = set()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    @property
    def loads(self):
        """What a plan would say."""
        found = []
        for number, text in enumerate(self.groups, start=1):
            names = text.split("=")
            group = SavedGroup(names=names, size=number, types=dict.fromkeys(names, "list"))
            found.append(Load(number, group, tuple(names), (number, tuple(names))))
        return found

    def load(self, load, codes, pace):
        """What `load_group` does."""
        self.entered.set()
        assert self.gate.wait(SECONDS)
        pace.gate()
        self.loaded.append("=".join(load.wanted))
        if self.broken & set(load.wanted):
            message = "the blob is damaged"
            raise OSError(message)
        made = {name: [name] for name in load.wanted}
        for name in load.wanted:
            if name in self.sources:
                space = {}
                exec(self.sources[name], space)
                made[name] = space[name]
                codes.append(space[name].__code__)
        return made


def waiting_for(store, namespace=None):
    """Everything of ``store`` waits; the kernel is idle, no thread runs."""
    return Waiting({} if namespace is None else namespace, store.loads, store.load)


def test_a_cell_gets_what_it_names_and_nothing_else():
    """With all that shares an object with it."""
    store, namespace = Store("a=b", "c"), {}
    waiting = waiting_for(store, namespace)
    assert waiting.bring_for("print(a)") == {}
    assert namespace == {"a": ["a"], "b": ["b"]}
    assert waiting.names == ["c"]


@pytest.mark.parametrize(
    "cell",
    [
        "a", "a.b()", "f'{a}'", "f'{a!r:>{c}}'", "lambda: a", "def f():\n    return a", "del a",
        "[a for _ in ()]", "get_ipython().run_line_magic('time', 'a.sum()')", "'a'",
        "get_ipython().run_line_magic('pinfo', 'a')", "get_ipython().system('echo $a')",
        "globals()['a']", "exec('a')", "dir()", "get_ipython().run_line_magic('whos', '')",
        "get_ipython().user_ns['a' + '']", "import __main__; __main__.a",
        "get_ipython().run_line_magic('some_magic', '')", "class C:\n    x = a", "a += 1",
    ],
)  # fmt: skip
def test_whatever_way_a_cell_may_reach_a_name(cell):
    """Too much is safe, too little is not."""
    store, namespace = Store("a"), {}
    waiting_for(store, namespace).bring_for(cell)
    assert "a" in namespace


def test_what_a_loaded_function_asks_for_comes_with_it():
    """Through functions that call functions, wherever they are held."""
    sources = {"f": "def f(): return g()", "g": "def g(): return big"}
    store, namespace = Store("f", "g", "big", "other", sources=sources), {}
    waiting = waiting_for(store, namespace)
    waiting.bring_for("f()")
    assert set(namespace) == {"f", "g", "big"}
    assert waiting.names == ["other"]


def test_a_function_that_may_reach_anything_brings_everything():
    """``exec`` inside of it says no names."""
    store, namespace = Store("f", "big", sources={"f": "def f(t): exec(t)"}), {}
    waiting_for(store, namespace).bring_for("f('big')")
    assert set(namespace) == {"f", "big"}


def test_outputs_are_reached_by_their_other_names():
    """``Out[3]`` and ``_``."""
    for cell in ("Out[3]", "_ + 1", "_3"):
        store, namespace = Store("_3", "x"), {}
        waiting_for(store, namespace).bring_for(cell)
        assert set(namespace) == {"_3"}


def test_a_name_that_the_user_has_bound_meanwhile_is_theirs():
    """What waited is not put over it, not even as a partner of what is asked for."""
    store, namespace = Store("a=b"), {"b": "mine"}
    waiting_for(store, namespace).bring_for("a")
    assert namespace == {"a": ["a"], "b": "mine"}


def test_a_cell_that_binds_a_name_does_not_wait_for_it_afterwards():
    """``a`` was given a new value without a look at the old one."""
    store, namespace = Store("a"), {}
    waiting = waiting_for(store, namespace)
    namespace["a"] = 1
    waiting.cell_ended()
    assert waiting.names == []
    waiting.close()


def test_what_fails_to_load_is_told_to_the_cell_that_needs_it_and_to_no_other():
    """With the reason; the rest comes."""
    store, namespace = Store("a", "b"), {}
    store.broken = {"a"}
    waiting = waiting_for(store, namespace)
    assert waiting.bring_for("b") == {}
    assert "the blob is damaged" in waiting.bring_for("a + b")["a"]
    assert waiting.bring_for("b") == {}
    assert list(waiting.bring_for("print(a)")) == ["a"], "and to the next one"
    assert store.loaded == ["b", "a"], "it is not tried again and again"
    assert namespace == {"b": ["b"]}
    assert waiting.broken == {(1, ("a",))}


def test_an_interrupt_while_a_value_is_loaded_leaves_it_waiting():
    """It can be asked for again."""
    store, namespace = Store("a"), {}
    calls = []

    def load(load, codes, pace):
        if not calls:
            calls.append(1)
            raise KeyboardInterrupt
        return store.load(load, codes, pace)

    waiting = Waiting(namespace, store.loads, load)
    with pytest.raises(KeyboardInterrupt):
        waiting.bring_for("a")
    assert waiting.names == ["a"]
    waiting.bring_for("a")
    assert namespace == {"a": ["a"]}


def arrive(waiting):
    """Let the thread bring everything."""
    thread = waiting._thread
    assert thread is not None
    thread.join(SECONDS)
    assert not thread.is_alive()


def test_the_rest_comes_while_the_kernel_is_idle():
    """Small ones first."""
    store, namespace = Store("a", "b", "c"), {}
    waiting = waiting_for(store, namespace)
    waiting.cell_ended()
    arrive(waiting)
    assert store.loaded == ["a", "b", "c"]
    assert set(namespace) == {"a", "b", "c"}


def test_the_thread_gives_way_to_a_cell_that_does_not_need_what_it_loads():
    """It pauses between two pieces, and nothing enters the namespace."""
    store, namespace = Store("a"), {}
    store.gate.clear()
    waiting = waiting_for(store, namespace)
    waiting.cell_ended()
    assert store.entered.wait(SECONDS)
    waiting.cell_begins()
    store.gate.set()
    waiting.bring_for("1 + 1")
    assert store.loaded == []
    assert namespace == {}
    waiting.cell_ended()
    arrive(waiting)
    assert namespace == {"a": ["a"]}


def test_closing_ends_the_thread_in_the_middle_of_a_load():
    """What it had in hand is not in the namespace, and waits no more."""
    store, namespace = Store("a"), {}
    store.gate.clear()
    waiting = waiting_for(store, namespace)
    waiting.cell_ended()
    assert store.entered.wait(SECONDS)
    waiting.cell_begins()
    waiting.close()
    store.gate.set()
    arrive(waiting)
    assert namespace == {}


class Importing(Store):
    """A store whose groups import something, for as long as ``over`` is not set."""

    def __init__(self, *groups):
        super().__init__(*groups)
        self.begun, self.over = threading.Event(), threading.Event()

    def load(self, load, codes, pace):
        """What `load_group` does where something must be imported."""
        self.entered.set()
        assert self.gate.wait(SECONDS)
        with pace.turn():
            self.begun.set()
            assert self.over.wait(SECONDS)
        return super().load(load, codes, pace)


def in_a_thread(work):
    """Run it beside the test; returns the thread."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("cell", "waits"),
    [
        ("x = 1", False),
        ("import numpy.linalg", True),
        ("importlib.import_module(x)", True),
        ("eval(x)", True),
        ("load_ours()", True),
    ],
)
def test_a_cell_that_may_import_waits_for_what_the_thread_imports(cell, waits):
    """Two threads in the imports of one library can make Python show it half made."""
    store = Importing("a", "load_ours")
    waiting = Waiting({"x": 1}, store.loads[:1], store.load)
    waiting.ways.add(["load_ours"], ["__import__"])
    waiting.cell_ended()
    assert store.begun.wait(SECONDS)
    waiting.cell_begins()
    thread = in_a_thread(lambda: waiting.bring_for(cell))
    thread.join(0.2)
    assert thread.is_alive() == waits
    store.over.set()
    thread.join(SECONDS)
    assert not thread.is_alive()
    waiting.close()


def test_no_import_begins_while_a_cell_runs():
    """The thread waits with it; what the cell itself asks for is imported."""
    store, namespace = Importing("a", "bb=c"), {}
    store.over.set()
    store.gate.clear()
    waiting = Waiting(namespace, store.loads, store.load)
    waiting.cell_ended()
    assert store.entered.wait(SECONDS)
    waiting.cell_begins()
    store.gate.set()
    assert not store.begun.wait(0.1)
    waiting.bring_for("bb")
    assert set(namespace) == {"bb", "c"}
    assert store.loaded == ["bb=c"]
    waiting.cell_ended()
    arrive(waiting)
    assert set(namespace) == {"a", "bb", "c"}


def test_imports_of_loads_take_turns():
    """A cell's own load imports after what the thread has begun to import."""
    store, namespace = Importing("a", "b"), {}
    waiting = Waiting(namespace, store.loads, store.load)
    waiting.cell_ended()
    assert store.begun.wait(SECONDS)
    waiting.cell_begins()
    store.begun.clear()
    thread = in_a_thread(lambda: waiting.bring_for("b"))
    assert not store.begun.wait(0.1)
    store.over.set()
    thread.join(SECONDS)
    assert namespace["b"] == ["b"]
    waiting.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_waits_for_what_the_thread_imports():
    """The child would never get the lock of a module that nobody there imports."""
    store = Importing("a")
    waiting = Waiting({}, store.loads, store.load)
    waiting.cell_ended()
    assert store.begun.wait(SECONDS)
    waiting.cell_begins()
    seconds = 0.3
    threading.Timer(seconds, store.over.set).start()
    started = time.monotonic()
    child = os.fork()
    if not child:
        os._exit(0)
    assert time.monotonic() - started >= seconds / 2
    assert os.waitpid(child, 0)[1] == 0
    waiting.close()


def test_a_function_that_imports_may_import():
    """Its code does not have the word, only the module's name."""
    code = compile("def load():\n    def inner():\n        import json\n", "cell", "exec")
    assert {"import", "json"} <= asked_by([code])
    assert "import" not in asked_by([compile("x = json.loads", "cell", "exec")])


def errand(words, log, due=lambda: False):
    """Something to do before a cell with one of these words."""
    return Errand(
        frozenset(words), due, lambda _: log.append("prepared"), lambda: log.append("run")
    )


def test_an_errand_is_done_once_before_a_cell_that_it_matters_to():
    """A library gets its random state before anything can draw from it."""
    log = []
    waiting = Waiting({}, (), Store().load, errands=[errand(["import"], log)])
    waiting.bring_for("x = 1")
    assert log == []
    assert waiting.anything
    waiting.bring_for("import numpy")
    waiting.bring_for("import numpy")
    assert log == ["prepared", "run"]
    assert not waiting.anything


def test_an_errand_is_done_when_a_value_brought_what_it_waits_for():
    """``np`` came, and NumPy with it."""
    log, store = [], Store("np")
    waiting = Waiting(
        {}, store.loads, store.load, errands=[errand(["import"], log, lambda: bool(store.loaded))]
    )
    waiting.bring_for("np")
    assert log == ["prepared", "run"]


def test_an_errand_is_done_when_the_kernel_is_idle():
    """After everything else."""
    log = []
    waiting = Waiting({}, (), Store().load, errands=[errand(["import"], log)])
    waiting.cell_ended()
    arrive(waiting)
    assert log[-1] == "run"


def test_a_cell_takes_what_the_thread_has_in_hand():
    """It is not loaded twice."""
    store, namespace = Store("a"), {}
    store.gate.clear()
    waiting = waiting_for(store, namespace)
    waiting.cell_ended()
    assert store.entered.wait(SECONDS)
    waiting.cell_begins()
    threading.Timer(0.05, store.gate.set).start()
    waiting.bring_for("a")
    assert namespace == {"a": ["a"]}
    assert store.loaded == ["a"]
    waiting.close()


def test_what_belongs_to_the_main_thread_is_not_loaded_by_another():
    """A figure comes when it is asked for."""
    store, namespace = Store("figure", "x"), {}
    loads = store.loads
    loads[0].group.types["figure"] = "matplotlib.Figure"
    waiting = Waiting(namespace, loads, store.load)
    waiting.cell_ended()
    arrive(waiting)
    assert store.loaded == ["x"]
    waiting.bring_for("figure")
    assert set(namespace) == {"figure", "x"}

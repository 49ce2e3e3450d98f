"""From names in code to every name that the code can reach by running."""

from ipysession.lineage import reachable_names


def namespace(source):
    """A namespace like a notebook's, after ``source`` ran in it."""
    made = {"__name__": "__main__"}
    exec(source, made)
    return made


def test_a_function_reaches_the_globals_that_its_code_uses_transitively():
    """Where f uses g and g uses K, a cell that calls f reaches all three."""
    made = namespace("K = []\ndef g(): return K\ndef f(): return g()\nother = 1")
    names, unbounded = reachable_names({"f"}, made)
    assert names == {"f", "g", "K"}
    assert not unbounded


def test_methods_of_a_notebook_class_count_for_its_instances():
    """Calling a method of an instance runs code of the notebook."""
    made = namespace("K = []\nclass A:\n    def m(self): return K\na = A()\nb = [a]")
    assert reachable_names({"a"}, made)[0] >= {"a", "K"}
    assert reachable_names({"b"}, made)[0] >= {"b", "K"}, "also inside a container"


def test_closures_partials_decorators_and_defaults_count():
    """All the ways in which a function can hold another."""
    made = namespace(
        "import functools\n"
        "K = []; L = []; M = []; N = []\n"
        "def k(): return K\n"
        "def make(inner):\n    def run(): return inner()\n    return run\n"
        "closed = make(k)\n"
        "part = functools.partial(lambda v: L, 1)\n"
        "@functools.wraps(k)\ndef wrapped(f=lambda: M): return N\n"
        "cached = functools.lru_cache(lambda: L)\n"
    )
    assert "K" in reachable_names({"closed"}, made)[0]
    assert "L" in reachable_names({"part"}, made)[0]
    assert {"K", "M", "N"} <= reachable_names({"wrapped"}, made)[0]
    assert "L" in reachable_names({"cached"}, made)[0]


def test_code_inside_that_calls_exec_reaches_everything():
    """A function that calls exec cannot be bounded."""
    made = namespace("def f(t): exec(t, globals())")
    assert reachable_names({"f"}, made)[1]


def test_cycles_end():
    """Functions that call each other, and containers that hold themselves."""
    made = namespace("def f(): return g()\ndef g(): return f()\nx = []\nx.append(x)")
    assert reachable_names({"f", "x"}, made)[0] == {"f", "g", "x"}

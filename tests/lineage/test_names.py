"""The names that a cell binds, reads and deletes."""

import pytest

from ipysession.lineage import cell_names, is_internal, is_output

CASES = [
    ("x = 1", {"x"}, set(), set()),
    ("y = x + 1", {"y"}, {"x"}, set()),
    ("y += 1", {"y"}, {"y"}, set()),
    ("del a, b[0]", {"a"}, {"a", "b"}, {"a"}),
    ("del (p, q)", {"p", "q"}, {"p", "q"}, {"p", "q"}),
    ("del p\np = 1", {"p"}, {"p"}, {"p"}),
    ("import numpy as np", {"np"}, set(), set()),
    ("import os.path", {"os"}, set(), set()),
    ("from math import pi as p", {"p"}, set(), set()),
    ("for i in xs: t = i", {"i", "t"}, {"xs", "i"}, set()),
    ("[a * 2 for a in xs]", set(), {"xs"}, set()),
    ("if (n := f()) > 2: pass", {"n"}, {"f"}, set()),
    ("[m := z for z in zs]", {"m"}, {"zs"}, set()),
    ("a = [a for a in xs.a if a]", {"a"}, {"xs"}, set()),
    ("[[b for b in a if c] for a in xs]", set(), {"c", "xs"}, set()),
    ("fs = [lambda: a + K for a in xs]", {"fs"}, {"K", "xs"}, set()),
    ("def g():\n    global q\n    [q := v for v in vs]", {"g", "q"}, {"q", "vs"}, set()),
    ("class C:\n    y = [a for a in xs]", {"C"}, {"xs"}, set()),
    ("def g(v, w=d):\n    return v + K", {"g"}, {"d", "K"}, set()),
    ("def g():\n    global q\n    q = r", {"g", "q"}, {"q", "r"}, set()),
    ("class C(B):\n    a = z\n    def m(self): return G", {"C"}, {"B", "z", "G"}, set()),
    ("h = lambda v: v + K", {"h"}, {"K"}, set()),
    ("match p:\n    case {'k': v, **rest}: pass", {"v", "rest"}, {"p"}, set()),
    ("with open(f) as handle: pass", {"handle"}, {"open", "f"}, set()),
    ("try:\n    pass\nexcept E as error: pass", {"error"}, {"E"}, set()),
    ("r = await fetch(u)", {"r"}, {"fetch", "u"}, set()),
    ("x: int = y", {"x"}, {"int", "y"}, set()),
    ("obj.attr = v", set(), {"obj", "v"}, set()),
    ("d[k] = v", set(), {"d", "k", "v"}, set()),
]


@pytest.mark.parametrize(("source", "bound", "reads", "deleted"), CASES, ids=[c[0] for c in CASES])
def test_names_are_those_that_python_says(source, bound, reads, deleted):
    """Names come from Python's own symbol tables, so scopes are right by construction."""
    names = cell_names(source)
    assert bound - {"a"} <= names.bound | names.deleted
    assert names.reads >= reads
    assert names.deleted == deleted
    assert not names.unbounded
    own = {"a", "z", "self", "v", "w", "m", "i"}
    assert names.reads - reads <= own & (bound | deleted), "nothing else is read"


@pytest.mark.parametrize(
    "source",
    [
        "exec('x = 1')",
        "eval(text)",
        "globals()['x'] = 1",
        "from os import *",
        "get_ipython().run_line_magic('run', 'script.py')",
        "get_ipython().run_line_magic('some_unknown_magic', 'x')",
        "get_ipython().run_cell_magic('cython', '', 'def f(): pass')",
        "def f():\n    return vars()",
        "get_ipython().run_cell_magic('time', '', 'files = !ls\\nx = 1\\n')",
        "get_ipython().run_cell_magic('capture', '', '%run script.py\\n')",
    ],
)
def test_code_that_cannot_be_bounded_reaches_everything(source):
    """Where code can touch any name without saying so, every name counts."""
    assert cell_names(source).unbounded


@pytest.mark.parametrize(
    ("python", "bound", "reads"),
    [
        ("get_ipython().run_cell_magic('time', '', 'r = b * 2\\n')", {"r"}, {"b"}),
        ("get_ipython().run_line_magic('time', 'r = f(3)')", {"r"}, {"f"}),
        ("get_ipython().run_line_magic('timeit', '-n 3 -r 1 f(x)')", set(), {"f", "x"}),
        ("get_ipython().run_cell_magic('capture', 'out', 'print(v)\\n')", {"out"}, {"print", "v"}),
        ("get_ipython().run_cell_magic('bash', '--out text', 'ls $folder')", {"text"}, {"folder"}),
        ("get_ipython().system('cp {source} $target')", set(), {"source", "target"}),
        ("files = get_ipython().getoutput('ls $folder')", {"files"}, {"folder"}),
        ("get_ipython().run_line_magic('matplotlib', 'inline')", set(), set()),
    ],
)
def test_magics_are_looked_into(python, bound, reads):
    """The code inside a magic counts, and ``$name`` in a shell command is a read."""
    names = cell_names(python)
    assert names.bound == bound
    assert names.reads == reads
    assert not names.unbounded


def test_a_cell_that_does_not_compile_uses_no_names():
    """It did not run."""
    names = cell_names("x = = 1")
    assert not names.bound
    assert not names.reads
    assert not names.unbounded


def test_outputs_are_the_users_and_the_rest_of_ipythons_names_are_not():
    """``_3`` is an output and comes back after a resume; ``_i3`` and ``In`` do not count."""
    assert is_output("_3")
    assert not is_internal("_3")
    for name in ("_", "__", "___", "_i", "_ii", "_i12", "In", "Out", "_oh", "__name__", "exit"):
        assert is_internal(name), name
    for name in ("x", "_private", "_x1", "Input"):
        assert not is_internal(name), name

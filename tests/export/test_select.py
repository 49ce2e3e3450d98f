"""Which steps an export keeps: never too few, and as few as is certain."""

from __future__ import annotations

import contextlib
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipysession.errors import InvalidRequest
from ipysession.export import ExportOptions, select_steps
from ipysession.model import Outcome


def kept(recording, **options):
    """The numbers of the steps that an export keeps."""
    selection = select_steps(recording.read().session, ExportOptions(**options))
    return [step.number for step in selection.kept]


def reasons(recording, **options):
    """Why each of the others is dropped."""
    selection = select_steps(recording.read().session, ExportOptions(**options))
    return {dropped.step: dropped.reason for dropped in selection.dropped}


def run(recording, *cells):
    """Run cells, each given as (id, source) or as source alone."""
    for cell in cells:
        name, source = (None, cell) if isinstance(cell, str) else cell
        recording.run(source, name)


# -- what goes -------------------------------------------------------------------------

LOOP = "for i in x:\n    print(i)"
DOUBLE = "def double(v):\n    out = []\n    for i in v:\n        out.append(2 * i)\n    return out"


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([("a", "x = 1"), ("a", "x = 2")], [2]),
        ([("a", "x = 1\nprint(x)")] * 3, [3]),
        ([("a", "x = []"), ("b", "print(x)"), ("b", "print(x)")], [1, 3]),
        ([("a", "x = [1]"), ("b", LOOP), ("b", LOOP)], [1, 3]),
        ([("a", "x = int('one')"), ("a", "x = 1")], [2]),
        ([("a", "x = [1]"), ("b", "prnt(x)"), ("b", "print(x)")], [1, 3]),
        ([("a", "x = 'a'"), ("b", "y = x.uper()"), ("b", "y = x.upper()")], [1, 3]),
        ([("a", "import math\ny = math.sqroot(2)"), ("a", "import math\ny = math.sqrt(2)")], [2]),
        ([("a", "x = []"), ("b", "x.append(1)"), ("c", "print(x)")] * 2, [4, 5, 6]),
        ([("a", "x = []\nfor i in range(3):\n    x.append(i)")] * 2, [2]),
        ([("a", "def f(a): return a"), ("a", "def f(a): return 1"), ("b", "f(1)")], [2, 3]),
        ([("a", "t = 1\nu = t\ndel t")] * 2, [2]),
        ([("a", "with open('/dev/null') as f:\n    t = f.read()")] * 2, [2]),
        (
            [("a", "x = [1]"), ("f", DOUBLE), ("b", "y = double(x)"), ("b", "y = double(x)")],
            [1, 2, 4],
        ),
    ],
)
def test_a_superseded_version_goes(recording, cells, expected):
    """A version of a cell goes when a later one binds the same and nothing else remembers it."""
    run(recording, *cells)
    assert kept(recording) == expected


def test_a_syntax_error_goes_once_it_is_mended(recording):
    """A cell that does not compile ran nothing at all."""
    recording.run("x = [1]", "a")
    recording.step("x.append((2)", cell_id="b", error=("SyntaxError", "'(' was never closed"))
    recording.run("x.append(2)", "b")
    assert kept(recording) == [1, 3]


def test_identical_text_is_the_same_cell_where_there_are_no_ids(recording):
    """A terminal has no cells; there only the same text, run again, supersedes."""
    run(recording, "x = 1", "x = 1", "y = 2", "y = 3")
    assert kept(recording) == [2, 3, 4]


# -- what stays ------------------------------------------------------------------------

GROW = "def grow(v):\n    v.append(1)\n    return v"
COUNTER = "class Counter:\n    n = 0\n    def up(self): self.n += 1"
MAYBE = "if r:\n    r = []\nr.append(1)"


def twice(*cells):
    """Cells of which the last runs twice."""
    named = [(str(number), source) for number, source in enumerate(cells)]
    return [*named, named[-1]]


@pytest.mark.parametrize(
    "cells",
    [
        [("a", "x = 1"), ("b", "y = x"), ("a", "x = 2")],
        [("a", "k = 1"), ("f", "def f(): return k"), ("b", "y = f()"), ("a", "k = 2")],
        [("a", "x = 1; y = 1"), ("a", "x = 1")],
        [("a", "x = 1"), ("b", "exec('y = x')"), ("a", "x = 3")],
        [("a", "x = [1]"), ("b", "x.append(1); 1 / 0"), ("b", "x.append(1)")],
        twice("n = 0", "n = n + 1"),
        twice("n = 0", "n += 1"),
        twice("n = []", "n.append(1)"),
        twice("n = [2, 1]", "m = n", "m.sort()"),
        twice("n = iter([1, 2, 3])", "for i in n:\n    break"),
        twice("d = {}", "d['k'] = 1"),
        twice("x = []", "list(map(x.append, [1]))"),
        twice("import sys", "sys.path.append('q')"),
        twice("import random; random.seed(1)", "x = random.random()"),
        twice(GROW, "x = []", "y = grow(x)"),
        twice(COUNTER, "a = Counter()", "a.up()"),
        twice("r = []", MAYBE),
    ],
)
def test_what_may_still_matter_stays(recording, cells):
    """Where a trace of an earlier run may be left, or was looked at, the run stays."""
    run(recording, *cells)
    assert kept(recording) == list(range(1, len(cells) + 1))


def test_a_failure_without_a_later_success_stays(recording):
    """The user may want it, and what it did before it failed may be needed."""
    run(recording, ("a", "x = 1"), ("b", "1 / 0"))
    recording.step("while True: pass", cell_id="c", outcome=Outcome.INTERRUPTED)
    recording.step("import os; os._exit(1)", cell_id="d", outcome=None)
    recording.close()
    assert kept(recording) == [1, 2, 3, 4]


@pytest.mark.parametrize("outcome", [Outcome.ERROR, Outcome.INTERRUPTED, Outcome.DIED])
def test_a_failure_goes_only_for_a_success_that_binds_as_much(recording, outcome):
    """Every kind of failure; and the success must bind every name that the failure bound."""
    recording.step("x = 1; y = 2; z", ["x", "y"], outcome=outcome, cell_id="a")
    recording.step("x = 1", ["x"], cell_id="a")
    assert kept(recording) == [1, 2]
    recording.step("x = 1; y = 2", ["x", "y"], cell_id="a")
    assert kept(recording) == [3]
    assert "step 3" in reasons(recording)[1]


def test_what_died_with_its_kernel_left_nothing_in_memory(recording):
    """The cell changed a name in place before the kill; the resume brought back the old value."""
    recording.step("rng = make()", ["rng"], cell_id="a")
    recording.step("rng.draw()", [], ["rng"], cell_id="b", outcome=Outcome.DIED)
    recording.step("y = rng.draw()", ["y"], ["rng"], cell_id="b")
    assert kept(recording) == [1, 3]
    assert "the kernel died in it" in reasons(recording)[2]


def test_recorded_reads_count_also_where_the_text_does_not_show_them(recording):
    """The recorder follows functions; the text of the cell does not say what they use."""
    recording.step("x = 1", ["x"], cell_id="a")
    recording.step("y = model()", ["y"], ["model", "x"], cell_id="b")
    recording.step("x = 2", ["x"], cell_id="a")
    assert kept(recording) == [1, 2, 3]


@pytest.mark.parametrize(
    "effects",
    [
        {"files": [{"path": "out.csv", "action": "written"}]},
        {"processes": [{"command": "make"}]},
        {"connections": [{"kind": "socket", "address": "example.org:443"}]},
        {"environ_changed": ["LANG"]},
        {"cwd": "/elsewhere"},
        {"asked_input": True},
    ],
)
def test_a_step_with_effects_outside_stays(recording, effects):
    """What it did to the world may be what a later step rests on."""
    recording.step("f()", cell_id="a", effects=effects)
    recording.step("f()", cell_id="a", effects=effects)
    assert kept(recording) == [1, 2]


@pytest.mark.parametrize("magic", ["%matplotlib inline", "%load_ext autoreload", "%run other.py"])
def test_a_magic_that_sets_something_stays(recording, magic):
    """IPython's own settings have no names that would show whether they are set again."""
    name, _, line = magic[1:].partition(" ")
    for _ in range(2):
        python = f"get_ipython().run_line_magic({name!r}, {line!r})"
        recording.step(magic, transformed=python, cell_id="a")
    assert kept(recording) == [1, 2]


def test_code_inside_timing_magics_is_looked_at(recording):
    """``%%time`` changes nothing about what the cell does."""
    recording.step("x = [1]", ["x"], cell_id="a")
    for _ in range(2):
        python = "get_ipython().run_cell_magic('time', '', 'y = len(x)\\nprint(y)\\n')"
        recording.step(
            "%%time\ny = len(x)\nprint(y)", ["y"], ["x"], transformed=python, cell_id="b"
        )
    assert kept(recording) == [1, 3]


def test_nothing_goes_where_outputs_are_used_by_number(recording):
    """``_`` and ``Out[1]`` would mean another output."""
    run(recording, ("a", "x = 1"), ("a", "x = 2"))
    recording.step("y = _", ["y"], ["_"], cell_id="b")
    assert kept(recording) == [1, 2, 3]


def test_code_that_cannot_be_read_stays(recording):
    """Recorded without its Python, as by another program."""
    for _ in range(2):
        recording.step("%unknown magic\nx = 1", ["x"], cell_id="a")
    assert kept(recording) == [1, 2]


# -- replays, background, own lines -----------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"all": True}])
def test_replays_are_never_exported(recording, options):
    """A resume ran them only to bring values back; the steps themselves are there."""
    recording.step("x = 1", ["x"])
    recording.new_run()
    recording.step("x = 1", ["x"], replay_of=1)
    recording.step("y = x", ["y"], ["x"])
    assert kept(recording, **options) == [1, 3]
    assert reasons(recording, **options) == {2: "it repeats step 1 to bring values back"}


def test_background_executions_stay_only_if_they_bind(recording):
    """A debugger's or a widget's questions are not the user's work."""
    recording.step("__inspect__()", store_history=False)
    recording.step("helper = 1", ["helper"], store_history=False)
    assert kept(recording) == [2]
    assert kept(recording, all=True) == [1, 2]


def test_cells_of_our_own_lines_go(recording):
    """``%load_ext ipysession`` has no place in a notebook that others run."""
    recording.step(
        "%load_ext ipysession", transformed="get_ipython().run_line_magic('load_ext', 'ipysession')"
    )
    recording.step("x = 1", ["x"])
    assert kept(recording) == [2]
    assert kept(recording, all=True) == [2]


# -- options ---------------------------------------------------------------------------


def test_all_keeps_everything(recording):
    """The full diary: superseded versions and failures."""
    run(recording, ("a", "x = int('one')"), ("a", "x = 1"), ("a", "x = 2"))
    assert kept(recording, all=True) == [1, 2, 3]
    assert reasons(recording, all=True) == {}


def test_steps_keeps_exactly_these(recording):
    """In the order in which they ran, also where they are superseded."""
    run(recording, ("a", "x = 1"), ("a", "x = 2"), ("b", "y = 1"))
    assert kept(recording, steps=(3, 1)) == [1, 3]
    assert reasons(recording, steps=(3, 1)) == {2: "not asked for"}


def test_an_unknown_step_is_named(recording):
    """So that a typing mistake shows."""
    run(recording, "x = 1")
    with pytest.raises(InvalidRequest, match="no step 7; its steps are 1 to 1"):
        kept(recording, steps=(7,))
    recording.step("x = 1", ["x"], replay_of=1)
    with pytest.raises(InvalidRequest, match="only repeats step 1"):
        kept(recording, steps=(2,))


def test_targets_end_with_the_last_step_that_could_change_them(recording):
    """Later steps are not needed; earlier ones stay as by default."""
    run(
        recording,
        ("a", "x = 0"),
        ("a", "x = []"),
        ("b", "x.append(1)"),
        ("c", "print(x)"),
        ("d", "y = 1"),
    )
    assert kept(recording, targets=("x",)) == [2, 3]
    assert kept(recording, targets=("x", "y")) == [2, 3, 4, 5]
    assert "after the last step that could change x" in reasons(recording, targets=("x",))[5]


def test_an_unknown_target_is_answered_with_the_known_names(recording):
    """So that the user can choose one."""
    run(recording, "x = 1", "y = 2")
    with pytest.raises(InvalidRequest, match=r"no name 'z'.*x, y"):
        kept(recording, targets=("z",))


@pytest.mark.parametrize(
    "options",
    [
        {"all": True, "steps": (1,)},
        {"all": True, "targets": ("x",)},
        {"steps": (1,), "targets": ("x",)},
    ],
)
def test_contradictory_options_are_refused(options):
    """All of it and only some of it cannot both be meant."""
    with pytest.raises(InvalidRequest, match="give one"):
        ExportOptions(**options)


# -- the promise, on sessions nobody thought of -------------------------------------------

CELLS = [
    # binding
    "x = 1", "x = []", "x = [y]", "x = y", "y = 2", "y = x", "y = [x, 1]", "y = list(x)", "z = x",
    "y = y + [1]", "x = [i for i in y]", "x = sorted(y)", "x, y = y, x", "x = y = []", "w = x",
    "(x := [1])", "x = {**{'k': y}}", "x = 3\nprint(x)", "it = iter(y)", "x = list(it)",
    # changing in place
    "x.append(1)", "y.append(2)", "z.append(3)", "x += [1]", "x[0] = 5", "del x", "x.sort()",
    "x['k'].append(1)", "h = x.append", "h(8)", "for i in list(y):\n    x.append(i)",
    # only looking
    "print(x)", "print(x, y)", "x", "for i in x:\n    print(i)", "print(sum(v for v in x))",
    "print(w)",
    # functions, classes
    "def f():\n    return x", "def f():\n    x.append(9)\n    return len(x)", "y = f()",
    "def f(v=y):\n    v.append(0)\n    return v", "print(f())", "z = lambda: x", "y = z()",
    "def g(v):\n    w = []\n    for i in v:\n        w.append(i)\n    return w",
    "z = g(x)", "z = g(y)",
    "class A:\n  all = []\n  def add(self):\n    self.all.append(1)\n    return self.all",
    "a = A()", "x = a.add()", "a.add()",
    # branches, loops, failures
    "if y:\n    x = [0]", "for i in x:\n    w = i", "while y:\n    w = y.pop()",
    "with open('/dev/null') as s:\n    x = s.read()",
    "try:\n    y = x[0]\nexcept Exception:\n    y = []",
    "x.append(4); 1 / 0", "prnt(x)", "y = 7\n1 / 0",
]  # fmt: skip


def _final(sources):
    """The final values and what each cell printed, when ``sources`` run in a fresh namespace."""
    namespace, printed = {"__name__": "__main__"}, []
    for source in sources:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.suppress(Exception):
            exec(compile(source, "<cell>", "exec"), namespace)
        printed.append(said.getvalue())
    values = {
        name: repr(value)
        for name, value in namespace.items()
        # What a loop leaves in its variable is a by-product.
        if not name.startswith("__") and name not in {"i", "w"} and " at 0x" not in repr(value)
    }
    shared = {
        (one, other)
        for one in values
        for other in values
        if isinstance(namespace[one], (list, dict)) and namespace[one] is namespace[other]
    }
    return values, shared, printed


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None
)
@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from(CELLS)), min_size=2, max_size=14))
def test_the_kept_steps_alone_give_the_same(new_recording, cells):
    """The final values, which of them are one object, and what each kept step printed."""
    recording = new_recording()
    for number, source in cells:
        recording.run(source, f"cell-{number}")
    session = recording.read().session
    recording.close()
    selection = select_steps(session, ExportOptions())
    values, shared, printed = _final([step.source for step in session.steps])
    values_again, shared_again, printed_again = _final([step.source for step in selection.kept])
    assert values_again == values, selection.dropped
    assert shared_again == shared, selection.dropped
    assert printed_again == [printed[step.number - 1] for step in selection.kept]

"""A module of the user's that keeps state can change what it was given earlier."""

import sys

import pytest

from ipysession.checkpoint.modules import keep_state
from ipysession.checkpoint.packed import Limits
from ipysession.checkpoint.saver import Checkpointer
from ipysession.log import Blobs


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """Imports a module with this source from the user's folder."""
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def load(source):
        name = f"users_module_{tmp_path.name}_{len(made)}"
        (tmp_path / f"{name}.py").write_text(source)
        made.append(name)
        return __import__(name)

    yield load
    for name in made:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    "source",
    [
        "kept = []",
        "class A:\n    kept = {}",
        "def f(v, seen=[]): seen.append(v)",
        "def f(): pass\nf.calls = []",
    ],
)
def test_what_keeps_state_is_seen(imported, source):
    """In the module, in its classes and functions; by whatever name it is reached."""
    module = imported(source)
    space = {"m": module, **{k: v for k, v in vars(module).items() if k in {"f", "A"}}}
    assert keep_state(["m"], space)
    for name in ("f", "A"):
        if name in space:
            assert keep_state([name], space)
    if "A" in space:
        assert keep_state(["a"], {"a": space["A"]()})


def test_functions_alone_and_installed_modules_keep_none(imported):
    """Else every cell that plots would reach everything."""
    import numpy as np
    import pandas as pd

    module = imported(
        "import os\nLIMIT = 5\nclass A:\n    k = 1\n    def m(self): pass\ndef f(v): pass"
    )
    space = {"m": module, "f": module.f, "A": module.A, "np": np, "df": pd.DataFrame({"a": [1]})}
    assert not keep_state(space, space)
    assert not keep_state(["x"], {"x": 1})


def test_a_value_that_such_a_module_may_have_changed_is_saved_again(imported, tmp_path):
    """No name of the step leads to it."""
    module = imported("kept = []\ndef change(): kept[0].append(1)")
    space = {"m": module, "rows": [0]}
    checkpointer = Checkpointer(Blobs(tmp_path / "b"), Limits(seconds=1))

    def step(bound=(), reachable=()):
        record, _ = checkpointer.after_step(
            1, space, bound=bound, reachable=reachable, deleted=(), execution_count=1
        )
        checkpointer.appended()
        return record

    step(bound=["m", "rows"])
    module.kept.append(space["rows"])
    module.change()
    record = step(reachable=["m"])
    assert record.changed == ["rows"]

"""Imports that loading causes beside others."""

from __future__ import annotations

import importlib
import pickle
import sys
import threading
from contextlib import contextmanager

import cloudpickle
import pytest

from ipysession.checkpoint.unpickler import Pace, Unpickler, is_imported, reason

SECONDS = 10


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A package that takes its time before it imports what is inside of it, as large ones do."""
    folder = tmp_path / "slow_library"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "import slow_signals\n"
        "slow_signals.begun.set()\n"
        "slow_signals.go_on.wait(10)\n"
        "from slow_library.inner import Thing\n"
    )
    (folder / "inner.py").write_text("import slow_library\nclass Thing: pass\n")
    (tmp_path / "slow_signals.py").write_text(
        "import threading\nbegun, go_on = threading.Event(), threading.Event()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    names = ("slow_signals", "slow_library", "slow_library.inner")
    yield importlib.import_module("slow_signals")
    for name in names:
        sys.modules.pop(name, None)


CLASS = b"\x80\x04\x8c\x12slow_library.inner\x94\x8c\x05Thing\x94\x93."


def test_a_class_inside_a_package_that_another_thread_imports_is_found(library):
    """Plain pickle takes the inner module's lock first, and one of the two imports fails."""
    failed = []

    def cell():
        try:
            importlib.import_module("slow_library")
        except ImportError as error:
            failed.append(error)

    user = threading.Thread(target=cell)
    user.start()
    assert library.begun.wait(SECONDS)
    threading.Timer(0.2, library.go_on.set).start()
    found = Unpickler(CLASS, Pace()).load()
    user.join(SECONDS)
    assert failed == []
    assert found is sys.modules["slow_library"].Thing


def test_a_module_among_the_values_is_imported_packages_first(library):
    """Left to itself, cloudpickle imports it in Python's own order."""
    library.go_on.set()
    turns = []

    @contextmanager
    def turn():
        turns.append(sorted(name for name in sys.modules if name.startswith("slow_library")))
        yield

    data = pickle.dumps({"m": 1})
    assert Unpickler(data, Pace(turn=turn)).load() == {"m": 1}
    assert turns == [], "what needs no import waits for no turn"
    importlib.import_module("slow_library.inner")
    data = cloudpickle.dumps([sys.modules["slow_library.inner"]])
    del sys.modules["slow_library"], sys.modules["slow_library.inner"]
    [module] = Unpickler(data, Pace(turn=turn)).load()
    assert module is sys.modules["slow_library.inner"]
    assert turns == [[]]


def test_a_module_is_imported_when_its_code_has_run(library):
    """Not when it is merely there."""
    user = threading.Thread(target=lambda: importlib.import_module("slow_library"))
    user.start()
    assert library.begun.wait(SECONDS)
    assert "slow_library" in sys.modules
    assert not is_imported("slow_library")
    library.go_on.set()
    user.join(SECONDS)
    assert is_imported("slow_library")
    assert not is_imported("no.such.thing")
    with pytest.raises(ModuleNotFoundError):
        Pace().module("no.such.thing")


def test_a_reason_is_one_line():
    """Libraries write essays into their errors."""
    assert reason(ImportError("\n\nIMPORTANT:\n  read   this")) == (
        "ImportError: IMPORTANT: read this"
    )

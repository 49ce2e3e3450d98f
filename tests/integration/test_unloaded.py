"""A value that cannot be loaded: the cell that needs it is told so, in its own error."""

from __future__ import annotations

import pytest
from integration.kernels import Home, Kernel, rest

import ipysession
from ipysession.model.outputs import fold_outputs

pytestmark = pytest.mark.integration

LOAD = "%load_ext ipysession"
RESUME = "%session resume"
WAY_OUT = "Make it again from its steps: %session restore big"


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A kernel that came back after a kill, and whose value ``big`` is damaged on the disk."""
    home = Home(tmp_path)
    home.enter(monkeypatch)
    with Kernel(home) as kernel:
        kernel.ok(LOAD)
        kernel.ok("big = list(range(20_000))")
        kernel.ok("def count(): return len(big)")
        rest(kernel)
        kernel.kill()
        for blob in home.store.rglob("blobs/*/*"):
            blob.chmod(0o600)
            blob.write_bytes(b"x" + blob.read_bytes()[1:])
        kernel.restart()
        kernel.ok(LOAD)
        kernel.ok(RESUME)
        yield kernel


def traceback_of(answer) -> str:
    """What the cell's error showed."""
    [shown] = [o for o in answer.outputs if o["output_type"] == "error"]
    return "\n".join(shown["traceback"])


@pytest.mark.parametrize("cell", ["len(big)", "count()"])
def test_the_error_names_the_variable_and_the_way_out(kernel, cell):
    """Said once, inside of the error, as often as a cell asks; and recorded with the step."""
    for _ in range(2):
        answer = kernel.run(cell)
        assert answer.error == "NameError: name 'big' is not defined"
        assert "big could not be loaded (BlobDamaged" in traceback_of(answer)
        assert traceback_of(answer).count(WAY_OUT) == 1
        assert "could not be loaded" not in answer.stderr
    kernel.ok("%session restore big")
    assert kernel.ok(cell).result == "20000"
    step = next(s for s in ipysession.open().session.steps if s.source == cell)
    assert WAY_OUT in "\n".join(fold_outputs({0: step.events})[0][-1]["traceback"])


def test_who_catches_the_error_is_told_after_the_cell(kernel):
    """It would otherwise go unseen."""
    answer = kernel.run("try:\n    big\nexcept NameError:\n    print('none')")
    assert answer.stdout == "none\n"
    assert WAY_OUT in answer.stderr


def test_other_errors_stay_as_they_are(kernel):
    """Also a NameError for a name that never was."""
    answer = kernel.run("nobody")
    assert "ipysession" not in traceback_of(answer)
    assert "restore" not in traceback_of(answer)
    assert kernel.run("1 / 0").error == "ZeroDivisionError: division by zero"
    kernel.ok("%session restore big")
    assert kernel.ok("get_ipython().custom_exceptions").result == "()"


def test_a_handler_of_the_users_stays_theirs(kernel):
    """IPython has one place for it, and it is the user's."""
    kernel.ok(
        "def theirs(shell, etype, value, tb, tb_offset=None):\n    print('theirs:', value)\n"
        "get_ipython().set_custom_exc((NameError,), theirs)"
    )
    answer = kernel.run("len(big)")
    assert answer.stdout == "theirs: name 'big' is not defined\n"
    assert WAY_OUT in answer.stderr
    assert kernel.run("nobody").stdout == "theirs: name 'nobody' is not defined\n"


def test_what_lacked_a_library_is_loaded_when_that_was_installed(tmp_path):
    """Nothing runs again: the value may have taken hours."""
    home = Home(tmp_path)
    library, away = home.work / "rare_library.py", home.work / "away"
    library.write_text("class Model:\n    score = 0.5\n")
    with Kernel(home) as kernel:
        kernel.ok(LOAD)
        kernel.ok("import rare_library\nmodel = rare_library.Model()\nprint('trained')")
        rest(kernel)
        kernel.kill()
        library.rename(away)
        kernel.restart()
        kernel.ok(LOAD)
        kernel.ok(RESUME)
        answer = kernel.run("model.score")
        assert answer.error == "NameError: name 'model' is not defined"
        assert (
            "model could not be loaded (ModuleNotFoundError: No module named 'rare_library'), so "
            "this cell does not have it. Install what is missing and ask again, or make it again "
            "from its steps: %session restore model"
        ) in traceback_of(answer)
        away.rename(library)
        answer = kernel.ok("model.score")
        assert (answer.result, answer.stdout) == ("0.5", "")
        assert kernel.ok("rare_library.Model is type(model)").result == "True"

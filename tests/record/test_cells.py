"""Cells that are about the session itself."""

import pytest

from ipysession.record.cells import is_about_sessions, only_asks


def magics(*lines):
    """A cell of line magics, as IPython transforms it."""
    called = [line.partition(" ")[::2] for line in lines]
    return "\n".join(f"get_ipython().run_line_magic({n!r}, {rest!r})" for n, rest in called)


@pytest.mark.parametrize("lines", [["session status --json"], ["session list"], ["session tree"]])
def test_a_question_changes_nothing(lines):
    """What is being saved meanwhile goes on."""
    assert is_about_sessions(magics(*lines))
    assert only_asks(magics(*lines))


@pytest.mark.parametrize(
    "lines",
    [["session resume"], ["session status", "session undo"], ["load_ext ipysession"], ["session"]],
)
def test_what_may_change_variables_is_no_question(lines):
    """It is about the session all the same, and no step."""
    assert is_about_sessions(magics(*lines))
    assert not only_asks(magics(*lines))


@pytest.mark.parametrize("cell", ["x = 1", "", None, "session(", magics("session status") + "\nx"])
def test_other_cells_are_steps(cell):
    """Also where they mention a session."""
    assert not is_about_sessions(cell)
    assert not only_asks(cell)

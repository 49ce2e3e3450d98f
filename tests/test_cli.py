"""What the shell's face shows while a verb takes long."""

from __future__ import annotations

import io
import sys

from ipysession import cli


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self):
        """Ours is one."""
        return True


def tell_all(monkeypatch, stream):
    """Twenty things, and one that no line of a terminal holds."""
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    with cli._progress() as tell:
        for number in range(20):
            tell(f"running cell {number}\x1b[2J")
            tell(f"running cell {number}\x1b[2J")  # still at it
        if stream.isatty():
            tell("x" * 100)
    return stream.getvalue()


def test_progress_in_a_pipe_is_a_line_each(monkeypatch):
    """Each thing once, without control characters."""
    said = tell_all(monkeypatch, io.StringIO())
    assert said.splitlines() == [f"running cell {number} …" for number in range(20)]


def test_progress_on_a_terminal_is_one_place_that_is_clean_afterwards(monkeypatch):
    """What is shown later replaces what was, and the cursor is back."""
    said = tell_all(monkeypatch, Terminal())
    assert said.count("\n") <= 3, "new lines are only those of the text that was too long"
    assert "\x1b[2K" in said, "lines are erased"
    assert said.rindex("\x1b[?25h") > said.rindex("\x1b[?25l")
    assert "\x1b[2J" not in said


def test_who_tells_nothing_shows_nothing(monkeypatch):
    """Most verbs are quick."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with cli._progress():
        pass
    assert stream.getvalue() == ""

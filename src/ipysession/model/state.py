"""The state machine of a session. It lives here and nowhere else.

created ─▶ running ─▶ paused ─▶ running …
              ├────▶ completed   (final)
              └────▶ failed      (final)
"""

from __future__ import annotations

from enum import StrEnum

from ipysession.errors import InvalidTransition


class SessionState(StrEnum):
    """What the log says of a session."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    """The log says running, but no living process writes it. Only readers say this word;
    it is never recorded, and the next resume appends ``paused (kernel died)`` first."""


class Outcome(StrEnum):
    """How a step ended."""

    RUNNING = "running"
    OK = "ok"
    ERROR = "error"
    INTERRUPTED = "interrupted"
    """The user interrupted the cell (KeyboardInterrupt)."""
    DIED = "died"
    """The kernel ended inside the cell."""


RESUMABLE = frozenset({SessionState.PAUSED, SessionState.INTERRUPTED})
"""What a session is that a kernel can go on in."""

ARROWS: dict[SessionState, frozenset[SessionState]] = {
    SessionState.CREATED: frozenset({SessionState.RUNNING}),
    SessionState.RUNNING: frozenset(
        {SessionState.PAUSED, SessionState.COMPLETED, SessionState.FAILED}
    ),
    SessionState.PAUSED: frozenset({SessionState.RUNNING}),
    SessionState.COMPLETED: frozenset(),
    SessionState.FAILED: frozenset(),
}

_WAY_OUT = {
    SessionState.CREATED: "run a cell first",
    SessionState.RUNNING: "it is recording already",
    SessionState.PAUSED: "continue or resume it first",
    SessionState.COMPLETED: "it is closed for good; work on in a new session",
    SessionState.FAILED: "its recording failed for good; work on in a new session",
}


def advance(state: SessionState, target: SessionState) -> SessionState:
    """Return ``target`` if an arrow leads there from ``state``, else raise InvalidTransition."""
    if target not in ARROWS[state]:
        message = f"a {state} session cannot become {target}: {_WAY_OUT[state]}"
        raise InvalidTransition(message)
    return target

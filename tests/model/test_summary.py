"""What a fold says of a log that lacks records or repeats them."""

from __future__ import annotations

import pytest

from ipysession.model import Record, fold
from ipysession.model import payloads as p
from ipysession.model.provenance import Environment, GitState


def _fold(*payloads: p.Payload):
    t = "2026-11-21T09:48:00.000000Z"
    return fold(
        Record(seq, 1, t, 0.0, payload.type, payload) for seq, payload in enumerate(payloads, 1)
    )


@pytest.mark.parametrize(
    "payload",
    [
        p.StepOutput(step=7, events=[]),
        p.StepEffects(step=7),
        p.StepFinished(step=7, outcome="ok", duration=1),
    ],
    ids=lambda payload: payload.type,
)
def test_a_step_whose_start_is_gone(payload):
    """Is told as a problem, never guessed."""
    session = _fold(payload)
    assert session.steps == ()
    assert session.problems == ("record 1: step 7 has no start",)


def test_a_step_that_starts_twice():
    """The first one stays."""
    session = _fold(p.StepStarted(step=1, source="a"), p.StepStarted(step=1, source="b"))
    assert [step.source for step in session.steps] == ["a"]
    assert session.problems == ("record 2: step 1 starts twice",)


def test_git_that_answers_after_the_run_began():
    """Its first answer is the run's; later ones are their steps' alone."""
    first, later = (GitState(worktree="/r", commit=name) for name in "ab")
    session = _fold(
        p.RunStarted(number=1, environment=Environment(python="3.11", cwd="/r")),
        p.StepStarted(step=1, source="a"),
        p.StepEffects(step=1, git=first),
        p.StepEffects(step=1, git=later),
    )
    assert session.runs[0].environment.git == first
    assert session.steps[0].provenance.git == later

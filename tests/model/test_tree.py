"""The tree of steps: which path leads to a step, and where the session stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipysession.model import payloads as p
from ipysession.model import tree
from ipysession.model.fold import fold
from ipysession.model.provenance import Environment
from ipysession.model.records import Record


def session_of(*payloads):
    """A session of these payloads after its first records."""
    first = (
        p.SessionCreated(session="s", title="t"),
        p.RunStarted(number=1, environment=Environment(python="3.11")),
    )
    return fold(
        Record(seq=i, run=1, t="2026-11-21T09:00:00.000000Z", mono=i, type=x.type, payload=x)
        for i, x in enumerate((*first, *payloads), start=1)
    )


def step(number, parent=None, replay_of=None):
    """The start of a step."""
    return p.StepStarted(step=number, parent=parent, source=f"cell {number}", replay_of=replay_of)


def path(session, head=None):
    """The numbers of a branch."""
    return [found.number for found in tree.branch(session, head)]


def test_a_session_that_never_went_back_is_one_path():
    """Also where the log names no parents."""
    session = session_of(step(1), step(2, 1), step(3))
    assert path(session) == [1, 2, 3]
    assert tree.head(session) == 3
    assert path(session, 2) == [1, 2]


def test_nothing_was_run():
    """There is no step to stand on."""
    assert tree.head(session_of()) is None
    assert path(session_of()) == []


def test_a_step_after_going_back_grows_from_there():
    """The steps that were left are no part of the new path, and are still there."""
    session = session_of(
        step(1), step(2, 1), step(3, 2), p.SessionMoved(step=1, left=3), step(4, 1)
    )
    assert path(session) == [1, 4]
    assert path(session, 3) == [1, 2, 3]
    assert tree.children_of(session) == {0: (1,), 1: (2, 4), 2: (3,)}


def test_going_back_without_working_on_moves_the_head():
    """Where nothing was run since, the session stands on the step that the user went to."""
    session = session_of(step(1), step(2, 1), p.SessionMoved(step=1, left=2))
    assert tree.head(session) == 1
    assert path(session) == [1]


def test_everything_can_be_undone():
    """The beginning is a place to stand on, too."""
    session = session_of(step(1), p.SessionMoved(step=0, left=1), step(2, 0))
    assert path(session) == [2]
    assert path(session, 0) == []
    assert tree.head(session_of(step(1), p.SessionMoved(step=0))) == 0


def test_replays_are_no_part_of_the_tree():
    """They neither move the head nor stand on a path, even as the parent of a step."""
    session = session_of(step(1), step(2, 1), step(3, 2, replay_of=1), step(4, 3))
    assert path(session) == [1, 2, 4]
    assert tree.head(session_of(step(1), step(2, 1, replay_of=1))) == 1


def test_a_step_that_the_log_lost_hides_no_other():
    """The newest one before it stands in."""
    session = session_of(step(1), step(2, 1), step(4, 3))
    assert path(session) == [1, 2, 4]


def test_going_to_a_step_that_does_not_exist_is_a_contradiction():
    """It is told, and the head stays."""
    session = session_of(step(1), p.SessionMoved(step=9))
    assert tree.head(session) == 1
    assert "no step 9" in session.problems[0]


@given(st.lists(st.integers(min_value=0, max_value=40), max_size=30))
def test_every_path_is_finite_and_goes_forward(parents):
    """Whatever a damaged or forged log says of parents."""
    session = session_of(*(step(n, parent) for n, parent in enumerate(parents, start=1)))
    for number in range(1, len(parents) + 1):
        found = path(session, number)
        assert found == sorted(found)
        assert found[-1] == number


@pytest.mark.parametrize("missing", [7, 0])
def test_a_path_to_nowhere_is_empty(missing):
    """A step that does not exist has no path."""
    assert path(session_of(step(1)), missing) == []

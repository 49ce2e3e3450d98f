"""Ids: what names a session, and what never touches a path."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ipysession.errors import InvalidSessionId
from ipysession.store import ids, is_id, new_id, validate_id

MOMENTS = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 31))  # noqa: DTZ001


def _made_at(moment: datetime) -> str:
    class Clock:
        @staticmethod
        def now(zone: object) -> datetime:
            assert zone is UTC
            return moment.replace(tzinfo=UTC)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ids, "datetime", Clock)
        return new_id()


@given(MOMENTS, MOMENTS)
def test_they_sort_by_time(one, other):
    """A plain listing of the folder is in order, to the second."""
    one, other = sorted([one.replace(microsecond=0), other.replace(microsecond=0)])
    if one != other:
        assert _made_at(one) < _made_at(other)


@given(MOMENTS)
def test_each_new_one_is_valid(moment):
    """Whatever the clock says."""
    made = _made_at(moment)
    assert is_id(made)
    assert validate_id(made) == made


def test_two_of_the_same_second_differ():
    """By 30 random bits without letters that are easily misread."""
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    made = {_made_at(moment) for _ in range(200)}
    assert len(made) == 200
    assert not set("01ilo") & set("".join(name[-6:] for name in made))


@given(st.text(max_size=30))
@example("..")
@example("../20261121-074312-k3f9qz")
@example("20261121-074312-k3f9qz/..")
@example("20261121-074312-k3f9qz\n")
@example("20261121-074312-k3f9q/")
@example("20261121-074312-K3F9QZ")
@example("٢٠٢٦١١٢١-074312-k3f9qz")
@example("20261121-074312-k3f9qz\x00")
@example("/etc/passwd")
@example("")
def test_nothing_else_is_valid(text):
    """No path, no other alphabet, no newline at the end."""
    assert not is_id(text)
    with pytest.raises(InvalidSessionId, match="is not a session id; ids look like"):
        validate_id(text)


def test_the_refusal_repeats_little_of_a_long_text():
    """It may come from the network."""
    with pytest.raises(InvalidSessionId) as caught:
        validate_id("x" * 10_000)
    assert len(str(caught.value)) < 300

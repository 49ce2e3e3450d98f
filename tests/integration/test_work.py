"""An hour's mixed work, killed twice: after each resume all is as in a kernel that never was.

The whole of it, 1,000 cells and five kills: ``python -m benchmarks --only work``.
"""

from __future__ import annotations

import pytest

from benchmarks.working.cells import session
from benchmarks.working.journey import Plan, work
from benchmarks.workplace import Workplace

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(200)]


def test_after_kills_the_names_hold_what_they_hold_in_a_kernel_that_was_never_killed(tmp_path):
    """Values, which of them are one object, random numbers and files; no cell ran unasked."""
    journey = work(Workplace(tmp_path), Plan(cells=60, kills=2, seed=2, faster=100))
    assert journey.wrong == []
    assert len(journey.returns) == 2
    for back in journey.returns:
        assert back.names > 10
        assert back.how["restored"] + back.how["waiting"] > 5
        assert all(back.lost.values()), "what is lost has its reason"


def test_equal_seeds_make_equal_work():
    """A failure can be looked at again."""
    assert session(7, 200) == session(7, 200)
    assert session(7, 200) != session(8, 200)

"""Who computes in idle time lets the kernel's thread go on soon; a cell finds all as it was."""

import sys
import threading

import pytest

from ipysession.checkpoint.handover import Handover


@pytest.fixture(autouse=True)
def usual():
    """Python's own interval, before and after."""
    sys.setswitchinterval(0.005)
    yield sys.getswitchinterval()
    sys.setswitchinterval(0.005)


def test_soon_while_somebody_works_and_as_before_afterwards(usual):
    """Also where that fails."""
    handover = Handover()
    with handover.soon():
        assert sys.getswitchinterval() == 0.0005
    assert sys.getswitchinterval() == usual
    with pytest.raises(ZeroDivisionError), handover.soon():
        1 / 0  # noqa: B018 - it raises
    assert sys.getswitchinterval() == usual


def test_a_cell_that_runs_meanwhile_has_its_own(usual):
    """The thread waits for it."""
    handover = Handover()
    with handover.soon():
        with handover.paused():
            assert sys.getswitchinterval() == usual
        assert sys.getswitchinterval() == 0.0005


def test_several_threads(usual):
    """It is as before when the last one is through."""
    handover = Handover()
    go, inside = threading.Event(), threading.Event()

    def work():
        with handover.soon():
            inside.set()
            go.wait(20)

    thread = threading.Thread(target=work)
    with handover.soon():
        thread.start()
        assert inside.wait(20)
    assert sys.getswitchinterval() == 0.0005
    go.set()
    thread.join(20)
    assert sys.getswitchinterval() == usual


def test_what_the_user_sets_stays(usual):
    """Longer, shorter, before or meanwhile."""
    handover = Handover()
    with handover.soon():
        sys.setswitchinterval(0.02)
    assert sys.getswitchinterval() == pytest.approx(0.02)
    sys.setswitchinterval(0.0001)
    with handover.soon():
        assert sys.getswitchinterval() == pytest.approx(0.0001, rel=0.05)
    assert sys.getswitchinterval() == pytest.approx(0.0001, rel=0.05)

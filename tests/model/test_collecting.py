"""Python's collector rests while many objects are made, and is then as it was."""

import gc

import pytest

from ipysession.model.collecting import no_collections


@pytest.fixture(autouse=True)
def enabled():
    """The collector as most programs leave it."""
    gc.enable()
    yield
    gc.unfreeze()
    gc.enable()


def test_it_rests_and_goes_on():
    """Also where something is raised."""

    def fail():
        with no_collections():
            raise ValueError(gc.isenabled())

    with pytest.raises(ValueError, match="False"):
        fail()
    assert gc.isenabled()


def test_who_switched_it_off_finds_it_off():
    """It is not ours to switch on."""
    gc.disable()
    with no_collections():
        pass
    assert not gc.isenabled()


def test_what_was_made_is_among_the_oldest_objects():
    """And still tracked: what becomes garbage later is found."""
    with no_collections():
        made = [[]]
    assert any(item is made for item in gc.get_objects(generation=2))
    assert gc.get_freeze_count() == 0


def test_what_somebody_froze_stays_frozen():
    """As a server does before it forks."""
    gc.freeze()
    before = gc.get_freeze_count()
    with no_collections():
        pass
    assert gc.get_freeze_count() >= before - 100, "some may have been freed"

"""What a step's checkpoint says, and when a value counts as saved."""

import random

import pytest

from ipysession.checkpoint import pickling
from ipysession.checkpoint.saver import Checkpointer
from ipysession.log import Blobs


@pytest.fixture
def namespace():
    """A user's namespace."""
    return {"numbers": [1, 2, 3], "word": "seven"}


@pytest.fixture
def checkpointer(tmp_path):
    """One for a new session."""
    return Checkpointer(Blobs(tmp_path / "blobs"), seconds=1.0, share=0.1, max_bytes=1 << 20)


def save(checkpointer, namespace, *bound, reachable=(), deleted=()):
    """The record of a step that did this to names."""
    record, _ = checkpointer.after_step(
        1,
        namespace,
        bound=bound,
        reachable=reachable,
        deleted=deleted,
        duration=0.0,
        execution_count=1,
    )
    return record


def test_what_a_step_bound_is_saved(checkpointer, namespace):
    """Plain values share one group; others have their own."""
    record = save(checkpointer, namespace, "numbers", "word")
    assert sorted(group.names for group in record.groups) == [["numbers"], ["word"]]


def test_what_was_saved_and_did_not_change_is_not_saved_again(checkpointer, namespace):
    """A value that was only read is said to be unchanged."""
    save(checkpointer, namespace, "numbers")
    checkpointer.appended()
    record = save(checkpointer, namespace, reachable=["numbers"])
    assert not record.groups
    assert record.unchanged == ["numbers"]


def test_nothing_counts_as_saved_before_its_record_is_in_the_log(checkpointer, namespace):
    """A record that was made and never appended (the append was interrupted) saved nothing."""
    lost = save(checkpointer, namespace, "numbers")
    again = save(checkpointer, namespace, "numbers")
    assert [group.names for group in again.groups] == [group.names for group in lost.groups]
    assert again.state is not None
    assert again.cwd is not None


def test_random_states_are_saved_when_they_changed(checkpointer, namespace):
    """Once at first, then after each step that drew numbers."""
    assert save(checkpointer, namespace, "word").state is not None
    checkpointer.appended()
    assert save(checkpointer, namespace, "word").state is None
    checkpointer.appended()
    random.random()
    assert save(checkpointer, namespace, "word").state is not None


def test_random_states_that_cannot_be_saved_do_not_take_the_values_along(
    checkpointer, namespace, monkeypatch
):
    """The values are saved without them, and the next step tries again."""
    whole = pickling.dumps

    def dumps(value, *args, **kwargs):
        if "random" in value:
            raise OSError(28, "No space left on device")
        return whole(value, *args, **kwargs)

    monkeypatch.setattr(pickling, "dumps", dumps)
    record = save(checkpointer, namespace, "word")
    assert record.state is None
    assert [group.names for group in record.groups] == [["word"]]
    checkpointer.appended()
    monkeypatch.undo()
    assert save(checkpointer, namespace, "word").state is not None

"""What a step's checkpoint says, and when a value counts as saved."""

import random

import numpy as np
import pandas as pd
import pytest

from ipysession.checkpoint import pickling
from ipysession.checkpoint.packed import Limits
from ipysession.checkpoint.saver import WAITS, Checkpointer
from ipysession.log import Blobs


@pytest.fixture
def namespace():
    """A user's namespace."""
    return {"numbers": [1, 2, 3], "word": "seven"}


@pytest.fixture
def checkpointer(tmp_path):
    """One for a new session."""
    return Checkpointer(Blobs(tmp_path / "blobs"), Limits(seconds=1.0))


def save(checkpointer, namespace, *bound, reachable=(), deleted=(), still=False):
    """The record of a step that did this to names."""
    record, _ = checkpointer.after_step(
        1,
        namespace,
        bound=bound,
        reachable=reachable,
        deleted=deleted,
        execution_count=1,
        still=still,
    )
    return record


def test_a_step_that_left_them_as_they_were_is_not_asked_for_random_states(checkpointer, namespace):
    """The recorder has compared them. But once they are saved, and after the next step."""
    first = save(checkpointer, namespace, "word", still=True)
    checkpointer.appended()
    random.random()
    quiet = save(checkpointer, namespace, "word", still=True)
    checkpointer.appended()
    asked = save(checkpointer, namespace, "word")
    assert first.state is not None
    assert quiet.state is None
    assert asked.state is not None
    owed = save(checkpointer, namespace, "word", still=True)  # `asked` did not reach the log
    assert owed.state is not None


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
    whole = pickling.dump

    def dump(value, *args):
        if "random" in value:
            raise OSError(28, "No space left on device")
        return whole(value, *args)

    monkeypatch.setattr(pickling, "dump", dump)
    record = save(checkpointer, namespace, "word")
    assert record.state is None
    assert [group.names for group in record.groups] == [["word"]]
    checkpointer.appended()
    monkeypatch.undo()
    assert save(checkpointer, namespace, "word").state is not None


def test_a_record_tells_what_changed_name_by_name(checkpointer):
    """Also in a group of several names, where it is small."""
    shared = [1]
    namespace = {"a": [shared], "b": [shared, 2], "c": [3]}
    first = save(checkpointer, namespace, "a", "b", "c")
    assert first.changed == ["a", "b", "c"]
    checkpointer.appended()
    namespace["b"].append(4)
    record = save(checkpointer, namespace, reachable=["a", "b", "c"])
    assert [group.names for group in record.groups] == [["a", "b"]]
    assert record.changed == ["b"]
    assert record.unchanged == ["a", "c"]
    checkpointer.appended()
    shared.append(5)
    record = save(checkpointer, namespace, reachable=["a"])
    assert record.changed == ["a", "b"]


def test_what_is_large_waits_for_idle_time(checkpointer):
    """The record says so, and that its value may differ."""
    namespace = {"big": [[i] for i in range(30_000)], "small": [1]}
    record = save(checkpointer, namespace, "small")
    assert record.changed == ["small"]
    record = save(checkpointer, namespace, "big")
    assert [(item.names, item.reason) for item in record.skipped] == [(["big"], WAITS)]
    assert checkpointer.left_over == ["big"]
    assert not record.changed


def test_a_name_that_left_its_group_and_came_back_is_saved_anew(checkpointer):
    """The log's newest word on it is not the one of before."""
    shared = [1]
    namespace = {"a": shared, "b": shared}
    save(checkpointer, namespace, "a", "b")
    checkpointer.appended()
    namespace["a"] = 7
    save(checkpointer, namespace, "a")
    checkpointer.appended()
    namespace["a"] = shared
    record = save(checkpointer, namespace, "a", reachable=["b"])
    assert [group.names for group in record.groups] == [["a", "b"]]


def test_a_name_that_was_deleted_and_made_again_is_saved_anew(checkpointer):
    """Although it looks as it did."""
    namespace = {"a": [1]}
    save(checkpointer, namespace, "a")
    checkpointer.appended()
    record = save(checkpointer, {}, deleted=["a"])
    assert record.deleted == ["a"]
    checkpointer.appended()
    assert save(checkpointer, {"a": [1]}, "a").groups


def test_previews_tell_of_values_without_loading_them(tmp_path):
    """Type, size, shape and a short text, secrets taken out."""
    checkpointer = Checkpointer(
        Blobs(tmp_path / "b"), Limits(seconds=1), redact=lambda text: text.replace("hunter2", "…")
    )
    namespace = {
        "n": 5,
        "text": "my hunter2",
        "rows": list(range(50)),
        "array": np.arange(6).reshape(2, 3),
        "table": pd.DataFrame({"a": [1], "b": ["x"]}),
    }
    record = save(checkpointer, namespace, *namespace)
    told = {name: item for group in record.groups for name, item in group.previews.items()}
    assert told["n"].text == "5"
    assert told["text"].text == "'my …'"
    assert told["rows"].shape == [50]
    assert told["rows"].text == "[0, 1, 2, 3, 4, 5, …]"
    assert (told["array"].shape, told["array"].text) == ([2, 3], "int64: 0, 1, 2, 3, 4, 5")
    if "table" in told:
        assert (told["table"].shape, told["table"].text) == ([1, 2], "a, b")

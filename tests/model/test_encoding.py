"""The encoding: whatever JSON-like value a cell displays comes back exactly as it was."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model.strategies import nested, same, texts, values

from ipysession.model import encoding
from ipysession.model.encoding import BlobRef


@given(values(20))
def test_any_value_comes_back_exactly(value):
    """NaN, infinities, lone surrogates, huge integers, objects that look like our wrappers."""
    assert same(encoding.loads(encoding.dumps(value)), value)


@given(nested())
def test_any_depth_comes_back_exactly(shape):
    """A value nested 5,000 levels deep is written flat, so no reader needs a deep stack."""
    text = encoding.dumps(shape.value())
    is_same = same(encoding.loads(text), shape.value())
    assert is_same
    levels, depth = [json.loads(text)], 0
    while levels:
        depth += 1
        inner = [value for value in levels if isinstance(value, (list, dict))]
        levels = [x for v in inner for x in (v.values() if isinstance(v, dict) else v)]
    assert depth <= 2 * encoding.MAX_DEPTH + 8


@given(values())
def test_one_line_of_ascii(value):
    """No byte of the text is a newline or beyond ASCII: U+2028 cannot break a line."""
    text = encoding.dumps(value)
    assert text.isascii()
    assert "\n" not in text


@given(values())
def test_bytes_and_text_decode_alike(value):
    """A reader may pass the line's bytes as they are."""
    assert same(encoding.loads(encoding.dumps(value).encode()), value)


@given(st.lists(st.integers() | texts()))
def test_ordinary_values_are_plain_json(value):
    """Where JSON can hold a value, any JSON parser reads it."""
    if not any(isinstance(item, str) and item.startswith("$") for item in value):
        assert json.loads(encoding.dumps(value)) == value


@pytest.mark.parametrize(
    "value",
    [
        {"$float": "nan"},
        {"$int": "0x10"},
        {"$flat": [[1]]},
        {"$at": 0},
        {"$esc": {"$esc": 1}},
        {"$blob": "a", "size": 1, "media": "text"},
        {"$blob": "a"},
        {"$unheard-of": [{"$float": "inf"}]},
        {"$": None},
    ],
)
def test_objects_that_look_like_wrappers_stay_what_they_are(value):
    """A user may display our own wrappers as JSON; at any depth."""
    deep = value
    for _ in range(100):
        deep = [deep]
    for shown in (value, [value], {"a": value, "b": math.nan}, deep):
        assert same(encoding.loads(encoding.dumps(shown)), shown)


def test_numbers_of_numpy_are_numbers():
    """NumPy's float is a float with another repr; NaN included."""
    values = [np.float64("nan"), np.float64("-inf"), np.float64(1.5)]
    back = encoding.loads(encoding.dumps(values))
    assert same(back, [math.nan, -math.inf, 1.5])


def test_tuples_and_numbers_as_keys_become_what_json_has():
    """As on their way to a frontend: tuples are lists and keys are texts, in any branch."""
    assert encoding.loads(encoding.dumps([(1, 2), {3: 4}])) == [[1, 2], {"3": 4}]
    back = encoding.loads(encoding.dumps([(1, 2), {3: math.nan}]))
    assert same(back, [[1, 2], {"3": math.nan}])


@pytest.mark.parametrize("value", [object(), [b"bytes"], {"a": {1, 2}}, [math.nan, object()]])
def test_what_json_does_not_know_raises_type_error(value):
    """The recorder then falls back on the text of it."""
    with pytest.raises(TypeError):
        encoding.dumps(value)


def test_a_key_that_json_cannot_hold_raises_type_error():
    """NaN as a key, in a value that needs wrappers."""
    with pytest.raises(TypeError, match="key"):
        encoding.dumps({math.nan: 1})


def test_a_value_that_contains_itself_raises_type_error():
    """It ends, and it says why."""
    ring: list[object] = []
    ring.append([ring, ring])
    with pytest.raises(TypeError, match="contains itself"):
        encoding.dumps(ring)


def test_a_container_that_stands_in_many_places_is_written_once_where_it_is_deep():
    """Ten levels, each twice the one before, below 100 levels: 111 containers and not 1,124."""
    value: list[object] = [1]
    for _ in range(10):
        value = [value, value]
    expected = json.loads(json.dumps(value))
    for _ in range(100):
        value, expected = [value], [expected]
    text = encoding.dumps(value)
    assert len(json.loads(text)["$flat"]) == 111
    assert encoding.loads(text) == expected


@pytest.mark.parametrize("limit", ["0", "640", "100000"])
def test_pythons_limit_for_digits_does_not_matter(limit):
    """A kernel whose user changed the limit writes what every other process reads."""
    program = """
import sys
from ipysession.model import encoding
for digits in (600, 700, 5000, 50_000):
    print(encoding.dumps([10**digits]))
"""
    done = subprocess.run(
        [sys.executable, "-X", f"int_max_str_digits={limit}", "-c", program],
        capture_output=True,
        text=True,
        check=True,
    )
    numbers = [encoding.loads(line)[0] for line in done.stdout.splitlines()]
    assert numbers == [10**600, 10**700, 10**5000, 10**50_000]


class TestBlobReferences:
    """A part that lies in a blob is a reference in the text."""

    REF = BlobRef("ab" * 32, 300_000, "text")

    def test_come_back_as_references(self):
        """Without a way to fetch blobs, the reference itself is what one gets."""
        text = encoding.dumps_with_blobs({"x": [self.REF]})
        assert encoding.loads(text) == {"x": [self.REF]}

    def test_are_resolved_on_request(self):
        """With one, its value."""
        text = encoding.dumps_with_blobs({"x": [self.REF], "y": math.inf})
        assert encoding.loads(text, lambda ref: ref.size) == {"x": [300_000], "y": math.inf}

    def test_survive_inside_deep_values(self):
        """Also where the value around it is written flat."""
        value: object = {"inner": self.REF, "scalar": math.inf}
        for _ in range(90):
            value = [value]
        back = encoding.loads(encoding.dumps_with_blobs(value))
        for _ in range(90):
            (back,) = back
        assert back == {"inner": self.REF, "scalar": math.inf}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        '{"$float":[]}',
        '{"$float":"x"}',
        '{"$int":5}',
        '{"$int":"zz"}',
        '{"$flat":[]}',
        '{"$flat":3}',
        '{"$flat":[[{"$at":7}]]}',
        '{"$flat":[[{"$at":"x"}]]}',
        '{"$esc":3}',
        '{"$blob":"a","size":[],"media":"text"}',
    ],
)
def test_malformed_text_raises_value_error(text):
    """Whatever somebody forged: one kind of error, never a crash."""
    with pytest.raises(ValueError):
        encoding.loads(text)


def test_wrappers_can_be_left_alone():
    """For records of a newer version, whose wrappers may mean something else."""
    assert encoding.loads('{"$float":"nan"}', unwrapping=False) == {"$float": "nan"}

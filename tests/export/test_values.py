"""Whether two values are the same: by all that they are made of."""

from __future__ import annotations

import random
import re
from collections import Counter, OrderedDict
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ipysession.export.values import Same, same


class Point:
    """A plain object."""

    def __init__(self, x, y=None):
        self.x, self.y = x, y


def adder(n):
    """A closure."""
    return lambda v: v + n


def knot(value):
    """A list that holds itself."""
    made = [value]
    made.append(made)
    return made


TABLE = {"a": [1, 2], "b": ["x", None]}

MAKERS = [
    lambda: 1,
    object,
    lambda: "text",
    lambda: float("nan"),
    lambda: [1, (2, {"k": {3}})],
    lambda: OrderedDict(a=1),
    lambda: Counter("hello"),
    lambda: Decimal("1.5"),
    lambda: Fraction(1, 3),
    lambda: datetime(2026, 1, 1, tzinfo=UTC),
    lambda: re.compile("a+"),
    lambda: Point(1, [Point(2)]),
    lambda: adder(1),
    lambda: "text".upper,
    lambda: re,
    lambda: Point,
    lambda: knot(1),
    lambda: iter([1, 2]),
    lambda: random.Random(1),
    lambda: np.arange(6.0).reshape(2, 3),
    lambda: np.array([1, "a", None], dtype=object),
    lambda: np.random.default_rng(1),
    lambda: np.float64(1.5),
    lambda: pd.DataFrame(TABLE),
    lambda: pd.Series([1.0, np.nan], name="s"),
    lambda: pd.DataFrame(TABLE).groupby("a"),
]


@pytest.mark.parametrize("make", MAKERS)
def test_a_value_made_twice_is_the_same(make):
    """Whatever it is made of."""
    assert same(make(), make()) is Same.YES


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 2),
        (1, True),
        (1, 1.0),
        ("1", 1),
        ([1, 2], [2, 1]),
        ([1], [1, 1]),
        ({"a": 1}, {"a": 2}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1, 2}, {1, 3}),
        (1.0, 1.0 + 1e-6),
        (Point(1, [Point(2)]), Point(1, [Point(3)])),
        (adder(1), adder(2)),
        (lambda v: v + 1, lambda v: v + 2),
        (knot(1), knot(2)),
        (random.Random(1), random.Random(2)),
        (np.arange(3), np.arange(4)),
        (np.arange(3), np.arange(3.0)),
        (np.array([1.0]), np.array([1.0 + 1e-6])),
        (np.random.default_rng(1), np.random.default_rng(2)),
        (pd.DataFrame(TABLE), pd.DataFrame({**TABLE, "a": [1, 3]})),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})),
        (pd.Series([1]), pd.Series([1.0])),
        (re.compile("a"), re.compile("b")),
    ],
)
def test_a_difference_anywhere_is_one(one, other):
    """Also in type, order and depth."""
    assert same(one, other) is Same.NO


@pytest.mark.parametrize("make", [lambda: (i for i in [1]), Path("/dev/null").open])
def test_what_cannot_be_looked_into_is_unknown(make):
    """It is not called the same; nor different."""
    one, other = make(), make()
    assert same(one, other) is Same.UNKNOWN
    assert same([1, one], [1, other]) is Same.UNKNOWN
    assert same([1, one], [2, other]) is Same.NO
    for made in (one, other):
        getattr(made, "close", int)()


def test_rounding_and_time_have_their_limits():
    """Sums depend on the number of threads; and a comparison ends."""
    assert same([0.1 + 0.2], [0.3]) is Same.YES
    assert same(np.array([0.1 + 0.2]), np.array([0.3])) is Same.YES
    assert same([[1]], [[1]], deadline=0.0) is Same.UNKNOWN

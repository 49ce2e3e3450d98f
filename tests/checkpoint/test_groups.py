"""Names that may share a mutable object are saved together; nothing else is."""

import sys

import numpy as np
import pandas as pd
import pytest

from ipysession.checkpoint.groups import co_variable_groups, is_plain


def groups_of(**values):
    """The groups of these variables."""
    return {frozenset(group) for group in co_variable_groups(sorted(values), values)}


def test_names_that_hold_one_mutable_object_belong_together():
    """``b = a`` for a list; not for a number."""
    shared = [1]
    found = groups_of(a=shared, b=shared, c=[1], n=5, m=5, s="text", t="text")
    assert frozenset({"a", "b"}) in found
    assert frozenset({"c"}) in found
    assert {frozenset({name}) for name in "nmst"} <= found


def test_sharing_is_seen_through_containers_objects_and_closures():
    """Wherever the shared object hides."""
    inner = [1]

    class Holder:
        def __init__(self):
            self.deep = {"k": (inner,)}

    def reader():
        return inner

    found = groups_of(x=inner, y={"a": [inner]}, z=Holder(), f=reader, other=[2])
    assert frozenset({"x", "y", "z", "f"}) in found
    assert frozenset({"other"}) in found


def test_a_view_belongs_to_its_array():
    """NumPy keeps the owner in ``base``, which the garbage collector does not show."""
    array = np.arange(10)
    found = groups_of(a=array, v=array[2:5], r=array.reshape(2, 5).T, other=np.arange(10))
    assert frozenset({"a", "v", "r"}) in found
    assert frozenset({"other"}) in found


def test_modules_and_library_classes_link_nothing():
    """``arr, df, np, pd`` are not one group, as they are elsewhere."""
    found = groups_of(np=np, pd=pd, arr=np.arange(3), df=pd.DataFrame({"a": [1]}), cls=pd.DataFrame)
    assert found == {frozenset({name}) for name in ("np", "pd", "arr", "df", "cls")}


def test_dtypes_time_zones_and_copied_labels_link_nothing():
    """Tables with the same kinds of columns share nothing that could change."""
    times = pd.to_datetime(["2013-01-01T10:00Z", "2013-01-01T11:00Z"], utc=True)
    table = pd.DataFrame({"when": times, "kind": pd.Categorical(["a", "b"]), "text": ["x", "y"]})
    table.columns.get_loc("kind")  # fills the labels' cache, which copies share
    found = groups_of(table=table, copy=table.copy(), other=pd.DataFrame({"when": times.copy()}))
    assert found == {frozenset({name}) for name in ("table", "copy", "other")}


def test_labels_that_could_change_do_link():
    """An index may hold the user's own mutable objects."""

    class Label:
        pass

    label = Label()
    found = groups_of(index=pd.Index([label, 1], dtype=object), label=label)
    assert found == {frozenset({"index", "label"})}


def test_what_is_too_large_to_look_at_is_one_group_with_all_that_may_share():
    """Merging too much is safe; missing an alias is not."""
    big = [[i] for i in range(30_000)]
    found = groups_of(big=big, last=big[-1], n=3)
    assert frozenset({"big", "last"}) in found
    assert frozenset({"n"}) in found


def test_what_nothing_else_refers_to_stays_apart_from_what_is_too_large_to_look_at():
    """A generator would else take the large list along, and neither could be saved."""

    def counting(start, /):
        while True:
            yield start

    def reading(held):
        return lambda: held

    big = [[i] for i in range(30_000)]
    values = {
        "big": big,
        "stream": counting(7),
        "squares": (i * i for i in range(9)),
        "table": {"k": [1, {2}]},
        "reader": reading([3]),
        "rows": iter(big),
        "text": "n",
    }
    values["held"] = values["reader"]()
    del big, counting  # the stream holds its function
    found = {frozenset(group) for group in co_variable_groups(sorted(values), values)}
    assert frozenset({"big", "rows"}) in found
    assert {frozenset({name}) for name in ("stream", "squares", "table", "text")} <= found
    assert frozenset({"held", "reader"}) in found


@pytest.mark.parametrize("hidden", ["in a tuple", "in a closure", "in an iterator", "in a view"])
def test_what_something_unseen_may_refer_to_does_not(hidden):
    """The proof fails where a single reference is not accounted for."""

    def closed_over(held):
        return lambda: held

    inner = [1]
    array = np.arange(9)
    outside = {
        "in a tuple": lambda: (inner,),
        "in a closure": lambda: closed_over(inner),
        "in an iterator": lambda: iter(inner),
        "in a view": lambda: array[2:],
    }[hidden]()
    big = [[i] for i in range(30_000)]
    big.append(outside)
    values = {"big": big, "small": {"k": array if hidden == "in a view" else inner}}
    assert frozenset({"big", "small"}) in set(co_variable_groups(sorted(values), values))


def test_an_object_array_too_large_to_look_at_counts_as_such():
    """Its entries may be shared with anything."""
    entries = [[i] for i in range(30_000)]
    array = np.empty(len(entries), dtype=object)
    array[:] = entries
    assert frozenset({"array", "last"}) in groups_of(array=array, last=entries[-1])


@pytest.mark.parametrize("value", [1, "x", None, True, 2.5, (1, "a"), sys, int, frozenset({1})])
def test_plain_values_cannot_change(value):
    """They are saved when they are bound, never because they were read."""
    assert is_plain(value)


@pytest.mark.parametrize("value", [[1], {}, (1, []), np.arange(2), lambda: 0, object()])
def test_others_may(value):
    """Anything else is looked at again after each step that reads it."""
    assert not is_plain(value)


def test_a_method_of_a_list_goes_with_the_list():
    """`add = numbers.append` changes numbers; `len` belongs to nobody."""
    numbers = [1]
    namespace = {"numbers": numbers, "add": numbers.append, "size": len, "other": [2]}
    found = co_variable_groups(namespace, namespace)
    assert frozenset({"numbers", "add"}) in found
    assert frozenset({"size"}) in found
    assert not is_plain(namespace["add"])
    assert is_plain(len)

"""What was saved is loaded once to see whether it is what it was."""

import pickle

import pandas as pd

from ipysession.checkpoint.trial import loads_as_it_was


class Forgetful:
    """Pickles, and comes back as another one."""

    def __init__(self, number):
        self.number = number

    def __reduce__(self):
        return Forgetful, (0,)


def test_what_loads_as_something_else_is_told():
    """A value whose own reducer loses something is not trusted to what was saved."""
    values = {"x": Forgetful(3)}
    assert "something else" in loads_as_it_was(pickle.dumps(values), values)


def test_what_does_not_load_is_told_with_its_error():
    """Whoever resumes learns why a step is run again."""
    assert "does not load" in loads_as_it_was(b"broken", {"x": 1})


def test_a_table_whose_caches_are_filled_loads_as_it_was():
    """An index fills a cache once it is shown; the pickle leaves it out."""
    counts = pd.Series(["a", "b", "a"]).value_counts()
    repr(counts)
    assert counts.index.is_unique
    assert not loads_as_it_was(pickle.dumps({"x": counts}), {"x": counts})

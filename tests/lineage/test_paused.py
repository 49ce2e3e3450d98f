"""Fingerprints of generators and iterators: a look leaves them alone, a step shows."""

import time

import pytest

from ipysession.lineage import identity
from ipysession.lineage.fingerprints import fingerprint


def made(source):
    """The namespace that ``source`` makes, and a look at its ``it``."""
    namespace = {}
    exec(source, namespace)
    return namespace, lambda: fingerprint(namespace["it"], namespace, time.perf_counter() + 5)


KINDS = {
    "generator expression": "it = (i * i for i in range(3, 10))",
    "variable": "def f():\n    n = 0\n    while True:\n        yield n\n        n += 1\nit = f()",
    "loop without a variable's change": (
        "def f(them):\n    for them[0] in them:\n        yield 0\nit = f([0, 0, 0, 0])"
    ),
    "delegates": "def g():\n    for _ in 'aaaa':\n        yield 1\ndef f():\n"
    "    yield from g()\nit = f()",
    "list": "it = iter([7, 7, 7, 7])",
    "tuple": "it = iter((7, 7, 7, 7))",
    "text": "it = iter('aaaa')",
    "range": "it = iter(range(9))",
    "reversed": "it = reversed([7, 7, 7])",
    "zip": "it = zip([7, 7, 7], (8, 8, 8, 8))",
    "map": "it = map(str, [7, 7, 7])",
    "filter": "it = filter(None, [7, 7, 7])",
    "enumerate": "it = enumerate('aaaa')",
}


@pytest.mark.parametrize("source", KINDS.values(), ids=KINDS)
def test_a_look_changes_nothing_and_each_step_shows(source):
    """Looked at before it begins, on the way, and at its end."""
    namespace, look = made(source)
    seen = [look()]
    for _ in range(3):
        assert look().whole == seen[-1].whole
        next(namespace["it"])
        seen.append(look())
    assert len({one.whole for one in seen}) == 4
    assert not any(one.opaque or one.unsure for one in seen)
    if "while True" not in source:
        for _ in namespace["it"]:
            pass
        assert look().whole == look().whole
        assert not look().opaque


def test_what_it_goes_through_is_shared_with_it():
    """A list that an iterator goes through may change it, and is found."""
    namespace, look = made("them = [1, 2]\nit = (i for i in them)")
    before = look()
    assert identity(namespace["them"]) in before.shared
    namespace["them"].append(3)
    assert look().whole != before.whole


def test_an_iterator_that_shows_nothing_stays_opaque():
    """One of a library, and one that holds it."""
    assert made("import itertools\nit = itertools.count()")[1]().opaque
    assert made("import itertools\nit = zip(itertools.count(), 'ab')")[1]().opaque

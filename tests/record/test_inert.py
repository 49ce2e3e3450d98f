"""Which steps are known to have run nothing but their own code, on values of Python's own."""

import pytest

from ipysession.record.effects import EffectsSeen
from ipysession.record.lineage import LineageWatch


class Noisy:
    """Its operators could do anything."""

    def __add__(self, other):
        return self


def watched(source, *, beside=False):
    """What the watch says of a cell that ran; there are ``n``, ``text`` and ``noisy``."""
    namespace = {"n": 1, "text": "a", "noisy": Noisy()}
    watch = LineageWatch(namespace, expand=str, others_run=lambda: beside)
    watch.begin(source, frozenset(namespace))
    before = dict(namespace)
    exec(source, {"get_ipython": lambda: Shell}, namespace)
    bound = {name for name, value in namespace.items() if before.get(name) is not value}
    return watch.end(
        bound=bound,
        deleted=before.keys() - namespace.keys(),
        users=frozenset(namespace),
        seen=EffectsSeen(),
        ok=True,
        count=1,
    )


class Shell:
    """Takes magics."""

    @staticmethod
    def run_line_magic(name, line):
        """Does nothing."""


@pytest.mark.parametrize(
    "source", ["x = 1", "x = [1, 2, {'a': n}]", "x = n + 1", "del n", "def f():\n    return g()"]
)
def test_inert(source):
    """Nothing hidden can have changed, and to save what was made is to pickle Python's own."""
    assert watched(source).inert


@pytest.mark.parametrize(
    "source",
    [
        "x = noisy + 1",
        "x = [noisy]",
        "x = str(n)",
        "x = text.upper",
        "class C: pass",
        "get_ipython().run_line_magic('cd', '/')",
    ],
)
def test_not_inert(source):
    """It called something, or used what may do as it likes."""
    assert not watched(source).inert


def test_nothing_is_inert_beside_a_thread():
    """The thread may draw random numbers meanwhile."""
    assert not watched("x = 1", beside=True).inert

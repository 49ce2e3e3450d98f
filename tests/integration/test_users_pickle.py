"""A user's own pickling of what a notebook made works as ever, after a resume, too."""

from __future__ import annotations

import pytest
from integration.kernels import Home, Kernel, rest

from ipysession.sessions import Sessions
from ipysession.store import Store

pytestmark = pytest.mark.integration

SETUP = """\
import copy, enum, functools, pickle, collections, dataclasses
from pathlib import Path
K = 5
def scaled(v): return v * K
class Point:
    made = 0
    def __init__(self, v): self.v = v; type(self).made += 1
    def __eq__(self, other): return type(self) is type(other) and self.v == other.v
    __hash__ = None
@dataclasses.dataclass(frozen=True)
class Pair:
    one: int
    other: list
class Color(enum.Enum):
    RED = 1
class Wrong(Exception): pass
class Outer:
    class Inner(Point): pass
Two = collections.namedtuple('Two', 'a b')
class Slotted:
    __slots__ = ('v',)
class Stated:
    asked = 0
    def __getstate__(self): return {'v': self.v}
    def __setstate__(self, state): self.v = -state['v']
points = [Point(i) for i in range(30_000)]
def stated(v):
    it = Stated(); it.v = v
    return it
def slotted(v):
    it = Slotted(); it.v = v
    return it
def everything():
    return [Point(1), Pair(1, [2]), Color.RED, Wrong('w'), Outer.Inner(3), Two(1, 2), scaled,
            Point, functools.partial(scaled, 2), Point(4).__eq__, slotted(6)]
Path('before.pickle').write_bytes(pickle.dumps(everything()))"""

CHECK = """\
def kinds(values): return [type(value) for value in values]
made = everything()
for back in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made),
             pickle.loads(Path('before.pickle').read_bytes())):
    assert kinds(back) == kinds(made), back
    assert back[:3] == made[:3] and back[4:8] == made[4:8], back
    assert back[2] is Color.RED and back[6] is scaled and back[7] is Point
    assert back[8]() == 2 * K
    assert back[10].v == 6
assert pickle.loads(pickle.dumps(stated(7))).v == -7
assert pickle.loads(pickle.dumps(points))[7] == points[7]
assert {it.__module__ for it in (Point, Pair, Color, Wrong, Outer.Inner, scaled)} == {'__main__'}
for unpicklable in (lambda: 0, (i for i in 'ab'), __import__('threading').Lock()):
    try:
        pickle.dumps(unpicklable)
    except (pickle.PicklingError, AttributeError, TypeError):
        pass
    else:
        raise AssertionError(unpicklable)
import math, multiprocessing
with multiprocessing.get_context('fork').Pool(2) as pool:
    assert pool.map(scaled, [1, 2]) == [K, 2 * K]
    assert pool.map(Point, [1, 2]) == [Point(1), Point(2)]
    assert kinds(pool.map(Outer.Inner, [1])) == [Outer.Inner]
with multiprocessing.get_context('spawn').Pool(1) as pool:
    assert pool.map(math.sqrt, [4.0]) == [2.0]
'fine'"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """A kernel that made things, pickled them, was killed, and was resumed."""
    home = Home(tmp_path_factory.mktemp("home"))
    with Kernel(home) as kernel:
        kernel.ok("%load_ext ipysession")
        kernel.ok(SETUP)
        kernel.before = kernel.run(CHECK)
        rest(kernel)
        kernel.kill()
        kernel.restart()
        # So that nothing comes in idle time before a cell asks for it.
        kernel.ok("%load_ext ipysession\n%config Recording.restore_when_idle = False")
        kernel.ok("%config Recording.restore_at_once_seconds = 0")
        kernel.ok("%session resume")
        yield kernel
        kernel.kill()  # Python does not end where a Pool lives, with us or without


def test_what_a_recorded_kernel_made_is_pickled_and_copied_as_ever(kernel):
    """Instances, functions, classes, in other processes, too; and what cannot be, cannot be."""
    assert kernel.before.result == "'fine'", kernel.before.text


def test_a_pickle_finds_a_class_that_still_waits(kernel):
    """The cell does not name it: pickle asks the module for it while the cell runs."""
    kernel.ok("import pickle\ndata = open('before.pickle', 'rb').read()\nback = pickle.loads(data)")
    step = Sessions(Store(kernel.home.store)).read("latest").session.steps[-1]
    assert set(step.provenance.bound) == {"pickle", "data", "back"}
    assert kernel.ok("type(back[0]) is Point, back[6] is scaled").result == "(True, True)"
    assert "'__getattr__'" not in kernel.ok("sorted(globals())").result
    asked = kernel.run("import __main__\n__main__.no_such_name")
    assert asked.error == "AttributeError: module '__main__' has no attribute 'no_such_name'"


def test_after_a_resume_it_is_the_same(kernel):
    """Restored functions and classes are the notebook's own."""
    again = kernel.run(CHECK)
    assert again.result == "'fine'", again.text

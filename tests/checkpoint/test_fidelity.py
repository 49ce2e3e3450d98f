"""Kinds of objects that notebooks hold: each comes back equal, or is refused and so replayed.
None comes back as something else.

A row is a kind, the cell that makes ``x``, and an expression that must say the same before and
after. Where it is `REFUSED`, the saver must say that it cannot be saved.
"""

import pytest
from checkpoint.kinds import REFUSED, SAME, comes_back_or_is_refused

PLAIN = [
    ("int", "x = 2**100", SAME),
    ("negative zero", "x = -0.0", "str(x)"),
    ("nan", "x = float('nan')", "str(x)"),
    ("complex", "x = 1+2j", SAME),
    ("bool", "x = True", "x is True"),
    ("None", "x = None", "x is None"),
    ("Ellipsis", "x = ...", "x is ..."),
    ("NotImplemented", "x = NotImplemented", "x is NotImplemented"),
    ("str", "x = 'häß\\ud800'", SAME),
    ("bytes", "x = b'\\0\\xff'", SAME),
    ("bytearray", "x = bytearray(b'ab')", "type(x), x"),
    ("long text", "x = 'ab' * 200_000", SAME),
    ("long bytes", "x = b'ab' * 200_000", SAME),
    ("list", "x = [1, [2]]", SAME),
    ("list in itself", "x = []; x.append(x)", "x[0] is x"),
    ("dict in itself", "x = {}; x['me'] = x", "x['me'] is x"),
    ("long list", "x = [[i] for i in range(9000)]", SAME),
    ("long list of one object", "x = [[]] * 9000; x[0].append(1)", "len({id(i) for i in x}), x[1]"),
    ("tuple", "x = (1, [2])", SAME),
    ("set", "x = {1, 'a'}", SAME),
    ("long set", "x = set(range(9000))", SAME),
    ("frozenset", "x = frozenset([1])", "type(x), x"),
    ("dict", "x = {'a': 1, 2: None}", "list(x.items())"),
    ("dict views", "d = {'a': 1}; x = list(d.items())", SAME),
    ("range", "x = range(2, 9, 3)", SAME),
    ("slice", "x = slice(1, None, 2)", SAME),
    ("memoryview", "x = memoryview(b'abc')", "type(x), bytes(x)"),
    ("a type", "x = int", "x is int"),
    ("a builtin", "x = len", "x is len"),
    ("a bound builtin", "x = [1].append", "x(2), x.__self__"),
    ("a module", "import json; x = json", "x.__name__"),
    ("an iterator", "x = iter([1, 2, 3]); next(x)", "list(x)"),
    ("enumerate", "x = enumerate('ab'); next(x)", "list(x)"),
    ("zip", "x = zip('ab', 'cd'); next(x)", "list(x)"),
    ("map", "x = map(str, [1, 2]); next(x)", "list(x)"),
    ("reversed", "x = reversed([1, 2, 3]); next(x)", "list(x)"),
    ("a generator", "x = (i for i in range(3))", REFUSED),
    ("a coroutine", "async def f(): pass\nx = f(); x.close()", REFUSED),
    ("an async generator", "async def f(): yield 1\nx = f()", REFUSED),
    ("a frame", "import sys; x = sys._getframe()", REFUSED),
    ("code", "x = compile('1+1', '', 'eval')", "eval(x)"),
    ("an exception", "x = ValueError('a', 1)", "type(x), x.args"),
    ("an exception with notes", "x = KeyError('k'); x.add_note('n')", "x.__notes__"),
    (
        "an exception group",
        "x = ExceptionGroup('m', [ValueError(1)])",
        "x.message, len(x.exceptions)",
    ),
]

LIBRARY = [
    ("deque", "import collections; x = collections.deque([1, 2], maxlen=2)", "x, x.maxlen"),
    ("defaultdict", "import collections; x = collections.defaultdict(list, a=[1])", "x, x['b']"),
    ("Counter", "import collections; x = collections.Counter('aab')", SAME),
    ("OrderedDict", "import collections; x = collections.OrderedDict(b=1, a=2)", "list(x.items())"),
    ("ChainMap", "import collections; x = collections.ChainMap({'a': 1}, {'b': 2})", "dict(x)"),
    ("UserDict", "import collections; x = collections.UserDict(a=1)", "type(x), dict(x)"),
    ("SimpleNamespace", "import types; x = types.SimpleNamespace(a=1)", SAME),
    ("MappingProxyType", "import types; x = types.MappingProxyType({'a': 1})", "type(x), dict(x)"),
    ("date", "import datetime; x = datetime.date(2026, 1, 2)", SAME),
    ("datetime", "import datetime; x = datetime.datetime(2026, 1, 2, fold=1)", "x, x.fold"),
    ("timedelta", "import datetime; x = datetime.timedelta(3, 4, 5)", SAME),
    ("timezone", "import datetime; x = datetime.timezone(datetime.timedelta(hours=2), 'n')", SAME),
    ("ZoneInfo", "import zoneinfo; x = zoneinfo.ZoneInfo('UTC')", "str(x)"),
    ("Decimal", "import decimal; x = decimal.Decimal('1.10')", "str(x)"),
    ("decimal context", "import decimal; x = decimal.Context(prec=5)", "x.prec"),
    ("Fraction", "import fractions; x = fractions.Fraction(1, 3)", SAME),
    ("array", "import array; x = array.array('d', [1.5])", SAME),
    ("Path", "import pathlib; x = pathlib.Path('a/b')", SAME),
    ("UUID", "import uuid; x = uuid.UUID(int=5)", SAME),
    ("IP address", "import ipaddress; x = ipaddress.ip_network('10.0.0.0/8')", SAME),
    ("Pattern", "import re; x = re.compile('a(b)', re.I)", SAME),
    ("Match", "import re; x = re.match('a(b)', 'ab')", "x.groups(), x.span()"),
    ("partial", "import functools; x = functools.partial(int, base=2)", "x('101')"),
    (
        "partial of a notebook's",
        "import functools\ndef f(a, b): return a - b\nx = functools.partial(f, b=1)",
        "x(3)",
    ),
    ("lru_cache", "import functools\n@functools.lru_cache\ndef x(a): return a + 1\nx(1)", "x(2)"),
    (
        "singledispatch",
        "import functools\n@functools.singledispatch\ndef x(a): return 'any'\n@x.register\ndef _(a: int): return 'int'",
        "x(1), x('')",
    ),
    ("itemgetter", "import operator; x = operator.itemgetter(1)", "x('abc')"),
    ("methodcaller", "import operator; x = operator.methodcaller('upper')", "x('a')"),
    ("StringIO", "import io; x = io.StringIO('abc'); x.read(1)", "x.tell(), x.getvalue()"),
    ("BytesIO", "import io; x = io.BytesIO(b'abc'); x.read(1)", "x.tell(), x.getvalue()"),
    ("Random", "import random; x = random.Random(3); x.random()", "x.random()"),
    ("SystemRandom", "import random; x = random.SystemRandom()", REFUSED),
    ("struct", "import struct; x = struct.Struct('<i')", REFUSED),
    ("Template", "import string; x = string.Template('$a')", "x.substitute(a=1)"),
    ("logger", "import logging; x = logging.getLogger('a.b')", "x.name"),
    ("logging handler", "import logging; x = logging.NullHandler()", "type(x)"),
    ("ContextVar", "import contextvars; x = contextvars.ContextVar('x')", REFUSED),
    ("Lock", "import threading; x = threading.Lock()", "x.acquire(), x.release()"),
    ("held Lock", "import threading; x = threading.Lock(); x.acquire()", REFUSED),
    ("Event", "import threading; x = threading.Event(); x.set()", "x.is_set()"),
    ("Semaphore", "import threading; x = threading.Semaphore(2)", "x.acquire()"),
    ("Barrier", "import threading; x = threading.Barrier(1)", "x.wait()"),
    ("Thread", "import threading; x = threading.Thread(target=print)", REFUSED),
    ("local", "import threading; x = threading.local()", REFUSED),
    ("Queue", "import queue; x = queue.Queue(); x.put(1)", "x.get()"),
    ("PriorityQueue", "import queue; x = queue.PriorityQueue(); x.put(2)", "x.get()"),
    ("SimpleQueue", "import queue; x = queue.SimpleQueue()", REFUSED),
    ("executor", "import concurrent.futures as c; x = c.ThreadPoolExecutor(1)", REFUSED),
    ("Future", "import concurrent.futures as c; x = c.Future()", REFUSED),
    ("asyncio Queue", "import asyncio; x = asyncio.Queue()", REFUSED),
    ("asyncio Lock", "import asyncio; x = asyncio.Lock()", REFUSED),
    ("event loop", "import asyncio; x = asyncio.new_event_loop(); x.close()", REFUSED),
    ("sqlite3", "import sqlite3; x = sqlite3.connect(':memory:')", REFUSED),
    ("sqlite3 cursor", "import sqlite3; x = sqlite3.connect(':memory:').cursor()", REFUSED),
    ("socket", "import socket; x = socket.socket(); x.close()", REFUSED),
    ("a temporary file", "import tempfile; x = tempfile.TemporaryFile()", REFUSED),
    ("a temporary folder", "import tempfile; x = tempfile.TemporaryDirectory()", REFUSED),
    ("csv writer", "import csv, io; x = csv.writer(io.StringIO())", REFUSED),
    ("scandir", "import os; x = os.scandir('.')", REFUSED),
    ("ast", "import ast; x = ast.parse('a + 1')", "ast.dump(x)"),
    (
        "ElementTree",
        "import xml.etree.ElementTree as e; x = e.fromstring('<a b=\"1\"><c/></a>')",
        "e.tostring(x)",
    ),
    ("Element by Python", "import xml.dom.minidom as m; x = m.parseString('<a/>')", "x.toxml()"),
    ("email", "import email.message as m; x = m.EmailMessage(); x['To'] = 'a@b'", "x['To']"),
    (
        "ConfigParser",
        "import configparser as c; x = c.ConfigParser(); x.read_string('[a]\\nb=1')",
        "x['a']['b']",
    ),
    ("argparse", "import argparse; x = argparse.Namespace(a=1)", SAME),
    ("urlparse", "from urllib.parse import urlparse; x = urlparse('http://a/b')", SAME),
    (
        "Graph",
        "import graphlib; x = graphlib.TopologicalSorter({'a': {'b'}})",
        "list(x.static_order())",
    ),
    ("count", "import itertools; x = itertools.count(3); next(x)", "next(x)"),
    ("weak reference", "import weakref\nclass A: pass\na = A(); x = weakref.ref(a)", "x() is a"),
    ("WeakSet", "import weakref\nclass A: pass\na = A(); x = weakref.WeakSet([a])", "a in x"),
    (
        "WeakKeyDictionary",
        "import weakref\nclass A: pass\na = A(); x = weakref.WeakKeyDictionary({a: 1})",
        "x[a]",
    ),
    ("stdout", "import sys; x = sys.stdout", "x is sys.stdout"),
]

NOTEBOOK = [
    ("function", "K = 5\ndef x(v): return v + K", "x(1)"),
    ("lambda", "x = lambda v: v * 2", "x(3)"),
    (
        "closure",
        "def make():\n    n = 0\n    def inc():\n        nonlocal n; n += 1; return n\n    return inc\nx = make(); x()",
        "x()",
    ),
    (
        "decorated",
        "import functools\ndef d(f):\n    @functools.wraps(f)\n    def g(*a): return f(*a) + 1\n    return g\n@d\ndef x(v): return v",
        "x(1), x.__name__",
    ),
    ("recursive", "def x(n): return 1 if n < 2 else n * x(n - 1)", "x(5)"),
    ("generator function", "def x(): yield 1", "list(x())"),
    ("async function", "async def x(): return 1", "x.__name__"),
    ("class", "class A:\n    k = [1]\nx = A", "x.k"),
    ("instance", "class A:\n    def __init__(self): self.v = [1]\nx = A()", "x.v, type(x) is A"),
    ("slots", "class A:\n    __slots__ = ('v',)\nx = A(); x.v = 1", "x.v"),
    ("property", "class A:\n    @property\n    def p(self): return 3\nx = A()", "x.p"),
    (
        "classmethod",
        "class A:\n    @classmethod\n    def m(cls): return cls.__name__\nx = A.m",
        "x()",
    ),
    (
        "bound method",
        "class A:\n    def m(self): return self.v\na = A(); a.v = 2; x = a.m",
        "x(), x.__self__ is a",
    ),
    (
        "subclass",
        "class A:\n    def m(self): return 1\nclass B(A):\n    def m(self): return super().m() + 1\nx = B()",
        "x.m()",
    ),
    (
        "abstract",
        "import abc\nclass A(abc.ABC):\n    @abc.abstractmethod\n    def m(self): ...\nclass B(A):\n    def m(self): return 1\nx = B()",
        "x.m(), isinstance(x, A)",
    ),
    (
        "metaclass",
        "class M(type):\n    def __len__(cls): return 7\nclass A(metaclass=M): pass\nx = A",
        "len(x)",
    ),
    (
        "generic",
        "from typing import Generic, TypeVar\nT = TypeVar('T')\nclass A(Generic[T]): pass\nx = A[int]()",
        "type(x) is A",
    ),
    (
        "protocol",
        "from typing import Protocol, runtime_checkable\n@runtime_checkable\nclass P(Protocol):\n    def m(self): ...\nclass A:\n    def m(self): pass\nx = A()",
        "isinstance(x, P)",
    ),
    (
        "nested class",
        "class A:\n    class B:\n        pass\nx = [A.B(), A]",
        "type(x[0]) is A.B, A.B.__qualname__, A.B.__module__",
    ),
    (
        "dataclass",
        "from dataclasses import dataclass, field\n@dataclass(order=True)\nclass A:\n    v: int = 1\n    w: list = field(default_factory=list)\nx = A(2)",
        "repr(x), x < A(3), x == A(2)",
    ),
    (
        "frozen dataclass",
        "from dataclasses import dataclass\n@dataclass(frozen=True, slots=True)\nclass A:\n    v: int = 1\nx = A(2)",
        "repr(x), hash(x) == hash(A(2))",
    ),
    (
        "NamedTuple",
        "from typing import NamedTuple\nclass A(NamedTuple):\n    v: int = 1\nx = A(2)",
        "repr(x), x.v",
    ),
    (
        "namedtuple",
        "from collections import namedtuple\nA = namedtuple('A', 'v w')\nx = A(1, 2)",
        "repr(x)",
    ),
    (
        "TypedDict",
        "from typing import TypedDict\nclass A(TypedDict):\n    v: int\nx = A(v=1)",
        SAME,
    ),
    ("Enum", "import enum\nclass A(enum.Enum):\n    R = 1\nx = A.R", "x is A.R, x.value"),
    (
        "Flag",
        "import enum\nclass A(enum.Flag):\n    R = 1\n    W = 2\nx = A.R | A.W",
        "x == A.R | A.W",
    ),
    ("IntEnum", "import enum\nclass A(enum.IntEnum):\n    R = 1\nx = A.R", "x + 1, x is A.R"),
    ("dict subclass", "class A(dict): pass\nx = A(a=1); x.extra = 2", "x['a'], x.extra"),
    ("list subclass", "class A(list): pass\nx = A([1]); x.extra = 2", "list(x), x.extra"),
    ("str subclass", "class A(str): pass\nx = A('a'); x.extra = 2", "str(x), x.extra"),
    ("int subclass", "class A(int): pass\nx = A(4)", "x + 1, type(x) is A"),
    ("tuple subclass", "class A(tuple): pass\nx = A((1, 2))", "tuple(x), type(x) is A"),
    ("exception subclass", "class E(Exception): pass\nx = E('a')", "x.args, type(x) is E"),
    (
        "__getattr__",
        "class A:\n    def __getattr__(self, n):\n        if n.startswith('_'): raise AttributeError(n)\n        return n\nx = A()",
        "x.hello",
    ),
    (
        "__getstate__",
        "class A:\n    def __getstate__(self): return {'v': 1}\nx = A(); x.v = 1",
        "x.v",
    ),
    (
        "__reduce__",
        "class A:\n    def __init__(self, v): self.v = v\n    def __reduce__(self): return A, (self.v,)\nx = A(3)",
        "x.v",
    ),
    ("__call__", "class A:\n    def __call__(self): return 5\nx = A()", "x()"),
    (
        "context manager",
        "import contextlib\n@contextlib.contextmanager\ndef x(): yield 1",
        "x().__enter__()",
    ),
    (
        "cached_property",
        "import functools\nclass A:\n    @functools.cached_property\n    def p(self): return [1]\nx = A(); x.p.append(2)",
        "x.p",
    ),
    (
        "descriptor",
        "class D:\n    def __get__(self, i, o): return 9\nclass A:\n    d = D()\nx = A()",
        "x.d",
    ),
    (
        "old class after a new one",
        "class A:\n    def m(self): return 1\nold = A()\nclass A:\n    def m(self): return 2\nx = [old, A()]",
        "[i.m() for i in x], type(x[1]) is A, type(x[0]) is A",
    ),
    (
        "many instances",
        "class A:\n    def __init__(self, v): self.v = v\nx = [A(i) for i in range(5000)]",
        "sum(i.v for i in x), all(type(i) is A for i in x)",
    ),
    (
        "linked list",
        "class N:\n    def __init__(self, n): self.next = n\nx = None\nfor _ in range(50): x = N(x)",
        "type(x.next.next) is N",
    ),
    (
        "cyclic objects",
        "class N: pass\nx = N(); x.other = N(); x.other.other = x",
        "x.other.other is x",
    ),
    ("aliases", "a = [1]; x = {'k': a}; b = a", "x['k'] is a, a is b"),
    ("default argument", "def x(v, seen=[]): seen.append(v); return seen\nx(1)", "x(2)"),
    ("function attributes", "def x(): pass\nx.calls = [1]", "x.calls"),
    ("annotations", "def x(a: int) -> str: pass", "x.__annotations__"),
]

ARRAYS = [
    ("array", "x = np.arange(6).reshape(2, 3)", "x.tolist(), x.dtype"),
    ("large array", "x = np.arange(100_000.0)", "x.sum(), x.flags.owndata"),
    (
        "Fortran order",
        "x = np.asfortranarray(np.arange(40_000.0).reshape(200, 200))",
        "x.sum(), x.flags.f_contiguous",
    ),
    (
        "read-only array",
        "x = np.arange(20_000); x.flags.writeable = False",
        "x.sum(), x.flags.writeable",
    ),
    ("big-endian", "x = np.arange(20_000, dtype='>i4')", "x.sum(), x.dtype.str"),
    (
        "structured",
        "x = np.zeros(9_000, dtype=[('a', 'i4'), ('b', 'f8', 2)])",
        "x.dtype, x['b'].shape",
    ),
    (
        "record array",
        "x = np.rec.array([(1, 2.0)], dtype=[('a', int), ('b', float)])",
        "x.a.tolist(), type(x)",
    ),
    ("datetimes", "x = np.arange(20_000).astype('M8[s]')", "x[-1], x.dtype"),
    ("texts", "x = np.array(['a', 'bc'] * 20_000)", "x[-1], x.dtype"),
    ("objects", "x = np.array([{'a': i} for i in range(5_000)], dtype=object)", "x[-1], x.shape"),
    (
        "objects that are lists",
        "x = np.fromiter(([i] for i in range(5000)), dtype=object, count=5000)",
        "x[-1], x.shape",
    ),
    (
        "view and owner",
        "a = np.arange(20_000); x = a[::2]; x[1] = -1",
        "np.shares_memory(a, x), a[2]",
    ),
    ("masked", "x = np.ma.array([1, 2], mask=[0, 1])", "x.tolist()"),
    ("matrix", "x = np.matrix([[1, 2]])", "type(x), x.tolist()"),
    ("scalar", "x = np.float32(1.5)", "type(x), x"),
    ("dtype", "x = np.dtype([('a', 'i4')])", SAME),
    ("ufunc", "x = np.add", "x is np.add"),
    ("vectorized", "x = np.vectorize(lambda v: v + 1)", "x([1, 2]).tolist()"),
    ("poly1d", "x = np.poly1d([1, 2])", "x(3)"),
    ("Generator", "x = np.random.default_rng(1); x.random()", "x.random()"),
    ("RandomState", "x = np.random.RandomState(1); x.rand()", "x.rand()"),
    ("SeedSequence", "x = np.random.SeedSequence(5)", "x.entropy"),
    (
        "DataFrame",
        "x = pd.DataFrame({'a': [1, 2], 'b': ['x', None]})",
        "x.to_csv(), x.dtypes.tolist()",
    ),
    (
        "large DataFrame",
        "x = pd.DataFrame({'a': range(50_000), 'b': [f't{i}' for i in range(50_000)]})",
        "x.tail(2).to_csv(), len(x)",
    ),
    ("Series", "x = pd.Series([1.5, None], name='s')", "x.to_csv(), x.name"),
    ("attributes of a frame", "x = pd.DataFrame({'a': [1]}); x.attrs['k'] = 1", "x.attrs"),
    ("Categorical", "x = pd.Categorical(['a', 'b'], ordered=True)", "x.tolist(), x.ordered"),
    (
        "MultiIndex",
        "x = pd.DataFrame({'a': range(4)}, index=pd.MultiIndex.from_product([[1, 2], ['u', 'v']]))",
        "x.to_csv()",
    ),
    (
        "time zone",
        "x = pd.Series(pd.date_range('2026', periods=3, tz='UTC'))",
        "x.to_csv(), str(x.dtype)",
    ),
    ("Timestamp", "x = pd.Timestamp('2026-01-02', tz='UTC')", SAME),
    ("Period", "x = pd.period_range('2026', periods=2)", "x.tolist()"),
    ("Interval", "x = pd.interval_range(0, 2)", "x.tolist()"),
    ("nullable", "x = pd.array([1, None], dtype='Int64')", "x.tolist()"),
    ("sparse", "x = pd.arrays.SparseArray([0, 0, 1])", "x.to_dense().tolist()"),
    (
        "groupby",
        "d = pd.DataFrame({'a': [1, 1], 'b': [2, 3]}); x = d.groupby('a')",
        "x.b.sum().tolist()",
    ),
    ("rolling", "x = pd.Series([1.0, 2, 3]).rolling(2)", "x.sum().tolist()[1:]"),
    ("Styler", "x = pd.DataFrame({'a': [1]})", "x.to_html()"),
    ("figure", "f = Figure(); x = f.subplots(); x.plot([1, 2])", "len(x.lines), x.figure is f"),
    ("colour map", "import matplotlib; x = matplotlib.colormaps['viridis']", "x(0.5)"),
]

ALL = [
    *((f"plain: {kind}", "", cell, said) for kind, cell, said in PLAIN),
    *((f"library: {kind}", "", cell, said) for kind, cell, said in LIBRARY),
    *((f"notebook: {kind}", "", cell, said) for kind, cell, said in NOTEBOOK),
    *(
        (
            f"arrays: {kind}",
            "import numpy as np, pandas as pd\nfrom matplotlib.figure import Figure\n",
            cell,
            said,
        )
        for kind, cell, said in ARRAYS
    ),
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # itertools' own pickling, until 3.14
@pytest.mark.parametrize(
    ("first", "cell", "said"), [row[1:] for row in ALL], ids=[r[0] for r in ALL]
)
def test_each_kind_comes_back_or_is_refused(tmp_path, first, cell, said):
    """All names of the cell as one group, into a kernel in which only the imports ran."""
    comes_back_or_is_refused(tmp_path, first, cell, said)


def test_there_are_at_least_150_kinds():
    """The table is no shorter than was promised."""
    assert len(ALL) >= 150
    assert len({row[0] for row in ALL}) == len(ALL)

"""What a kernel's names hold, as text that can be compared with another kernel's.

The code runs in the kernel, which knows nothing of this file.
"""

from __future__ import annotations

_SOURCE = '''
import collections, enum, functools, hashlib, operator, types

class Looker:
    """Describes values; within one name, an object that was met before is told as the same."""

    def __init__(self, user):
        self.user = user
        self.owners = collections.defaultdict(set)

    def name(self, name):
        self.current, self.met = name, {}
        text = repr(self.of(self.user[name]))
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return text if len(text) < 2000 else text[:2000] + digest

    def of(self, value):
        kind = type(value)
        if value is None or kind in (int, float, bool, str, bytes, complex, range):
            return value
        if kind is type and value.__module__ != "__main__" or isinstance(value, types.ModuleType):
            return value.__name__
        if isinstance(value, enum.Enum):
            return kind.__name__, value.name, kind is self.user.get(kind.__name__)
        if id(value) in self.met:
            return "again", self.met[id(value)]
        self.met[id(value)] = len(self.met)
        if not isinstance(value, (tuple, frozenset)):
            self.owners[id(value)].add(self.current)
        return kind.__name__, self.inside(value, kind)

    def inside(self, value, kind):
        of = self.of
        if isinstance(value, dict):
            extra = of(value.default_factory) if hasattr(value, "default_factory") else None
            return extra, [(of(key), of(item)) for key, item in value.items()]
        if isinstance(value, (list, tuple)):
            return [of(item) for item in value]
        if isinstance(value, collections.deque):
            return value.maxlen, [of(item) for item in value]
        if isinstance(value, (set, frozenset)):
            return sorted(map(repr, value))
        if isinstance(value, types.MethodType):
            return of(value.__func__), of(value.__self__)
        if isinstance(value, types.FunctionType):
            return self.function(value)
        if isinstance(value, property):
            return of(value.fget)
        if isinstance(value, functools._lru_cache_wrapper):
            return of(value.__wrapped__)
        if isinstance(value, types.GeneratorType):
            return value.__name__, [
                (name, item) for name, item in value.gi_frame.f_locals.items() if name != ".0"
            ], operator.length_hint(value.gi_frame.f_locals.get(".0", ()))
        if isinstance(value, type):
            return value.__name__, [base.__name__ for base in value.__mro__], [
                (name, of(item)) for name, item in sorted(vars(value).items())
                if name[:2] != "__" and not name.startswith("_member")
            ] if not issubclass(value, enum.Enum) else list(value.__members__)
        return self.of_library(value, kind)

    def function(self, value):
        if value.__module__ != "__main__" and value.__globals__ is not self.user:
            return value.__module__, value.__qualname__
        held = [self.of(cell.cell_contents) for cell in value.__closure__ or ()]
        return (
            value.__qualname__, value.__code__.co_code.hex(), value.__code__.co_names,
            value.__globals__ is self.user, held, self.of(value.__defaults__),
        )

    def of_library(self, value, kind):
        module = kind.__module__.partition(".")[0]
        if module == "numpy":
            if hasattr(value, "bit_generator"):
                return repr(value.bit_generator.state)
            if hasattr(value, "tobytes"):
                digest = hashlib.sha256(value.tobytes()).hexdigest()[:16]
                return value.shape, str(value.dtype), digest
        if hasattr(value, "to_csv"):
            text = value.to_csv()
            return hashlib.sha256(text.encode()).hexdigest()[:16], value.shape, repr(value.dtypes)
        if kind.__name__.endswith("GroupBy"):
            return self.of(value.obj), repr(value.keys)
        if kind.__name__ == "Figure":
            return [
                (axes.get_title(), [line.get_xydata().tolist() for line in axes.lines])
                for axes in value.axes
            ]
        if kind.__module__ == "__main__":
            same = kind is self.user.get(kind.__name__)
            return kind.__qualname__, same, self.of(vars(value))
        return repr(value)

def look(user):
    import random
    import numpy
    hidden = user["get_ipython"]().user_ns_hidden
    missing = object()
    names = sorted(n for n in user if n[0] != "_" and hidden.get(n, missing) is not user[n])
    looker = Looker(user)
    found = {"names": {name: looker.name(name) for name in names}}
    arrays = {n: user[n] for n in names if type(user[n]) is numpy.ndarray}
    memory = [
        [one, other] for one in arrays for other in arrays
        if one < other and numpy.may_share_memory(arrays[one], arrays[other])
    ]
    shared = {tuple(sorted(owners)) for owners in looker.owners.values() if len(owners) > 1}
    found["shared"] = sorted(list(group) for group in shared) + memory
    state = random.getstate(), [str(part) for part in numpy.random.get_state()]
    found["random"] = hashlib.sha256(repr(state).encode()).hexdigest()
    return found
'''

LOOK = (
    f"(lambda space: exec({_SOURCE!r}, space) or __import__('json').dumps("
    "space['look'](globals())))({'__name__': 'look'})"
)
"""An expression; its value is JSON that tells what the names hold: ``names``, ``shared`` (groups
of names that hold one object, or share an array's memory), ``random`` (the state of randomness).
"""

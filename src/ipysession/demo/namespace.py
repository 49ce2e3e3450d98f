"""Reads a kernel's namespace, from within that kernel, into digests.

This file's text is sent to the kernel and run there, outside the user's names. So it imports
nothing of ipysession, and the demo's comparison trusts nothing of what it checks.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import types
from pathlib import Path
from typing import Any


def read_namespace(namespace: dict[str, Any]) -> str:
    """The fields of `ipysession.demo.fingerprints.Fingerprints` for this namespace, as JSON."""
    shell = namespace["get_ipython"]()
    hidden = shell.user_ns_hidden
    names = sorted(n for n in namespace if not n.startswith("_") and n not in hidden)
    digest = Reader(namespace).digest
    state = {
        "Python's random state": digest(random.getstate()),
        "the folder": str(Path.cwd()),
    }
    if (np := sys.modules.get("numpy")) is not None:
        state["NumPy's random state"] = digest(np.random.get_state())
    return json.dumps(
        {
            "variables": {name: digest(namespace[name]) for name in names},
            "inputs": {str(n): digest(text) for n, text in enumerate(namespace["In"]) if text},
            "results": {str(n): digest(value) for n, value in namespace["Out"].items()},
            "state": state,
            "next_number": shell.execution_count,
        }
    )


class Reader:
    """Describes values by what they hold; equal values in two kernels have equal digests.

    Not by their pickles: those differ for equal values, by memo and order.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace
        self._np = sys.modules.get("numpy")
        self._pd = sys.modules.get("pandas")

    def digest(self, value: object) -> str:
        """Twelve hexadecimal digits that stand for the value."""
        return hashlib.sha256(repr(self._describe(value)).encode()).hexdigest()[:12]

    def _describe(self, value: object, seen: tuple[int, ...] = ()) -> object:
        cls = type(value)
        name = f"{cls.__module__}.{cls.__qualname__}"
        if id(value) in seen:
            return "itself"
        if value is None or isinstance(value, bool | int | float | complex | str | bytes):
            return name, repr(value)
        within = (*seen, id(value))
        for read in (self._code, self._data, self._contents):
            if (found := read(value, within)) is not None:
                return name, found
        if cls.__module__ == "__main__":
            same_class = self._namespace.get(cls.__name__) is cls
            return name, same_class, self._describe(getattr(value, "__dict__", None), within)
        return name  # a figure, say: that it is back is all that can be compared

    def _code(self, value: object, within: tuple[int, ...]) -> object:
        if isinstance(value, types.ModuleType):
            return value.__name__
        if isinstance(value, types.FunctionType):
            # A function whose globals are a copy would go on with yesterday's values.
            live = value.__globals__ is self._namespace or value.__module__ != "__main__"
            body = value.__code__
            defaults = self._describe(value.__defaults__, within)
            return body.co_code.hex(), body.co_names, defaults, live
        if isinstance(value, type):
            # CPython itself adds `__slotnames__` when an instance is copied or pickled.
            members = [(n, vars(value)[n]) for n in sorted(vars(value)) if n != "__slotnames__"]
            return value.__qualname__, [
                (n, self._describe(m, within) if isinstance(m, types.FunctionType) else "")
                for n, m in members
            ]
        return None

    def _data(self, value: object, _: tuple[int, ...]) -> object:
        pd, np = self._pd, self._np
        if pd is not None and isinstance(value, pd.DataFrame | pd.Series | pd.Index):
            hashes = pd.util.hash_pandas_object(value).to_numpy().tobytes()
            table = isinstance(value, pd.DataFrame)
            dtypes = [str(t) for t in value.dtypes] if table else str(value.dtype)
            labels = [str(c) for c in value.columns] if table else str(value.name)
            return hashlib.sha256(hashes).hexdigest(), dtypes, labels
        if np is not None and isinstance(value, np.ndarray) and not value.dtype.hasobject:
            return str(value.dtype), value.shape, hashlib.sha256(value.tobytes()).hexdigest()
        if np is not None and isinstance(value, np.generic):
            return repr(value)
        if np is not None and isinstance(value, np.random.Generator):
            return repr(value.bit_generator.state)
        return None

    def _contents(self, value: object, within: tuple[int, ...]) -> object:
        if isinstance(value, dict):
            pairs = value.items()
            return [(self._describe(k, within), self._describe(v, within)) for k, v in pairs]
        if isinstance(value, list | tuple):
            return [self._describe(item, within) for item in value]
        if isinstance(value, set | frozenset):
            return sorted(repr(self._describe(item, within)) for item in value)
        return None

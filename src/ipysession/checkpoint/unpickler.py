"""Unpickling beside cells that must not notice: it waits where it is told to, and imports safely.

A pickle names the modules inside of packages, and Python takes the lock of such a module before
that of its package. Where another thread imports the package just then, each waits for the other;
Python notices, and lets one of them see a module that is half there: "cannot import name". It is
the same where the other thread is a user's cell. So packages are imported before what is inside of
them, and the imports of all loads take turns.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import pickle
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cloudpickle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from types import ModuleType


@dataclass(frozen=True, slots=True)
class Pace:
    """``gate`` is called every few milliseconds of reading: it may wait, or raise to give up.
    Within ``turn`` a module is imported: it may wait and raise before, and nobody else is given
    one meanwhile.
    """

    gate: Callable[[], None] = lambda: None
    turn: Callable[[], AbstractContextManager[object]] = nullcontext

    def module(self, name: str) -> ModuleType:
        """The module ``name``, imported if it must be. Raises what its import raises."""
        if not is_imported(name):
            with self.turn():
                parts = name.split(".")
                for end in range(1, len(parts) + 1):
                    importlib.import_module(".".join(parts[:end]))
        return sys.modules[name]


AT_ONCE = Pace()
"""Nobody has to be waited for."""


def is_imported(name: str) -> bool:
    """Is the module there, and whole?"""
    module = sys.modules.get(name)
    # importlib's own mark, which it takes away when the module's code has run.
    return module is not None and not getattr(
        getattr(module, "__spec__", None), "_initializing", False
    )


class Unpickler(pickle.Unpickler):
    """Takes classes and functions from modules that are imported at ``pace``. It runs code: whoever
    uses it has verified where ``data`` comes from.
    """

    def __init__(
        self,
        data: bytes | bytearray,
        pace: Pace,
        buffers: Iterable[bytearray] | None = None,
    ) -> None:
        super().__init__(io.BytesIO(data), buffers=buffers)
        self._pace = pace

    def find_class(self, module: str, name: str, /) -> Any:
        """What the pickle names."""
        found = self._pace.module(module)
        if found is cloudpickle.cloudpickle and name == "subimport":
            return self._pace.module  # a module among the values
        return super().find_class(module, name)


def reason(error: Exception) -> str:
    """Why a group could not be loaded, on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def missing_library(error: Exception) -> str:
    """The library that would have to be installed; a part of one is missing in another version."""
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    return "" if name is None or "." in name else name


def is_installed(library: str) -> bool:
    """Could it be imported now, as far as its name tells?"""
    try:
        return library in sys.modules or importlib.util.find_spec(library) is not None
    except (ImportError, ValueError):  # what finders raise for names that make no sense to them
        return False

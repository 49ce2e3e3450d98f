"""State that no variable holds: random generators and the working directory.

Only libraries that the session has imported are asked; nothing is imported for it.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import random
import sys
from typing import Any

_LIBRARIES = ("numpy", "torch")

_waiting: dict[str, Any] = {}
"""States of libraries that are not imported yet. Until then they are as good as set."""


def read_random_states() -> dict[str, Any]:
    """The states of Python's, NumPy's (legacy) and torch's global random generators."""
    states: dict[str, Any] = {"random": random.getstate()}
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        kind, keys, position, has_gauss, gauss = numpy_random.get_state()
        states["numpy"] = (str(kind), keys.tobytes(), int(position), int(has_gauss), float(gauss))
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_rng_state"):
        states["torch"] = bytes(torch.get_rng_state().numpy().tobytes())
    return {**states, **_waiting}


def write_random_states(states: dict[str, Any]) -> None:
    """Set the generators to ``states``. Raises ImportError where a library is missing."""
    for library in write_states_at_hand(states):
        import_library(library)
        write_waiting_state(library)


def write_states_at_hand(states: dict[str, Any]) -> list[str]:
    """Set the generators of Python and of the libraries that are imported; returns the others,
    whose states wait for `write_waiting_state`.
    """
    random.setstate(states["random"])
    _waiting.clear()
    _waiting.update((name, states[name]) for name in _LIBRARIES if name in states)
    for library in tuple(_waiting):
        if library in sys.modules:
            write_waiting_state(library)
    return list(_waiting)


def import_library(library: str) -> None:
    """Import it. Where it is missing, its state goes on waiting."""
    with contextlib.suppress(ImportError):
        importlib.import_module(library)


def write_waiting_state(library: str) -> None:
    """Set the generator of a library that was imported meanwhile."""
    if library not in sys.modules or library not in _waiting:
        return
    state = _waiting.pop(library)
    if library == "numpy":
        import numpy as np

        kind, keys, position, has_gauss, gauss = state
        words = np.frombuffer(keys, dtype=np.uint32)
        np.random.set_state((kind, words, position, has_gauss, gauss))  # noqa: NPY002 - the state users' code draws from
    else:
        import torch

        torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))


def working_directory() -> str | None:
    """The working directory, or None where it has been removed."""
    try:
        return os.getcwd()  # noqa: PTH109 - text is what is recorded
    except OSError:
        return None


def enter_folder(path: str | None) -> str:
    """Make ``path`` the working directory, where it is known and another one. Returns what is
    wrong where it cannot be entered.
    """
    if path is None or path == working_directory():
        return ""
    try:
        os.chdir(path)
    except OSError as error:
        return f"the working directory {path} could not be entered: {error.strerror}"
    return ""

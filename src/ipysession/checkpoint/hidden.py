"""State that no variable holds: random generators, settings of libraries, ``sys.path``, folder.

Only libraries that the session has imported are asked; nothing is imported for it.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
from typing import TYPE_CHECKING, Any

from ipysession.checkpoint.unpickler import AT_ONCE, Pace

if TYPE_CHECKING:
    from collections.abc import Collection

_LIBRARIES = ("numpy", "torch", "matplotlib", "pandas")

_OF_THE_KERNEL = ("backend", "figure.raise_window", "interactive", "webagg.", "toolbar")
"""Settings of matplotlib that a frontend makes, and the next one makes for itself."""

_path_at_start = frozenset(sys.path)

_waiting: dict[str, Any] = {}
"""States of libraries that are not imported yet. Until then they are as good as set."""


def read_states() -> dict[str, Any]:
    """The states of Python's, NumPy's (legacy) and torch's global random generators, what was
    added to ``sys.path``, and the settings of matplotlib and pandas that are not their defaults.
    """
    states: dict[str, Any] = {"random": random.getstate()}
    added = [(at, entry) for at, entry in enumerate(sys.path) if entry not in _path_at_start]
    if added:
        states["path"] = added
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        kind, keys, position, has_gauss, gauss = numpy_random.get_state()
        states["numpy"] = (str(kind), keys.tobytes(), int(position), int(has_gauss), float(gauss))
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_rng_state"):
        states["torch"] = bytes(torch.get_rng_state().numpy().tobytes())
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib is not None and hasattr(matplotlib, "rcParamsDefault"):
        states["matplotlib"] = _settings_of_matplotlib(matplotlib)
    pandas = sys.modules.get("pandas")
    if pandas is not None and hasattr(pandas, "options"):
        states["pandas"] = _settings_of_pandas()
    return {**states, **_waiting}


def _settings_of_matplotlib(matplotlib: Any) -> dict[str, Any]:
    default = matplotlib.rcParamsDefault
    return {
        name: value
        for name, value in dict.items(matplotlib.rcParams)
        if value is not (known := dict.get(default, name))
        and value != known
        and not name.startswith(_OF_THE_KERNEL)
    }


def _settings_of_pandas() -> dict[str, Any]:
    config = sys.modules.get("pandas._config.config")
    found: dict[str, Any] = {}
    # Not public, but a hundred times cheaper than asking for each option; where a version of
    # pandas has it no more, the settings are not saved.
    registered = getattr(config, "_registered_options", {})
    values = getattr(config, "_global_config", {})
    for name, option in registered.items():
        value = values
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not option.defval and value != option.defval:
            found[name] = value
    return found


def write_states(states: dict[str, Any]) -> None:
    """Set everything to ``states``."""
    for library in write_states_at_hand(states):
        import_library(library, AT_ONCE)
        write_waiting_state(library)


def write_random_states(states: dict[str, Any], libraries: Collection[str]) -> None:
    """Set the random generators of ``libraries``, ``python`` for its own, as far as they are
    imported and their states are in ``states``.
    """
    if "python" in libraries and "random" in states:
        random.setstate(states["random"])
    for library in ("numpy", "torch"):
        if library in libraries and library in sys.modules and library in states:
            _WRITERS[library](states[library])


def add_paths(states: dict[str, Any]) -> None:
    """Add to ``sys.path`` what had been added to it; modules may be loaded from there."""
    for at, entry in states.get("path", ()):
        if entry not in sys.path:
            sys.path.insert(at, entry)


def write_states_at_hand(states: dict[str, Any]) -> list[str]:
    """Set what belongs to Python and to libraries that are imported; returns the others, whose
    states wait for `write_waiting_state`.
    """
    random.setstate(states["random"])
    _waiting.clear()
    _waiting.update((name, states[name]) for name in _LIBRARIES if name in states)
    for library in tuple(_waiting):
        if library in sys.modules or not _waiting[library]:
            write_waiting_state(library)
    return list(_waiting)


def import_library(library: str, pace: Pace) -> None:
    """Import it. Where it is missing, its state goes on waiting."""
    with contextlib.suppress(ImportError):
        pace.module(library)


def write_waiting_state(library: str) -> None:
    """Set what was saved of a library that was imported meanwhile."""
    state = _waiting.get(library)
    if library in sys.modules and state is not None:
        _WRITERS[library](state)
    if library in sys.modules or not state:
        _waiting.pop(library, None)


def _write_numpy(state: Any) -> None:
    import numpy as np

    kind, keys, position, has_gauss, gauss = state
    words = np.frombuffer(keys, dtype=np.uint32)
    np.random.set_state((kind, words, position, has_gauss, gauss))  # noqa: NPY002 - the state users' code draws from


def _write_torch(state: Any) -> None:
    import torch

    torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))


def _write_matplotlib(state: Any) -> None:
    mpl: Any = sys.modules["matplotlib"]
    default = {name: mpl.rcParamsDefault[name] for name in _settings_of_matplotlib(mpl)}
    mpl.rcParams.update({**default, **state})


def _write_pandas(state: Any) -> None:
    import pandas as pd

    for name in _settings_of_pandas().keys() - state.keys():
        pd.reset_option(name)
    for name, value in state.items():
        pd.set_option(name, value)


_WRITERS = {
    "numpy": _write_numpy,
    "torch": _write_torch,
    "matplotlib": _write_matplotlib,
    "pandas": _write_pandas,
}


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

"""State that no variable holds: random generators and the working directory.

Only libraries that the session has imported are asked; nothing is imported for it.
"""

from __future__ import annotations

import os
import random
import sys
from typing import Any


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
    return states


def write_random_states(states: dict[str, Any]) -> list[str]:
    """Set the generators to ``states``; returns the names of libraries that are missing."""
    missing = []
    random.setstate(states["random"])
    if "numpy" in states:
        try:
            import numpy as np
        except ImportError:
            missing.append("numpy")
        else:
            kind, keys, position, has_gauss, gauss = states["numpy"]
            words = np.frombuffer(keys, dtype=np.uint32)
            np.random.set_state((kind, words, position, has_gauss, gauss))  # noqa: NPY002 - the state users' code draws from
    if "torch" in states:
        try:
            import torch
        except ImportError:
            missing.append("torch")
        else:
            torch.set_rng_state(torch.frombuffer(bytearray(states["torch"]), dtype=torch.uint8))
    return missing


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

"""What has to be installed for the exported steps: the packages that their code imports."""

from __future__ import annotations

import ast
import re
import warnings
from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ipysession.model import Step

_VERSION = re.compile(r"[0-9A-Za-z.!+_-]{1,100}")
_DISTRIBUTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

_NAMES = {
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Distributions whose module has another name, where they are not installed here to tell."""


def requirements(steps: Iterable[Step], packages: Mapping[str, str]) -> list[str]:
    """Lines for ``requirements.txt``. ``packages`` are the recorded versions, by module."""
    imported: set[str] = set()
    for step in steps:
        if "import" not in step.python:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # `"\d"` in the user's code is the user's
                tree = ast.parse(step.python)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue  # it did not run either
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    lines = []
    for module in sorted(imported & packages.keys(), key=str.casefold):
        name, version = _distribution(module), packages[module]
        if _DISTRIBUTION.fullmatch(name) and _VERSION.fullmatch(version):
            lines.append(f"{name}=={version}")
    return lines


def _distribution(module: str) -> str:
    """The name under which a module is installed."""
    if module in _NAMES:
        return _NAMES[module]
    try:
        return str(metadata.distribution(module).metadata["Name"])
    except (metadata.PackageNotFoundError, ValueError):
        return module

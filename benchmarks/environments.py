"""The peers' environments, made by the benchmark itself and kept for the next run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_FOLDER = Path(os.environ.get("IPYSESSION_BENCH_ENVIRONMENTS", _ROOT / ".bench"))

_DATA = ("ipykernel", "numpy", "pandas", "scikit-learn")

_CONTENTS: dict[str, tuple[tuple[str, ...], ...]] = {
    # ipysession itself, and the tools that go along with any versions.
    "own": ((*_DATA, "dill", "cloudpickle", "-e", str(_ROOT)),),
    # It asks for the packages `typing` and `dataclasses`, which break a Python of today, so what
    # it needs besides is named here. pandas 2 is what it was made for.
    "kishu": (
        (
            "ipykernel<7", "numpy<2.3", "pandas<3", "scikit-learn", "dataclasses-json", "dill",
            "ipylab", "jupyter-ui-poll<=1.0.0", "loguru", "nbconvert", "nbformat", "networkx",
            "psutil", "requests", "flask", "rich", "typer", "Flask-CORS", "shortuuid", "xxhash",
            "setuptools<81",
        ),
        ("--no-deps", "kishu==0.3.4"),
    ),
    "ipyflow": (("ipyflow", "ipykernel", "numpy", "pandas", "matplotlib"),),
}  # fmt: skip


def python_of(name: str) -> str:
    """The interpreter of an environment, which is made where it is not there yet.

    Raises CalledProcessError where its packages cannot be installed.
    """
    folder = _FOLDER / name
    python = folder / "bin" / "python"
    stamp = folder / ".whole"
    if not stamp.exists():
        print(f"making the environment {folder} …", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        for words in _CONTENTS[name]:
            subprocess.run([python, "-m", "pip", "install", "--quiet", *words], check=True)
        stamp.touch()
    return str(python)

"""What IPython says of the cell that runs: its source, its kind, the notebook it is in."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

_OWN_EXTENSION_MAGICS = frozenset({"load_ext", "reload_ext", "unload_ext"})


def transformed_source(shell: Any, info: Any) -> str | None:
    """The Python that IPython made of the cell, or None where it is not valid input.

    IPython hands it over since 9; before, the transformation is repeated.
    """
    transformed = getattr(info, "transformed_cell", None)
    if isinstance(transformed, str):
        return transformed
    try:
        return str(shell.transform_cell(info.raw_cell))
    except Exception:  # noqa: BLE001 - a user's transformer may raise anything; IPython will show it
        return None


def is_about_sessions(python: str | None) -> bool:
    """Does a cell consist of nothing but ``%session …`` and loading this extension?"""
    magics = _line_magics(python)
    return bool(magics) and all(
        name == "session" or (name in _OWN_EXTENSION_MAGICS and line.strip() == "ipysession")
        for name, line in magics
    )


def only_asks(python: str | None) -> bool:
    """Does a cell only ask how the session stands, so that it changes no variable?"""
    magics = _line_magics(python)
    return bool(magics) and all(
        name == "session" and line.split()[:1] in _ASKING for name, line in magics
    )


_ASKING = (["status"], ["list"], ["show"], ["variables"], ["storage"], ["where"], ["tree"])
"""What ``%session`` tells without a look at a variable of the kernel."""


def _line_magics(python: str | None) -> list[tuple[str, str]]:
    """The name and the line of each magic in a cell that consists of nothing else."""
    if not python or "session" not in python:
        return []
    try:
        found = [_line_magic(node) for node in ast.parse(python).body]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    magics = [magic for magic in found if magic is not None]
    return magics if len(magics) == len(found) else []


def _line_magic(node: ast.stmt) -> tuple[str, str] | None:
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return None
    call = node.value
    if not (isinstance(call.func, ast.Attribute) and call.func.attr == "run_line_magic"):
        return None
    words = [str(arg.value) for arg in call.args if isinstance(arg, ast.Constant)]
    return (words[0], words[1]) if len(words) == 2 else None


def enclosing_cells() -> list[FrameType]:
    """The frames of the cells inside which this code runs on this thread, innermost first.

    IPython tells of a cell's end also where it did not tell of its start (the cell that loads
    the extension), and a cell may run cells. The frame of ``run_cell_async`` knows the cell:
    its ``info`` and its ``execution_count``.
    """
    found: list[FrameType] = []
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - the documented way to walk the stack
    while frame is not None:
        # Each look at `f_code` raises an audit event, which the recorder would hear; this not.
        if (
            frame.f_globals.get("__name__") == "IPython.core.interactiveshell"
            and frame.f_code.co_name == "run_cell_async"
        ):
            found.append(frame)
        frame = frame.f_back
    return found


def notebook_path(user_ns: dict[str, Any]) -> str | None:
    """The notebook's path, where it can be known.

    VS Code puts it into the namespace (late, so it is asked for at each step); the server puts
    it into JPY_SESSION_NAME when the kernel starts.
    """
    path = user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    if not isinstance(path, str) or not path.strip():
        return None
    # Consoles get a name that is no path of a notebook.
    return path if os.path.splitext(path)[1] == ".ipynb" else None


def kernel_id() -> str | None:
    """The kernel's id: the connection file is named ``kernel-<id>.json``."""
    application = sys.modules.get("ipykernel.kernelapp")
    if application is None or not application.IPKernelApp.initialized():
        return None
    name = Path(application.IPKernelApp.instance().connection_file).stem
    return name.removeprefix("kernel-") or None

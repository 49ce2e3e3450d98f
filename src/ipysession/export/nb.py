"""nbformat with types: its functions have none."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import nbformat

if TYPE_CHECKING:
    from nbformat import NotebookNode


def node(value: dict[str, Any]) -> NotebookNode:
    """Plain data as nbformat's own kind of dictionary."""
    made: NotebookNode = nbformat.from_dict(value)  # type: ignore[no-untyped-call]
    return made


def check(notebook: NotebookNode) -> None:
    """Raise nbformat's ValidationError where the notebook is not valid."""
    nbformat.validate(notebook)


def is_valid_cell(cell: dict[str, Any]) -> bool:
    """Would the cell be valid in a notebook of format 4.5?"""
    try:
        nbformat.validate(cell, ref=f"{cell['cell_type']}_cell", version=4, version_minor=5)
    except nbformat.ValidationError:
        return False
    return True


def read(text: str) -> NotebookNode:
    """A notebook of any version, as version 4. Raises what nbformat raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about ids that old files lack: we only read
        read: NotebookNode = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
    return read


def write(notebook: NotebookNode) -> str:
    """The notebook as text, the way Jupyter writes it. Raises ValueError for NaN."""
    text: str = nbformat.writes(  # type: ignore[no-untyped-call]
        notebook, version=nbformat.NO_CONVERT, allow_nan=False
    )
    return text

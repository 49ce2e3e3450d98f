"""nbformat with types: its functions have none; imported when it is first needed, and quickly.

The kernel of a verification, which imports `ipysession.export.values`, never needs nbformat.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import warnings
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbformat import NotebookNode

_ADDRESSES = "rfc3987_syntax"


@cache
def _nbformat() -> ModuleType:
    """The library, without what takes most of the time of its import.

    It validates with jsonschema, which imports a library that builds 35 parsers of addresses with
    foreign letters: 1 to 3 s, more than all the rest of an export, for a format that no notebook
    has (python-jsonschema/jsonschema#1428, jupyter-server/jupyter_server#1559). Here that library
    is imported when jsonschema first asks it about an address.
    """
    wanted = "jsonschema" not in sys.modules and _ADDRESSES not in sys.modules
    if wanted and importlib.util.find_spec(_ADDRESSES):
        standing_in = ModuleType(_ADDRESSES)
        standing_in.__dict__["is_valid_syntax"] = _is_valid_address
        sys.modules[_ADDRESSES] = standing_in
        try:
            importlib.import_module("jsonschema")  # takes the function
        finally:
            del sys.modules[_ADDRESSES]  # whoever imports it gets the real one
    import nbformat

    return nbformat


def _is_valid_address(term: str, value: str) -> bool:
    library: Any = importlib.import_module(_ADDRESSES)
    return bool(library.is_valid_syntax(term, value))


def node(value: dict[str, Any]) -> NotebookNode:
    """Plain data as nbformat's own kind of dictionary."""
    made: NotebookNode = _nbformat().from_dict(value)
    return made


def check(notebook: NotebookNode) -> None:
    """Raise nbformat's ValidationError where the notebook is not valid."""
    _nbformat().validate(notebook)


def is_valid_cell(cell: dict[str, Any]) -> bool:
    """Would the cell be valid in a notebook of format 4.5?"""
    nbformat = _nbformat()
    try:
        nbformat.validate(cell, ref=f"{cell['cell_type']}_cell", version=4, version_minor=5)
    except nbformat.ValidationError:
        return False
    return True


def read(text: str) -> NotebookNode:
    """A notebook of any version, as version 4. Raises what nbformat raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about ids that old files lack: we only read
        read: NotebookNode = _nbformat().reads(text, as_version=4)
    return read


def write(notebook: NotebookNode) -> str:
    """The notebook, which was checked before, as text, the way Jupyter writes it. Raises
    ValueError for NaN.

    nbformat's own writer checks it once more and copies it as a whole, which takes longer than
    all the rest of an export.
    """
    cells = [_with_lines(cell) for cell in notebook["cells"]]
    return json.dumps(
        {**notebook, "cells": cells},
        ensure_ascii=False,
        indent=1,
        sort_keys=True,
        separators=(",", ": "),
        allow_nan=False,
    )


def _with_lines(cell: NotebookNode) -> dict[str, Any]:
    """The cell with its texts as lists of lines, as they stand in files."""
    made = {**cell, "source": cell["source"].splitlines(keepends=True)}
    if "trusted" in cell["metadata"]:
        made["metadata"] = {k: v for k, v in cell["metadata"].items() if k != "trusted"}
    if "attachments" in cell:
        files = cell["attachments"].items()
        made["attachments"] = {name: _data_with_lines(data) for name, data in files}
    if "outputs" in cell:
        made["outputs"] = [_output_with_lines(output) for output in cell["outputs"]]
    return made


def _output_with_lines(output: NotebookNode) -> dict[str, Any]:
    if output["output_type"] == "stream":
        return {**output, "text": output["text"].splitlines(keepends=True)}
    if "data" not in output:
        return output
    return {**output, "data": _data_with_lines(output["data"])}


def _data_with_lines(data: dict[str, Any]) -> dict[str, Any]:
    return {
        mime: value.splitlines(keepends=True)
        if isinstance(value, str) and (mime.startswith("text/") or mime in _TEXTS)
        else value
        for mime, value in data.items()
    }


_TEXTS = frozenset({"application/javascript", "image/svg+xml"})
"""Kinds of data that are text although their names do not say so."""

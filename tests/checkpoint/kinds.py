"""How a kind of object is tried: made by a cell, saved, loaded elsewhere, and looked at."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest

from ipysession.checkpoint.groups import co_variable_groups
from ipysession.checkpoint.load import load_group
from ipysession.checkpoint.packed import Limits
from ipysession.checkpoint.saver import Checkpointer
from ipysession.log import Blobs

if TYPE_CHECKING:
    from pathlib import Path

REFUSED = "refused"
"""In place of what is looked at: the saver must say that it cannot be saved."""

SAME = "x"


def space_of(*cells: str) -> dict[str, Any]:
    """The namespace after these cells."""
    space = {"__name__": "__main__", "__builtins__": __builtins__}
    for cell in cells:
        exec(cell, space)
    return space


def comes_back_or_is_refused(folder: Path, first: str, cell: str, said: str) -> None:
    """All names of ``cell`` as one group, into a kernel in which only ``first`` ran; ``said`` must
    say the same before and after.
    """
    space = space_of(first, cell)
    values = {name: value for name, value in space.items() if not name.startswith("__")}
    blobs = Blobs(folder)
    saver = Checkpointer(blobs, Limits(min_free=0))
    assert set().union(*co_variable_groups(values, space)) == values.keys()
    assert saver.costs.estimate(values, space) >= 0
    if said == REFUSED:
        with pytest.raises(Exception, match=r"."):
            saver.pack(values, space, lambda: None)
        return
    packed = saver.pack(values, space, lambda: None)
    fresh = space_of(first)
    fresh.update(load_group(packed.group, blobs, fresh))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert repr(eval(said, fresh)) == repr(eval(said, space))

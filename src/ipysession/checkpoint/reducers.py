"""How objects are pickled that Python's own rules cannot pickle, or would restore as something
else without a word. Each comes back right, or is refused with the reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ipysession.checkpoint.pieces import Packing


def reduce(obj: Any, packing: Packing) -> Any:
    """The way to pickle ``obj``, or NotImplemented where Python's own will do."""
    del obj, packing
    return NotImplemented

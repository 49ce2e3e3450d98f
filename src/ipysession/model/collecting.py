"""Python's garbage collector, out of the way of those who make many objects and no garbage."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def no_collections() -> Iterator[None]:
    """Reading makes a hundred objects per step and no garbage: Python's collector would go over
    them again and again, which takes more than half the time of opening a long session.
    """
    enabled = gc.isenabled()
    try:
        gc.disable()
        yield
    finally:
        if enabled:
            if not gc.get_freeze_count():  # else somebody froze what is to stay frozen
                # Among the oldest objects at once, where collections would bring them one by one:
                # going over them takes a third of the time of reading them.
                gc.freeze()
                gc.unfreeze()
            gc.enable()

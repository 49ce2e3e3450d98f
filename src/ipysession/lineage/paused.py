"""Where generators and iterators stand, as far as Python shows it without running them.

A generator is its code, the place in it, its variables, and what its loops go through; an
iterator of Python's own tells what it would be pickled as.
"""

from __future__ import annotations

import gc
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any

_WALKED: tuple[Any, ...] = ([], (), "", "é", b"", bytearray(), range(0), range(1 << 64))
_ITERATORS = frozenset(
    {*(type(iter(one)) for one in _WALKED), type(reversed([])), enumerate, zip, map, filter}
)
"""Those whose ``__reduce__`` is quick and tells all."""

_ENDED = -2
"""No place in code: -1 is that of what has not begun."""


def place_of(value: Any) -> tuple[int, tuple[Any, ...]] | None:
    """The place in the code, and the objects that make the rest of the state of ``value``; None
    where it is neither a generator, a coroutine, nor an iterator of Python's own.
    """
    kind = type(value)
    if kind in _ITERATORS:
        state = tuple(value.__reduce__())
        # At its end it gives an empty list made for the occasion.
        return (_ENDED, ()) if len(state) == 2 and state[0] is iter else (0, state)
    if kind is GeneratorType:
        frame = value.gi_frame
    elif kind is CoroutineType:
        frame = value.cr_frame
    elif kind is AsyncGeneratorType:
        frame = value.ag_frame
    else:
        return None
    if frame is None:
        return _ENDED, ()
    # What a `for` goes through has no name; the collector sees it. What else it sees does not
    # differ from look to look, but for the frame, which is there once somebody asked for it.
    held = (part for part in gc.get_referents(value) if type(part) is not FrameType)
    return frame.f_lasti, tuple(held)

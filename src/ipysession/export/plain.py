"""Values that any reader of a notebook can read: valid JSON, valid UTF-8, not too deep.

The log keeps what was recorded exactly; a notebook file cannot. What has to be replaced is
counted, and the notebook's metadata says it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_DEPTH = 100
"""Deeper values break the readers of notebooks, which recurse."""
_HUGE = 10**1000
"""Python itself refuses to write integers of more than 4,300 digits as text."""


class Plain:
    """Makes values fit for a notebook, and counts in ``replaced`` what could not stay."""

    def __init__(self) -> None:
        self.replaced: Counter[str] = Counter()

    def text(self, value: str) -> str:
        """``value`` with lone surrogates replaced by U+FFFD: UTF-8 cannot hold them."""
        if value.isascii():
            return value
        fixed, count = _SURROGATE.subn("\ufffd", value)
        if count:
            self.replaced["lone surrogates by U+FFFD"] += count
        return fixed

    def value(self, value: Any, depth: int = 0) -> Any:
        """A copy of ``value`` that is valid JSON: NaN and infinities become null."""
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            if -_HUGE < value < _HUGE:
                return value
            self.replaced["huge integers by their hexadecimal text"] += 1
            return hex(value)
        if isinstance(value, float):
            if math.isfinite(value):
                return value
            self.replaced["NaN and infinities by null"] += 1
            return None
        if depth >= _MAX_DEPTH:
            self.replaced[f"values nested deeper than {_MAX_DEPTH} levels by null"] += 1
            return None
        if isinstance(value, dict):
            return {self.text(str(key)): self.value(v, depth + 1) for key, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item, depth + 1) for item in value]
        self.replaced[f"values of type {type(value).__name__} by their text"] += 1
        return self.text(str(value))

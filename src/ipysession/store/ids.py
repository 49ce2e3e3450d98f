"""Session ids: they sort by time and are pleasant to read and type."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime

from ipysession.errors import InvalidSessionId

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
"""Without 0, 1, i, l and o, which are easily misread."""

_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-z]{6}")


def new_id() -> str:
    """A fresh id, for example ``20261121-074312-k3f9qz`` (UTC, then 30 random bits)."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return f"{stamp}-{''.join(secrets.choice(_ALPHABET) for _ in range(6))}"


def is_id(text: str) -> bool:
    """Does ``text`` have the form of an id?"""
    return _ID.fullmatch(text) is not None


def validate_id(text: str) -> str:
    """Return ``text`` if it is an id, else raise InvalidSessionId.

    Every id passes here before it touches a path.
    """
    if not is_id(text):
        message = (
            f"{text[:80]!r} is not a session id; ids look like 20261121-074312-k3f9qz. "
            "List them with: jupyter session list"
        )
        raise InvalidSessionId(message)
    return text

"""A record: the envelope that every line of the log shares, and its payload."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import Field, ValidationError

from ipysession.model import encoding
from ipysession.model.payloads import PAYLOADS, Payload, UnknownPayload
from ipysession.model.provenance import Frozen

FORMAT_VERSION = 1
"""The version of the log's format that this code writes. Readers keep newer records,
show them as unknown and never rewrite them (docs/log-format.md, "Newer versions")."""

LAZY_TYPES = frozenset({"step.output"})
"""Record types whose blobs stay references until somebody looks at them."""


class Record(Frozen):
    """One line of the log.

    ``seq`` counts 1, 2, 3 … in the session and orders the records; ``run`` is the number of
    the run that wrote it, 0 where no kernel did; ``t`` is wall-clock time (RFC 3339, UTC,
    microseconds) and ``mono`` monotonic seconds within the run.
    """

    v: int = FORMAT_VERSION
    seq: int = Field(ge=1)
    run: int = Field(ge=0)
    t: str
    mono: float
    type: str
    payload: Payload | UnknownPayload
    session: str = ""
    """The session's id. Not part of the line: the folder says it."""

    @property
    def time(self) -> datetime:
        """``t`` as an aware datetime in UTC."""
        return datetime.fromisoformat(self.t)


def utc_now() -> str:
    """Now as RFC 3339 in UTC with microseconds, for example ``2026-11-21T09:48:12.012345Z``."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def payload_from_json(version: int, type_name: str, raw: bytes) -> Payload | UnknownPayload:
    """Make the payload of a record from its JSON text (blob references must be resolved).

    Unknown types, newer versions and payloads that do not fit their type come back as
    UnknownPayload: nothing is lost and nothing is guessed. Raises ValueError where the
    text is not a JSON object.
    """
    cls = PAYLOADS.get(type_name) if version == FORMAT_VERSION else None
    if cls is not None and b'"$' not in raw:
        try:
            return cls.model_validate_json(raw)
        except ValidationError:
            # pydantic's parser refuses lone surrogates; the slow path accepts them.
            pass
    return payload_from_value(version, type_name, encoding.loads(raw))


def payload_from_value(version: int, type_name: str, value: Any) -> Payload | UnknownPayload:
    """The same from a decoded value."""
    if not isinstance(value, dict):
        message = f"the payload of a record must be an object, not {type(value).__name__}"
        raise ValueError(message)  # noqa: TRY004 - callers treat all malformed lines alike
    cls = PAYLOADS.get(type_name) if version == FORMAT_VERSION else None
    if cls is not None:
        try:
            return cls.model_validate(value)
        except ValidationError:
            pass  # shown as unknown, with everything it said
    return UnknownPayload(type_name=type_name, raw=value)


def payload_to_value(payload: Payload) -> dict[str, Any]:
    """The payload as plain data, without the fields that stand at their defaults."""
    return payload.model_dump(mode="python", exclude_defaults=True)

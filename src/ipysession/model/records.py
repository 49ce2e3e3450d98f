"""A record: the envelope that every line of the log shares, and its payload."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

from pydantic import ValidationError

from ipysession.model import encoding
from ipysession.model.payloads import PAYLOADS, Payload, UnknownPayload
from ipysession.model.provenance import Frozen

FORMAT_VERSION = 1
"""The version of the log's format that this code writes. Readers keep newer records,
show them as unknown and never rewrite them (docs/log-format.md, "Newer versions")."""

LAZY_TYPES = frozenset({"step.output"})
"""Record types whose blobs stay references until somebody looks at them."""


class Record(NamedTuple):
    """One line of the log.

    A tuple and not a model, because a session has three of them per step: making one must
    cost next to nothing.
    """

    seq: int
    """1, 2, 3 … in the session; orders the records."""
    run: int
    """The number of the run that wrote it, 0 where no kernel did."""
    t: str
    """Wall-clock time: RFC 3339, UTC, microseconds."""
    mono: float
    """Monotonic seconds since the writer opened the log."""
    type: str
    payload: Payload | UnknownPayload
    v: int = FORMAT_VERSION
    session: str = ""
    """The session's id. Not part of the line: the folder says it."""

    @property
    def time(self) -> datetime:
        """``t`` as an aware datetime in UTC."""
        return datetime.fromisoformat(self.t)


def utc_now() -> str:
    """Now as RFC 3339 in UTC with microseconds, for example ``2026-11-21T09:48:12.012345Z``."""
    return datetime.now(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def payload_from_json(
    version: int, type_name: str, raw: bytes, blob: encoding.Resolve | None = None
) -> Payload | UnknownPayload:
    """Make the payload of a record from its JSON text; ``blob`` as in `encoding.loads`.

    Unknown types, newer versions and payloads that do not fit their type come back as
    UnknownPayload: nothing is lost and nothing is guessed. Raises ValueError where the
    text is not a JSON object.
    """
    if version != FORMAT_VERSION:
        # The wrappers of a newer version may mean something else: they stay as they stand.
        value = encoding.loads(raw, unwrapping=False)
        return UnknownPayload(type_name=type_name, raw=value)
    validate = _VALIDATORS.get(type_name) or _validator(type_name)
    # Looking for one byte first is a tenth of the work.
    if validate is not None and (b"$" not in raw or b'"$' not in raw):
        try:
            return validate(raw)
        except ValidationError:
            pass  # the slow path finds out what is wrong
    value = encoding.loads(raw, blob)
    if validate is not None:
        try:
            return PAYLOADS[type_name].model_validate(value)
        except ValidationError:
            pass  # shown as unknown, with everything it said
    return UnknownPayload(type_name=type_name, raw=value)


_VALIDATORS: dict[str, Callable[[bytes], Payload]] = {}
"""What ``model_validate_json`` calls, without the call around it: a quarter of its time. Made
when the first record of a type is read, because ``%load_ext`` need not wait for it.
"""


def _validator(type_name: str) -> Callable[[bytes], Payload] | None:
    if type_name not in PAYLOADS:
        return None
    validate = PAYLOADS[type_name].__pydantic_validator__.validate_json
    return _VALIDATORS.setdefault(type_name, validate)


def payload_to_value(payload: Payload) -> dict[str, Any]:
    """The payload as plain data, without the fields that stand at their defaults.

    Parts that are plain already are not copied, and blob references stay what they are
    (pydantic's ``model_dump`` would make lists of them).
    """
    return _plain_fields(payload)


def _plain_fields(model: Frozen) -> dict[str, Any]:
    defaults = _defaults(type(model))
    return {
        name: _plain(value) for name, value in model.__dict__.items() if value != defaults[name]
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Frozen):
        return _plain_fields(value)
    if isinstance(value, list) and value and isinstance(value[0], Frozen):
        return [_plain_fields(item) for item in value]
    if isinstance(value, dict) and isinstance(next(iter(value.values()), None), Frozen):
        return {key: _plain_fields(item) for key, item in value.items()}
    return value


@cache
def _defaults(cls: type[Frozen]) -> dict[str, Any]:
    """The default of each field; where there is none, something that no value equals."""
    return {
        name: field.get_default(call_default_factory=True)
        for name, field in cls.model_fields.items()
    }

"""Records and payloads: what was appended is what is read; what is unknown is kept."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from model.strategies import payloads

from ipysession.model import Record, encoding
from ipysession.model import payloads as p
from ipysession.model.encoding import BlobRef
from ipysession.model.records import payload_from_json, payload_to_value, utc_now


def _written(payload: p.Payload) -> bytes:
    return encoding.dumps(payload_to_value(payload)).encode("ascii")


@given(payloads())
def test_every_payload_comes_back_equal(payload):
    """Of every type, with every kind of value in every field."""
    back = payload_from_json(1, payload.type, _written(payload))
    assert type(back) is type(payload)
    # NaN is unlike itself, so the texts are compared.
    assert encoding.dumps(payload_to_value(back)) == encoding.dumps(payload_to_value(payload))


@given(payloads())
def test_defaults_are_not_written(payload):
    """A line says only what is not self-evident; the models fill in the rest."""
    said = payload_to_value(payload)
    for name, field in type(payload).model_fields.items():
        value = getattr(payload, name)
        is_default = not field.is_required() and value == field.get_default(
            call_default_factory=True
        )
        assert (name in said) is not is_default


def test_writing_a_payload_does_not_copy_its_plain_parts():
    """An output of 100 MB is not copied on its way to the log."""
    payload = p.StepOutput(step=1, events=[{"event": "output"}])
    assert payload_to_value(payload)["events"] is payload.events


def test_references_to_blobs_stay_references():
    """A payload that was read, and holds a reference, can be written again."""
    event = {"x": BlobRef("ab" * 32, 5, "text")}
    payload = p.StepOutput(step=1, events=[event])
    assert payload_to_value(payload)["events"] == [event]
    text = encoding.dumps_with_blobs(payload_to_value(payload))
    assert payload_from_json(1, "step.output", text.encode()) == payload


class TestUnknown:
    """What this version does not know is kept whole and shown as unknown."""

    def test_a_record_type_of_another_version(self):
        """Its content is there to look at, wrappers undone."""
        back = payload_from_json(1, "mood.changed", b'{"to":"bright","by":{"$float":"inf"}}')
        assert back == p.UnknownPayload(
            type_name="mood.changed", raw={"to": "bright", "by": math.inf}
        )

    def test_a_known_type_of_a_newer_version(self):
        """Nothing in it is interpreted: not even wrappers, which may mean something else."""
        back = payload_from_json(2, "session.titled", b'{"title":{"$float":"nan"}}')
        assert back == p.UnknownPayload(
            type_name="session.titled", raw={"title": {"$float": "nan"}}
        )

    @pytest.mark.parametrize("raw", [b"{}", b'{"title":3}', b'{"title":{"$int":"0x10"}}'])
    def test_a_payload_that_does_not_fit_its_type(self, raw):
        """It is shown, not guessed at."""
        back = payload_from_json(1, "session.titled", raw)
        assert back == p.UnknownPayload(type_name="session.titled", raw=encoding.loads(raw))

    def test_fields_of_a_newer_program_are_passed_over(self):
        """A new field has a default, so an older reader does without."""
        back = payload_from_json(1, "session.titled", b'{"title":"T","colour":"red"}')
        assert back == p.SessionTitled(title="T")


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("kind", ["session.titled", "mood.changed"])
@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"3", b'{"$float":"nan"}[', b"[" * 100_000])
def test_what_is_no_object_raises_value_error(version, kind, raw):
    """Only a forger writes that; the reader reports it."""
    with pytest.raises(ValueError):
        payload_from_json(version, kind, raw)


def test_a_record_is_immutable():
    """Nobody edits a record in place."""
    record = Record(1, 1, utc_now(), 0.0, "session.titled", p.SessionTitled(title="T"))
    with pytest.raises(AttributeError):
        record.seq = 2  # type: ignore[misc]
    with pytest.raises(ValueError):
        record.payload.title = "U"


def test_a_records_time_is_aware():
    """And the text that is written is RFC 3339 in UTC with microseconds."""
    text = utc_now()
    assert len(text) == len("2026-11-21T09:48:12.012345Z")
    record = Record(1, 1, text, 0.0, "session.titled", p.SessionTitled(title="T"))
    assert abs(record.time - datetime.now(UTC)) < timedelta(seconds=10)
    assert record.time.isoformat().replace("+00:00", "Z") == text


def test_every_payload_type_is_listed_once():
    """The table of types is complete: no payload class is forgotten in it."""
    classes = set(p.Payload.__subclasses__())
    assert set(p.PAYLOADS.values()) == classes
    assert all(cls.type == name for name, cls in p.PAYLOADS.items())


def test_a_record_types_first_words_are_those_of_the_glossary():
    """Compatibility: a released type is never renamed."""
    assert list(p.PAYLOADS) == [
        "session.created",
        "run.started",
        "run.ended",
        "step.started",
        "step.output",
        "step.finished",
        "step.effects",
        "checkpoint.saved",
        "checkpoints.dropped",
        "session.paused",
        "session.resumed",
        "session.completed",
        "session.failed",
        "session.titled",
        "session.tagged",
        "session.untagged",
        "note.added",
        "artifact.saved",
        "session.imported",
        "branch.created",
        "session.moved",
    ]


def test_the_text_of_a_payload_is_stable():
    """Format version 1, pinned: a change here is a new version."""
    finished = p.StepFinished(
        step=3, outcome="error", duration=0.25, error=p.StepError(ename="E", evalue="v")
    )
    assert json.loads(_written(finished)) == {
        "step": 3,
        "outcome": "error",
        "duration": 0.25,
        "error": {"ename": "E", "evalue": "v"},
    }

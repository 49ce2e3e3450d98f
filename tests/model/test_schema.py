"""The published schema: current, and true of every line that can be written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from model.strategies import nested, payloads, values

from ipysession.model import encoding, schema
from ipysession.model import payloads as p
from ipysession.model.encoding import BlobRef
from ipysession.model.records import payload_to_value

PUBLISHED = Path(__file__).parents[2] / schema.PUBLISHED
VALIDATOR = jsonschema.Draft202012Validator(
    schema.log_schema(), format_checker=jsonschema.FormatChecker()
)


def _line(payload_text: str, kind: str, **envelope: object) -> dict:
    record = {
        "v": 1,
        "seq": 1,
        "run": 0,
        "t": "2026-11-21T09:48:12.012345Z",
        "mono": 0.5,
        "type": kind,
        "payload": json.loads(payload_text),
        "mac": "0" * 40,
    }
    return {**record, **envelope}


def test_the_published_schema_is_current():
    """Written by: python -m ipysession.model.schema."""
    assert json.loads(PUBLISHED.read_text("utf-8")) == schema.log_schema()


def test_the_command_writes_it(tmp_path):
    """To docs/log.schema.json, seen from the folder where it is called."""
    (tmp_path / "docs").mkdir()
    subprocess.run([sys.executable, "-m", "ipysession.model.schema"], cwd=tmp_path, check=True)
    assert (tmp_path / schema.PUBLISHED).read_bytes() == PUBLISHED.read_bytes()


def test_it_is_a_valid_schema():
    """Of the draft that it names."""
    jsonschema.Draft202012Validator.check_schema(schema.log_schema())


@given(payloads())
def test_every_payload_is_valid(payload):
    """Whatever wrappers its values need, in whatever field."""
    text = encoding.dumps(payload_to_value(payload))
    VALIDATOR.validate(_line(text, payload.type))


@given(nested())
def test_deep_payloads_are_valid(shape):
    """Also those that are written flat as a whole."""
    payload = p.StepOutput(step=1, events=[{"x": shape.value()}])
    VALIDATOR.validate(_line(encoding.dumps(payload_to_value(payload)), payload.type))


def test_references_to_blobs_are_valid_everywhere():
    """In place of a text, of a list, of an entry."""
    ref = BlobRef("ab" * 32, 5, "json")
    for payload in (
        {"step": 1, "source": ref},
        {"step": 1, "source": "", "redacted": ref},
    ):
        VALIDATOR.validate(_line(encoding.dumps_with_blobs(payload), "step.started"))
    finished = {"step": 1, "outcome": "ok", "duration": 0, "bound": [ref], "error": ref}
    VALIDATOR.validate(_line(encoding.dumps_with_blobs(finished), "step.finished"))


@given(values())
def test_unknown_records_are_valid(value):
    """Of a newer version, and of a type that nobody knows."""
    text = encoding.dumps({"anything": value})
    VALIDATOR.validate(_line(text, "step.started", v=2))
    VALIDATOR.validate(_line(text, "mood.changed"))


@pytest.mark.parametrize(
    "wrong",
    [
        _line("{}", "step.started"),
        _line('{"step":"x","source":""}', "step.started"),
        _line('{"step":1,"source":{"$blob":"../x","size":1,"media":"text"}}', "step.started"),
        _line('{"title":"T"}', "session.titled", seq=0),
        _line('{"title":"T"}', "session.titled", mac="0"),
        _line("[]", "mood.changed"),
    ],
)
def test_what_nobody_wrote_is_invalid(wrong):
    """The schema does say something."""
    assert not VALIDATOR.is_valid(wrong)

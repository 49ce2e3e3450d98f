"""The JSON Schema of one line of the log, made from the models.

``python -m ipysession.model.schema`` writes it to docs/log.schema.json; a test compares the
published file with this and validates real logs against it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from ipysession.model.payloads import PAYLOADS
from ipysession.model.records import FORMAT_VERSION

PUBLISHED = "docs/log.schema.json"


def log_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a line: one of the known record types, or an unknown one."""
    _, made = models_json_schema(
        [(cls, "validation") for cls in PAYLOADS.values()], ref_template="#/$defs/{model}"
    )
    envelope = {
        "v": {"type": "integer", "minimum": 1},
        "seq": {"type": "integer", "minimum": 1},
        "run": {"type": "integer", "minimum": 0},
        "t": {"type": "string", "format": "date-time"},
        "mono": {"type": "number"},
        "type": {"type": "string"},
        "payload": {"type": "object"},
        "mac": {"type": "string", "pattern": "^[0-9a-f]{40}$"},
    }
    known = [
        {
            "properties": {
                "v": {"const": FORMAT_VERSION},
                "type": {"const": name},
                "payload": _or_wrapped({"$ref": f"#/$defs/{cls.__name__}"}),
            }
        }
        for name, cls in PAYLOADS.items()
    ]
    unknown = {
        "anyOf": [
            {"properties": {"v": {"exclusiveMinimum": FORMAT_VERSION}}},
            {"properties": {"type": {"not": {"enum": list(PAYLOADS)}}}},
        ],
    }
    models = {name: _with_wrappers(model) for name, model in made["$defs"].items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of an ipysession log",
        "type": "object",
        "required": list(envelope),
        "properties": envelope,
        "oneOf": [*known, unknown],
        "$defs": {**models, "Wrapped": _WRAPPED},
    }


def _wrapper(**fields: dict[str, Any]) -> dict[str, Any]:
    properties = {name.replace("_", "$"): schema for name, schema in fields.items()}
    return {
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_WRAPPED = {
    "description": "A value that plain JSON cannot hold, or that lies in a blob.",
    "type": "object",
    "oneOf": [
        _wrapper(_float={"enum": ["nan", "inf", "-inf"]}),
        _wrapper(_int={"type": "string", "pattern": "^-?0x[0-9a-f]+$"}),
        _wrapper(_flat={"type": "array", "minItems": 1, "items": {"type": ["array", "object"]}}),
        _wrapper(_esc={"type": "object"}),
        _wrapper(
            _blob={"type": "string", "pattern": "^[0-9a-f]{64}$"},
            size={"type": "integer", "minimum": 0},
            media={"enum": ["text", "json"]},
        ),
    ],
}


def _with_wrappers(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, with a wrapped value allowed for each part of what it describes."""
    loose = dict(schema)
    if "properties" in schema:
        parts = schema["properties"].items()
        loose["properties"] = {name: _or_wrapped(part) for name, part in parts}
    for place in ("items", "additionalProperties"):
        if isinstance(schema.get(place), dict):
            loose[place] = _or_wrapped(schema[place])
    if "anyOf" in schema:
        loose["anyOf"] = [_with_wrappers(part) for part in schema["anyOf"]]
    return loose


def _or_wrapped(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [_with_wrappers(schema), {"$ref": "#/$defs/Wrapped"}]}


def main(path: str = PUBLISHED) -> None:
    """Write the schema to ``path``."""
    Path(path).write_text(json.dumps(log_schema(), indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

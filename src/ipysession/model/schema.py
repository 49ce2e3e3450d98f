"""The JSON Schema of one line of the log, made from the models.

``python -m ipysession.model.schema docs/log.schema.json`` writes it; a test compares the
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


def log_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a line: one of the known record types, or an unknown one."""
    _, definitions = models_json_schema(
        [(cls, "validation") for cls in PAYLOADS.values()], ref_template="#/$defs/{model}"
    )
    envelope = {
        "v": {"type": "integer", "minimum": 1},
        "seq": {"type": "integer", "minimum": 1},
        "run": {"type": "integer", "minimum": 0},
        "t": {"type": "string", "format": "date-time"},
        "mono": {"type": "number"},
        "mac": {"type": "string", "pattern": "^[0-9a-f]{40}$"},
    }
    known = [
        {
            "properties": {
                "v": {"const": FORMAT_VERSION},
                "type": {"const": name},
                "payload": {"$ref": f"#/$defs/{cls.__name__}"},
            }
        }
        for name, cls in PAYLOADS.items()
    ]
    unknown = {
        "anyOf": [
            {"properties": {"v": {"exclusiveMinimum": FORMAT_VERSION}}},
            {"properties": {"type": {"not": {"enum": list(PAYLOADS)}}}},
        ],
        "properties": {"payload": {"type": "object"}},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of an ipysession log",
        "type": "object",
        "required": ["v", "seq", "run", "t", "mono", "type", "payload", "mac"],
        "properties": {**envelope, "type": {"type": "string"}},
        "oneOf": [*known, unknown],
        "$defs": definitions["$defs"],
    }


def main(path: str) -> None:
    """Write the schema to ``path``."""
    Path(path).write_text(json.dumps(log_schema(), indent=2, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""What the panel takes the REST API's answers and requests for (ui/src/types.ts), held against
the OpenAPI document: a name, a kind or a null that one of them changes alone fails here.
"""

import re
from pathlib import Path

import pytest

from ipysession.server.openapi import openapi_document

TYPES = (Path(__file__).parents[2] / "ui" / "src" / "types.ts").read_text()

NAMES = {
    "Session": "SessionEntry",
    "Step": "StepEntry",
    "Graph": "GraphDocument",
    "Difference": "Diff",
    "Confirmation": "ConfirmationNeeded",
    "SessionState": "SessionState",
}
"""Where the panel's word for something is another one than the document's."""

SCHEMAS = openapi_document()["components"]["schemas"]


def interfaces():
    """Name → the members of each interface, with those of what it extends."""
    found = {}
    for name, base, body in re.findall(
        r"^export interface (\w+)(?: extends (\w+))? \{\n(.*?)^\}", TYPES, re.DOTALL | re.MULTILINE
    ):
        found[name] = {**found.get(base, {}), **members(body)}
    return found


def members(body):
    """Name → type as written, and whether it may be missing; of the outermost members."""
    flat = re.sub(r"/\*\*.*?\*/", "", body, flags=re.DOTALL)
    while re.search(r"\{[^{}]*\}", flat):
        flat = re.sub(r"\{[^{}]*\}", "object", flat)
    return {
        name: (re.sub(r"\s+", " ", kind).strip(), bool(optional))
        for name, optional, kind in re.findall(r"(\w+)(\??):\s*([^;]+);", flat)
    }


ALIASES = {
    name: set(re.findall(r'"([\w-]+)"', kinds))
    for name, kinds in re.findall(r"^export type (\w+) =([^;]+);", TYPES, re.MULTILINE)
}


def resolved(schema):
    """A schema without its reference."""
    while "$ref" in schema:
        schema = SCHEMAS[schema["$ref"].rpartition("/")[2]]
    return schema


def kinds(schema):
    """The kinds of value that a schema allows: number, string, boolean, object, array, null."""
    schema = resolved(schema)
    if "anyOf" in schema:
        return set().union(*map(kinds, schema["anyOf"]))
    if "const" in schema or "enum" in schema:
        return {"string"}
    kind = schema.get("type")
    return {"number" if kind == "integer" else kind} if kind else {"anything"}


def kinds_of(written):
    """The same of a TypeScript type."""
    found = set()
    for part in re.split(r"\s*\|\s*", written):
        if part.endswith("[]"):
            found.add("array")
        elif part in {"string", "number", "boolean", "null"}:
            found.add(part)
        elif part in ALIASES or part.startswith('"'):
            found.add("string")
        else:
            found.add("object")
    return found


INTERFACES = interfaces()


@pytest.mark.parametrize("name", INTERFACES)
def test_the_panel_takes_answers_for_what_they_are(name):
    """Each member that the panel reads or sends is in the document, as that kind of value."""
    schema = SCHEMAS[NAMES.get(name, name)]
    for member, (written, optional) in INTERFACES[name].items():
        assert member in schema["properties"], f"{name}.{member} is not in the document"
        said = schema["properties"][member]
        wanted = kinds(said)
        if optional:  # a default of the server's may stand for it
            wanted -= {"null"} - kinds_of(written)
        assert kinds_of(written) == wanted, f"{name}.{member}"
        (array,) = [part for part in re.split(r"\s*\|\s*", written) if "[]" in part] or [None]
        if array is not None:
            parts = resolved(said).get("anyOf", [said])
            (items,) = [resolved(part)["items"] for part in parts if "items" in resolved(part)]
            assert kinds_of(array[:-2]) == kinds(items), f"{name}.{member}"


def test_the_words_of_states_and_outcomes_are_the_documents():
    """Every value that may come has its own word in the panel."""
    for name, words in ALIASES.items():
        assert words == set(SCHEMAS[name]["enum"]), name


def test_no_answer_of_the_document_was_overlooked():
    """The panel knows all that it is written for: a renamed schema would pass unseen."""
    assert len(INTERFACES) > 25
    assert {"Session", "Step", "Recording", "ExportRequest"} <= INTERFACES.keys()

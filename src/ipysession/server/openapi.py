"""The OpenAPI 3.1 document, made of the table of operations."""

from __future__ import annotations

import json
import sys
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import models_json_schema

from ipysession import __version__, errors
from ipysession.server import answers, requests
from ipysession.server.media import ANY_FILE, MEDIA_TYPES
from ipysession.server.operations import OPERATIONS, Operation
from ipysession.server.problems import PROBLEM_JSON, PROBLEMS, problem_type

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.json_schema import JsonSchemaMode

_REFERENCE = "#/components/schemas/"

_PATH_PARAMETERS: dict[str, dict[str, Any]] = {
    "id": {
        "name": "id",
        "in": "path",
        "required": True,
        "description": "a whole session id; prefixes and titles are for people",
        "schema": {"type": "string", "pattern": requests.SESSION_ID},
    },
    "job": {
        "name": "job",
        "in": "path",
        "required": True,
        "description": "the `job` that an export was given",
        "schema": {"type": "string", "pattern": requests.JOB},
    },
    "n": {
        "name": "n",
        "in": "path",
        "required": True,
        "description": "a step's number",
        "schema": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
    },
}

_EXPORTED: dict[str, Any] = {kind: {} for kind in (*MEDIA_TYPES.values(), ANY_FILE)}

_EVERYWHERE = {
    HTTPStatus.FORBIDDEN: "No user is logged in, or this one may not; or a change without its "
    "XSRF token",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something is wrong with what lies on the disk",
}


@cache
def openapi_document() -> dict[str, Any]:
    """The document; callers leave it as it is."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ipysession",
            "version": __version__,
            "description": "Sessions of notebooks and consoles: recorded as they run.",
            "license": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
        },
        "servers": [{"url": "/ipysession/api"}],
        "security": [{"token": []}, {"parameter": []}, {"cookie": []}],
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "token": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`token …`, the server's token",
                },
                "parameter": {"type": "apiKey", "in": "query", "name": "token"},
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "username-localhost-8888",
                    "description": "a browser's login; each change then needs the header "
                    "`X-XSRFToken` with the value of the cookie `_xsrf`",
                },
            },
        },
    }


def _paths() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        item = paths.setdefault(f"/{operation.path}", {})
        names = [name for name in _PATH_PARAMETERS if f"{{{name}}}" in operation.path]
        if names:
            item["parameters"] = [_PATH_PARAMETERS[name] for name in names]
        item[operation.method] = _operation(operation)
    return paths


def _operation(operation: Operation) -> dict[str, Any]:
    said: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": _responses(operation),
    }
    if operation.description:
        said["description"] = operation.description
    if operation.query is not None:
        said["parameters"] = _parameters(operation.query)
    if operation.body is not None:
        schema = _reference(operation.body)
        said["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    return said


def _responses(operation: Operation) -> dict[str, Any]:
    answer = operation.answer
    if isinstance(answer, str):
        content: dict[str, Any] = {answer: {}}
    else:
        content = {"application/json": {"schema": _reference(answer)}}
    if operation.name == "exportSession":
        content |= _EXPORTED
    said: dict[str, Any] = {
        str(operation.status): {"description": operation.summary, "content": content}
    }
    if operation.method == "get" and not isinstance(answer, str):
        said["304"] = {"description": "It is as the ETag in `If-None-Match` has it"}
    texts = {status.value: [text] for status, text in _EVERYWHERE.items()}
    for kind in operation.problems:
        status, title = PROBLEMS[kind]
        texts.setdefault(status.value, []).append(f"{title}: `{problem_type(kind)}`")
    for code, lines in sorted(texts.items()):
        schema: dict[str, Any] = _reference(answers.Problem)
        if code == HTTPStatus.CONFLICT and errors.ConfirmationNeeded in operation.problems:
            schema = {"anyOf": [_reference(answers.ConfirmationNeeded), schema]}
        said[str(code)] = {
            "description": "; ".join(lines),
            "content": {PROBLEM_JSON: {"schema": schema}},
        }
    return said


def _parameters(query: type[requests.Query]) -> list[dict[str, Any]]:
    schema = query.model_json_schema(ref_template=_REFERENCE + "{model}")
    required = schema.get("required", [])
    parameters = []
    for name, found in schema["properties"].items():
        field = {key: value for key, value in found.items() if key != "title"}
        description = field.pop("description", "")
        if field.get("default", ...) is None:
            del field["default"]  # it stands for "not given", which no text in a URL says
            field = _without_null(field)
        parameters.append(
            {
                "name": name,
                "in": "query",
                "required": name in required,
                "description": description,
                "schema": field,
            }
        )
    return parameters


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    choices = [item for item in schema.get("anyOf", []) if item != {"type": "null"}]
    return choices[0] if len(choices) == 1 else schema


def _schemas() -> dict[str, Any]:
    read: set[type[BaseModel]] = {answers.Problem, answers.ConfirmationNeeded}
    sent: set[type[BaseModel]] = set()
    for operation in OPERATIONS:
        if not isinstance(operation.answer, str):
            read.add(operation.answer)
        sent |= {model for model in (operation.query, operation.body) if model is not None}
    inputs: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (model, "serialization") for model in sorted(read, key=_name)
    ]
    inputs += [(model, "validation") for model in sorted(sent, key=_name)]
    _, schema = models_json_schema(inputs, ref_template=_REFERENCE + "{model}")
    queries = {_name(operation.query) for operation in OPERATIONS if operation.query is not None}
    definitions: dict[str, Any] = schema["$defs"]
    return {name: item for name, item in definitions.items() if name not in queries}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REFERENCE + _name(model)}


def _name(model: type[BaseModel]) -> str:
    return model.__name__


def main() -> None:
    """Print the document."""
    sys.stdout.write(json.dumps(openapi_document(), indent=1) + "\n")


if __name__ == "__main__":
    main()

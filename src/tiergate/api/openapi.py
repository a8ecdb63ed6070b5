"""The document that describes the control API (OpenAPI 3.1), made of the operations that are served."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from starlette.responses import StreamingResponse

import tiergate
from tiergate.api.operations import Operation
from tiergate.api.passkeys import TICKET_HEADER

PATH: Final = "/openapi.json"


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """The document, as JSON. Schemas are JSON Schema 2020-12, which OpenAPI 3.1 takes as it is."""
    kinds: list[Any] = []
    for operation in operations:
        named = (operation.takes, operation.query, operation.refuses, _given(operation))
        kinds += [kind for kind in named if kind is not None]
    unique = {repr(kind): kind for kind in kinds}
    schemas, components = msgspec.json.schema_components(unique.values(), ref_template="#/components/schemas/{name}")
    by_kind = dict(zip(unique, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.described_path, {})[operation.method.lower()] = _described(
            operation, by_kind, components
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tiergate control API",
            "version": tiergate.__version__,
            "summary": "Apply, approve, grant, explain and contest access to tiers of AI models.",
        },
        "tags": [{"name": name} for name in dict.fromkeys(operation.subject for operation in operations)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "tgo_..."},
                "session": {"type": "apiKey", "in": "cookie", "name": "__Host-tiergate"},
                "peer": {"type": "http", "scheme": "bearer", "bearerFormat": "tgl_..."},
                "peer_password": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _described(operation: Operation, schemas: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.subject],
        "parameters": _parameters(operation, schemas, components),
        "responses": {
            str(operation.status): _answer(operation, schemas),
            "default": {
                "description": "A refusal that says what to do",
                "content": {operation.refusal_type: {"schema": schemas[repr(operation.refuses)]}},
            },
        },
        "security": _security(operation),
    }
    notes = []
    if operation.permission is not None:
        notes.append(f"Needs the permission `{operation.permission}`.")
    if operation.step_up is not None:
        notes.append(f"A passkey's consent is needed {operation.step_up}.")
    if notes:
        described["description"] = " ".join(notes)
    if operation.takes is not None:
        content = {operation.media_type: {"schema": schemas[repr(operation.takes)]}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    if operation.of_peers:
        return [{"peer": []}, {"peer_password": []}]
    return [{"token": []}, {"session": []}] if operation.needs_somebody else []


def _answer(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "Done"}
    given = _given(operation)
    if given is not None:
        answer["content"] = {operation.media_type: {"schema": schemas[repr(given)]}}
    elif operation.gives is StreamingResponse:
        answer["content"] = {operation.media_type: {"schema": {"type": "string"}}}
    return answer


def _given(operation: Operation) -> Any:
    """The Struct that is given, None where the handler builds an answer without one."""
    gives = operation.gives
    return gives if msgspec.inspect.is_struct_type(gives) or _is_generic(gives) else None


def _is_generic(kind: Any) -> bool:
    return getattr(kind, "__origin__", None) is not None


def _parameters(operation: Operation, schemas: dict[str, Any], components: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", operation.described_path)
    ]
    if operation.query is not None:
        schema = components[schemas[repr(operation.query)]["$ref"].rpartition("/")[2]]
        for name, kind in schema["properties"].items():
            required = name in schema.get("required", ())
            found.append({"name": name, "in": "query", "required": required, "schema": kind})
    if operation.method == "POST" and operation.needs_somebody:
        found.append({"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 255}})
    if operation.step_up is not None:
        found.append({"name": TICKET_HEADER, "in": "header", "schema": {"type": "string"}})
    return found

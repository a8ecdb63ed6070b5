"""The JSON Schema of a bundle, made of the very types that are checked."""

from __future__ import annotations

from typing import Any

import msgspec

from tiergate.sharing.objects import Bundle


def json_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of `Bundle`. It cannot say all: docs/sharing-schema.md has what is checked beyond it."""
    made: dict[str, Any] = msgspec.json.schema(Bundle)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Distillation findings, STIX 2.1",
    } | made

"""Lists of models as each API gives them, one put into the other's form."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from tiergate.settings import Dialect

Model = dict[str, Any]
ALL: Final[dict[Dialect, str]] = {"openai": "/models", "anthropic": "/models?limit=1000"}
"""Where an upstream is asked for all of its models."""

PAGE: Final = 20
MOST: Final = 1_000
"""Models on a page of Anthropic's API, where the asker says nothing, and at most."""


class _List(msgspec.Struct):
    data: list[Model]


_decode_list = msgspec.json.Decoder(_List).decode
_decode_model = msgspec.json.Decoder(Model).decode


def models_of(body: bytes) -> list[Model]:
    """The models of an upstream's list. Raises one of `UNREADABLE`, and leaves out what has no name."""
    return [model for model in _decode_list(body).data if isinstance(model.get("id"), str)]


def model_of(body: bytes) -> Model:
    """One model. Raises one of `UNREADABLE`."""
    return _decode_model(body)


def in_dialect(model: Model, upstream: Dialect, asker: Dialect) -> Model:
    """A model in the asker's form; as it came, where that is the upstream's too."""
    if upstream == asker:
        return model
    name = model.get("id")
    if asker == "anthropic":
        made = model.get("created")
        moment = datetime.fromtimestamp(made if isinstance(made, int) else 0, UTC)
        return {"type": "model", "id": name, "display_name": name, "created_at": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}
    try:
        created = int(datetime.fromisoformat(str(model.get("created_at"))).timestamp())
    except ValueError:
        created = 0
    return {"id": name, "object": "model", "created": created, "owned_by": "upstream"}


def list_body(models: list[Model], asker: Dialect, query: str) -> bytes:
    """The list as the asker's API gives it; Anthropic's comes in pages, which ``query`` chooses."""
    if asker == "openai":
        return msgspec.json.encode({"object": "list", "data": models})
    asked = {name: values[-1] for name, values in parse_qs(query).items()}
    limit = asked.get("limit", "")
    size = min(max(1, int(limit)), MOST) if limit.isascii() and limit.isdigit() else PAGE
    names = [model["id"] for model in models]
    if (before := asked.get("before_id")) in names:
        models = models[: names.index(before)]
        page, more = models[-size:], len(models) > size
    else:
        after = asked.get("after_id")
        models = models[names.index(after) + 1 :] if after in names else models
        page, more = models[:size], len(models) > size
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
    return msgspec.json.encode({"data": page, "has_more": more} | ends)

"""A file of routes that is right, for tests to spoil."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from tiergate.admission.known_facts import ModelFact, Tier
from tiergate.admission.models import Models
from tiergate.gateway.routing.routes import Routes, parse

TEXT = """\
upstreams:
  east:
    url: https://api.east.example.com/v1
    dialect: openai
    key_env: EAST_KEY
    region: us-east-1
    retention_days: 30
    timeouts: {connect_s: 5, read_s: 120}
    concurrency: 4
  west:
    url: https://api.west.example.com
    dialect: anthropic
    key_env: WEST_KEY
    region: eu-west-1
    retention_days: 0
    retry_ratio: 0.1
  house:
    url: http://10.1.2.3:8000/v1
    dialect: openai
    private: true

models:
  swift:
    upstream: east
    upstream_model: swift-2026-01
    prices:
      - {from: 2026-01-01, input: 1_000_000, output: 4_000_000}
      - {from: 2026-06-01, input: 500_000, output: 2_000_000, cached_input: 50_000}
    context_tokens: 128_000
    output_tokens: 8_192
    capabilities: [tools, streaming, structured_output]
    origin: US
  wise:
    upstream: west
    prices: [{from: 2026-01-01, input: 3_000_000, output: 15_000_000, cache_write: 3_750_000}]
    context_tokens: 200_000
    capabilities: [tools, vision, streaming]
    origin: FR
  own:
    upstream: house
    prices: [{from: 2026-01-01, input: 0, output: 0}]
    context_tokens: 32_768
    capabilities: [streaming]
    region: no
    retention_days: 0

groups:
  chat:
    candidates: [swift, wise, own]
    strategy: cheapest
  spread:
    candidates: [swift, wise]
    strategy: weighted
    weights: {swift: 3, wise: 1}
    max_attempts: 2
    retry_500: true
    fallback: false

policies:
  everyone: {retention_days: 30}
  organisations:
    acme: {regions: [eu, no], barred_origins: [CN]}
  keys:
    cred_1: {retention_days: 0}
"""

ENVIRONMENT = {"EAST_KEY": "sk-east-secret", "WEST_KEY": "sk-west-secret"}


def as_values() -> dict[str, Any]:
    """The file as plain values, to be changed and written again by `as_text`."""
    values: dict[str, Any] = yaml.load(TEXT, Loader=yaml.CBaseLoader)  # makes text alone
    return values


def as_text(values: dict[str, Any]) -> str:
    """JSON, which is YAML too; plain numbers and words as they were."""
    text = json.dumps(values, indent=1, default=str)
    return re.sub(r'"([0-9_]+|true|false|[0-9]+\.[0-9]+)"(?!:)', r"\1", text)


def parsed(text: str = TEXT, models: Models | None = None) -> Routes:
    return parse(text.encode(), models or Models({}), ENVIRONMENT)


def tiers(**of: Tier) -> Models:
    """`models.toml` with a tier for each model."""
    needs = {"programme": "p", "organisation_packs": (), "person_packs": ()}
    return Models({name: ModelFact(model=name, tier=tier, **needs) for name, tier in of.items()})  # type: ignore[arg-type]

"""What `gateway.yaml` may say: its sections and their fields, as they are written. docs/routing.md explains them."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final

import msgspec

from tiergate.admission.known_facts import Price as MicroUsd
from tiergate.admission.known_facts import Tier
from tiergate.gateway.routing.candidates import (
    Capability,
    Days,
    Dialect,
    Origin,
    Region,
    Strategy,
    Timeouts,
)
from tiergate.gateway.routing.requirements import Requirements
from tiergate.records.strict_yaml import BAD, Faults, Node, take

LONGEST_NAME: Final = 256

Name = Annotated[str, msgspec.Meta(pattern=r"^[!-~]+$", max_length=LONGEST_NAME)]
"""Printable ASCII without spaces: it stands in bodies and headers."""

Variable = Annotated[str, msgspec.Meta(pattern=r"^[A-Z_][A-Z0-9_]*$", max_length=128)]
Tokens = Annotated[int, msgspec.Meta(ge=1, le=10**9)]
Weight = Annotated[int, msgspec.Meta(ge=1, le=10**6)]


class UpstreamRow(msgspec.Struct, frozen=True, kw_only=True):
    """``key_env``: the environment variable that holds the key, never the key. ``stream_usage``: whether it may be
    sent `stream_options`, to tell the usage of a stream."""

    url: str
    dialect: Dialect
    key_env: Variable | None = None
    region: Region | None = None
    retention_days: Days | None = None
    private: bool = False
    timeouts: Timeouts = Timeouts()
    stream_usage: bool = True
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 256
    retry_ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.2


class PriceRow(msgspec.Struct, frozen=True, kw_only=True, rename={"from_day": "from"}):
    """Micro-dollars for a million tokens from the start of a day on, UTC."""

    from_day: date
    input: MicroUsd
    output: MicroUsd
    cached_input: MicroUsd | None = None
    cache_write: MicroUsd | None = None
    reasoning: MicroUsd | None = None


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """One of ``prices``, ``list_price`` and ``free``. ``region`` and ``retention_days`` are the upstream's where they
    are not given."""

    upstream: str
    upstream_model: Name | None = None
    prices: list[PriceRow] = []
    list_price: str | None = None
    free: bool = False
    context_tokens: Tokens
    output_tokens: Tokens | None = None
    capabilities: frozenset[Capability] = frozenset()
    region: Region | None = None
    retention_days: Days | None = None
    origin: Origin | None = None


class GroupRow(msgspec.Struct, frozen=True, kw_only=True):
    """``offer``: lower tiers whose candidates an error may name and which are never tried."""

    candidates: list[str]
    strategy: Strategy = "cheapest"
    weights: dict[str, Weight] = {}
    offer: list[Tier] = []
    max_attempts: Annotated[int, msgspec.Meta(ge=1, le=10)] = 3
    retry_500: bool = False
    fallback: bool = True


class PoliciesRow(msgspec.Struct, frozen=True, kw_only=True):
    """Requirements of every request, and of those of an organisation, account or key, by id."""

    everyone: Requirements = Requirements()
    organisations: dict[str, Requirements] = {}
    accounts: dict[str, Requirements] = {}
    keys: dict[str, Requirements] = {}


class Sections(msgspec.Struct, frozen=True):
    """A file whose every value is of the right kind, and where each stands: `where["groups"]["fast"]` is a node."""

    upstreams: dict[str, UpstreamRow]
    models: dict[str, ModelRow]
    groups: dict[str, GroupRow]
    policies: PoliciesRow = PoliciesRow()


def sections(tree: Node, faults: Faults) -> Sections | None:
    """The file's sections, None where ``faults`` were added."""
    taken = take(Sections, tree, "", faults)
    return None if taken is BAD else taken

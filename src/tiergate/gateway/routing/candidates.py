"""Upstreams, the candidates that are reached through them, and the groups that callers name."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

import msgspec
from pydantic import SecretStr

from tiergate.admission.known_facts import Tier
from tiergate.gateway.routing.prices import Price

Capability = Literal["tools", "vision", "structured_output", "streaming"]
CAPABILITIES: Final[tuple[str, ...]] = get_args(Capability)

Dialect = Literal["openai", "anthropic"]
Strategy = Literal["cheapest", "fastest", "weighted", "sticky"]

Region = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
"""`eu`, `us-east-1`. A region lies in every one that its name begins with: `eu-west-1` lies in `eu`."""

Days = Annotated[int, msgspec.Meta(ge=0, le=36_500)]
Origin = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$")]
"""Country that a model was made in, ISO 3166-1 alpha-2. It is about the model, never about who calls it."""

Seconds = Annotated[float, msgspec.Meta(gt=0, le=3_600)]


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Longest waits: for a connection, and for the next bytes of an answer."""

    connect_s: Seconds = 10.0
    read_s: Seconds = 600.0


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """One API under one key, which the environment variable ``key_env`` holds. ``private``: whether its addresses may
    be those of a private network; ``stream_usage``: whether it may be sent `stream_options`."""

    name: str
    url: str
    dialect: Dialect
    key_env: str | None
    key: SecretStr | None
    private: bool
    timeouts: Timeouts
    concurrency: int
    retry_ratio: float
    stream_usage: bool = True


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A model at an upstream. None is not known; ``prices`` ascend by their beginning and are never empty."""

    name: str
    upstream: Upstream
    upstream_model: str
    prices: tuple[Price, ...]
    context_tokens: int
    output_tokens: int | None = None
    capabilities: frozenset[Capability] = frozenset()
    region: str | None = None
    retention_days: int | None = None
    origin: str | None = None
    tier: Tier | None = None


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """What callers name: interchangeable candidates of one tier, in the file's order.

    :param offered: candidates of lower tiers, best first. An error names one of them, none is ever tried.
    :param fallback: whether another candidate is tried where one failed.
    """

    name: str
    candidates: tuple[Candidate, ...]
    offered: tuple[Candidate, ...] = ()
    strategy: Strategy = "cheapest"
    weights: dict[str, int] = {}
    max_attempts: int = 3
    retry_500: bool = False
    fallback: bool = True

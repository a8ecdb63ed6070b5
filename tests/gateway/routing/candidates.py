"""Candidates, groups and requests by lot, and a clock that tests turn by hand."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import strategies as st

from tiergate.gateway.routing.candidates import Candidate, Group, Timeouts, Upstream
from tiergate.gateway.routing.prices import Price
from tiergate.gateway.routing.requirements import Requirements
from tiergate.gateway.routing.strategies import Ask

REGIONS = ("eu", "eu-west-1", "eu-west", "us", "us-east-1", "no")
CAPABILITIES = ("tools", "vision", "structured_output", "streaming")
ORIGINS = ("US", "CN", "FR", "NO")


class HandClock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


class HalfRandom(random.Random):
    """Nothing is left to chance: always the middle."""

    def random(self) -> float:
        return 0.5


def upstream(name: str = "up", **more: Any) -> Upstream:
    fields: dict[str, Any] = {
        "name": name, "url": f"https://{name}.example.com/v1", "dialect": "openai", "key_env": None, "key": None,
        "private": False, "timeouts": Timeouts(), "concurrency": 10, "retry_ratio": 0.2,
    }  # fmt: skip
    return Upstream(**fields | more)


def candidate(name: str, at: str | Upstream | None = None, **more: Any) -> Candidate:
    """``at``: its upstream, one of its own by default."""
    fields: dict[str, Any] = {
        "name": name,
        "upstream": at if isinstance(at, Upstream) else upstream(at or f"up-{name}"),
        "upstream_model": name,
        "prices": (Price(from_us=0, input=1_000_000, output=4_000_000),),
        "context_tokens": 100_000,
    }
    return Candidate(**fields | more)


def group(*candidates: Candidate, **more: Any) -> Group:
    return Group(name="group", candidates=candidates, **more)


def ask(**more: Any) -> Ask:
    return Ask(**{"required": Requirements()} | more)


requirements = st.builds(
    Requirements,
    capabilities=st.frozensets(st.sampled_from(CAPABILITIES)),
    context_tokens=st.integers(0, 10),
    output_tokens=st.integers(0, 5),
    regions=st.none() | st.frozensets(st.sampled_from(REGIONS), max_size=3),
    retention_days=st.none() | st.integers(0, 3),
    barred_origins=st.frozensets(st.sampled_from(ORIGINS), max_size=2),
)


@st.composite
def candidates(draw: st.DrawFn) -> Candidate:
    return candidate(
        draw(st.text("abcdef", min_size=1, max_size=4)),
        draw(st.sampled_from(["up-1", "up-2", "up-3"])),
        prices=(Price(from_us=0, input=draw(st.integers(0, 50)), output=draw(st.integers(0, 50))),),
        context_tokens=draw(st.integers(0, 10)),
        output_tokens=draw(st.none() | st.integers(0, 5)),
        capabilities=draw(st.frozensets(st.sampled_from(CAPABILITIES))),
        region=draw(st.none() | st.sampled_from(REGIONS)),
        retention_days=draw(st.none() | st.integers(0, 3)),
        origin=draw(st.none() | st.sampled_from(ORIGINS)),
    )


fleets = st.lists(candidates(), min_size=1, max_size=6, unique_by=lambda one: one.name)
"""Candidates of different names."""

"""The order in which candidates that qualify are asked. Randomness is an argument, so the same seed orders alike.

- `cheapest`: by expected cost for the request's input, its own limit on the answer, and what an answer typically has.
- `fastest`: by the expected time that was measured, with a share of requests by lot (`speed`).
- `weighted`: by lot, each first in proportion to its weight; the rest are drawn alike (Efraimidis and Spirakis, 2006).
- `sticky`: by rendezvous hashing of the request's affinity (Thaler and Ravishankar, 1998), weighted (Schindelhauer and
  Schomaker, 2005): one prefix or session finds its prompt cache again, and a candidate that comes or goes moves no key
  but its own. Without an affinity it is `weighted`.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Sequence

import msgspec

from tiergate.gateway.routing.candidates import Candidate, Group
from tiergate.gateway.routing.prices import expected_cost, expected_output, price_at
from tiergate.gateway.routing.requirements import Requirements
from tiergate.gateway.routing.speed import EXPLORE, Speed, expected_times


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One request as routing sees it.

    :param input_tokens: of the request, or an estimate; ``max_tokens``: its limit on one answer, None without one.
    :param affinity: from `affinity`; equal ones belong together.
    """

    required: Requirements
    input_tokens: int = 0
    max_tokens: int | None = None
    choices: int = 1
    affinity: bytes | None = None

    @property
    def output_tokens(self) -> int:
        """What all answers together may be expected to have."""
        return expected_output(self.max_tokens, self.choices)


def affinity(
    account_id: str, *, session: str | None = None, cache_key: str | None = None,
    system_text: str | None = None, tool_names: Sequence[str] = (),
) -> bytes | None:  # fmt: skip
    """What a request has in common with those whose prompt cache it can use, 16 bytes; None where it says nothing.

    A session or conversation (`x-session-id`, `previous_response_id`) comes first, then the caller's own name for a
    prefix (`prompt_cache_key`), both of the account's own; then the beginning itself, tools and system text, which
    accounts may share, as providers keep caches by our key.
    """
    for kind, name in (("session", session), ("cache", cache_key)):
        if name:
            return _digest(kind, account_id, name)
    return _digest("prefix", *tool_names, system_text or "") if system_text or tool_names else None


def order(
    group: Group, qualified: Sequence[Candidate], ask: Ask, speed_of: Callable[[Candidate], Speed], now_us: int,
    now_s: float, rng: random.Random,
) -> list[Candidate]:  # fmt: skip
    """All of ``qualified``, the one to ask first in front. Each must have a price at ``now_us``."""
    if len(qualified) < 2:
        return list(qualified)
    if group.strategy == "cheapest":
        return sorted(qualified, key=lambda one: cost(one, ask, now_us))
    if group.strategy == "fastest":
        times = expected_times([speed_of(one) for one in qualified], ask.output_tokens, now_s)
        return _fastest(qualified, times, rng)
    if group.strategy == "sticky" and ask.affinity is not None:
        return _by_lot(qualified, group.weights, [_share(one.name, ask.affinity) for one in qualified])
    return _by_lot(qualified, group.weights, [1.0 - rng.random() for _ in qualified])


def cost(candidate: Candidate, ask: Ask, now_us: int) -> int:
    """Expected cost in pico-dollars. Raises `ValueError` for a candidate without a price at that time."""
    price = price_at(candidate.prices, now_us)
    if price is None:
        raise ValueError(candidate.name)
    return expected_cost(price, ask.input_tokens, ask.output_tokens)


def _fastest(qualified: Sequence[Candidate], times: Sequence[float], rng: random.Random) -> list[Candidate]:
    # The lot first, so that candidates that are equal, as all are at first, share the requests.
    places = rng.sample(range(len(qualified)), len(qualified))
    explored = places[0] if rng.random() < EXPLORE else None
    places.sort(key=lambda place: (place != explored, times[place]))
    return [qualified[place] for place in places]


def _by_lot(qualified: Sequence[Candidate], weights: dict[str, int], lots: Sequence[float]) -> list[Candidate]:
    """By exponential variates of rate ``weight`` made from ``lots`` in (0, 1]: the least is drawn first."""
    keys = [-math.log(lot) / weights.get(one.name, 1) for one, lot in zip(qualified, lots, strict=True)]
    return [qualified[place] for place in sorted(range(len(keys)), key=keys.__getitem__)]


def _share(candidate: str, key: bytes) -> float:
    """A number in (0, 1] that is uniform over keys and independent between candidates."""
    digest = _digest(candidate, key.hex())
    return (int.from_bytes(digest[:8]) + 1) / 2**64


def _digest(*parts: str) -> bytes:
    made = hashlib.blake2b(digest_size=16)
    for part in parts:
        text = part.encode("utf-8", "surrogatepass")
        made.update(len(text).to_bytes(8) + text)
    return made.digest()

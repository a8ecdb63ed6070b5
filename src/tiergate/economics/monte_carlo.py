"""An attack's cost as a distribution: many draws of every uncertain price, the attacker's optimum in each."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from tiergate.catalog.cited import Amount
from tiergate.economics.attack import MODELS, Campaign, Cost, cost_of, drawn
from tiergate.economics.priors import F64, load_priors

DRAWS: Final = 100_000
_SLICE: Final = 8_192
"""Draws that are computed at once: they fit the processor's cache."""


@dataclass(frozen=True, slots=True)
class Quantiles:
    """5th percentile, median and 95th percentile of a distribution."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: F64) -> Quantiles:
        """Of draws, shape ``(n,)``."""
        low, median, high = np.quantile(values, (0.05, 0.5, 0.95)).tolist()
        return cls(low, median, high)


@dataclass(frozen=True, slots=True)
class AttackCost:
    """US dollars: ``total``, without labour, for each exchange, and by item; what the attacker chose. ``resold``: share
    of the exchanges bought from resellers; ``models``: share of draws by model, empty where it is not chosen.
    ``totals`` and ``tokens``: the draws of the whole and of all tokens, resold ones too, each sorted."""

    exchanges: float
    total: Quantiles
    but_labour: Quantiles
    per_exchange: Quantiles
    items: Mapping[str, Quantiles]
    accounts: Quantiles
    exchanges_per_account: Quantiles
    exchanges_per_account_a_day: Quantiles
    resold: Quantiles
    models: Mapping[str, float]
    totals: F64
    tokens: F64
    draws: int
    seed: int

    def share_below(self, amount: float) -> float:
        """Share of draws in which the attack costs ``amount`` US dollars or less."""
        return _share_below(self.totals, amount)

    def tokens_below(self, amount: float) -> float:
        """Share of draws in which the tokens alone cost ``amount`` US dollars or less."""
        return _share_below(self.tokens, amount)


def attack_cost(
    campaign: Campaign, priors: Mapping[str, Amount] | None = None, *, draws: int = DRAWS, seed: int = 1
) -> AttackCost:
    """The cost of ``campaign`` over ``draws`` of the priors; the same seed gives the same draws.

    Raises `InputError` where the campaign cannot be run as it is given.
    """
    cost = drawn_costs(campaign, load_priors() if priors is None else priors, draws=draws, seed=seed)
    total = cost.total
    models = {name: float(np.mean(cost.model == at)) for at, name in enumerate(MODELS)}
    return AttackCost(
        exchanges=campaign.exchanges,
        total=Quantiles.of(total),
        but_labour=Quantiles.of(total - cost.items["labour"]),
        per_exchange=Quantiles.of(total / campaign.exchanges),
        items={name: Quantiles.of(one) for name, one in cost.items.items() if one.any()},
        accounts=Quantiles.of(cost.accounts),
        exchanges_per_account=Quantiles.of(cost.each),
        exchanges_per_account_a_day=Quantiles.of(cost.rate),
        resold=Quantiles.of(cost.resold),
        models=models if campaign.mix == "cheapest" else {},
        totals=np.sort(total),
        tokens=np.sort(cost.items["tokens"] + cost.items["resold tokens"]),
        draws=draws,
        seed=seed,
    )


def _share_below(values: F64, amount: float) -> float:
    return float(np.searchsorted(values, amount, side="right") / len(values))


def drawn_costs(campaign: Campaign, priors: Mapping[str, Amount], *, draws: int, seed: int) -> Cost:
    """The bills of ``draws`` draws. An input's draws are the same in every campaign, so that campaigns compare."""
    streams = {name: np.random.default_rng([seed, zlib.crc32(name.encode())]) for name in campaign.inputs()}
    parts = []
    for start in range(0, draws, _SLICE):
        shape = min(_SLICE, draws - start)
        shares = {name: stream.random(shape) for name, stream in streams.items()}
        parts.append(cost_of(campaign, priors, drawn(campaign, priors, shares)))
    return Cost(
        items={name: np.concatenate([one.items[name] for one in parts]) for name in parts[0].items},
        accounts=np.concatenate([one.accounts for one in parts]),
        each=np.concatenate([one.each for one in parts]),
        rate=np.concatenate([one.rate for one in parts]),
        resold=np.concatenate([one.resold for one in parts]),
        model=np.concatenate([one.model for one in parts]),
    )

"""The founding essay's figures of one extraction, exactly as its arithmetic gives them, and whether they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tiergate.catalog.cited import Amount
from tiergate.catalog.claims import Claim, load_claims
from tiergate.catalog.prices import shipped_prices
from tiergate.economics.attack import Campaign
from tiergate.economics.monte_carlo import DRAWS, AttackCost, attack_cost
from tiergate.economics.priors import load_priors, of_models

CLAIMS: Final = ("campaign_exchanges", "campaign_accounts", "extraction_cost", "training_cost")
TURNS: Final = {"agentic coding": (3_000.0, 1_000.0), "reasoning": (500.0, 2_000.0)}
"""Tokens in and out of an exchange, by its kind; assumptions, as `exchange_input` and `exchange_output` say."""
FAMILY: Final = ("claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-1")
"""A small, a middle and a large model of the vendor that alleged it, on sale on the day it did."""


def claims() -> tuple[Claim, ...]:
    """The claims of the founding essay that are computed with, in the order of `CLAIMS`."""
    return tuple(load_claims().find(name) for name in CLAIMS)


def priors_of_then() -> dict[str, Amount]:
    """The priors at the list prices of the day on which that extraction was disclosed."""
    day = load_claims().find("campaign_exchanges").as_of
    return dict(load_priors()) | of_models(*(shipped_prices().on(name, day) for name in FAMILY))


@dataclass(frozen=True, slots=True)
class Seed:
    """US dollars and ratios as claimed; ``recomputed``: dollars of the tokens at list price, by kind of exchange and
    model; ``estimate``: the same extraction as a Monte Carlo; ``total_below`` and ``tokens_below``: share of draws in
    which it costs the claimed sum or less, in all and for tokens alone; ``credible``: whether the former is 1% or
    more."""

    exchanges: float
    accounts: float
    cost: float
    per_exchange: float
    per_account: float
    exchanges_per_account: float
    training_ratio_low: float
    training_ratio_high: float
    recomputed: Mapping[tuple[str, str], float]
    estimate: AttackCost
    total_below: float
    tokens_below: float

    @property
    def credible(self) -> bool:
        return self.total_below >= 0.01


def seed_figures(priors: Mapping[str, Amount] | None = None, *, draws: int = DRAWS, seed: int = 1) -> Seed:
    """The claimed figures and the Monte Carlo of the same extraction, by the priors `priors_of_then` if none are given;
    the same seed gives the same draws."""
    known = priors_of_then() if priors is None else priors
    (exchanges, _), (accounts, _), (cost, _), training = (_claimed(one) for one in claims())
    campaign = Campaign(exchanges, accounts=accounts, channel="unknown", mix="unknown")
    estimate = attack_cost(campaign, known, draws=draws, seed=seed)
    return Seed(
        exchanges=exchanges,
        accounts=accounts,
        cost=cost,
        per_exchange=cost / exchanges,
        per_account=cost / accounts,
        exchanges_per_account=exchanges / accounts,
        training_ratio_low=training[0] / cost,
        training_ratio_high=training[1] / cost,
        recomputed={
            (kind, model): at_list(exchanges, *turn, *prices)
            for kind, turn in TURNS.items()
            for model, prices in _list_prices(known).items()
        },
        estimate=estimate,
        total_below=estimate.share_below(cost),
        tokens_below=estimate.tokens_below(cost),
    )


def _claimed(claim: Claim) -> tuple[float, float]:
    """Low and high."""
    assert claim.claimed is not None
    return claim.claimed.low, claim.claimed.high


def at_list(exchanges: float, tokens_in: float, tokens_out: float, price_in: float, price_out: float) -> float:
    """US dollars for the tokens of ``exchanges``; prices in dollars per million tokens."""
    return exchanges * (tokens_in * price_in + tokens_out * price_out) / 1e6


def _list_prices(priors: Mapping[str, Amount]) -> Mapping[str, tuple[float, float]]:
    into, out = priors["input_price"], priors["output_price"]
    return {"small": (into.low, out.low), "middle": (into.mode, out.mode), "large": (into.high, out.high)}

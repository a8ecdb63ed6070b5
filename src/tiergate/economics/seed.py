"""The founding essay's figures of one extraction, exactly as its arithmetic gives them, and whether they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from typing import Final

from tiergate.catalog.cited import Amount, read_facts
from tiergate.economics.attack import Campaign
from tiergate.economics.monte_carlo import DRAWS, AttackCost, attack_cost
from tiergate.economics.priors import load_priors

TURNS: Final = {"agentic coding": (3_000.0, 1_000.0), "reasoning": (500.0, 2_000.0)}
"""Tokens in and out of an exchange, by its kind; assumptions, as `exchange_input` and `exchange_output` say."""


@cache
def load_published() -> Mapping[str, Amount]:
    """What was said of that extraction, each with who said it."""
    with as_file(files("tiergate.economics") / "published.toml") as path:
        return read_facts(path, dict[str, Amount])


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
    """The claimed figures and the Monte Carlo of the same extraction; the same seed gives the same draws."""
    known = load_priors() if priors is None else priors
    said = {name: one.mode for name, one in load_published().items()}
    exchanges, accounts, cost = said["exchanges"], said["accounts"], said["cost"]
    campaign = Campaign(exchanges, accounts=accounts, channel="unknown", mix="unknown")
    estimate = attack_cost(campaign, known, draws=draws, seed=seed)
    return Seed(
        exchanges=exchanges,
        accounts=accounts,
        cost=cost,
        per_exchange=cost / exchanges,
        per_account=cost / accounts,
        exchanges_per_account=exchanges / accounts,
        training_ratio_low=said["training_low"] / cost,
        training_ratio_high=said["training_high"] / cost,
        recomputed={
            (kind, model): at_list(exchanges, *turn, *prices)
            for kind, turn in TURNS.items()
            for model, prices in _list_prices(known).items()
        },
        estimate=estimate,
        total_below=estimate.share_below(cost),
        tokens_below=estimate.tokens_below(cost),
    )


def at_list(exchanges: float, tokens_in: float, tokens_out: float, price_in: float, price_out: float) -> float:
    """US dollars for the tokens of ``exchanges``; prices in dollars per million tokens."""
    return exchanges * (tokens_in * price_in + tokens_out * price_out) / 1e6


def _list_prices(priors: Mapping[str, Amount]) -> Mapping[str, tuple[float, float]]:
    into, out = priors["input_price"], priors["output_price"]
    return {"small": (into.low, out.low), "middle": (into.mode, out.mode), "large": (into.high, out.high)}

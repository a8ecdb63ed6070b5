"""The other way round: which account cost, limit or delay of detection makes N exchanges cost what one wants."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from scipy.optimize import brentq

from tiergate.catalog.cited import Amount
from tiergate.economics.attack import Campaign
from tiergate.economics.monte_carlo import drawn_costs
from tiergate.economics.priors import load_priors
from tiergate.errors import InputError

Lever = Literal["account-cost", "limit", "delay"]
RANGES: Final[Mapping[Lever, tuple[float, float, str]]] = {
    "account-cost": (0.001, 10_000_000.0, "USD per account"),
    "limit": (0.1, 100_000.0, "exchanges per account and day"),
    "delay": (0.01, 365.0, "days"),
}
"""What is searched: from, to, unit."""
MOST_USD: Final = 1e15


@dataclass(frozen=True, slots=True)
class Needed:
    """``value`` of ``lever`` in ``unit`` at which the median attack costs ``target`` US dollars; ``now``: as it is."""

    lever: Lever
    value: float
    unit: str
    target: float
    now: float


def needed(
    campaign: Campaign,
    lever: Lever,
    target: float,
    priors: Mapping[str, Amount] | None = None,
    *,
    draws: int = 10_000,
    seed: int = 1,
) -> Needed:
    """Where ``lever`` has to be for ``campaign`` to cost ``target`` US dollars in the median draw.

    Raises `InputError` when it already does, when the lever cannot reach it, and when it does not bear on this
    campaign.
    """
    if not 0 < target <= MOST_USD:
        raise InputError(f"no attack costs that: ask for up to {MOST_USD:g} dollars")
    known = load_priors() if priors is None else priors
    _bears(campaign, lever)

    def median(changed: Campaign) -> float:
        total = drawn_costs(changed, known, draws=draws, seed=seed).total
        return max(float(np.median(total)), 1e-9)  # logarithms of it are taken

    def excess(log_value: float) -> float:
        return math.log(median(_moved(campaign, lever, math.exp(log_value)))) - math.log(target)

    now = median(campaign)
    low, high, unit = RANGES[lever]
    loosest, strictest = (low, high) if lever == "account-cost" else (high, low)
    least = math.exp(excess(math.log(loosest))) * target
    if target <= least:
        raise InputError(f"it costs {least:,.0f} dollars with no such control at all: ask for more than that")
    most = math.exp(excess(math.log(strictest))) * target
    if target > most:
        missed = f"; the {1 - campaign.deployment.recall:.0%} of accounts that are not found carry it"
        raise InputError(
            f"no {lever} makes it cost {target:,.0f} dollars: at {strictest:g} {unit} it is {most:,.0f}"
            f"{missed if lever == 'delay' else ''}; ask for less, or combine controls"
        )
    value = math.exp(brentq(excess, math.log(low), math.log(high), xtol=1e-4))
    return Needed(lever, value, unit, target, now)


def _bears(campaign: Campaign, lever: Lever) -> None:
    if campaign.deployment.evasion is not None:
        raise InputError("the red team's multiplier holds for the controls that it measured: leave its file out here")
    if lever == "account-cost" and campaign.deployment.identity_check:
        raise InputError("what an account costs includes its identity check: leave the check out")
    if lever == "delay" and not campaign.deployment.recall:
        raise InputError("a delay means something where something is detected: give the recall of your detection too")
    if lever != "account-cost" and campaign.accounts is not None:
        raise InputError(f"with a number of accounts a {lever} changes nothing but whether they can: leave it out")


def _moved(campaign: Campaign, lever: Lever, value: float) -> Campaign:
    here = campaign.deployment
    if lever == "account-cost":
        here = replace(here, account_cost=value)
    elif lever == "limit":
        here = replace(here, limit=value)
    else:
        here = replace(here, delay=value)
    return replace(campaign, deployment=here)

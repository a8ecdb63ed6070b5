"""What each uncertain input does to an attack's cost by itself: low or high, with all others at their medians."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tiergate.catalog.cited import Amount
from tiergate.economics.attack import Campaign, cost_of, drawn


@dataclass(frozen=True, slots=True)
class Swing:
    """US dollars of the attack with one input at its 5th and at its 95th percentile."""

    name: str
    at_low: float
    at_high: float


def swing(campaign: Campaign, priors: Mapping[str, Amount], name: str) -> Swing:
    """Of one input. Raises `InputError` where the campaign cannot be run as it is given."""
    shares = {name: np.array([0.05, 0.95])}
    if name == "reseller_share" and campaign.channel == "unknown":
        shares["channel"] = np.zeros(2)  # what a reseller asks bears on whoever buys from one
    low, high = cost_of(campaign, priors, drawn(campaign, priors, shares)).total.tolist()
    return Swing(name, low, high)


def swings(campaign: Campaign, priors: Mapping[str, Amount]) -> list[Swing]:
    """Of all inputs, the widest first."""
    found = [swing(campaign, priors, name) for name in campaign.inputs()]
    return sorted(found, key=lambda one: -abs(np.log(one.at_high / one.at_low)))

"""What access control can protect at most: until others give away the same, and only if extraction would be sooner.

A control that keeps a capability in keeps it only until an equal model is open to everyone. It buys the months between
the day an undefended extraction would be usable, collected and trained on, and the day of that outside option::

    bought = min(outside, extraction + slowed) - min(outside, extraction)

where a control that nobody gets past slows an extraction for ever. Months are counted from the day the
capability is first served. When open weights catch up is drawn from how long they took before, as `lag` measures it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from tiergate.catalog.cited import Amount
from tiergate.catalog.scores import Vintage, shipped
from tiergate.economics.lag import Definition, lags
from tiergate.economics.monte_carlo import DRAWS, Quantiles
from tiergate.economics.priors import F64, load_priors, quantile
from tiergate.errors import InputError

DAYS_A_MONTH: Final = 365.25 / 12
INPUTS: Final = ("open_lag", "rival_lag", "campaign_days", "student_training")


@dataclass(frozen=True, slots=True)
class Others:
    """What others give: ``months`` until they have what the leader has, from 5% to 95% of what was measured, and the
    ``points`` of Epoch's index by which they are behind at a time, on the average."""

    months: Amount
    points: float


def others(
    vintage: Vintage | None = None, follower: str = "open", leader: str = "closed", definition: Definition = "strict"
) -> Others:
    """When ``follower`` catches up with ``leader``, by the lags of the past in ``vintage``, the shipped one when None.

    Raises `InputError` for groups or a definition that the vintage does not permit.
    """
    scores = shipped() if vintage is None else vintage
    found = {one.definition: one for one in lags(scores, follower, leader, resamples=0)}
    one = found.get(definition)
    if one is None or one.unit != "months":
        allowed = ", ".join(name for name, each in found.items() if each.unit == "months")
        raise InputError(f"vintage `{scores.name}` has no lag in months by `{definition}`: give one of {allowed}")
    low, high = max(one.least, 0.0), max(one.most, 0.0)
    months = Amount(
        low=low,
        mode=min(max(one.value, low), high),
        high=high,
        unit="months",
        as_of=one.as_of,
        source=f"{follower} behind {leader}, {definition}, by `tiergate economics lag`: {scores.source}, {scores.name}",
        licence=scores.licence,
        note="mean, and 5% to 95% of what it is the mean of",
    )
    return Others(months, found["vertical"].value)


@dataclass(frozen=True, slots=True)
class Bought:
    """Against one outside option. Months: until it is there (``outside``), until an undefended extraction is usable
    (``extraction``), and ``bought``; ``nothing``: share of draws in which control buys no time; ``worth``: US dollars,
    None without a value of a month."""

    option: str
    outside: Quantiles
    extraction: Quantiles
    bought: Quantiles
    nothing: float
    worth: Quantiles | None


def bound(
    priors: Mapping[str, Amount] | None = None,
    *,
    follower: str = "open",
    slowed_days: float = np.inf,
    month_worth: float | None = None,
    draws: int = DRAWS,
    seed: int = 1,
) -> list[Bought]:
    """The bound against models of ``follower`` alone, and against a rival's public model too.

    :param priors: with ``open_lag`` among them, `Others.months` of that follower.
    :param slowed_days: days by which the control delays an extraction; infinite for one that nobody gets past.
    :param month_worth: US dollars that a month of exclusivity is worth to whoever asks.
    Raises `InputError` for negative numbers.
    """
    if not slowed_days >= 0 or (month_worth is not None and not 0 <= month_worth < np.inf):
        raise InputError("give days and dollars of 0 or more")
    known = dict(load_priors()) | {"open_lag": others().months} if priors is None else priors
    rng = np.random.default_rng(seed)
    values = {name: quantile(known[name], rng.random(draws)) for name in INPUTS}
    extraction = values["campaign_days"] / DAYS_A_MONTH + values["student_training"]
    options = {
        f"{follower} models": values["open_lag"],
        f"{follower} models, or a rival's public one": np.minimum(values["open_lag"], values["rival_lag"]),
    }
    slowed = slowed_days / DAYS_A_MONTH
    return [_bought(name, outside, extraction, slowed, month_worth) for name, outside in options.items()]


def _bought(option: str, outside: F64, extraction: F64, slowed: float, month_worth: float | None) -> Bought:
    months = np.minimum(outside, extraction + slowed) - np.minimum(outside, extraction)
    return Bought(
        option=option,
        outside=Quantiles.of(outside),
        extraction=Quantiles.of(extraction),
        bought=Quantiles.of(months),
        nothing=float(np.mean(months <= 0)),
        worth=None if month_worth is None else Quantiles.of(months * month_worth),
    )

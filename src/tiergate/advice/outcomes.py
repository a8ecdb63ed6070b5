"""What an accepted outcome costs, arm by arm, and whether one arm is cheaper than another.

An outcome is a piece of work with a verdict: accepted or not. It cost what its exchanges cost, and what people spent on
it besides. The cost of an accepted outcome is the ratio of two means, cost and acceptance, over the outcomes of an arm;
its interval is Fieller's (Fieller 1954, J. R. Stat. Soc. B 16:175-185), which stays right where few are accepted, and
is then without an end. Arms are compared by the logarithm of the ratio of their costs, with its variance by the delta
method; acceptance by Newcombe's hybrid score interval (Newcombe 1998, Stat. Med. 17:873-890, method 10).

A difference between arms says what made it only where chance dealt the work out. That it was not so is tested where the
intended shares are given (a chi-square test of the counts).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
from scipy import stats

from tiergate.errors import InputError

READ: Final = ("exchange_id", "started_at", "cost_micro_usd", "status")
"""Columns of the exchange log that are read."""
UNEVEN: Final = 0.001
"""A p-value below which counts do not fit the intended shares: strict, as each look at an experiment asks anew."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of work. ``exchange_ids``: those that went into it; ``other_usd``: what people's time on it cost."""

    outcome_id: str
    accepted: bool
    arm: str = "all"
    exchange_ids: tuple[str, ...] = ()
    other_usd: float = 0.0


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """An arm's figures, money in USD. ``cost``: of an accepted outcome, None where none was accepted; ``high`` None
    where the interval has no end. ``missing``: exchanges that no log has, ``unpriced``: that have no cost there."""

    arm: str
    outcomes: int
    accepted: int
    exchanges: int
    model_usd: float
    other_usd: float
    cost: float | None
    low: float | None
    high: float | None
    missing: int
    unpriced: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """An arm against another. ``ratio``: its cost of an accepted outcome by the other's, with its interval;
    ``acceptance``: difference in the share accepted. ``needed``: outcomes in each arm to see a difference of ``effect``
    in nine cases of ten where ``power`` is 0.9; None where nothing was accepted. ``uneven``: the p-value of the counts
    under the intended shares."""

    arm: str
    against: str
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    p_value: float | None
    acceptance: float
    acceptance_low: float
    acceptance_high: float
    effect: float
    needed: int | None
    uneven: float | None


class Costs(msgspec.Struct, frozen=True):
    """Outcomes with what they cost: arrays of one element an outcome. ``usd`` is all of it, ``model_usd`` a part."""

    usd: np.ndarray
    model_usd: np.ndarray
    accepted: np.ndarray
    exchanges: int
    missing: int
    unpriced: int


def costs_by_arm(outcomes: Sequence[Outcome], batches: Iterable[pa.RecordBatch]) -> dict[str, Costs]:
    """Outcomes joined with the exchange log (columns `READ`), by arm in order of name.

    Raises `InputError` for an outcome that comes twice, or an exchange that two outcomes claim.
    """
    owner: dict[str, int] = {}
    seen: set[str] = set()
    for place, one in enumerate(outcomes):
        if one.outcome_id in seen:
            raise InputError(f"the outcome `{one.outcome_id}` comes twice")
        seen.add(one.outcome_id)
        for exchange_id in one.exchange_ids:
            if owner.setdefault(exchange_id, place) != place:
                raise InputError(f"two outcomes claim the exchange `{exchange_id}`: its cost can count once")
    cost = np.zeros(len(outcomes))
    found, unpriced = np.zeros(len(outcomes), int), np.zeros(len(outcomes), int)
    taken: set[str] = set()
    for batch in batches:
        columns = (batch.column(name).to_pylist() for name in ("exchange_id", "cost_micro_usd", "status"))
        for exchange_id, micro_usd, status in zip(*columns, strict=True):
            place_of = owner.get(exchange_id)
            if place_of is None or exchange_id in taken:
                continue
            taken.add(exchange_id)
            found[place_of] += 1
            cost[place_of] += (micro_usd or 0) / 1_000_000
            unpriced[place_of] += micro_usd is None and status < 400
    other = np.array([one.other_usd for one in outcomes])
    wanted = np.array([len(set(one.exchange_ids)) for one in outcomes], int)
    accepted = np.array([one.accepted for one in outcomes])
    arms = np.array([one.arm for one in outcomes])
    return {
        str(arm): Costs(
            (cost + other)[arms == arm], cost[arms == arm], accepted[arms == arm], int(found[arms == arm].sum()),
            int((wanted - found)[arms == arm].sum()), int(unpriced[arms == arm].sum()),
        )
        for arm in np.unique(arms)
    }  # fmt: skip


def arm_figures(name: str, costs: Costs, level: float = 0.95) -> Arm:
    """The figures of one arm, with its interval at ``level``."""
    ratio, low, high = _fieller(costs, level)
    return Arm(
        arm=name, outcomes=len(costs.usd), accepted=int(costs.accepted.sum()), exchanges=costs.exchanges,
        model_usd=float(costs.model_usd.sum()), other_usd=float((costs.usd - costs.model_usd).sum()),
        cost=ratio, low=low, high=high, missing=costs.missing, unpriced=costs.unpriced,
    )  # fmt: skip


def compare(
    arms: Mapping[str, Costs],
    arm: str,
    against: str,
    *,
    intended: Mapping[str, float] | None = None,
    effect: float = 0.1,
    power: float = 0.9,
    level: float = 0.95,
) -> Comparison:
    """``arm`` against ``against``. ``intended``: the share of outcomes that each arm was meant to get.

    Raises `InputError` for an arm that there is not, or an effect that is none.
    """
    for name in (arm, against):
        if name not in arms:
            raise InputError(f"no outcome is of the arm `{name}`: there are {', '.join(arms)}")
    if not 0 < abs(effect) < 1:
        raise InputError("an effect to be seen is above 0 and below 1, as 0.1 for a tenth")
    one, other = arms[arm], arms[against]
    z = float(stats.norm.ppf(0.5 + level / 2))
    ratio = low = high = p_value = needed = None
    log_one, log_other = _log_ratio(one), _log_ratio(other)
    if log_one is not None and log_other is not None:
        difference = log_one[0] - log_other[0]
        deviation = math.sqrt(log_one[1] / len(one.usd) + log_other[1] / len(other.usd))
        ratio, low, high = (math.exp(difference + step * deviation) for step in (0, -z, z))
        p_value = float(2 * stats.norm.sf(abs(difference) / deviation)) if deviation else 1.0
        both = z + float(stats.norm.ppf(power))
        needed = math.ceil((both / math.log1p(effect)) ** 2 * (log_one[1] + log_other[1]))
    acceptance, least, most = _newcombe(one.accepted, other.accepted, z)
    return Comparison(
        arm=arm, against=against, ratio=ratio, ratio_low=low, ratio_high=high, p_value=p_value,
        acceptance=acceptance, acceptance_low=least, acceptance_high=most, effect=effect, needed=needed,
        uneven=_uneven(arms, intended),
    )  # fmt: skip


def _fieller(costs: Costs, level: float) -> tuple[float | None, float | None, float | None]:
    """Mean cost by mean acceptance, and Fieller's interval; no upper end where acceptance may be none."""
    n, mean_cost, mean_accepted = len(costs.usd), float(costs.usd.mean()), float(costs.accepted.mean())
    if n < 2 or mean_accepted == 0:
        return None, None, None
    ratio = mean_cost / mean_accepted
    covariance = np.cov(costs.usd, costs.accepted.astype(float)) / n
    t = float(stats.t.ppf(0.5 + level / 2, n - 1))
    a = mean_accepted**2 - t**2 * covariance[1, 1]
    b = mean_cost * mean_accepted - t**2 * covariance[0, 1]
    c = mean_cost**2 - t**2 * covariance[0, 0]
    inside = max(b * b - a * c, 0.0)
    if a <= 0:
        # Acceptance does not differ from none: the cost may be anything from here on.
        return ratio, float(max((b - math.sqrt(inside)) / a if a else 0.0, 0.0)) if a else 0.0, None
    low, high = (b - math.sqrt(inside)) / a, (b + math.sqrt(inside)) / a
    return ratio, float(max(low, 0.0)), float(high)


def _log_ratio(costs: Costs) -> tuple[float, float] | None:
    """Logarithm of the cost of an accepted outcome, and the variance of one outcome's part in it (delta method)."""
    mean_cost, mean_accepted = float(costs.usd.mean()), float(costs.accepted.mean())
    if len(costs.usd) < 2 or mean_cost <= 0 or mean_accepted == 0:
        return None
    parts = costs.usd / mean_cost - costs.accepted / mean_accepted
    return math.log(mean_cost / mean_accepted), float(parts.var(ddof=1))


def _newcombe(one: np.ndarray, other: np.ndarray, z: float) -> tuple[float, float, float]:
    (share, low, high), (base, base_low, base_high) = (_wilson(int(each.sum()), len(each), z) for each in (one, other))
    difference = share - base
    return (
        difference,
        difference - math.hypot(share - low, base_high - base),
        difference + math.hypot(high - share, base - base_low),
    )


def _wilson(hits: int, n: int, z: float) -> tuple[float, float, float]:
    share = hits / n
    middle, spread = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return share, (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)


def _uneven(arms: Mapping[str, Costs], intended: Mapping[str, float] | None) -> float | None:
    if intended is None:
        return None
    if set(intended) != set(arms) or min(intended.values()) <= 0:
        raise InputError(f"intended shares are needed of each arm: {', '.join(arms)}")
    counts = np.array([len(arms[name].usd) for name in intended])
    shares = np.array(list(intended.values()))
    return float(stats.chisquare(counts, counts.sum() * shares / shares.sum()).pvalue)

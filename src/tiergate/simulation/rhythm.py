"""When accounts ask: people in sittings within their own hours, machines at their own beat."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from tiergate.clock import DAY, HOUR, MINUTE, SECOND

I64 = npt.NDArray[np.int64]


def sittings(
    rng: np.random.Generator, count: int, days: float, *, hour: float, spread_h: float, turns: float, weekend: float
) -> I64:
    """Times (count,) of a person, in microseconds from the world's start (a Monday, 00:00 UTC).

    :param hour: middle of the person's day, UTC. :param spread_h: standard deviation of sittings around it.
    :param turns: mean messages of a sitting. :param weekend: chance that a sitting planned for a weekend happens.
    """
    times: list[I64] = [np.empty(0, np.int64)]
    left = count
    while left > 0:
        day = int(rng.integers(0, max(int(days), 1)))
        if day % 7 >= 5 and rng.random() > weekend:
            continue
        start = day * DAY + int(((hour + rng.normal(0, spread_h)) % 24) * HOUR)
        size = min(left, 1 + int(rng.geometric(1 / turns)))
        # Reading and typing between turns: log-normal, median a minute and a half.
        gaps = rng.lognormal(np.log(90), 0.9, size) * SECOND
        times.append(start + np.cumsum(gaps).astype(np.int64) - int(gaps[0]))
        left -= size
    return np.minimum(np.sort(np.concatenate(times)), int(days * DAY) - 1)


def steady(rng: np.random.Generator, count: int, start: int, end: int, *, noise: float) -> I64:
    """Times (count,) around the clock between ``start`` and ``end``, with hourly rates that vary by ``noise``."""
    hours = np.arange(start, end, HOUR)
    rates = np.exp(rng.normal(0, noise, len(hours)))
    chosen = rng.choice(len(hours), count, p=rates / rates.sum())
    return np.sort(np.minimum(hours[chosen] + rng.integers(0, HOUR, count), end - 1))


def timetable(rng: np.random.Generator, count: int, days: float) -> I64:
    """Times (count,) of a scheduled job: a burst at the same hours every day."""
    runs = rng.choice(24, int(rng.integers(1, 5)), replace=False)
    day = rng.integers(0, max(int(days), 1), count)
    return np.sort(day * DAY + rng.choice(runs, count) * HOUR + (rng.exponential(4, count) * MINUTE).astype(np.int64))


def shaped(rng: np.random.Generator, count: int, days: float, weights: npt.NDArray[np.float64], window_us: int) -> I64:
    """Times (count,) drawn from a measured load: ``weights`` (windows,) of windows of ``window_us``, repeated."""
    lap = len(weights) * window_us
    laps = max(int(days * DAY) // lap, 1)
    window = rng.choice(len(weights), count, p=weights / weights.sum())
    times = rng.integers(0, laps, count) * lap + window * window_us + rng.integers(0, window_us, count)
    return np.sort(np.minimum(times, int(days * DAY) - 1))


UTC_OFFSETS: Final[dict[str, tuple[float, ...]]] = {
    "US": (-4, -4, -4, -5, -5, -7),
    "IN": (5.5,),
    "DE": (2,),
    "BR": (-3,),
    "GB": (1,),
    "JP": (9,),
    "FR": (2,),
    "CN": (8,),
    "SG": (8,),
    "KR": (9,),
    "ES": (2,),
    "NL": (2,),
    "PL": (2,),
    "VN": (7,),
    "MX": (-6,),
    "CA": (-4, -4, -4, -6, -7),
}
"""Hours ahead of UTC in September, by country; a zone with more people is listed more often."""


def resident(rng: np.random.Generator, count: int, days: float, country: str, turns: float = 3.5) -> I64:
    """Times (count,) of somebody who lives in ``country``: mornings, afternoons or evenings there.

    Where the country has no known hours, the person may live anywhere.
    """
    offsets = UTC_OFFSETS.get(country)
    offset = float(rng.uniform(-8, 10)) if offsets is None else offsets[rng.integers(len(offsets))]
    # At work, after lunch, or after dinner; a late evening runs past midnight.
    local = float(rng.choice((10.5, 14.5, 20.5), p=(0.35, 0.3, 0.35)) + rng.normal(0, 1.3))
    spread, weekend = float(rng.uniform(1.2, 3.2)), float(rng.uniform(0.2, 1))
    return sittings(rng, count, days, hour=local - offset, spread_h=spread, turns=turns, weekend=weekend)

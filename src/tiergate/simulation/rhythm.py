"""When accounts ask: people in sittings within their own hours, machines at their own beat."""

from __future__ import annotations

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

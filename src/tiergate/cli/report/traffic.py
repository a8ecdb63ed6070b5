"""Counts of exchanges over time and by hour, for a case against everyone else, in one pass over the log."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tiergate.clock import DAY, HOUR

Counts = npt.NDArray[np.int64]

BINS: Final = ((HOUR, "hour"), (6 * HOUR, "six hours"), (DAY, "day"), (7 * DAY, "week"))
MOST_BINS: Final = 180


@dataclass(frozen=True)
class Traffic:
    """Exchanges of one case and of the rest: per bin of time from ``starts`` (microseconds), and by hour (24,)."""

    starts: Counts
    bin_name: str
    case: Counts
    rest: Counts
    case_hours: Counts
    rest_hours: Counts


def traffic_by_case(batches: Iterable[pa.RecordBatch], members: dict[str, set[str]]) -> dict[str, Traffic]:
    """Count the log's exchanges for each case of ``members`` (case id to account ids); none for an empty log."""
    account_cases: dict[str, list[int]] = {}
    for number, accounts in enumerate(members.values()):
        for account in accounts:
            account_cases.setdefault(account, []).append(number)
    everyone: dict[int, int] = {}
    by_case: list[dict[int, int]] = [{} for _ in members]
    known = pa.array(list(account_cases), pa.string())
    for batch in batches:
        hours = np.asarray(batch.column("started_at").cast(pa.int64())) // HOUR
        _add(everyone, hours)
        found = pc.index_in(batch.column("account_id"), value_set=known)
        place = np.asarray(found.fill_null(-1))
        for index in np.unique(place[place >= 0]):
            for number in account_cases[known[int(index)].as_py()]:
                _add(by_case[number], hours[place == index])
    if not everyone:
        return {}
    return {case_id: _binned(by_case[number], everyone) for number, case_id in enumerate(members)}


def _add(total: dict[int, int], hours: Counts) -> None:
    for hour, count in zip(*np.unique(hours, return_counts=True), strict=True):
        total[int(hour)] = total.get(int(hour), 0) + int(count)


def _binned(case: dict[int, int], everyone: dict[int, int]) -> Traffic:
    first, last = min(everyone), max(everyone) + 1
    width, name = next((b for b in BINS if (last - first) * HOUR / b[0] <= MOST_BINS), BINS[-1])
    step = width // HOUR
    start = first // step * step
    bins = (last - start + step - 1) // step
    over, hours = np.zeros((2, bins), np.int64), np.zeros((2, 24), np.int64)
    for side, counted in enumerate((case, everyone)):
        for hour, count in counted.items():
            over[side, (hour - start) // step] += count
            hours[side, hour % 24] += count
    starts = (start + step * np.arange(bins, dtype=np.int64)) * HOUR
    return Traffic(starts, name, over[0], over[1] - over[0], hours[0], hours[1] - hours[0])

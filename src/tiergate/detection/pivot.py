"""Pivot synchrony: did a group turn to a new model together?

Of accounts that were there before a model came out and after, the share that turned to it within a day is compared
with customers of like volume: heavy users try a new model sooner than others. Turning is evidence of the links already
(a token of lifecycle, weighed by how rare it is), so the test is reported with its p-value and adds nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tiergate.clock import DAY
from tiergate.detection.intake import Traffic

I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

DRAWS: Final = 1_999
FEWEST: Final = 5
"""Members who could have turned, below which there is no synchrony to speak of."""


@dataclass(frozen=True, slots=True)
class Release:
    """Of one new model: accounts (accounts,) that ``could`` turn to it, being there before and after, and that
    ``did`` within a day."""

    model: str
    could: Mask
    did: Mask


@dataclass(frozen=True, slots=True)
class Synchrony:
    """How a group answered the release that most of it turned to: the share of its ``could`` accounts that did, the
    share of customers of like volume, and the probability that as many of those would."""

    model: str
    share: float
    usual: float
    p_value: float


def releases_seen(traffic: Traffic, releases: pa.Table | None) -> list[Release]:
    """Releases (rows of `MODEL_RELEASE_SCHEMA`) that fall into the log and whose model is asked for in it."""
    seen: list[Release] = []
    accounts = len(traffic.account_ids)
    asked = traffic.columns["request_model"]
    for row in releases.to_pylist() if releases else []:
        released = int(row["released_at"].timestamp() * 1_000_000)
        code = pc.index(asked.values, row["model"]).as_py()
        if code < 0 or not traffic.time_us[0] < released <= traffic.time_us[-1]:
            continue
        before, after, soon = np.zeros((3, accounts), bool)
        before[traffic.account[traffic.time_us < released]] = True
        after[traffic.account[traffic.time_us >= released]] = True
        turning = (traffic.time_us >= released) & (traffic.time_us < released + DAY) & (asked.code == code)
        soon[traffic.account[turning]] = True
        seen.append(Release(row["model"], before & after, before & soon))
    return seen


def synchrony(members: I64, releases: list[Release], stratum: I64, rng: np.random.Generator) -> Synchrony | None:
    """Test ``members`` against customers of the same ``stratum`` (accounts,); None where too few could have turned."""
    tests = [(members[one.could[members]], one) for one in releases]
    tests = [(able, one) for able, one in tests if len(able) >= FEWEST]
    if not tests:
        return None
    able, one = max(tests, key=lambda test: (int(test[1].did[test[0]].sum()), test[1].model))
    number = np.bincount(stratum[one.could], minlength=int(stratum.max()) + 1)
    turned = np.bincount(stratum[one.did], minlength=int(stratum.max()) + 1)
    rate = (turned / np.maximum(number, 1))[stratum[able]]
    count = int(one.did[able].sum())
    drawn = (rng.random((DRAWS, len(able))) < rate).sum(axis=1)
    p = (int((drawn >= count).sum()) + 1) / (DRAWS + 1)
    return Synchrony(one.model, count / len(able), float(rate.mean()), p)

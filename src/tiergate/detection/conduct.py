"""Conduct: how an account behaves, in classes coarse enough that accounts which behave alike share them.

Each class is a token like any other and weighs by how rare it is. Joint classes (hours and evenness together) carry
their joint frequency, so that what commonly goes together is not counted twice.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from tiergate.clock import DAY, HOUR
from tiergate.detection.intake import Traffic
from tiergate.detection.pivot import Release

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
Token = tuple[str, I64, I64]
"""A kind's name, accounts (k,) and their class (k,)."""

TIMING_MINIMUM: Final = 12
"""Exchanges an account needs before its hours and gaps say anything."""


def timing(traffic: Traffic) -> list[Token]:
    """Hours kept and evenness of gaps; accounts with too little traffic have neither."""
    accounts = len(traffic.account_ids)
    account, time = traffic.account[traffic.rows_of], traffic.time_us[traffic.rows_of]
    total = np.diff(traffic.edge)
    kept = np.zeros((accounts, 8), bool)
    kept[account, (time // (3 * HOUR)) % 8] = True
    covered = kept.sum(axis=1)
    same = account[1:] == account[:-1]
    gap, owner = np.diff(time)[same].astype(np.float64), account[1:][same]
    number = np.maximum(np.bincount(owner, minlength=accounts), 1)
    mean = np.bincount(owner, gap, minlength=accounts) / number
    square = np.bincount(owner, gap * gap, minlength=accounts) / number
    variation = np.sqrt(np.maximum(square - mean * mean, 0)) / np.maximum(mean, 1)
    # An even hand has variation 1 (exponential gaps); people, who come and go, reach 2 to 6.
    evenness = np.digitize(variation, [0.6, 1.15, 1.5, 2.0, 3.0])
    some = np.flatnonzero(total >= TIMING_MINIMUM)
    return [
        ("hours kept", some, covered[some]),
        ("evenness of gaps", some, evenness[some]),
        ("hours with evenness", some, covered[some] * 8 + evenness[some]),
    ]


def lifecycle(traffic: Traffic, account: I64, created: I64) -> list[Token]:
    """Week of arrival and use by day against days since; ``created`` (k,) microseconds, of accounts ``account``."""
    time = traffic.time_us[traffic.rows_of]
    first, last = time[traffic.edge[:-1]], time[traffic.edge[1:] - 1]
    start = traffic.time_us[0]
    everyone = np.arange(len(first))
    day = (time - start) // DAY
    # Each account's exchanges are in order of time: a day is another one where it changes.
    fresh = np.append(True, day[1:] != day[:-1])
    fresh[traffic.edge[:-1]] = True
    active = np.add.reduceat(fresh, traffic.edge[:-1], dtype=np.int64)
    volume = np.diff(traffic.edge).astype(np.int64)
    span = np.maximum((last - first) // DAY + 1, 1)
    pace = np.log2(np.maximum(volume / span, 0.25)).round().astype(np.int64) + 2
    presence = (4 * active // span).clip(0, 4)
    enough = volume >= 3
    tokens = [
        ("day of first use", everyone, (first - start) // DAY),
        ("pace and presence", everyone[enough], (pace * 5 + presence)[enough]),
    ]
    if len(account):
        week = (created - created.min()) // (7 * DAY)
        tokens.append(("week of sign-up", account, week))
        # Eight weeks hold a campaign's whole intake; with the pace, they hold few others.
        lived = enough[account]
        joint = (week // 2) * 128 + pace[account].clip(0, 24) * 5 + presence[account]
        tokens.append(("fortnight of sign-up with pace", account[lived], joint[lived]))
    return tokens


def pivots(releases: list[Release]) -> list[Token]:
    """Accounts that turned to a new model within a day of its release: the last such model, once each."""
    if not releases:
        return []
    turned = np.full(len(releases[0].did), -1, np.int64)
    for number, one in enumerate(releases):
        turned[one.did] = number
    some = np.flatnonzero(turned >= 0)
    return [("new model within a day", some, turned[some])]


def subjects(coherence: F64) -> list[Token]:
    """How coherent an account's subjects are, in steps of a nat: dealt-out accounts are not."""
    known = np.flatnonzero(~np.isnan(coherence))
    return [("range of subjects", known, np.clip(coherence[known] + 1.5, 0, 7).astype(np.int64))]

"""Ties between cases: two pools of one actor share what strangers do not.

A campaign that is banned comes back with fresh accounts. When the pools are described apart, rare evidence that both
hold ties them: for every token that tells one case, how often the other's members hold it against all others. Of each
cause the strongest counts, as for links. When one pool falls silent and the other starts, the tie says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tiergate.clock import HOUR
from tiergate.detection.cases import Case
from tiergate.detection.families import CAUSES
from tiergate.detection.holdings import Holdings
from tiergate.detection.intake import Traffic

I64 = npt.NDArray[np.int64]

LEAST_ODDS: Final = 4.0
"""Nats of a tie: fifty to one, for two cases that are each significant by themselves."""

COMMON: Final = 0.2
"""Share of either case's members who must hold a token before it can tie them."""

SUCCESSION_US: Final = 48 * HOUR

TIES_SCHEMA: Final = pa.schema(
    [
        ("case_a", pa.string()),
        ("case_b", pa.string()),
        ("log_odds", pa.float64()),
        ("families", pa.list_(pa.string())),
        ("succession_hours", pa.float64()),
        ("explanation", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Shared:
    """The token of one family that ties two cases most: its ``kind``, ``odds`` in nats, and who holds it."""

    family: str
    kind: str
    odds: float
    text: str


def tie(cases: list[Case], holdings: Holdings, traffic: Traffic) -> pa.Table:
    """The table `case_ties`: pairs of cases that share rare evidence, strongest first."""
    rows: list[tuple[float, dict[str, object]]] = []
    for one, other in combinations(sorted(cases, key=lambda case: case.case_id), 2):
        shared = _shared(one, other, holdings)
        odds = sum(best.odds for best in shared)
        if odds < LEAST_ODDS:
            continue
        hours = _succession(one, other, traffic)
        text = "; ".join(best.text for best in shared)
        if hours is not None:
            text += (
                f"; the later one starts {abs(hours):.1f} hours {'after' if hours >= 0 else 'before'} the earlier ends"
            )
        row: dict[str, object] = {
            "case_a": one.case_id,
            "case_b": other.case_id,
            "log_odds": odds,
            "families": [best.family for best in shared],
            "succession_hours": hours,
            "explanation": text,
        }
        rows.append((odds, row))
    rows.sort(key=lambda row: -row[0])
    return pa.Table.from_pylist([row for _, row in rows], TIES_SCHEMA)


def _shared(one: Case, other: Case, holdings: Holdings) -> list[Shared]:
    """The strongest shared token of each cause; conduct is common among machines and ties nobody by itself."""
    found = []
    for cause, families in CAUSES.items():
        if cause == "conduct":
            continue
        best = [_strongest(name, one, other, holdings) for name in families if name in holdings.families]
        some = [one for one in best if one is not None]
        if some:
            found.append(max(some, key=lambda shared: shared.odds))
    return sorted(found, key=lambda shared: -shared.odds)


def _strongest(name: str, one: Case, other: Case, holdings: Holdings) -> Shared | None:
    family = holdings.families[name]
    share, theirs, rest = [], np.diff(family.held.indptr), holdings.accounts
    for case in (one, other):
        members = case.finding.cluster.members
        count = np.bincount(family.tokens(members)[0], minlength=len(theirs))
        share.append(count / len(members))
        theirs, rest = theirs - count, rest - len(members)
    least, most = np.minimum(*share), np.maximum(*share)
    # How common a thing is among everybody else: a large campaign makes its own instruction common on the platform.
    usual = (np.maximum(theirs, 0) + 0.5) / (max(rest, 0) + 1)
    odds = np.log(np.maximum(least, 1e-9) / usual)
    # One shared card is telling however few hold it, as long as it is rare enough that chance would not bring it.
    odds = np.where(most >= COMMON, odds, odds / 2)
    best = int(np.argmax(odds))
    if odds[best] <= 1:
        return None
    kind = family.kinds[family.kind[best]]
    text = (
        f"{share[0][best]:.0%} and {share[1][best]:.0%} of their accounts share one {kind}, "
        f"held by {usual[best]:.2%} of all others"
    )
    return Shared(name, kind, float(odds[best]), text)


def _succession(one: Case, other: Case, traffic: Traffic) -> float | None:
    """Hours from the end of the earlier case's traffic to the start of the later's, None unless one follows."""
    first, second = sorted((one, other), key=lambda case: int(traffic.time_us[case.rows[0]]))
    # A tenth of a percent at either end is left out, so that one straggler does not hide the change of shift.
    end = traffic.time_us[first.rows[int(len(first.rows) * 0.999) - 1]]
    start = traffic.time_us[second.rows[int(len(second.rows) * 0.001)]]
    return float((start - end) / HOUR) if abs(int(start - end)) <= SUCCESSION_US else None

"""Accounts that may go on where a case was stopped: the table `case_heirs`.

A single new account has no case yet. What it shows can still be the case's: of each cause the token that tells the
case most (an address, a card, a template) is worth the log ratio of how often members hold it and how often accounts
do that cannot be heirs, since they were active before the case was first opened. Conduct counts for nothing: a new
customer is new, as an heir is. Those older accounts are also what chance reaches: an account's p-value is the share
of them that score as high, each measured against the others, and Benjamini and Hochberg (1995) hold the expected
share of false heirs below `FALSE_SHARE`. As for links, two causes must speak: an instruction alone may have been
passed on. What older customers hold as well, such as a public template or an office's address, tells nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tiergate.detection.cases import Case
from tiergate.detection.families import CAUSES
from tiergate.detection.holdings import Family, Holdings
from tiergate.detection.intake import Traffic
from tiergate.records.schema import TIME

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

FALSE_SHARE: Final = 0.05
"""Share of those named that may be false, on average."""

LEAST_ODDS: Final = 4.6
"""Nats: a hundred to one."""

LEAST_CAUSES: Final = 2
SPEAKING: Final = 1.0
"""Nats from which a cause speaks."""

TELLING: Final = tuple(cause for cause in CAUSES if cause != "conduct")

HEIRS_SCHEMA: Final = pa.schema(
    [
        ("case_id", pa.string()),
        ("account_id", pa.string()),
        ("first_seen", TIME),
        ("log_odds", pa.float64()),
        ("p_value", pa.float64()),
        ("q_value", pa.float64()),
        ("families", pa.list_(pa.string())),
        ("explanation", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class _Told:
    """What one cause tells: ``odds`` (accounts,) in nats as it is measured for heirs and ``older`` for the others; by
    account the number of the ``family`` and its ``token`` that tell most."""

    cause: str
    odds: F64
    older: F64
    family: I64
    token: I64


def heir_table(cases: list[Case], opened_us: Mapping[str, int], holdings: Holdings, traffic: Traffic) -> pa.Table:
    """The table `case_heirs`.

    :param opened_us: by case, the end of the first look that saw it, microseconds. Only accounts whose first exchange
        came later can be its heirs.
    """
    first = traffic.time_us[traffic.rows_of[traffic.edge[:-1]]]
    in_case = np.zeros(holdings.accounts, bool)
    for case in cases:
        in_case[case.accounts] = True
    rows: list[dict[str, object]] = []
    for case in cases:
        newer = first > opened_us[case.case_id]
        heirs, older = np.flatnonzero(newer & ~in_case), np.flatnonzero(~newer & ~in_case)
        if len(heirs) and len(older):
            rows += _heirs(case, heirs, older, holdings, traffic, first)
    return pa.Table.from_pylist(rows, HEIRS_SCHEMA)


def _heirs(
    case: Case, heirs: I64, older: I64, holdings: Holdings, traffic: Traffic, first: I64
) -> list[dict[str, object]]:
    is_older = np.zeros(holdings.accounts, bool)
    is_older[older] = True
    told = [_told(cause, case.accounts, is_older, len(older), holdings) for cause in TELLING]
    odds = np.sum([one.odds for one in told], axis=0)[heirs]
    chance = np.sort(np.sum([one.older for one in told], axis=0)[older])
    reached = len(chance) - np.searchsorted(chance, odds, side="left")
    p = (reached + 1) / (len(chance) + 1)
    q = _adjusted(p)
    rows: list[dict[str, object]] = []
    causes = np.sum([one.odds >= SPEAKING for one in told], axis=0)[heirs]
    for at in np.flatnonzero((q <= FALSE_SHARE) & (odds >= LEAST_ODDS) & (causes >= LEAST_CAUSES)).tolist():
        account = int(heirs[at])
        shown = [one for one in told if one.odds[account] >= SPEAKING]
        names = [CAUSES[one.cause][int(one.family[account])] for one in shown]
        tokens = [int(one.token[account]) for one in shown]
        families = [holdings.families[name] for name in names]
        text = [_said(*one, case, is_older) for one in zip(families, tokens, strict=True)]
        rows.append(
            {
                "case_id": case.case_id,
                "account_id": traffic.account_ids[account],
                "first_seen": int(first[account]),
                "log_odds": float(odds[at]),
                "p_value": float(p[at]),
                "q_value": float(q[at]),
                "families": names,
                "explanation": "; ".join(text),
            }
        )
    return rows


def _told(cause: str, members: I64, is_older: npt.NDArray[np.bool_], older: int, holdings: Holdings) -> _Told:
    accounts = holdings.accounts
    nothing, nobody = np.zeros(accounts), np.zeros(accounts, np.int64)
    told = _Told(cause, nothing, nothing.copy(), nobody, nobody.copy())
    for number, name in enumerate(CAUSES[cause]):
        if name not in holdings.families:
            continue
        family = holdings.families[name]
        tokens, count = np.unique(family.tokens(members)[0], return_counts=True)
        holder = family.holders(tokens)
        at = np.repeat(np.arange(len(tokens)), np.diff(family.held.indptr)[tokens])
        others = np.bincount(at[is_older[holder]], minlength=len(tokens))
        share = count / len(members)
        odds = np.log(share / ((others + 0.5) / (older + 1)))[at]
        # One of the older accounts is not held against itself.
        apart = np.log(share / ((np.maximum(others - 1, 0) + 0.5) / older))[at]
        np.maximum.at(told.older, holder, apart)
        best = np.argsort(odds, kind="stable")
        best = best[odds[best] > told.odds[holder[best]]]
        # Of several for one account the last is written, and that is the best.
        told.odds[holder[best]], told.family[holder[best]] = odds[best], number
        told.token[holder[best]] = tokens[at[best]]
    return told


def _adjusted(p: F64) -> F64:
    """Benjamini and Hochberg's q-values."""
    order = np.argsort(p, kind="stable")
    q = p[order] * len(p) / np.arange(1, len(p) + 1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum.accumulate(q[::-1])[::-1]
    return adjusted


def _said(family: Family, token: int, case: Case, is_older: npt.NDArray[np.bool_]) -> str:
    holders = family.holders(np.array([token]))
    share = float(np.isin(case.accounts, holders).mean())
    usual = float(is_older[holders].sum() / is_older.sum())
    kind = family.kinds[family.kind[token]]
    return f"a {kind} that {share:.0%} of the case's accounts hold and {usual:.2%} of older ones"

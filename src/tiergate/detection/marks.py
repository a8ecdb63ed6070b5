"""By what a case's exchanges are told from the other exchanges of its accounts: the table `case_marks`.

A reseller's account has a campaign's exchanges beside those of its customers, and only the campaign's should be
touched. Who answers a request knows its sketches at once, so marks are sketch values: those that the charged exchanges
carry, and the accounts' other exchanges do not. They are taken greedily, each time the one that most charged exchanges
carry which no mark so far tells (the greedy cover of Chvatal 1979).

Bounds were chosen on simulated worlds that no figure is reported from: seeds 101 to 105, resellers' accounts with two
to three tenths of customers' requests.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tiergate.detection.arrays import Ints, gathered
from tiergate.detection.cases import Case
from tiergate.detection.intake import Ragged, Traffic
from tiergate.ledger.marks import KINDS, mark

I64 = npt.NDArray[np.int64]

LEAST_SHARE: Final = 0.01
"""Share of the charged exchanges that a mark must tell, beyond those that others tell."""

MOST_ELSEWHERE: Final = 0.005
"""Share of the accounts' other exchanges that may carry a mark."""

TELLING: Final = 20.0
"""Times as often as everybody's other exchanges that charged ones must carry a mark: common turns of phrase are charged
by mistake now and then."""

COMMON: Final = 0.1
FEWEST_ACCOUNTS: Final = 3
"""Accounts of the case, as a share and at least, that must send a mark: what one sends alone is a customer's of its."""

MOST_MARKS: Final = 32

MARKS_SCHEMA: Final = pa.schema(
    [
        ("case_id", pa.string()),
        ("mark", pa.string()),
        ("charged_share", pa.float64()),
        ("other_share", pa.float64()),
        ("told_share", pa.float64()),
    ]
)


def mark_table(cases: list[Case], traffic: Traffic) -> pa.Table:
    """The table `case_marks`; a case that nothing tells has no row."""
    rows = [row for case in cases for row in _marks(case, traffic)]
    return pa.Table.from_pylist(rows, MARKS_SCHEMA)


def _marks(case: Case, traffic: Traffic) -> list[dict[str, object]]:
    of_accounts = np.concatenate([traffic.rows_of[traffic.edge[a] : traffic.edge[a + 1]] for a in case.accounts])
    others = np.setdiff1d(of_accounts, case.rows)
    if not len(others):
        return []
    found: list[tuple[str, float, I64]] = []
    elsewhere_rows = max(traffic.rows - len(case.rows), 1)
    for kind in KINDS:
        part: Ragged = getattr(traffic, kind)
        code, at = _carried(part, case.rows)
        elsewhere = np.bincount(_carried(part, others)[0], minlength=part.distinct)
        # Where there are few other exchanges, that none of them carries a value says little.
        rare = (elsewhere + 0.5) / (len(others) + 1) <= MOST_ELSEWHERE
        inside = np.bincount(code, minlength=part.distinct)
        everywhere = np.bincount(part.code, minlength=part.distinct)
        usual = (everywhere - inside + 0.5) / elsewhere_rows
        rare &= inside >= TELLING * usual * len(case.rows)
        order = np.argsort(code, kind="stable")
        edge = np.append(0, np.cumsum(inside))
        for one in np.flatnonzero(rare & (inside >= LEAST_SHARE * len(case.rows))).tolist():
            told = np.unique(at[order[edge[one] : edge[one + 1]]])
            if len(np.unique(traffic.account[case.rows[told]])) < max(FEWEST_ACCOUNTS, COMMON * len(case.accounts)):
                continue
            found.append((mark(kind, int(part.values[one])), float(elsewhere[one] / len(others)), told))
    rows: list[dict[str, object]] = []
    left = np.ones(len(case.rows), bool)
    while found and len(rows) < MOST_MARKS:
        name, other, told = max(found, key=lambda one: (int(left[one[2]].sum()), one[0]))
        new = int(left[told].sum())
        if new < LEAST_SHARE * len(case.rows):
            break
        left[told] = False
        share, added = len(told) / len(case.rows), new / len(case.rows)
        row = {"case_id": case.case_id, "mark": name, "charged_share": share, "other_share": other}
        rows.append(row | {"told_share": added})
    return rows


def _carried(part: Ragged, rows: I64) -> tuple[Ints, I64]:
    """Codes that ``rows`` carry, end to end, and the index into ``rows`` of each."""
    length = np.diff(part.start)[rows]
    return gathered(part.code, part.start[rows], length), np.repeat(np.arange(len(rows)), length)

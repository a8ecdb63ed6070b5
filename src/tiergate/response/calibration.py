"""How far stated confidence can be believed, by what cases turned out to be.

Judged is what people said at the end: a closed case was confirmed or mistaken, an appeal against a verdict was upheld
or overturned. `unclear` says nothing. Judgements of about the same stated confidence are one row of a reliability
table, with the interval of the share that held under Jeffreys' prior, Beta(1/2, 1/2) (Brown, Cai and DasGupta 2001,
Interval Estimation for a Binomial Proportion), and all of them make one Brier score (Brier 1950), the mean squared
difference between what was stated and what came out.

Judged cases are those that somebody looked at: the table speaks of them, not of cases that nobody closed.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from typing import Final

import msgspec

from tiergate.admission.appeals import Against, Appeal
from tiergate.admission.appeals import Outcome as AppealOutcome
from tiergate.response.case_files import CaseFile, Outcome

BOUNDS: Final = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 1.0)
"""Rows of the table: finer where the policy's steps begin."""
LEVEL: Final = 0.99
"""Wide enough that one mistake among twenty does not contradict 0.995."""


class Judged(msgspec.Struct, frozen=True):
    """One claim of detection: what it ``stated``, from 0 to 1, and whether it ``held``."""

    stated: float
    held: bool


class Reliability(msgspec.Struct, frozen=True, kw_only=True):
    """Claims stated from ``least`` to below ``below`` (the last row: to 1), how many there are and how many held; the
    mean of what was stated; the share that holds, and its interval at `LEVEL`."""

    least: float
    below: float
    judged: int
    held: int
    stated: float
    share: float
    low: float
    high: float


class Calibration:
    """Judgements, and what they make of a stated confidence. ``needed``: how many a row must have to count, 0 for
    never."""

    def __init__(self, judged: Iterable[Judged], needed: int) -> None:
        rows: list[list[Judged]] = [[] for _ in BOUNDS[1:]]
        self.judged = list(judged)
        for one in self.judged:
            rows[_row_of(one.stated)].append(one)
        self._rows = [_reliability(at, row) for at, row in enumerate(rows)]
        self._needed = needed

    @classmethod
    def of(cls, files: Iterable[CaseFile], appeals: Iterable[Appeal], needed: int) -> Calibration:
        """From case files and appeals. What people split off was never stated by detection."""
        judged = [
            Judged(file.stated, file.outcome is Outcome.CONFIRMED)
            for file in files
            if file.stated is not None and file.outcome in (Outcome.CONFIRMED, Outcome.MISTAKEN)
        ]
        judged += [
            Judged(one.stated, one.outcome is AppealOutcome.UPHELD)
            for one in appeals
            if one.against is Against.VERDICT and one.stated is not None and one.outcome is not None
        ]
        return cls(judged, needed)

    @property
    def table(self) -> list[Reliability]:
        """Rows with a judgement, lowest confidence first."""
        return [row for row in self._rows if row is not None]

    @property
    def brier(self) -> float | None:
        """Brier score, 0 at best, None without a judgement."""
        if not self.judged:
            return None
        return sum((one.stated - one.held) ** 2 for one in self.judged) / len(self.judged)

    def believed(self, stated: float) -> float:
        """What a stated confidence counts as, never more than itself.

        Where enough judgements of its row show it to be too high, the whole interval of what held lying below it, the
        interval's lower end counts. Where they do not, it stands: a lower bound of few good outcomes is low too, and
        would punish a case for being among the first.
        """
        row = self._rows[_row_of(stated)]
        if row is None or not self._needed or row.judged < self._needed or row.high >= stated:
            return stated
        return min(stated, row.low)


def _row_of(stated: float) -> int:
    return min(max(bisect.bisect_right(BOUNDS, stated) - 1, 0), len(BOUNDS) - 2)


def _reliability(at: int, row: list[Judged]) -> Reliability | None:
    from scipy.special import betaincinv  # slow to import, and most that read a case read no table

    if not row:
        return None
    held, missed = sum(one.held for one in row), sum(not one.held for one in row)
    tail = (1 - LEVEL) / 2
    return Reliability(
        least=BOUNDS[at],
        below=BOUNDS[at + 1],
        judged=len(row),
        held=held,
        stated=sum(one.stated for one in row) / len(row),
        share=held / len(row),
        low=float(betaincinv(held + 0.5, missed + 0.5, tail)) if held else 0.0,
        high=float(betaincinv(held + 0.5, missed + 0.5, 1 - tail)) if missed else 1.0,
    )

"""A detector's answer against the truth: Tiergate's from its tables of cases, a peer's from its scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from benchmarks.detection.measures import F64, RATES, Flags, account_log_odds, bar, charged, recall_at, roc, shares
from benchmarks.detection.results import ACTING, UNTIMED, CaseOutcome, Charged, Measurement, Share
from benchmarks.detection.truth import Sheet, read_sheet

I64 = npt.NDArray[np.int64]

SEVERITY: Final = {"watch": -1} | {action: number for number, action in enumerate(ACTING)}
LEAST_OF_FIRST_POOL: Final = 0.2
"""Share of a case that the first pool's accounts must be for the case to know the first pool."""


class Verdict:
    """Cases of one detection, read from its folder and laid beside the truth."""

    def __init__(self, sheet: Sheet, cases: Path) -> None:
        self.sheet, self.folder = sheet, cases
        heads = pq.read_table(cases / "cases.parquet").to_pylist()
        self.heads: dict[str, dict[str, Any]] = {row["case_id"]: row for row in heads}
        members = pq.read_table(cases / "case_accounts.parquet")
        place = {name: number for number, name in enumerate(sheet.names)}
        self.account = np.array([place[name] for name in members["account_id"].to_pylist()], np.int64)
        self.membership = np.asarray(members["membership"]).astype(np.float64)
        self.case: list[str] = members["case_id"].to_pylist()

    def outcomes(self) -> dict[str, CaseOutcome]:
        """Every case by its id, in the order of its table."""
        pool = self.sheet.pool[self.account]
        total = Counter(self.case)
        campaign = Counter(case for case, one in zip(self.case, pool.tolist(), strict=True) if one > 0)
        innocent = Counter(case for case, one in zip(self.case, pool.tolist(), strict=True) if one == 0)
        return {
            case: CaseOutcome(
                confidence=head["confidence"],
                q_value=head["q_value"],
                action=head["recommended_action"],
                accounts=total[case],
                campaign=campaign[case],
                innocent=innocent[case],
            )
            for case, head in self.heads.items()
        }

    def scores(self) -> F64:
        """Log-odds (accounts,) of the surest case; minus infinity in none."""
        score = np.full(len(self.sheet.names), -np.inf)
        confidence = np.array([self.heads[case]["confidence"] for case in self.case], np.float64)
        np.maximum.at(score, self.account, account_log_odds(self.membership, confidence))
        return score

    def severity(self) -> I64:
        """`SEVERITY` (accounts,) of the strictest action, -2 in no case."""
        level = np.full(len(self.sheet.names), -2, np.int64)
        np.maximum.at(level, self.account, np.array([SEVERITY[self._action(case)] for case in self.case], np.int64))
        return level

    def charged(self, campaign: frozenset[str]) -> dict[str, Charged]:
        """Justice by exchange in all cases, and in those that act."""
        table = pq.read_table(self.folder / "case_exchanges.parquet")
        pairs = list(zip(table["case_id"].to_pylist(), table["exchange_id"].to_pylist(), strict=True))
        return {
            "any": charged((exchange for _, exchange in pairs), campaign),
            "acting": charged((exchange for case, exchange in pairs if self._action(case) in ACTING), campaign),
        }

    def found(self, seen: Flags, actions: Sequence[str]) -> Share:
        """Campaign accounts ``seen`` so far in a case with one of ``actions`` that holds mostly campaign accounts."""
        right = {name for name, case in self.outcomes().items() if case.right and case.action in actions}
        campaign = self.sheet.guilty & seen
        return Share(int((campaign & self._in(right)).sum()), int(campaign.sum()))

    def relinked(self, seen: Flags) -> Share | None:
        """Second-pool accounts ``seen`` so far in a case that knows the first pool, or is tied to one that does."""
        second = (self.sheet.pool == 2) & seen
        if not second.any():
            return None
        pool = self.sheet.pool[self.account]
        first = Counter(case for case, one in zip(self.case, pool.tolist(), strict=True) if one == 1)
        total = Counter(self.case)
        knowing = {case for case, count in first.items() if count >= LEAST_OF_FIRST_POOL * total[case]}
        ties = pq.read_table(self.folder / "case_ties.parquet")
        pairs = zip(ties["case_a"].to_pylist(), ties["case_b"].to_pylist(), strict=True)
        # One step only: a tie to a case that is itself no more than tied does not count.
        tied = {case for pair in pairs if knowing.intersection(pair) for case in pair}
        return Share(int((second & self._in(knowing | tied)).sum()), int(second.sum()))

    def _in(self, cases: set[str]) -> Flags:
        inside = np.zeros(len(self.sheet.names), bool)
        inside[self.account[[case in cases for case in self.case]]] = True
        return inside

    def _action(self, case: str) -> str:
        return str(self.heads[case]["recommended_action"])


def judge_cases(world: str, cases: str, detector: str, code: str) -> Measurement:
    """Measure Tiergate's cases; who is in a case that acts is accused."""
    sheet = read_sheet(Path(world))
    verdict = Verdict(sheet, Path(cases))
    level = verdict.severity()
    truth = pq.read_table(Path(world) / "exchange_truth.parquet")["exchange_id"].to_pylist()
    by_action = {
        action: Share(int((sheet.guilty & (level == place)).sum()), int(sheet.guilty.sum()))
        for action, place in SEVERITY.items()
    }
    return Measurement(
        detector=detector,
        code=code,
        usage=UNTIMED,
        **_by_score(sheet, verdict.scores()),
        **_accused(sheet, level >= 0),
        cases=list(verdict.outcomes().values()),
        recall_by_action=by_action,
        charged=verdict.charged(frozenset(truth)),
    )


def judge_scores(world: str, scores: str, detector: str, code: str) -> Measurement:
    """Measure a peer's scores; who beats the bar of the greater rate is accused."""
    sheet = read_sheet(Path(world))
    score = np.asarray(np.load(scores), np.float64)
    innocent = score[sheet.innocent]
    threshold = bar(innocent, int(len(innocent) * max(RATES) + 1e-9))
    return Measurement(
        detector=detector,
        code=code,
        usage=UNTIMED,
        **_by_score(sheet, score),
        **_accused(sheet, score > threshold),
    )


def _by_score(sheet: Sheet, score: F64) -> dict[str, Any]:
    guilty, innocent = score[sheet.guilty], score[sheet.innocent]
    return {
        "recall": [recall_at(guilty, innocent, rate) for rate in RATES],
        "roc": roc(guilty, innocent) if len(guilty) else [],
    }


def _accused(sheet: Sheet, accused: Flags) -> dict[str, Any]:
    return {
        "false_by_population": shares(sheet.population, accused, sheet.innocent),
        "false_by_language": shares(sheet.language, accused, sheet.innocent),
    }

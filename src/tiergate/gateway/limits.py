"""Budgets of limited cases: one token bucket for all accounts of a case, within this process."""

from __future__ import annotations

from tiergate.ledger.verdicts import Verdict

BURST_S = 10.0
"""Seconds of budget that may be saved up."""


class CaseBudgets:
    """Token buckets by case. A bucket begins empty: a case that is limited has had its share already."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait_s(self, verdict: Verdict, now_s: float) -> float:
        """Take one request from the case's budget: 0 when there was one, else seconds until there will be.

        :param now_s: seconds of a clock that never goes back.
        """
        rate = (verdict.requests_per_minute or 0.0) / 60
        if rate <= 0:
            return 60.0
        tokens, then = self._buckets.get(verdict.case_id, (0.0, now_s))
        tokens = min(tokens + (now_s - then) * rate, max(1.0, rate * BURST_S))
        allowed = tokens >= 1.0
        self._buckets[verdict.case_id] = (tokens - allowed, now_s)
        return 0.0 if allowed else (1.0 - tokens) / rate

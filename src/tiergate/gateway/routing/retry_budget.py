"""How many retries one upstream's failures may cause: a token bucket filled by its first attempts.

Each first attempt adds ``ratio`` tokens, each retry that a failure brings about takes one, as in Finagle's RetryBudget
and gRPC's retry throttling (gRFC A6). A trickle lets a gateway with little traffic retry at all (Finagle gives 10 a
second, for calls of milliseconds). So however everything fails, n requests in t seconds cause at most
``BURST + ratio * n + TRICKLE_PER_S * t`` retries, and no storm of them. The upstream that failed pays, wherever the
retry goes: one that only ever stands in for another has no first attempts to be paid from.
"""

from __future__ import annotations

from typing import Final

RATIO: Final = 0.2
"""Finagle's default; gRPC's example has 0.1."""

BURST: Final = 10.0
TRICKLE_PER_S: Final = 0.5


class RetryBudget:
    """Tokens of one upstream; full at first. Times are seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._tokens = BURST
        self._then_s: float | None = None

    def first_attempt(self, ratio: float, now_s: float) -> None:
        self._tokens = min(BURST, self._refilled(now_s) + ratio)

    def take(self, now_s: float) -> bool:
        """Take a retry's token; False where there is none."""
        self._tokens = self._refilled(now_s)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def _refilled(self, now_s: float) -> float:
        passed = 0.0 if self._then_s is None else max(0.0, now_s - self._then_s)
        self._then_s = now_s
        return min(BURST, self._tokens + passed * TRICKLE_PER_S)

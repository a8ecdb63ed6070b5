"""What this process learnt of upstreams and candidates. It outlives a reload of the file and is stored nowhere."""

from __future__ import annotations

from typing import Final

from tiergate.gateway.routing.breaker import Breaker
from tiergate.gateway.routing.candidates import Candidate, Upstream
from tiergate.gateway.routing.requirements import Exclusion
from tiergate.gateway.routing.retry_budget import RetryBudget
from tiergate.gateway.routing.speed import Speed

LONGEST_PAUSE_S: Final = 3_600.0
"""A `Retry-After` beyond it is taken for this long."""


class UpstreamHealth:
    """Breaker and retry budget of one upstream, and its attempts under way."""

    def __init__(self) -> None:
        self.breaker = Breaker()
        self.budget = RetryBudget()
        self.under_way = 0


class CandidateHealth:
    """How fast one candidate is, and until when it asked to be left alone. Providers limit rates by model."""

    def __init__(self) -> None:
        self.speed = Speed()
        self.paused_until_s = 0.0

    def pause(self, seconds: float, now_s: float) -> None:
        self.paused_until_s = max(self.paused_until_s, now_s + min(seconds, LONGEST_PAUSE_S))


class Health:
    """Of all upstreams and candidates that were ever asked, by what they are: one that moved begins anew."""

    def __init__(self) -> None:
        self._upstreams: dict[tuple[str, str], UpstreamHealth] = {}
        self._candidates: dict[tuple[str, str, str], CandidateHealth] = {}

    def upstream(self, one: Upstream) -> UpstreamHealth:
        key = one.name, one.url
        if key not in self._upstreams:
            self._upstreams[key] = UpstreamHealth()
        return self._upstreams[key]

    def seen(self, one: Upstream) -> UpstreamHealth | None:
        """The same for whoever only looks, from whatever thread: None where it was never asked."""
        return self._upstreams.get((one.name, one.url))

    def candidate(self, one: Candidate) -> CandidateHealth:
        key = one.name, one.upstream.url, one.upstream_model
        if key not in self._candidates:
            self._candidates[key] = CandidateHealth()
        return self._candidates[key]

    def speed(self, one: Candidate) -> Speed:
        return self.candidate(one).speed

    def unavailable(self, one: Candidate, now_s: float) -> tuple[Exclusion, float] | None:
        """Why a candidate cannot be asked now, and in how many seconds it may be; None where it can."""
        upstream, candidate = self.upstream(one.upstream), self.candidate(one)
        wait_s = upstream.breaker.wait_s(now_s)
        if wait_s > 0:
            return Exclusion("circuit_open", f"its upstream kept failing and is tried again in {wait_s:.0f} s"), wait_s
        wait_s = candidate.paused_until_s - now_s
        if wait_s > 0:
            return Exclusion("told_to_wait", f"its provider asked for {wait_s:.0f} s without requests"), wait_s
        if upstream.under_way >= one.upstream.concurrency:
            return Exclusion("at_its_limit", "as many requests as may be are under way at its upstream"), 1.0
        return None

    def forget_all_but(self, candidates: list[Candidate]) -> None:
        """Drop what belongs to no candidate any more. Attempts under way keep what they hold."""
        kept = {(one.upstream.name, one.upstream.url) for one in candidates}
        self._upstreams = {key: value for key, value in self._upstreams.items() if key in kept}
        there = {(one.name, one.upstream.url, one.upstream_model) for one in candidates}
        self._candidates = {key: value for key, value in self._candidates.items() if key in there}

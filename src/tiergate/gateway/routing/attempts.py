"""The attempts at one request, as a small state machine without I/O.

::

    ready --next()--> trying --answered()--> answering --succeeded()/broke_off()/close()--> done
      ^                  |
      +---- failed() ----+----close(), or a failure after which nothing may follow--------> done

`answered` is the point of no return: what the upstream sends goes to the caller, so no other attempt follows it, and at
most that one attempt is charged. Hedging, a second attempt beside a slow first one (Dean and Barroso, "The tail at
scale", 2013), is not built: both would be billed.
"""

from __future__ import annotations

import enum
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec

from tiergate.gateway.routing.candidates import Candidate, Group
from tiergate.gateway.routing.failures import Failure
from tiergate.gateway.routing.health import Health, UpstreamHealth

BACKOFF_S: Final = 0.25
LONGEST_WAIT_S: Final = 2.0
"""Waits before a candidate is asked again are drawn from 0 to twice as long each time ("full jitter", Brooker, 2015).
One that its `Retry-After` sends beyond the longest is not waited for."""

Clock = Callable[[], float]
"""Seconds of a clock that never goes back."""

Billed = Literal["no", "yes", "perhaps"]


class Attempt(msgspec.Struct, kw_only=True):
    """One attempt, for the record.

    ``billed``: `yes` for the one that the caller is charged for, `perhaps` where the upstream may bill for what nobody
    received. ``outcome``: `under_way`, `succeeded`, `broke_off`, `abandoned`, or a failure's kind; ``status``: HTTP's.
    """

    candidate: Candidate
    began_s: float
    outcome: str = "under_way"
    status: int | None = None
    billed: Billed = "no"
    ended_s: float | None = None


class _State(enum.Enum):
    READY = enum.auto()
    TRYING = enum.auto()
    ANSWERING = enum.auto()
    DONE = enum.auto()


class _Held(msgspec.Struct):
    """What a chosen candidate holds until its attempt ends."""

    candidate: Candidate
    upstream: UpstreamHealth
    era: int
    wait_s: float


class Attempts:
    """The attempts at one request, best candidate first. Always closed in the end, whatever happened.

    :param ordered: candidates that qualify, in the order of the group's strategy.
    """

    def __init__(
        self, group: Group, ordered: Sequence[Candidate], health: Health, clock: Clock, rng: random.Random
    ) -> None:
        self.made: list[Attempt] = []
        self.wait_s = 0.0
        """Seconds to wait before the candidate that `next` gave is asked."""
        self._group = group
        self._ordered = ordered
        self._health = health
        self._clock = clock
        self._rng = rng
        self._state = _State.READY
        self._held: _Held | None = None
        self._began_s = 0.0
        self._first_token_s: float | None = None
        self._failed: list[Candidate] = []

    @property
    def charged(self) -> Attempt | None:
        """The attempt that the caller is charged for."""
        return next((one for one in self.made if one.billed == "yes"), None)

    def next(self) -> Candidate | None:
        """The candidate to ask now, after `wait_s`; None where there is none, or none any more."""
        if self._state is _State.DONE:
            return None
        self._must_be(_State.READY)
        held = self._held or self._choose()
        if held is None:
            self._state = _State.DONE
            return None
        self._held, self._state, self.wait_s = held, _State.TRYING, held.wait_s
        self._began_s, self._first_token_s = self._clock() + held.wait_s, None
        self.made.append(Attempt(candidate=held.candidate, began_s=self._began_s))
        return held.candidate

    def failed(self, failure: Failure) -> bool:
        """The attempt failed before anything reached the caller.

        True: another follows, so leave its answer and call `next`. False: none does, and what came of it is the
        caller's answer.
        """
        self._must_be(_State.TRYING)
        held, now_s = self._let_go(failure.upstream_failed)
        candidate = self._health.candidate(held.candidate)
        if failure.upstream_failed:
            candidate.speed.failed(now_s - self._began_s, now_s)
        self._end(failure.kind.value, now_s, "perhaps" if failure.may_be_billed else "no", failure.status)
        if failure.status == 429 or failure.retry_after_s is not None:
            candidate.pause(1.0 if failure.retry_after_s is None else failure.retry_after_s, now_s)
        self._failed.append(held.candidate)
        self._state = _State.READY
        self._held = self._choose() if failure.may_retry(retry_500=self._group.retry_500) else None
        if self._held is None:
            self._state = _State.DONE
        return self._held is not None

    def answered(self, status: int = 200) -> None:
        """An answer below 400 begins and goes to the caller. From here on nothing is tried again."""
        self._must_be(_State.TRYING)
        self._state = _State.ANSWERING
        self.made[-1].billed, self.made[-1].status = "yes", status
        held, now_s = self._held, self._clock()
        assert held is not None
        # At once, not at its end: a long stream must not keep a half-open breaker from closing.
        held.upstream.breaker.leave(held.era, now_s, failed=False)

    def first_token(self) -> None:
        """The first of a streamed answer's content is here. Calls after the first change nothing."""
        self._must_be(_State.ANSWERING)
        if self._first_token_s is None:
            self._first_token_s = self._clock() - self._began_s

    def succeeded(self, output_tokens: int | None = None) -> None:
        """The answer is whole. ``output_tokens``: by the upstream's count, None where it gave none."""
        self._must_be(_State.ANSWERING)
        held, now_s = self._let_go(None)
        speed = self._health.candidate(held.candidate).speed
        speed.answered(self._first_token_s, now_s - self._began_s, output_tokens, now_s)
        self._finish("succeeded", now_s, "yes")

    def broke_off(self) -> None:
        """The upstream broke off within its answer. What the caller got of it is charged; nothing is tried again."""
        self._must_be(_State.ANSWERING)
        _, now_s = self._let_go(True)
        self._finish("broke_off", now_s, "yes")

    def close(self) -> None:
        """Give back what is held, as when the caller hung up. Does nothing once the attempts are done."""
        if self._held is not None:
            answering = self._state is _State.ANSWERING
            trying = self._state is _State.TRYING
            _, now_s = self._let_go(None)
            if answering or trying:
                self._end("abandoned", now_s, "yes" if answering else "perhaps", None)
        self._state = _State.DONE

    def _choose(self) -> _Held | None:
        """Choose who is asked next and take hold of it: its place, its breaker's leave, and a retry's token."""
        now_s, first = self._clock(), not self.made
        if len(self.made) >= self._group.max_attempts:
            return None
        found = self._fresh(now_s) or self._again(now_s)
        if found is None:
            return None
        candidate, wait_s = found
        health = self._health.upstream(candidate.upstream)
        if first:
            health.budget.first_attempt(candidate.upstream.retry_ratio, now_s)
        elif not self._health.upstream(self._failed[-1].upstream).budget.take(now_s):
            return None
        health.under_way += 1
        return _Held(candidate, health, health.breaker.enter(), wait_s)

    def _fresh(self, now_s: float) -> tuple[Candidate, float] | None:
        """The best candidate that was not asked yet; behind an upstream that failed only where there is no other."""
        if self._failed and not self._group.fallback:
            return None
        tried, failed = {one.name for one in self._failed}, {one.upstream.name for one in self._failed}
        left = [one for one in self._ordered if one.name not in tried]
        for one in sorted(left, key=lambda one: one.upstream.name in failed) if failed else left:
            if self._health.unavailable(one, now_s) is None:
                return one, 0.0
        return None

    def _again(self, now_s: float) -> tuple[Candidate, float] | None:
        """The candidate that failed and can be asked once more the soonest, with the wait until then."""
        soonest: tuple[Candidate, float] | None = None
        tries = Counter(one.name for one in self._failed)
        for one in {one.name: one for one in self._failed}.values():
            said = self._health.unavailable(one, now_s)
            if said is not None and said[0].code != "told_to_wait":
                continue
            backoff = self._rng.uniform(0.0, min(LONGEST_WAIT_S, BACKOFF_S * 2.0 ** tries[one.name]))
            wait_s = max(backoff, said[1] if said else 0.0)
            if wait_s <= LONGEST_WAIT_S and (soonest is None or wait_s < soonest[1]):
                soonest = one, wait_s
        return soonest

    def _let_go(self, failed: bool | None) -> tuple[_Held, float]:
        held, now_s = self._held, self._clock()
        assert held is not None
        self._held = None
        held.upstream.under_way -= 1
        held.upstream.breaker.leave(held.era, now_s, failed=failed)
        return held, now_s

    def _end(self, outcome: str, now_s: float, billed: Billed, status: int | None) -> None:
        last = self.made[-1]
        last.outcome, last.ended_s, last.billed = outcome, now_s, billed
        last.status = status or last.status

    def _finish(self, outcome: str, now_s: float, billed: Billed) -> None:
        self._end(outcome, now_s, billed, None)
        self._state = _State.DONE

    def _must_be(self, state: _State) -> None:
        if self._state is not state:
            raise RuntimeError(f"the attempts are {self._state.name.lower()}, not {state.name.lower()}")

"""Breaker, retry budget and pauses, each against what it promises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.gateway.routing.candidates import candidate, upstream
from tiergate.gateway.routing import breaker as breakers
from tiergate.gateway.routing import retry_budget as budgets
from tiergate.gateway.routing.breaker import Breaker, State
from tiergate.gateway.routing.failures import Failure, Kind, retry_after_s
from tiergate.gateway.routing.health import LONGEST_PAUSE_S, Health
from tiergate.gateway.routing.retry_budget import RetryBudget


def fed(breaker: Breaker, outcomes: str, now_s: float) -> None:
    """`x` is a failure, `.` a success."""
    for outcome in outcomes:
        breaker.leave(breaker.enter(), now_s, failed=outcome == "x")


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ("x" * 9, State.CLOSED),  # too few
        ("x" * 10, State.OPEN),
        (".....xxxxx", State.OPEN),
        ("......xxxxx", State.CLOSED),  # five of eleven
        ("." * 100 + "x" * 99, State.CLOSED),
        ("." * 100 + "x" * 100, State.OPEN),
    ],
)
def test_a_breaker_opens_when_enough_of_enough_failed(outcomes: str, state: State) -> None:
    breaker = Breaker()
    fed(breaker, outcomes, 0.0)
    assert breaker.state(0.0) is state


def test_what_lies_before_the_window_does_not_count() -> None:
    breaker = Breaker()
    fed(breaker, "x" * 9, 0.0)
    fed(breaker, "x" * 9, breakers.WINDOW_S + 3.0)
    assert breaker.state(breakers.WINDOW_S + 3.0) is State.CLOSED


def test_half_open_lets_one_pass_and_doubles_its_patience() -> None:
    breaker, now_s = Breaker(), 0.0
    fed(breaker, "x" * 10, now_s)
    for patience in (5.0, 10.0, 20.0, 40.0, 60.0, 60.0):
        assert breaker.state(now_s + patience - 0.1) is State.OPEN
        assert breaker.wait_s(now_s + patience - 0.1) == pytest.approx(0.1)
        now_s += patience
        assert (breaker.state(now_s), breaker.wait_s(now_s)) == (State.HALF_OPEN, 0.0)
        era = breaker.enter()
        assert breaker.wait_s(now_s) == 1.0
        breaker.leave(era, now_s, failed=True)
    now_s += 60.0
    breaker.leave(breaker.enter(), now_s, failed=False)
    assert breaker.state(now_s) is State.CLOSED
    fed(breaker, "x" * 10, now_s)
    assert breaker.wait_s(now_s) == 5.0


def test_a_trial_that_ends_without_an_outcome_lets_the_next_pass() -> None:
    breaker = Breaker()
    fed(breaker, "x" * 10, 0.0)
    breaker.leave(breaker.enter(), 5.0, failed=None)
    assert (breaker.state(5.0), breaker.wait_s(5.0)) == (State.HALF_OPEN, 0.0)


def test_an_outcome_from_before_it_opened_neither_closes_nor_opens_it() -> None:
    breaker = Breaker()
    early = breaker.enter()
    fed(breaker, "x" * 10, 0.0)
    breaker.leave(early, 6.0, failed=False)
    assert breaker.state(6.0) is State.HALF_OPEN
    trial = breaker.enter()
    breaker.leave(early, 6.0, failed=True)
    breaker.leave(trial, 6.0, failed=False)
    assert breaker.state(6.0) is State.CLOSED


class BreakerMachine(RuleBasedStateMachine):
    """Attempts that overlap and end as they like, in any order and as late as they like."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker()
        self.now_s = 0.0
        self.under_way: list[int] = []
        self.trials = 0

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @precondition(lambda self: self.breaker.wait_s(self.now_s) == 0)
    @rule()
    def begin(self) -> None:
        self.under_way.append(self.breaker.enter())

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0), failed=st.sampled_from([True, False, None]))
    def end(self, which: int, failed: bool | None) -> None:
        before = self.breaker.state(self.now_s)
        self.breaker.leave(self.under_way.pop(which % len(self.under_way)), self.now_s, failed=failed)
        after = self.breaker.state(self.now_s)
        if failed is None:
            assert after is before
        if before is State.OPEN:
            assert after is State.OPEN
        if before is State.CLOSED:
            assert after is State.CLOSED or failed

    @invariant()
    def it_lets_pass_what_its_state_says(self) -> None:
        state, wait_s = self.breaker.state(self.now_s), self.breaker.wait_s(self.now_s)
        assert 0 <= wait_s <= breakers.LONGEST_OPEN_S
        assert state is not State.CLOSED or wait_s == 0
        assert state is not State.OPEN or wait_s > 0


TestBreakerMachine = BreakerMachine.TestCase


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 3)), max_size=200), st.floats(0, 1))
def test_no_storm_of_retries(events: list[tuple[bool, float]], ratio: float) -> None:
    """However requests and failures come, retries stay within what the docstring promises, over every interval."""
    budget, now_s = RetryBudget(), 0.0
    history: list[tuple[float, int, int]] = []  # time, first attempts, retries
    for is_retry, pause_s in events:
        now_s += pause_s
        if is_retry:
            history.append((now_s, 0, int(budget.take(now_s))))
        else:
            budget.first_attempt(ratio, now_s)
            history.append((now_s, 1, 0))
    for begin in range(len(history)):
        rows = history[begin:]
        most = budgets.BURST + ratio * sum(row[1] for row in rows)
        assert sum(row[2] for row in rows) <= most + budgets.TRICKLE_PER_S * (now_s - rows[0][0]) + 1e-6


def test_a_gateway_that_stands_still_may_retry_again() -> None:
    budget = RetryBudget()
    while budget.take(0.0):
        pass
    assert not budget.take(1.0)
    assert budget.take(2.0)


def test_an_upstream_is_left_alone_for_as_long_as_it_asks() -> None:
    health, one = Health(), candidate("a")
    health.candidate(one).pause(7.0, 100.0)
    health.candidate(one).pause(1.0, 100.0)
    said = health.unavailable(one, 104.0)
    assert said is not None
    assert (said[0].code, said[1]) == ("told_to_wait", 3.0)
    assert health.unavailable(one, 107.0) is None
    assert health.unavailable(candidate("b", one.upstream), 104.0) is None
    health.candidate(one).pause(1e9, 200.0)
    assert health.unavailable(one, 200.0 + LONGEST_PAUSE_S) is None


def test_no_more_requests_than_the_limit_are_under_way() -> None:
    health, one = Health(), candidate("a", upstream(concurrency=2))
    health.upstream(one.upstream).under_way = 1
    assert health.unavailable(one, 0.0) is None
    health.upstream(one.upstream).under_way = 2
    said = health.unavailable(one, 0.0)
    assert said is not None
    assert said[0].code == "at_its_limit"


def test_what_was_learnt_outlives_a_reload_unless_the_upstream_moved() -> None:
    health, one = Health(), candidate("a")
    fed(health.upstream(one.upstream).breaker, "x" * 10, 0.0)
    health.forget_all_but([one])
    assert health.unavailable(one, 0.0) is not None
    moved = candidate("a", upstream("up-a", url="https://elsewhere.example.com"))
    health.forget_all_but([moved])
    assert health.unavailable(moved, 0.0) is None
    assert health.unavailable(one, 0.0) is None


NOW_US = 1_767_225_600_000_000  # 2026-01-01


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"120", 120.0),
        (b" 0 ", 0.0),
        (b"Thu, 01 Jan 2026 00:01:00 GMT", 60.0),
        (b"Thu Jan  1 00:01:00 2026", 60.0),
        (b"Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
        (b"-5", None),
        (b"1.5", None),
        (b"soon", None),
        (b"\xb2", None),
        (b"9" * 100, None),
        (None, None),
    ],
)
def test_retry_after_is_read_in_both_forms(value: bytes | None, seconds: float | None) -> None:
    assert retry_after_s(value, NOW_US) == seconds


@given(st.binary(max_size=70))
def test_retry_after_may_hold_anything(value: bytes) -> None:
    seconds = retry_after_s(value, NOW_US)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("failure", "may_retry", "upstream_failed"),
    [
        (Failure(Kind.UNREACHED), True, True),
        (Failure(Kind.UNANSWERED), False, True),
        (Failure(Kind.STATUS, 429, 2.0), True, None),
        (Failure(Kind.STATUS, 500), False, True),
        (Failure(Kind.STATUS, 502), True, True),
        (Failure(Kind.STATUS, 503), True, True),
        (Failure(Kind.STATUS, 504), True, True),
        (Failure(Kind.STATUS, 529), True, True),
        (Failure(Kind.STATUS, 501), False, True),
        (Failure(Kind.STATUS, 400), False, False),
        (Failure(Kind.STATUS, 401), False, False),
        (Failure(Kind.STATUS, 404), False, False),
    ],
)
def test_what_may_be_tried_again(failure: Failure, may_retry: bool, upstream_failed: bool | None) -> None:
    assert failure.may_retry(retry_500=False) is may_retry
    assert failure.upstream_failed is upstream_failed
    assert failure.may_retry(retry_500=True) is (may_retry or failure.status == 500)
    assert failure.may_be_billed is (failure.kind is Kind.UNANSWERED)

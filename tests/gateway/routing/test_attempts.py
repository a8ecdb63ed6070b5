"""The state machine of attempts, alone and against upstreams that do as they like."""

from __future__ import annotations

import random

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.gateway.routing.candidates import HandClock, ask, candidate, group, upstream
from tiergate.gateway.routing.attempts import LONGEST_WAIT_S, Attempts
from tiergate.gateway.routing.breaker import MINIMUM
from tiergate.gateway.routing.candidates import Candidate, Group
from tiergate.gateway.routing.failures import Failure, Kind
from tiergate.gateway.routing.requirements import Exclusion, Requirements
from tiergate.gateway.routing.router import Route, Router

UNREACHED, UNANSWERED = Failure(Kind.UNREACHED), Failure(Kind.UNANSWERED)
BUSY, BROKEN, BAD_REQUEST = (Failure(Kind.STATUS, status) for status in (503, 500, 400))


class Scene:
    """A router with a clock that is turned by hand."""

    def __init__(self, seed: int = 1) -> None:
        self.clock = HandClock()
        self.router = Router(self.clock, random.Random(seed))

    def route(self, one: Group, **more: object) -> Route:
        return self.router.route(one, ask(**more), 1)

    def attempts(self, one: Group) -> Attempts:
        return self.route(one).attempts

    def breaks(self, one: Candidate) -> None:
        """Open the breaker of a candidate's upstream."""
        breaker = self.router.health.upstream(one.upstream).breaker
        for _ in range(MINIMUM):
            breaker.leave(breaker.enter(), self.clock(), failed=True)

    def under_way(self, *candidates: Candidate) -> int:
        return sum(self.router.health.upstream(one.upstream).under_way for one in candidates)


A, B, C = candidate("a"), candidate("b"), candidate("c")


def names(attempts: Attempts) -> list[str]:
    return [one.candidate.name for one in attempts.made]


def name(found: Candidate | None) -> str | None:
    return None if found is None else found.name


def test_an_answer_is_charged_once_and_nothing_follows() -> None:
    scene = Scene()
    attempts = scene.attempts(group(A, B))
    assert name(attempts.next()) == "a"
    assert scene.under_way(A) == 1
    attempts.answered()
    scene.clock.now_s += 0.5
    attempts.first_token()
    scene.clock.now_s += 2.0
    attempts.first_token()
    attempts.succeeded(output_tokens=100)
    attempts.close()
    assert attempts.next() is None
    assert attempts.charged is attempts.made[0]
    assert (attempts.made[0].outcome, attempts.made[0].status, attempts.made[0].billed) == ("succeeded", 200, "yes")
    assert scene.under_way(A) == 0
    speed = scene.router.health.candidate(A).speed
    assert (speed.first_token.mean(), speed.per_token.mean()) == (0.5, pytest.approx(0.02))


@pytest.mark.parametrize("failure", [UNREACHED, BUSY, Failure(Kind.STATUS, 429), Failure(Kind.STATUS, 529)])
def test_a_failure_that_cost_nothing_goes_to_the_next_candidate(failure: Failure) -> None:
    attempts = Scene().attempts(group(A, B))
    attempts.next()
    assert attempts.failed(failure)
    assert name(attempts.next()) == "b"
    assert attempts.wait_s == 0
    attempts.answered()
    attempts.succeeded()
    assert [one.billed for one in attempts.made] == ["no", "yes"]


@pytest.mark.parametrize("failure", [UNANSWERED, BROKEN, BAD_REQUEST, Failure(Kind.STATUS, 401)])
def test_what_may_be_billed_or_is_the_requests_own_fault_is_not_tried_again(failure: Failure) -> None:
    attempts = Scene().attempts(group(A, B))
    attempts.next()
    assert not attempts.failed(failure)
    assert attempts.next() is None
    assert attempts.charged is None
    assert attempts.made[0].billed == ("perhaps" if failure is UNANSWERED else "no")


def test_a_500_is_tried_again_only_where_the_group_says_so() -> None:
    attempts = Scene().attempts(group(A, B, retry_500=True))
    attempts.next()
    assert attempts.failed(BROKEN)


def test_an_answer_that_breaks_off_is_charged_and_not_tried_again() -> None:
    attempts = Scene().attempts(group(A, B))
    attempts.next()
    attempts.answered()
    attempts.broke_off()
    assert attempts.next() is None
    assert (attempts.made[0].outcome, attempts.made[0].billed) == ("broke_off", "yes")


def test_another_upstream_comes_before_another_model_of_the_one_that_failed() -> None:
    shared = upstream("shared")
    one, two, other = candidate("one", shared), candidate("two", shared), candidate("other")
    attempts = Scene().attempts(group(one, two, other))
    attempts.next()
    attempts.failed(UNREACHED)
    assert name(attempts.next()) == "other"
    attempts.failed(UNREACHED)
    assert name(attempts.next()) == "two"


def test_a_lone_candidate_is_asked_again_after_a_wait() -> None:
    waits = []
    for seed in range(20):
        attempts = Scene(seed).attempts(group(A))
        attempts.next()
        assert attempts.failed(BUSY)
        assert name(attempts.next()) == "a"
        waits.append(attempts.wait_s)
    assert len(set(waits)) == 20
    assert 0 <= min(waits) < 0.1
    assert 0.4 < max(waits) <= 0.5


def test_retry_after_is_waited_for_where_it_is_short_and_not_where_it_is_long() -> None:
    scene = Scene()
    attempts = scene.attempts(group(A))
    attempts.next()
    assert attempts.failed(Failure(Kind.STATUS, 429, 1.5))
    attempts.next()
    assert attempts.wait_s == 1.5
    attempts.close()
    scene.clock.now_s += 1.5
    attempts = scene.attempts(group(A))
    attempts.next()
    assert not attempts.failed(Failure(Kind.STATUS, 429, 60.0))
    refusal = scene.route(group(A)).refusal()
    assert (refusal.status, refusal.retry_after_s) == (503, 60.0)
    assert scene.attempts(group(A)).next() is None
    assert name(scene.attempts(group(A, B)).next()) == "b"
    scene.clock.now_s += 60.0
    assert name(scene.attempts(group(A, B)).next()) == "a"


def test_without_fallback_no_other_candidate_stands_in() -> None:
    attempts = Scene().attempts(group(A, B, fallback=False))
    while attempts.next() is not None:
        attempts.failed(UNREACHED)
    assert names(attempts) == ["a", "a", "a"]


def test_attempts_end_after_the_most_that_the_group_allows() -> None:
    attempts = Scene().attempts(group(A, B, C, max_attempts=2))
    while attempts.next() is not None:
        attempts.failed(UNREACHED)
    assert names(attempts) == ["a", "b"]


def test_an_open_breaker_is_passed_by_and_one_request_tries_it_later() -> None:
    scene = Scene()
    scene.breaks(A)
    assert name(scene.attempts(group(A, B)).next()) == "b"
    scene.clock.now_s += 5.0
    trial = scene.attempts(group(A, B))
    assert name(trial.next()) == "a"
    assert name(scene.attempts(group(A, B)).next()) == "b"
    trial.answered()  # not at the end of the answer: a long stream would keep the others away
    assert name(scene.attempts(group(A, B)).next()) == "a"


def test_a_trial_whose_caller_hung_up_does_not_keep_the_breaker_shut() -> None:
    scene = Scene()
    scene.breaks(A)
    scene.clock.now_s += 5.0
    trial = scene.attempts(group(A, B))
    trial.next()
    trial.close()
    assert trial.made[0].billed == "perhaps"
    assert name(scene.attempts(group(A, B)).next()) == "a"


def test_a_reload_during_an_attempt_leaves_no_place_taken_or_freed_twice() -> None:
    scene = Scene()
    attempts = scene.attempts(group(A))
    attempts.next()
    scene.router.health.forget_all_but([B])
    attempts.answered()
    attempts.succeeded()
    assert scene.under_way(A) == 0


def test_a_sticky_session_moves_only_while_its_candidate_is_unhealthy() -> None:
    scene, one = Scene(), group(A, B, C, strategy="sticky")
    key = b"session"
    home, second = scene.route(one, affinity=key).ordered[:2]
    scene.breaks(home)
    assert name(scene.route(one, affinity=key).attempts.next()) == second.name
    scene.clock.now_s += 5.0
    back = scene.route(one, affinity=key).attempts
    assert name(back.next()) == home.name


def test_failures_spend_the_budget_of_the_upstream_that_failed() -> None:
    scene, followed = Scene(), 0
    for number in range(1_000):
        attempts = scene.attempts(group(A, B, max_attempts=2))
        assert name(attempts.next()) == "a"
        if number % 5 in (0, 2):  # too few to open the breaker
            followed += attempts.failed(UNREACHED)
        else:
            attempts.answered()
            attempts.succeeded()
        attempts.close()
    # One for five first attempts, and the burst.
    assert 200 <= followed <= 210


def test_where_nothing_qualifies_every_reason_is_said() -> None:
    scene = Scene()
    required = Requirements(capabilities=frozenset({"vision"}), regions=frozenset({"eu"}))
    wide = candidate("wide", capabilities=frozenset({"vision"}), region="us", prices=())
    route = scene.route(group(A, wide), required=required)
    assert route.attempts.next() is None
    refusal = route.refusal()
    assert (refusal.status, refusal.code) == (400, "no_candidate_qualifies")
    assert {name: [one.code for one in found] for name, found in refusal.candidates.items()} == {
        "a": ["no_vision", "region_not_known"],
        "wide": ["region_not_allowed", "no_price"],
    }
    assert refusal.details()["candidates"][1]["reasons"][0]["text"] == "it is in us, allowed is eu"


def test_whom_admission_bars_is_not_asked_and_a_lower_tier_is_only_offered() -> None:
    scene, small, tiny = Scene(), candidate("small"), candidate("tiny")
    no = Exclusion("no_grant", "no grant")
    one = group(A, B, offered=(small, tiny))
    route = scene.router.route(one, ask(), 1, {"a": no})
    assert [found.name for found in route.ordered] == ["b"]
    route = scene.router.route(one, ask(), 1, {"a": no, "b": no, "small": no})
    assert route.attempts.next() is None
    refusal = route.refusal()
    assert (refusal.status, refusal.code, refusal.offer) == (403, "no_candidate_admitted", "tiny")
    scene.breaks(tiny)
    assert scene.router.route(one, ask(), 1, {"a": no, "b": no, "small": no}).refusal().offer is None


def test_a_step_out_of_turn_is_an_error() -> None:
    attempts = Scene().attempts(group(A, B))
    for step in (attempts.answered, attempts.succeeded, attempts.broke_off, attempts.first_token):
        with pytest.raises(RuntimeError, match="the attempts are ready"):
            step()
    attempts.next()
    with pytest.raises(RuntimeError, match="trying, not ready"):
        attempts.next()
    attempts.answered()
    with pytest.raises(RuntimeError, match="answering, not trying"):
        attempts.failed(UNREACHED)


class AttemptsMachine(RuleBasedStateMachine):
    """Many requests at once to upstreams that fail as they like."""

    @initialize(seed=st.integers(), fallback=st.booleans(), most=st.integers(1, 4), retry_500=st.booleans())
    def begin(self, seed: int, fallback: bool, most: int, retry_500: bool) -> None:
        self.scene = Scene(seed)
        first, second = upstream("first", concurrency=2), upstream("second", concurrency=3)
        self.fleet = [candidate("a", first), candidate("b", first), candidate("c", second)]
        self.offered = candidate("lower", second)
        self.group = group(
            *self.fleet, offered=(self.offered,), fallback=fallback, max_attempts=most, retry_500=retry_500,
            strategy="weighted",
        )  # fmt: skip
        self.trying: list[Attempts] = []
        self.answering: list[Attempts] = []
        self.done: list[Attempts] = []

    @rule(seconds=st.floats(0, 20))
    def wait(self, seconds: float) -> None:
        self.scene.clock.now_s += seconds

    @rule()
    def ask(self) -> None:
        self.proceed(self.scene.attempts(self.group))

    def proceed(self, attempts: Attempts) -> None:
        found = attempts.next()
        assert found in self.fleet or found is None
        assert 0 <= attempts.wait_s <= LONGEST_WAIT_S
        (self.done if found is None else self.trying).append(attempts)

    @precondition(lambda self: self.trying)
    @rule(
        which=st.integers(0),
        failure=st.builds(
            Failure, st.sampled_from(Kind), st.sampled_from([400, 429, 500, 503]), st.none() | st.floats(0, 5)
        ),
    )
    def fail(self, which: int, failure: Failure) -> None:
        attempts = self.trying.pop(which % len(self.trying))
        if attempts.failed(failure):
            assert failure.may_retry(retry_500=self.group.retry_500)
            self.proceed(attempts)
            assert attempts in self.trying
        else:
            assert attempts.next() is None
            self.done.append(attempts)

    @precondition(lambda self: self.trying)
    @rule(which=st.integers(0))
    def answer(self, which: int) -> None:
        attempts = self.trying.pop(which % len(self.trying))
        attempts.answered()
        self.answering.append(attempts)

    @precondition(lambda self: self.answering)
    @rule(which=st.integers(0), whole=st.booleans())
    def end(self, which: int, whole: bool) -> None:
        attempts = self.answering.pop(which % len(self.answering))
        if whole:
            attempts.succeeded(50)
        else:
            attempts.broke_off()
        self.done.append(attempts)

    @precondition(lambda self: self.trying or self.answering)
    @rule(which=st.integers(0))
    def hang_up(self, which: int) -> None:
        several = self.trying or self.answering
        attempts = several.pop(which % len(several))
        attempts.close()
        attempts.close()
        self.done.append(attempts)

    @invariant()
    def nothing_leaks_and_nothing_is_charged_twice(self) -> None:
        if not hasattr(self, "scene"):
            return
        assert self.scene.under_way(self.fleet[0], self.fleet[2]) == len(self.trying) + len(self.answering)
        for one in (self.fleet[0].upstream, self.fleet[2].upstream):
            assert self.scene.router.health.upstream(one).under_way <= one.concurrency
        for attempts in (*self.trying, *self.answering, *self.done):
            made = attempts.made
            assert len(made) <= self.group.max_attempts
            assert sum(one.billed == "yes" for one in made) <= 1
            # Only the last can have cost anything: what was tried again cost nothing.
            assert all(one.billed == "no" for one in made[:-1])
            assert self.group.fallback or len({one.candidate.name for one in made}) <= 1


TestAttemptsMachine = AttemptsMachine.TestCase

"""Workers that share a limit never give out more than it, whatever they do and in whatever order."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.admission.parties import in_memory
from tiergate.clock import DAY
from tiergate.gateway.metering.accounts import PERIOD_US, Move
from tiergate.gateway.metering.leases import Lease
from tiergate.gateway.metering.limits import Limit, Limits, Payer
from tiergate.gateway.metering.meter import Meter, Ticket
from tiergate.gateway.metering.prices import PriceTable
from tiergate.gateway.metering.refusals import Refusal
from tiergate.gateway.metering.shares import SHARES, ShareStore
from tiergate.gateway.metering.usage import Demand, Seen
from tiergate.gateway.routing.prices import Price

CAP = 40
"""Small, so that it is met exactly as often as it is missed."""

MONEY = Limit(scope="organisation", subject="acme", measure="usd/day", amount=CAP)
PRICES = PriceTable({"m": [Price(from_us=0, input=0, output=1_000_000)]})
"""A token of an answer costs a micro-dollar: costs are easy to read."""

WORKERS = ("w1", "w2", "w3")
PAYER = Payer("acct", "key_1", "acme")


class Sharing(RuleBasedStateMachine):
    """Three workers on one database; what each settled is added up beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = in_memory()
        self.store = ShareStore(self.engine)
        self.now = 40 * DAY
        self.cap = CAP
        self.meters: dict[str, Meter] = {}
        self.tickets: list[tuple[str, Ticket, int]] = []
        self.settled: list[tuple[str, Ticket, int]] = []
        self.costs = 0
        self.number = 0
        for worker in WORKERS:
            self.open(worker)

    def open(self, worker: str) -> None:
        limits = Limits([Limit(scope="organisation", subject="acme", measure="usd/day", amount=self.cap)])
        self.meters[worker] = Meter(PRICES, limits, lambda: self.now)
        self.store.begin(worker, self.now)

    def move(self, worker: str, **how: bool) -> None:
        meter = self.meters[worker]
        moves = meter.due(**how)
        meter.moved(moves, self.store.move(worker, [move for _, move in moves], self.now))

    @rule(worker=st.sampled_from(WORKERS), wanted=st.lists(st.integers(0, 25), min_size=1, max_size=5))
    def admit(self, worker: str, wanted: list[int]) -> None:
        """Requests that come together: those that are short wait for one move."""
        for _ in range(6):
            short = []
            for most in wanted:
                demand = Demand(input_bytes=0, max_output_tokens=most)
                answer = self.meters[worker].admit(PAYER, ("m",), demand, self.now)
                if answer is None:
                    short.append(most)
                elif isinstance(answer, Ticket):
                    self.tickets.append((worker, answer, most))
                else:
                    assert most > 0
                    assert answer.code in ("budget_exhausted", "budget_reserved", "request_too_large")
            if not short:
                return
            wanted = short
            self.move(worker)
        raise AssertionError("a request waits for ever")

    @precondition(lambda self: self.tickets)
    @rule(n=st.integers(0, 99), tokens=st.sampled_from([0, 1, 7, 25, 60]))
    def settle(self, n: int, tokens: int) -> None:
        worker, ticket, _ = self.tickets.pop(n % len(self.tickets))
        charge = ticket.settle(Seen(input_tokens=0, output_tokens=tokens))
        assert charge.cost_micro_usd == tokens
        ticket.release()
        self.costs += tokens
        self.settled.append((worker, ticket, tokens))

    @precondition(lambda self: self.tickets)
    @rule(n=st.integers(0, 99))
    def release(self, n: int) -> None:
        self.tickets.pop(n % len(self.tickets))[1].release()

    @precondition(lambda self: self.settled)
    @rule(n=st.integers(0, 99))
    def void(self, n: int) -> None:
        _, ticket, cost = self.settled.pop(n % len(self.settled))
        ticket.void()
        ticket.void()
        self.costs -= cost

    @rule(worker=st.sampled_from(WORKERS), times=st.sampled_from([1, 5, 5, 31]))
    def tick(self, worker: str, times: int) -> None:
        for _ in range(times):
            self.now += 1_000_000
            self.move(worker, tick=True)

    @rule(worker=st.sampled_from(WORKERS))
    def fail(self, worker: str) -> None:
        moves = self.meters[worker].due(tick=True)
        self.meters[worker].not_moved(moves)

    @rule(worker=st.sampled_from(WORKERS))
    def end_and_begin_anew(self, worker: str) -> None:
        for number, (whose, ticket, _) in reversed(list(enumerate(self.tickets))):
            if whose == worker:
                ticket.release()
                del self.tickets[number]
        self.settled = [one for one in self.settled if one[0] != worker]
        self.move(worker, end=True)
        self.store.end(worker, self.now)
        self.open(worker)

    @rule(cap=st.integers(CAP, CAP + 20))
    def raise_the_limit(self, cap: int) -> None:
        self.cap = max(self.cap, cap)
        limits = Limits([Limit(scope="organisation", subject="acme", measure="usd/day", amount=self.cap)])
        for meter in self.meters.values():
            meter.replace(limits=limits)

    def rows(self) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(sa.select(SHARES)))

    def lease(self, worker: str) -> Lease | None:
        return next(iter(self.meters[worker]._leases.values()), None)

    @invariant()
    def no_more_is_given_out_than_the_limit(self) -> None:
        rows = self.rows()
        assert sum(row.used + row.held for row in rows) <= self.cap

    @invariant()
    def what_was_used_is_what_answers_cost(self) -> None:
        unsaved = sum(lease.unsaved for worker in WORKERS if (lease := self.lease(worker)))
        assert sum(row.used + row.overrun for row in self.rows()) + unsaved == self.costs

    @invariant()
    def what_a_worker_holds_is_left_set_aside_or_unsaved(self) -> None:
        held = {row.worker: row.held for row in self.rows()}
        for worker in WORKERS:
            aside = sum(most for whose, _, most in self.tickets if whose == worker)
            lease = self.lease(worker)
            mine = lease.left + aside + lease.unsaved if lease else 0
            assert held.get(worker, 0) == mine
            if lease:
                assert lease.open == sum(1 for whose, _, _ in self.tickets if whose == worker)

    def teardown(self) -> None:
        for _, ticket, _ in self.tickets:
            ticket.release()
        for worker in WORKERS:
            self.move(worker, end=True)
            self.store.end(worker, self.now)
        rows = self.rows()
        assert sum(row.held for row in rows) == 0
        assert sum(row.used + row.overrun for row in rows) == self.costs
        assert sum(row.used for row in rows) <= self.cap
        self.engine.dispose()


Sharing.TestCase.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
TestSharing = Sharing.TestCase


class Pacing(RuleBasedStateMachine):
    """Three workers that share a limit of requests a minute; every request let through is noted with its time."""

    LIMIT = Limit(scope="key", subject="key_1", measure="requests/minute", amount=60)

    def __init__(self) -> None:
        super().__init__()
        self.engine = in_memory()
        self.store = ShareStore(self.engine)
        self.now = 1_000_000
        self.passed: list[int] = []
        self.meters = {worker: Meter(PriceTable({}), Limits([self.LIMIT]), lambda: self.now) for worker in WORKERS}
        for worker in WORKERS:
            self.store.begin(worker, self.now)

    def move(self, worker: str, **how: bool) -> None:
        moves = self.meters[worker].due(**how)
        self.meters[worker].moved(moves, self.store.move(worker, [move for _, move in moves], self.now))

    @rule(worker=st.sampled_from(WORKERS), times=st.sampled_from([1, 7, 61]))
    def ask(self, worker: str, times: int) -> None:
        for _ in range(times):
            while (answer := self.meters[worker].admit(PAYER, ("m",), Demand(input_bytes=1), self.now)) is None:
                self.move(worker)
            if isinstance(answer, Refusal):
                assert answer.code == "requests_limited"
                assert 1 <= (answer.retry_after_s or 0) <= 60
            else:
                self.passed.append(self.now)

    @rule(worker=st.sampled_from(WORKERS))
    def tick(self, worker: str) -> None:
        self.move(worker, tick=True)

    @rule(worker=st.sampled_from(WORKERS))
    def die(self, worker: str) -> None:
        self.store.end(worker, self.now)
        self.store.begin(worker, self.now)
        self.meters[worker] = Meter(PriceTable({}), Limits([self.LIMIT]), lambda: self.now)

    @rule(seconds=st.sampled_from([1, 4, 30, 60, 61]))
    def wait(self, seconds: int) -> None:
        self.now += seconds * 1_000_000

    @invariant()
    def no_span_of_time_sees_more_than_a_full_bucket_and_what_refilled(self) -> None:
        cap = self.LIMIT.amount or 0
        for first, begin in enumerate(self.passed):
            assert len(self.passed) - first <= cap + cap * (self.passed[-1] - begin) // PERIOD_US

    def teardown(self) -> None:
        self.engine.dispose()


Pacing.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestPacing = Pacing.TestCase


def test_a_rate_gives_out_all_that_it_allows() -> None:
    """However many workers ask in turn, a minute of even traffic is let through as fast as it refills."""
    engine = in_memory()
    store, now = ShareStore(engine), [1_000_000]
    limit = Limit(scope="key", subject="key_1", measure="requests/minute", amount=60)
    meters = {worker: Meter(PriceTable({}), Limits([limit]), lambda: now[0]) for worker in WORKERS}
    for worker in WORKERS:
        store.begin(worker, now[0])
    passed = 0
    for second in range(240):
        now[0] += 1_000_000
        for number, (worker, meter) in enumerate(meters.items()):
            moves = meter.due(tick=True)
            meter.moved(moves, store.move(worker, [move for _, move in moves], now[0]))
            if (second + number) % 3:  # twice what the limit allows
                while (answer := meter.admit(PAYER, ("m",), Demand(input_bytes=1), now[0])) is None:
                    moves = meter.due()
                    meter.moved(moves, store.move(worker, [move for _, move in moves], now[0]))
                passed += isinstance(answer, Ticket)
    assert 0.9 * 240 <= passed <= 300
    engine.dispose()


def test_what_a_dead_worker_held_of_a_rate_counts_as_used() -> None:
    engine = in_memory()
    store, now = ShareStore(engine), 40 * DAY
    for worker in WORKERS:
        store.begin(worker, now)

    def grant(worker: str, want: int, now_us: int) -> int:
        move = Move(counter="requests/minute key k", window_us=0, cap=60, want=want, least=1)
        return store.move(worker, [move], now_us)[0].granted

    assert grant("w1", 20, now) == 20
    later = now + 2 * PERIOD_US
    store.end("w1", later)
    assert grant("w2", 60, later) == 40, "it may have used the 20 just now"
    assert grant("w3", 60, later + PERIOD_US // 3) == 20
    engine.dispose()


def test_a_mistake_of_ours_cannot_make_a_share_negative() -> None:
    engine = in_memory()
    store = ShareStore(engine)
    store.begin("w", 1)
    store.move("w", [Move(counter="usd/day key k", window_us=5, cap=10, want=4, least=4)], 1)
    for name in ("held", "used", "overrun"):
        with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
            connection.execute(sa.update(SHARES).values({name: -1}))
    engine.dispose()


def test_what_is_over_is_forgotten_and_what_is_held_is_not() -> None:
    engine = in_memory()
    store, day = ShareStore(engine), DAY
    store.begin("w", 1)
    old = Move(counter="usd/day key k", window_us=day, cap=10, want=4, least=4)
    rate = Move(counter="requests/minute key k", window_us=0, cap=10, want=4, least=4)
    store.move("w", [old, rate], day)
    store.forget(100 * day)
    assert store.standing([("usd/day key k", day)])["usd/day key k", day].held == 5
    store.move("w", [Move(counter=one.counter, window_us=one.window_us, cap=10, back=9) for one in (old, rate)], day)
    store.forget(30 * day)
    assert store.standing([("usd/day key k", day)]) != {}
    store.forget(100 * day)
    with engine.connect() as connection:
        assert list(connection.execute(sa.select(SHARES))) == []
    engine.dispose()

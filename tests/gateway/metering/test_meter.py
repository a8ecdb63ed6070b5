"""What a request is told: let through with what remains, or refused with what to do."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tiergate.clock import DAY, SECOND
from tiergate.gateway.metering import meter
from tiergate.gateway.metering.accounts import Account, Share
from tiergate.gateway.metering.limits import Limit, Limits, Measure, Payer, Scope
from tiergate.gateway.metering.meter import Meter, Ticket
from tiergate.gateway.metering.prices import PriceTable
from tiergate.gateway.metering.refusals import Refusal, anthropic_headers, openai_headers
from tiergate.gateway.metering.usage import Demand, Seen
from tiergate.gateway.routing.prices import Price

NOW = int(datetime(2026, 11, 24, 18, tzinfo=UTC).timestamp()) * SECOND
PRICES = PriceTable(
    {
        "small": [Price(from_us=0, input=1_000_000, output=2_000_000)],
        "large": [Price(from_us=0, input=10_000_000, output=20_000_000)],
        "gift": [Price(from_us=0, input=0, output=0)],
    }
)
PAYER = Payer("acct", "key_1", "acme", None, "alice")
DEMAND = Demand(input_bytes=100, max_output_tokens=50)
"""At most 200 micro-dollars of the small model, 2,000 of the large one."""


class Desk:
    """One meter, and counters without a database."""

    def __init__(self, *limits: tuple[Scope, str, Measure, int], prices: PriceTable = PRICES) -> None:
        self.now = NOW
        held = Limits(Limit(scope=scope, subject=of, measure=what, amount=n) for scope, of, what, n in limits)
        self.meter = Meter(prices, held, lambda: self.now)
        self.own: dict[tuple[str, int], Share] = {}
        self.tats: dict[str, int] = {}
        self.moves = 0

    def move(self, **how: bool) -> None:
        results = []
        pairs = self.meter.due(**how)
        for _, move in pairs:
            self.moves += 1
            own = self.own.setdefault((move.counter, move.window_us), Share())
            account = Account(move, own, Share(), self.tats.get(move.counter, 0), self.now)
            results.append(account.make(move, 1))
            self.tats[move.counter] = account.tat_us
        self.meter.moved(pairs, results)

    def ask(self, *models: str, demand: Demand = DEMAND, payer: Payer = PAYER) -> Ticket | Refusal:
        while (answer := self.meter.admit(payer, models or ("small",), demand, self.now)) is None:
            self.move()
        return answer

    def refused(self, *models: str, demand: Demand = DEMAND) -> Refusal:
        answer = self.ask(*models, demand=demand)
        assert isinstance(answer, Refusal)
        return answer

    def passed(self, *models: str, demand: Demand = DEMAND) -> Ticket:
        answer = self.ask(*models, demand=demand)
        assert isinstance(answer, Ticket), answer
        return answer


def test_a_charge_is_what_the_exchange_log_says() -> None:
    ticket = Desk().passed("small", "large")
    begun = ticket.begun("large")
    assert (begun.cost_micro_usd, begun.usage.estimated) == (260, True)
    columns = ticket.settle(Seen(input_tokens=30, output_tokens=7, cached_input_tokens=4), "large").columns()
    assert columns == {
        "input_tokens": 30,
        "output_tokens": 7,
        "cached_input_tokens": 4,
        "cache_write_tokens": 0,
        "reasoning_tokens": 0,
        "usage_source": "upstream",
        "cost_micro_usd": 440,
        "cost_usd": 0.00044,
    }
    cut = Desk().passed().settle(Seen(text_bytes=40, text_chars=40, events=3, complete=False))
    assert (cut.columns()["usage_source"], cut.cost_micro_usd) == ("estimate", 26 + 2 * 11)


def test_a_model_without_a_price_is_refused_and_not_billed_nothing() -> None:
    refused = Desk().refused("small", "unheard")
    assert (refused.code, refused.status, refused.headers()) == ("model_not_priced", 403, {"x-should-retry": "false"})
    assert "`unheard`" in refused.message
    assert Desk().passed("gift").settle(Seen(input_tokens=5, output_tokens=5)).cost_micro_usd == 0
    bare = PriceTable({})
    assert Desk(prices=bare).passed("any").settle(Seen(input_tokens=5, output_tokens=5)).cost_micro_usd is None
    assert Desk(("key", "*", "usd/day", 1), prices=bare).refused("any").code == "model_not_priced"
    assert isinstance(Desk(("key", "*", "requests/minute", 1), prices=bare).ask("any"), Ticket)


def test_an_exhausted_budget_says_what_is_left_and_when_it_begins_anew() -> None:
    desk = Desk(("key", "key_1", "usd/day", 500), ("organisation", "*", "usd/month", 10_000))
    desk.passed().settle(Seen(input_tokens=100, output_tokens=50))
    desk.passed().settle(Seen(input_tokens=100, output_tokens=51))
    refused = desk.refused()
    assert (refused.code, refused.status, refused.retry_after_s) == ("budget_exhausted", 429, 6 * 3600)
    assert refused.details() == {
        "scope": "key",
        "measure": "usd/day",
        "limit": 500,
        "remaining": 98,
        "resets_at": "2026-11-25T00:00:00Z",
    }
    assert refused.message == (
        "the key's budget of $0.0005 a day has $0.000098 left, and this request may need $0.0002; "
        "it begins anew at 2026-11-25T00:00:00Z"
    )
    assert refused.headers() == {"retry-after": "21600", "x-should-retry": "false"}
    desk.passed("gift").release()
    desk.passed(demand=Demand(input_bytes=38, max_output_tokens=30)).release()
    desk.now += 6 * 3600 * SECOND
    desk.passed().release()


def test_money_that_is_set_aside_is_not_spent_yet() -> None:
    desk = Desk(("key", "key_1", "usd/day", 500))
    first, _ = desk.passed(), desk.passed()
    refused = desk.refused()
    assert (refused.code, refused.retry_after_s, refused.headers()) == ("budget_reserved", 1, {"retry-after": "1"})
    first.release()
    desk.passed()
    larger = desk.refused("small", "large")
    assert (larger.code, larger.headers()) == ("request_too_large", {"x-should-retry": "false"})
    assert "this request may need $0.002, more than the key's budget of $0.0005 a day altogether" in larger.message


def test_the_dearest_model_that_may_answer_is_what_is_set_aside_for_and_the_one_that_did_is_charged() -> None:
    desk = Desk(("key", "key_1", "usd/day", 2_000))
    ticket = desk.passed("small", "large")
    assert desk.refused().code == "budget_reserved"
    assert ticket.settle(Seen(input_tokens=100, output_tokens=50), "small").cost_micro_usd == 200
    desk.passed()


def test_requests_and_tokens_of_a_minute_are_limited_and_refill() -> None:
    desk = Desk(("key", "*", "requests/minute", 6), ("end_user", "*", "tokens/minute", 6_000))
    for number in range(6):
        ticket = desk.passed()
        ticket.settle(Seen(input_tokens=100, output_tokens=50))
        (requests, tokens) = ticket.allowances(desk.now)
        assert (requests.remaining, tokens.remaining) == (5 - number, 6_000 - 150 * (number + 1))
    refused = desk.refused()
    assert (refused.code, refused.retry_after_s) == ("requests_limited", 10)
    assert refused.message == (
        "the key's limit of 6 requests a minute has 0 requests left, and this request may need 1 request: "
        "try again in 10 s"
    )
    desk.move(tick=True)
    desk.now += 10 * SECOND
    desk.passed().settle(Seen(input_tokens=20_000, output_tokens=0))
    desk.move(tick=True)
    desk.now += 60 * SECOND
    refused = desk.refused()
    assert refused.code == "tokens_limited", "an answer that was larger than foreseen is waited for"
    assert 60 <= (refused.retry_after_s or 0) <= 180
    desk.now += 180 * SECOND
    desk.passed()


def test_headers_are_those_that_clients_know() -> None:
    desk = Desk(("key", "*", "requests/minute", 60), ("key", "*", "tokens/minute", 60_000))
    ticket = desk.passed()
    ticket.settle(Seen(input_tokens=80, output_tokens=20))
    allowances = ticket.allowances(desk.now)
    assert openai_headers(allowances, desk.now) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "60000",
        "x-ratelimit-remaining-tokens": "59900",
        "x-ratelimit-reset-tokens": "100ms",
    }
    assert anthropic_headers(allowances) == {
        "anthropic-ratelimit-requests-limit": "60",
        "anthropic-ratelimit-requests-remaining": "59",
        "anthropic-ratelimit-requests-reset": "2026-11-24T18:00:01Z",
        "anthropic-ratelimit-tokens-limit": "60000",
        "anthropic-ratelimit-tokens-remaining": "59900",
        "anthropic-ratelimit-tokens-reset": "2026-11-24T18:00:01Z",
    }
    assert Desk().passed().allowances(NOW) == []


def test_a_lower_limit_holds_from_the_next_tick_on_and_no_limit_is_none() -> None:
    desk = Desk(("key", "key_1", "usd/day", 100_000))
    desk.passed().settle(Seen(input_tokens=100, output_tokens=50))
    lower = Limit(scope="key", subject="key_1", measure="usd/day", amount=300)
    desk.meter.replace(limits=Limits([lower]))
    desk.move(tick=True)
    assert desk.refused().code == "budget_exhausted"
    desk.meter.replace(limits=Limits([]))
    desk.passed("large").release()


def test_leases_that_are_not_used_are_given_back_and_forgotten() -> None:
    desk = Desk(("end_user", "*", "usd/day", 100_000), ("key", "*", "requests/minute", 1_000))
    tickets = [desk.ask(payer=PAYER._replace(end_user_id=f"user-{n}")) for n in range(50)]
    assert isinstance(tickets[0], Ticket)
    for ticket in tickets[1:]:
        assert isinstance(ticket, Ticket)
        ticket.settle(Seen(input_tokens=1, output_tokens=1))
    for _ in range(40):
        desk.now += SECOND
        desk.move(tick=True)
    assert len(desk.meter._leases) == 1, "the one whose request is still under way"
    assert desk.meter._plans == {}
    assert sum(share.held for share in desk.own.values()) <= 100_000
    tickets[0].void()
    tickets[0].settle(Seen(input_tokens=1, output_tokens=1))
    for _ in range(40):
        desk.move(tick=True)
    assert (desk.meter._leases, desk.meter._plans) == ({}, {})
    assert sum(share.held for share in desk.own.values()) == 0
    tickets[0].void()
    desk.move(tick=True)
    for _ in range(40):
        desk.move(tick=True)
    assert sum(share.used for (_, begin), share in desk.own.items() if begin) == 49 * 3
    assert desk.meter._leases == {}


def test_an_overrun_that_is_taken_back_leaves_nothing_behind() -> None:
    desk = Desk(("key", "key_1", "usd/day", 400))
    ticket = desk.passed()
    charge = ticket.settle(Seen(input_tokens=300, output_tokens=300))
    desk.move(tick=True)
    (share,) = desk.own.values()
    assert (share.used, share.overrun, share.held) == (400, 500, 0)
    assert charge.cost_micro_usd == 900, "an answer is charged in full, also where the budget does not bear it"
    ticket.void()
    desk.meter.replace(limits=Limits([Limit(scope="key", subject="key_1", measure="usd/day", amount=400)]))
    desk.move(tick=True)
    assert (share.used, share.overrun, share.held) == (0, 0, 0)
    (lease,) = desk.meter._leases.values()
    assert (lease.left, lease.unsaved, lease.open) == (0, 0, 0)
    desk.passed()


def test_most_requests_ask_no_database() -> None:
    desk = Desk(("key", "*", "usd/day", 10**9), ("key", "*", "requests/minute", 60_000))
    for number in range(20_000):
        desk.passed().settle(Seen(input_tokens=100, output_tokens=50))
        if number % 1_000 == 999:
            desk.now += SECOND
            desk.move(tick=True)
    assert desk.moves < 100


@pytest.mark.parametrize("window", ["usd/day", "usd/week", "usd/month"])
def test_what_began_in_a_window_is_paid_by_it_whenever_it_ends(window: Measure) -> None:
    desk = Desk(("key", "*", window, 1_000))
    ticket = desk.passed()
    desk.now += 32 * DAY
    desk.passed().settle(Seen(input_tokens=10, output_tokens=0))
    ticket.settle(Seen(input_tokens=100, output_tokens=50))
    desk.move(end=True)
    assert [share.used for _, share in sorted(desk.own.items())] == [200, 10]
    assert [share.held for share in desk.own.values()] == [0, 0]


def test_what_is_known_of_payers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "MOST_PLANS", 5)
    desk = Desk(("end_user", "*", "requests/minute", 1_000))
    for number in range(50):
        ticket = desk.ask(payer=Payer("acct", "key_1", "acme", None, f"user-{number}"))
        assert isinstance(ticket, Ticket)
        ticket.release()
    assert len(desk.meter._plans) <= 5
    for _ in range(40):
        desk.move(tick=True)
    assert len(desk.meter._leases) == 0


def test_a_request_that_no_model_answers_counts_as_one_and_needs_nothing_else() -> None:
    desk = Desk(
        ("key", "key_1", "requests/minute", 2), ("key", "key_1", "usd/day", 0), ("key", "key_1", "tokens/minute", 0)
    )
    for _ in range(2):
        ticket = desk.meter.admit(PAYER, (), DEMAND, NOW)
        while ticket is None:
            desk.move()
            ticket = desk.meter.admit(PAYER, (), DEMAND, NOW)
        assert isinstance(ticket, Ticket)
        ticket.release()
    refused = desk.meter.admit(PAYER, (), DEMAND, NOW)
    assert isinstance(refused, Refusal)
    assert refused.code == "requests_limited"

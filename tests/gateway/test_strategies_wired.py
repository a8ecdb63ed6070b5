"""Strategies and switches of a file of routes, on a running gateway before real upstreams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import openai
import pytest

from tests.gateway.conftest import Deployed, Start
from tests.gateway.faulty_upstream import USAGE, FaultyUpstream, faulty_upstream
from tests.gateway.sdk_callers import Messages

ROUTES = """
upstreams:
  one: {{url: "{one}", dialect: openai, private: true}}
  other: {{url: "{other}", dialect: openai, private: true}}
  slow: {{url: "{slow}/v1", dialect: openai, private: true}}
  picky: {{url: "{one}", dialect: openai, private: true, stream_usage: false}}
models:
  left: {{upstream: one, {price}}}
  right: {{upstream: other, {price}}}
  late: {{upstream: slow, upstream_model: model-small, {price}}}
  fussy: {{upstream: picky, {price}}}
  gift: {{upstream: one, free: true, context_tokens: 100_000, capabilities: [streaming]}}
groups:
  quickest: {{candidates: [late, left], strategy: fastest}}
  lots: {{candidates: [left, right], strategy: weighted, weights: {{left: 3}}}}
  kept: {{candidates: [left, right], strategy: sticky}}
"""
PRICE = (
    "prices: [{from: 2026-01-01, input: 1_000_000, output: 2_000_000}], context_tokens: 100_000, "
    "capabilities: [streaming]"
)


class Wired(NamedTuple):
    """A gateway and two of its upstreams."""

    gateway: Deployed
    one: FaultyUpstream
    other: FaultyUpstream


@pytest.fixture(scope="module")
def wired(start_routed: Start, slow_upstream: str) -> Iterator[Wired]:
    with faulty_upstream() as one, faulty_upstream() as other:
        text = ROUTES.format(one=one.address, other=other.address, slow=slow_upstream, price=PRICE)
        yield Wired(start_routed(text), one, other)


def ask(client: openai.OpenAI, model: str, question: str, **more: Any) -> Any:
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": question}], **more)


def answered(wired: Wired, account_id: str) -> list[str]:
    return [row["route_model"] for row in wired.gateway.rows(account_id)]


def test_fastest_goes_where_the_first_token_comes_sooner(wired: Wired) -> None:
    customer = wired.gateway.customer()
    for number in range(40):
        list(ask(customer.client, "quickest", f"tin {number}", stream=True))
    drawn = Counter(answered(wired, customer.account_id))
    assert drawn["late"] <= 12, drawn  # one that is not measured yet is tried, and 5% go by lot


def test_weighted_draws_by_weight(wired: Wired) -> None:
    customer = wired.gateway.customer()
    for number in range(80):
        ask(customer.client, "lots", f"tin {number}")
    drawn = Counter(answered(wired, customer.account_id))
    assert drawn["left"] > drawn["right"] > 0, drawn  # the other way round once in 300,000 times


def test_sticky_keeps_a_session_with_its_upstream_and_moves_it_only_while_that_fails(wired: Wired) -> None:
    customer = wired.gateway.customer()

    def of(session: int, question: str) -> str:
        ask(customer.client, "kept", question, extra_headers={"x-session-id": f"s{session}"})
        return answered(wired, customer.account_id)[-1]

    homes = {session: of(session, f"tin {session}") for session in range(8)}
    assert set(homes.values()) == {"left", "right"}
    assert {session: of(session, f"and then {session}") for session in homes} == homes
    home, elsewhere = (wired.one, wired.other) if homes[0] == "left" else (wired.other, wired.one)
    elsewhere.times["busy-once"] += 1
    assert of(0, "busy-once") in {"left", "right"} - {homes[0]}
    assert (home.times["busy-once"], of(0, "and back")) == (1, homes[0])


def test_a_model_that_is_free_costs_nothing_and_that_is_on_record(wired: Wired) -> None:
    customer = wired.gateway.customer()
    ask(customer.client, "gift", "tin")
    (row,) = wired.gateway.rows(customer.account_id)
    assert (row["cost_micro_usd"], row["input_tokens"]) == (0, USAGE["prompt_tokens"])


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_an_upstream_that_refuses_stream_options_is_not_sent_them_and_its_streams_are_estimated(
    wired: Wired, dialect: str
) -> None:
    customer = wired.gateway.customer()
    if dialect == "openai":
        assert list(ask(customer.client, "fussy", "picky", stream=True, stream_options={"include_usage": True}))
    else:
        assert Messages(wired.gateway.address, customer.key).ask("picky", stream=True, model="fussy").text
    (row,) = wired.gateway.rows(customer.account_id)
    assert "stream_options" not in wired.one.asked[-1]
    assert (row["status"], row["usage_source"]) == (200, "estimate")
    assert row["cost_micro_usd"] == row["input_tokens"] + 2 * row["output_tokens"] > 0
    with pytest.raises(openai.BadRequestError, match="stream_options"):
        ask(customer.client, "left", "picky", stream=True)


def test_the_one_upstream_of_the_settings_may_refuse_them_too(start: Start) -> None:
    with faulty_upstream() as upstream:
        gateway = start(upstream.address, upstream_stream_usage="false")
        customer = gateway.customer()
        list(ask(customer.client, "any", "picky", stream=True))
        assert [row["usage_source"] for row in gateway.rows(customer.account_id)] == ["estimate"]
        assert "stream_options" not in upstream.asked[-1]

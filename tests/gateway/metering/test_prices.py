"""Costs are exact, and an old exchange costs today what it cost then."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from tiergate.admission.known_facts import ModelFact
from tiergate.gateway.metering.prices import PriceTable, Tariff, price_table
from tiergate.gateway.metering.usage import Demand, Usage
from tiergate.gateway.routing.candidates import Candidate, Timeouts, Upstream
from tiergate.gateway.routing.prices import Price

amounts = st.integers(0, 200_000_000)
counts = st.integers(0, 10**7)


def at(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1_000_000)


def tariff(**price: int) -> Tariff:
    found = PriceTable({"m": [Price(from_us=0, **price)]}).at("m", at("2026-11-24"))
    assert found is not None
    return found


@given(amounts, amounts, amounts, amounts, amounts, counts, counts, counts, counts, counts)
def test_a_cost_is_the_exact_sum_rounded_up_once(
    price: int, cached_price: int, write_price: int, output_price: int, thought_price: int,
    fresh: int, cached: int, written: int, said: int, thought: int,
) -> None:  # fmt: skip
    prices = tariff(
        input=price, cached_input=cached_price, cache_write=write_price, output=output_price, reasoning=thought_price
    )
    usage = Usage(
        input_tokens=fresh + cached + written,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=said + thought,
        reasoning_tokens=thought,
    )
    parts = [(fresh, price), (cached, cached_price), (written, write_price), (said, output_price)]
    exact = sum(Fraction(tokens * each, 10**6) for tokens, each in [*parts, (thought, thought_price)])
    assert prices.cost(usage) == ceil(exact)


@given(counts, counts, counts, counts, counts)
def test_counts_that_contradict_one_another_never_cost_less_than_nothing(
    asked: int, cached: int, written: int, said: int, thought: int
) -> None:
    dear = tariff(input=10, cached_input=1, cache_write=12, output=50, reasoning=50)
    usage = Usage(
        input_tokens=asked,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=said,
        reasoning_tokens=thought,
    )
    assert asked + 50 * said <= dear.pico_usd(usage) <= 12 * asked + 50 * said


@given(st.integers(0, 5_000), st.integers(0, 5_000), st.integers(1, 4), st.integers(0, 5_000), st.integers(0, 5_000))
def test_no_answer_within_its_limits_costs_more_than_its_bound(
    size: int, limit: int, choices: int, asked: int, said: int
) -> None:
    prices = tariff(input=3, cached_input=1, cache_write=4, output=15, reasoning=20)
    demand = Demand(input_bytes=size, max_output_tokens=limit, choices=choices)
    usage = Usage(
        input_tokens=min(asked, size),
        cache_write_tokens=asked,
        output_tokens=min(said, limit * choices),
        reasoning_tokens=said,
    )
    assert prices.cost(usage) <= prices.bound(demand)


def test_a_price_holds_from_its_day_until_the_next() -> None:
    rows = [
        Price(input=3, output=9, from_us=at("2026-11-01")),
        Price(input=1, output=4, from_us=at("2026-03-01")),
    ]
    table = PriceTable({"m": rows})
    assert table.at("m", at("2026-02-28T23:59:59.999999")) is None
    assert [
        (found.input, found.output)
        for day in ("2026-03-01", "2026-10-31T23:59:59.999999", "2026-11-01", "2030-01-01")
        if (found := table.at("m", at(day)))
    ] == [(1, 4), (1, 4), (3, 9), (3, 9)]
    later = PriceTable({"m": [*rows, Price(input=0, output=0, from_us=at("2026-12-01"))]})
    for day in ("2026-03-01", "2026-11-24"):
        assert later.at("m", at(day)) == table.at("m", at(day)), "a price that is added changes no cost before it"


def test_kinds_without_a_price_of_their_own_are_not_free() -> None:
    plain = tariff(input=3, output=15)
    assert (plain.cached_input, plain.cache_write, plain.reasoning) == (3, 3, 15)
    assert tariff(input=3, output=15, cached_input=0).cached_input == 0


def test_a_model_is_free_only_where_somebody_says_so() -> None:
    table = PriceTable({"dear": [Price(from_us=0, input=1, output=1)], "gift": [Price(from_us=0, input=0, output=0)]})
    assert table.at("other", 1) is None
    free = table.at("gift", 1)
    assert free is not None
    assert free.cost(Usage(input_tokens=10**8, output_tokens=10**8)) == 0
    assert (table.in_force, PriceTable({}).in_force) == (True, False)


def test_prices_of_models_toml_hold_where_both_are_stated_and_gateway_yaml_has_none() -> None:
    stated = [ModelFact(model=name, tier="commodity", input_price=3, output_price=15) for name in ("m", "swift")]
    half = ModelFact(model="half", tier="commodity", input_price=3)
    upstream = Upstream(
        name="east", url="https://east.test/v1", dialect="openai", key_env=None, key=None, private=False,
        timeouts=Timeouts(), concurrency=1, retry_ratio=0.1,
    )  # fmt: skip
    dated = Price(from_us=at("2026-01-01"), input=1, output=2)
    swift = Candidate(name="swift", upstream=upstream, upstream_model="s", prices=(dated,), context_tokens=9)
    table = price_table([*stated, half], [swift])
    assert table.at("half", at("2026-11-24")) is None
    found = [table.at(name, at("2026-11-24")) for name in ("m", "swift")]
    assert [one and one.output for one in found] == [15, 2]
    assert table.at("swift", at("2025-12-31")) is None


def test_embeddings_write_no_tokens() -> None:
    assert tariff(input=3, output=15).bound(Demand(input_bytes=2_000_000, choices=0)) == 6

"""Orders of candidates: complete, repeatable, and what each strategy promises."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.routing.candidates import ask, candidate, fleets, group
from tiergate.gateway.routing.candidates import Candidate
from tiergate.gateway.routing.prices import Price, expected_output, price_at
from tiergate.gateway.routing.speed import EXPLORE, Speed
from tiergate.gateway.routing.strategies import Ask, affinity, cost, order

STRATEGIES = ("cheapest", "fastest", "weighted", "sticky")
asks = st.builds(
    ask,
    input_tokens=st.integers(0, 10_000),
    max_tokens=st.none() | st.integers(0, 10_000),
    choices=st.integers(1, 4),
    affinity=st.none() | st.binary(min_size=1, max_size=16),
)


def ordered(
    fleet: list[Candidate], asked: Ask, strategy: str, seed: int = 1, weights: dict[str, int] | None = None
) -> list[str]:
    one = group(*fleet, strategy=strategy, weights=weights or {})
    return [found.name for found in order(one, fleet, asked, lambda _: Speed(), 1, 1.0, random.Random(seed))]


@given(fleets, asks, st.sampled_from(STRATEGIES), st.integers())
def test_every_candidate_is_in_the_order_once_and_the_same_seed_orders_alike(
    fleet: list[Candidate], asked: Ask, strategy: str, seed: int
) -> None:
    names = ordered(fleet, asked, strategy, seed)
    assert sorted(names) == sorted(one.name for one in fleet)
    assert names == ordered(fleet, asked, strategy, seed)


@given(fleets, asks)
def test_cheapest_is_by_expected_cost_and_does_not_depend_on_the_others(fleet: list[Candidate], asked: Ask) -> None:
    by_name = {one.name: one for one in fleet}
    costs = [cost(by_name[name], asked, 1) for name in ordered(fleet, asked, "cheapest")]
    assert costs == sorted(costs)
    first = ordered(fleet, asked, "cheapest")[0]
    assert ordered([one for one in fleet if one.name == first], asked, "cheapest") == [first]


def test_what_is_cheapest_depends_on_the_request() -> None:
    reads = candidate("reads", prices=(Price(from_us=0, input=1, output=100),))
    writes = candidate("writes", prices=(Price(from_us=0, input=10, output=1),))
    assert ordered([reads, writes], ask(input_tokens=100_000, max_tokens=10), "cheapest")[0] == "reads"
    assert ordered([reads, writes], ask(input_tokens=10), "cheapest")[0] == "writes"


def test_prices_are_those_of_the_day() -> None:
    prices = (Price(from_us=100, input=5, output=5), Price(from_us=200, input=1, output=1))
    assert [found and found.input for found in (price_at(prices, at) for at in (99, 100, 199, 200, 10**18))] == [
        None, 5, 5, 1, 1,
    ]  # fmt: skip


@given(st.none() | st.integers(-5, 10_000), st.integers(0, 5))
def test_a_limit_on_the_answer_only_lowers_what_is_expected(limit: int | None, choices: int) -> None:
    assert 0 <= expected_output(limit, choices) <= expected_output(None, choices)


def test_the_first_is_drawn_by_weight() -> None:
    fleet = [candidate("a"), candidate("b"), candidate("c")]
    rng = random.Random(7)
    one = group(*fleet, strategy="weighted", weights={"a": 6, "b": 3})
    firsts = Counter(order(one, fleet, ask(), lambda _: Speed(), 1, 1.0, rng)[0].name for _ in range(10_000))
    # Four standard deviations of a share of 0.6 among 10,000 are 0.02.
    assert abs(firsts["a"] / 10_000 - 0.6) < 0.02
    assert abs(firsts["b"] / 10_000 - 0.3) < 0.02


KEYS = [affinity("acct", session=f"session-{number}") or b"" for number in range(3_000)]


@given(st.integers(2, 6), st.integers(0, 5), st.integers())
def test_a_candidate_that_goes_moves_no_session_but_its_own(count: int, gone: int, seed: int) -> None:
    fleet = [candidate(f"c{number}") for number in range(count)]
    rest = [one for number, one in enumerate(fleet) if number != gone % count]
    for key in KEYS[:40]:
        before = ordered(fleet, ask(affinity=key), "sticky", seed)
        assert ordered(rest, ask(affinity=key), "sticky", seed + 1) == [
            name for name in before if name != f"c{gone % count}"
        ]


def test_sessions_are_spread_by_weight() -> None:
    fleet = [candidate("a"), candidate("b")]
    firsts = Counter(ordered(fleet, ask(affinity=key), "sticky", weights={"a": 3})[0] for key in KEYS)
    assert abs(firsts["a"] / len(KEYS) - 0.75) < 0.04


def test_sessions_keys_and_beginnings_are_apart() -> None:
    same = affinity("a", session="1")
    assert same == affinity("a", session="1", cache_key="2", system_text="x")
    assert len({same, affinity("b", session="1"), affinity("a", cache_key="1"), affinity("a", system_text="1")}) == 4
    assert affinity("a", system_text="s", tool_names=["f"]) == affinity("b", system_text="s", tool_names=["f"])
    assert affinity("a", tool_names=["ab", "c"]) != affinity("a", tool_names=["a", "bc"])
    assert affinity("a") is None


@pytest.mark.parametrize("slow_s", [0.2, 5.0])
def test_fastest_finds_the_fastest_and_finds_it_again_when_it_changes(slow_s: float) -> None:
    """A day's two regimes: `a` is faster, then slower. Exploration is what notices the second."""
    rng, now_s = random.Random(3), 0.0
    fleet = [candidate("a"), candidate("b"), candidate("c")]
    speeds = {one.name: Speed() for one in fleet}
    shares = []
    for times in ({"a": 0.1, "b": slow_s, "c": slow_s}, {"a": slow_s, "b": slow_s, "c": 0.1}):
        firsts: Counter[str] = Counter()
        for turn in range(1_200):
            now_s += 1.0
            one = group(*fleet, strategy="fastest")
            names = order(one, fleet, ask(), lambda found: speeds[found.name], 1, now_s, rng)
            first_token_s = times[names[0].name]
            speeds[names[0].name].answered(first_token_s, first_token_s + 1.0, 100, now_s)
            firsts[names[0].name] += turn >= 600
        shares.append(firsts)
    best = 1 - EXPLORE
    assert shares[0]["a"] > 600 * (best - 0.05)
    assert shares[1]["c"] > 600 * (best - 0.05)


def test_fastest_weighs_tokens_against_the_first() -> None:
    """`quick` begins at once and dawdles; `steady` begins late and hurries."""
    speeds = {"quick": Speed(), "steady": Speed()}
    for number in range(20):
        speeds["quick"].answered(0.1, 0.1 + 100 * 0.05, 100, float(number))
        speeds["steady"].answered(2.0, 2.0 + 100 * 0.005, 100, float(number))
    fleet = [candidate("quick"), candidate("steady")]
    one = group(*fleet, strategy="fastest")

    def first(limit: int) -> str:
        asked = ask(max_tokens=limit)
        orders = [
            order(one, fleet, asked, lambda found: speeds[found.name], 1, 20.0, random.Random(n)) for n in range(50)
        ]
        return Counter(names[0].name for names in orders).most_common(1)[0][0]

    assert (first(5), first(256)) == ("quick", "steady")


@given(st.lists(st.tuples(st.floats(0.001, 60), st.floats(0, 600)), min_size=1, max_size=30))
def test_a_mean_lies_within_what_was_measured_and_fades_towards_the_prior(
    samples: list[tuple[float, float]],
) -> None:
    speed, now_s = Speed(), 0.0
    for first_token_s, pause_s in samples:
        now_s += pause_s
        speed.answered(first_token_s, first_token_s + 1, 100, now_s)
    mean = speed.first_token.mean()
    assert mean is not None
    values = [first_token_s for first_token_s, _ in samples]
    assert min(values) - 1e-9 <= mean <= max(values) + 1e-9
    assert speed.first_token.weight(now_s) <= len(samples) + 1e-9
    drawn = [abs(speed.first_token.towards(100.0, now_s + later) - 100.0) for later in (0, 60, 600, 1e9)]
    assert drawn == sorted(drawn, reverse=True)
    assert drawn[-1] < 1e-6


def test_a_quick_failure_does_not_make_a_candidate_fast() -> None:
    speed = Speed()
    speed.failed(0.001, 1.0)
    assert speed.first_token.mean() is None
    speed.answered(1.0, 2.0, 100, 1.0)
    speed.failed(0.001, 1.0)
    assert speed.first_token.mean() == 1.0
    speed.failed(9.0, 1.0)
    assert speed.first_token.mean() == 5.0

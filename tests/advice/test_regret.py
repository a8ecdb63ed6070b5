"""What a vendor that vanishes costs, by hand."""

from __future__ import annotations

import pytest

from tests.advice.conftest import advice
from tiergate.advice.candidates import Candidate, Market
from tiergate.advice.regret import DAYS_OF_MONTH, Choice, scenarios, stops, worst_regret
from tiergate.advice.requirements import Continuity


def candidate(market: Market, name: str) -> Candidate:
    (one,) = (each for each in market.candidates if each.id == name)
    return one


def choice(market: Market, name: str, usd_per_day: float, eci: float | None = None) -> Choice:
    return Choice(candidate(market, name), usd_per_day * DAYS_OF_MONTH, eci)


def test_the_cost_of_a_stand_in_and_the_regret(market: Market) -> None:
    dear = choice(market, "claude-opus-5@anthropic", 30, 161)
    cheap = choice(market, "gpt-5.6-luna@openai", 10, 156)
    found = {
        one.vendor: {each.choice: each for each in one.outcomes}
        for one in scenarios([dear, cheap], [dear, cheap], Continuity(days=10, switch_days=2, loss_usd_per_day=100))
    }
    assert found["nobody"]["claude-opus-5@anthropic"].regret_usd == pytest.approx(200)
    gone = found["developer OpenAI"]["gpt-5.6-luna@openai"]
    # Two days without at 100, eight of the other at 30; the other itself costs 300.
    assert (gone.stops, gone.stand_in, gone.eci_lost) == (True, "claude-opus-5@anthropic", -5)
    assert gone.usd == pytest.approx(2 * 100 + 8 * 30)
    gone = found["developer Anthropic"]["claude-opus-5@anthropic"]
    assert gone.usd == pytest.approx(2 * 100 + 8 * 10)
    assert gone.regret_usd == pytest.approx(280 - 100)
    assert gone.eci_lost == 5


def test_nothing_stands_in_where_nothing_is_left(market: Market) -> None:
    alone = choice(market, "gpt-5.6-luna@openai", 10)
    found = scenarios([alone], [alone], Continuity(days=5, switch_days=1, loss_usd_per_day=70))
    (gone,) = (one.outcomes[0] for one in found if one.vendor == "developer OpenAI")
    assert (gone.stand_in, gone.usd, gone.regret_usd) == (None, 350, 0)


def test_the_same_model_elsewhere_stands_in_first(market: Market) -> None:
    one, other = (choice(market, f"claude-opus-5@{way}", 30, 161.0) for way in ("anthropic", "amazon-bedrock"))
    cheap = choice(market, "gpt-5.6-luna@openai", 1, 156.0)
    found = scenarios([one, cheap], [one, other, cheap], Continuity())
    (gone,) = (each for each in found if each.vendor == "provider anthropic")
    assert gone.outcomes[0].stand_in == "claude-opus-5@amazon-bedrock"
    assert gone.outcomes[0].eci_lost == 0


def test_weights_that_are_out_run_on_without_their_developer(market: Market) -> None:
    assert not stops(candidate(market, "deepseek-v4-pro@own"), "developer DeepSeek")
    assert not stops(candidate(market, "deepseek-v4-pro@deepinfra"), "developer DeepSeek")
    assert stops(candidate(market, "deepseek-v4-pro@deepseek"), "developer DeepSeek")
    assert stops(candidate(market, "claude-opus-5@amazon-bedrock"), "developer Anthropic")
    assert stops(candidate(market, "claude-opus-5@amazon-bedrock"), "provider amazon-bedrock")


def test_no_regret_is_negative_and_somebody_has_none_in_each_scenario(market: Market) -> None:
    found = advice(
        market, continuity={"days": 18, "switch_days": 3, "loss_usd_per_day": 9_000}, certifications=["soc2"]
    )
    assert len(found.scenarios) > 5
    for one in found.scenarios:
        regrets = [each.regret_usd for each in one.outcomes]
        assert min(regrets) == pytest.approx(0)
        assert all(each.usd >= 0 for each in one.outcomes)
    assert list(worst_regret(found.scenarios).values()) == sorted(worst_regret(found.scenarios).values())

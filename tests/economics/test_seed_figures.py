"""The founding essay's arithmetic to the last digit, and what is computed in its place."""

from __future__ import annotations

import pytest

from tiergate.catalog.claims import load_claims
from tiergate.economics.seed import TURNS, Seed, at_list, claims, priors_of_then, seed_figures


@pytest.fixture(scope="module")
def seed() -> Seed:
    return seed_figures(draws=20_000)


def test_seed_figures_are_exact(seed: Seed) -> None:
    """Source: the founding essay, 48,000 dollars for 16 million exchanges by 24,000 accounts against 1 to 5 billion of
    training: 0.003 dollars, 2 dollars, 667 exchanges, 20,833 and 104,167 times."""
    assert seed.per_exchange == 0.003
    assert seed.per_account == 2.0
    assert round(seed.exchanges_per_account) == 667
    assert round(seed.training_ratio_low) == 20_833
    assert round(seed.training_ratio_high) == 104_167


def test_the_claimed_sum_lies_below_the_first_percentile(seed: Seed) -> None:
    assert seed.total_below < 0.01
    assert not seed.credible
    assert 0.05 < seed.tokens_below < 0.2  # source: research of 2026-11-24, 13%


def test_the_total_is_near_that_of_the_research(seed: Seed) -> None:
    """Source: research of 2026-11-24: median 549 thousand dollars, tokens 190 thousand."""
    assert seed.estimate.total.median == pytest.approx(549_000, rel=0.15)
    assert seed.estimate.items["tokens"].median == pytest.approx(190_000, rel=0.15)


def test_the_ledger_has_this_estimate_as_its_evidence() -> None:
    evidence, total = load_claims().find("extraction_cost").evidence, seed_figures().estimate.total
    assert evidence is not None
    assert evidence.parts == pytest.approx((total.low, total.median, total.high), rel=0.001)


@pytest.mark.parametrize(
    ("kind", "prices", "millions"),
    [
        ("agentic coding", (1, 5), 0.13),
        ("agentic coding", (3, 15), 0.38),
        ("agentic coding", (5, 25), 0.64),
        ("agentic coding", (15, 75), 1.92),
        ("reasoning", (1, 5), 0.17),
        ("reasoning", (15, 75), 2.52),
    ],
)
def test_tokens_at_list_price(kind: str, prices: tuple[float, float], millions: float) -> None:
    """Source: research of 2026-11-24, 16 million exchanges at list price: 3k in and 1k out 0.13, 0.38, 0.64 and 1.92
    million dollars, 500 in and 2k out 0.17 to 2.5."""
    assert at_list(16e6, *TURNS[kind], *prices) / 1e6 == pytest.approx(millions, abs=0.005)


def test_recomputed_figures_are_of_the_models_on_file(seed: Seed) -> None:
    """Prices of Haiku 4.5, Sonnet 4.5 and Opus 4.1 on 2026-02-23: 1/5, 3/15, 15/75 dollars."""
    assert seed.recomputed["agentic coding", "middle"] == pytest.approx(384_000)
    assert seed.recomputed["agentic coding", "large"] == pytest.approx(1.92e6)
    assert len(seed.recomputed) == 6
    then = priors_of_then()["output_price"]
    assert (then.low, then.mode, then.high, then.licence) == (5, 15, 75, "MIT")
    assert "claude-opus-4-1" in then.source


def test_what_was_said_names_who_said_it() -> None:
    exchanges, accounts, cost, _ = claims()
    assert (exchanges.alleged_by, accounts.alleged_by) == ("Anthropic", "Anthropic")
    assert cost.status == "uncorroborated"

"""The claim ledger: what was published of each claim, and what an override moves."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.catalog.claim_figures import Figure, figures, moved
from tiergate.catalog.claims import Ledger, Range, Status, load_claims, short
from tiergate.errors import InputError


def figure(ledger: Ledger, name: str) -> Figure:
    (found,) = (one for one in figures(ledger) if one.id == name)
    return found


# market.md section 1.2: "= $0.003/exchange, $2.00/account, 667 exchanges/account", "At $3/$15 it buys 200 output
# tokens", "Division right (20,833-104,167)", "1-5% of $1-5B = $10M-250M".
@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("usd_per_exchange", 0.003, 0.003),
        ("usd_per_account", 2.0, 2.0),
        ("exchanges_per_account", 666.67, 666.67),
        ("tokens_per_exchange", 200, 200),
        ("training_to_extraction", 20_833.3, 104_166.7),
        ("student_budget", 10e6, 250e6),
    ],
)
def test_arithmetic_of_the_essay(name: str, low: float, high: float) -> None:
    claimed = figure(load_claims(), name).claimed
    assert claimed is not None
    assert (claimed.low, claimed.high) == (pytest.approx(low, rel=1e-5), pytest.approx(high, rel=1e-5))


def test_the_ledger_has_every_claim_once_with_each_status() -> None:
    claims = load_claims().claims
    assert len(claims) == 49
    assert {one.status for one in claims.values()} == set(Status)
    assert [name for name, one in claims.items() if one.status is Status.UNCORROBORATED] == [
        "mythos_parameters", "extraction_cost", "training_cost", "capability_share", "margins_vanish",
    ]  # fmt: skip


# market.md section 1.3: Epoch-run 76.9 / 78.7 / 75.6, Opus 4.7 83.5; Llama 4 Maverick 132.8 against GPT-5.4 156.7;
# section 0: Gemma 4 31B 142.3 against 158.5.
@pytest.mark.shared_data
def test_figures_that_cite_epoch_are_epochs(shared_data: Path) -> None:
    claims = load_claims().claims
    with (shared_data / "market" / "eci" / "2026-08-11_benchmarks.csv").open() as file:
        runs = {
            row["model"]: 100 * float(row["performance"])
            for row in csv.DictReader(file)
            if row["benchmark"] == "SWE-Bench verified"
        }
    for name, model in (
        ("swe_bench_gpt_5_4", "GPT-5.4"),
        ("swe_bench_opus_4_6", "Claude Opus 4.6"),
        ("swe_bench_opus_4_7", "Claude Opus 4.7"),
        ("swe_bench_gemini_3_1_pro", "Gemini 3.1 Pro"),
    ):
        evidence = claims[name].evidence
        assert evidence is not None
        assert evidence.mode == pytest.approx(runs[model], abs=0.05)
    with (shared_data / "market" / "eci" / "2026-08-11_scores.csv").open() as file:
        scores = {row["Model"]: float(row["eci"]) for row in csv.DictReader(file) if row["eci"]}
    for name, ahead, behind in (
        ("llama_4_frontier", "GPT-5.4", "Llama 4 Maverick"),
        ("us_open_backdoor", "GPT-5.4 Pro", "Gemma 4 31B IT"),
    ):
        evidence = claims[name].evidence
        assert evidence is not None
        assert evidence.mode == pytest.approx(scores[ahead] - scores[behind], abs=0.06)


# Epoch AI, training-cost-trends: the least of a model that market.md section 1.2 names, Claude 3.7 by use ($30M), and
# the most, Grok-3 at cloud prices.
@pytest.mark.shared_data
def test_estimates_of_training_that_cite_epoch_are_epochs(shared_data: Path) -> None:
    with (shared_data / "market" / "training_costs.csv").open() as file:
        rows = {row["Model"]: row for row in csv.DictReader(file)}
    evidence = load_claims().find("training_cost").evidence
    assert evidence is not None
    assert evidence.low == pytest.approx(float(rows["Claude 3.7 Sonnet"]["Hardware_Capex_Energy_Cost"]), rel=0.02)
    assert evidence.high == pytest.approx(float(rows["Grok-3"]["Cloud_Cost"]), rel=0.01)


def test_an_override_moves_what_rests_on_it_and_leaves_what_the_essay_said() -> None:
    shipped = load_claims()
    mine = shipped.with_overrides(["extraction_cost=2e6"])
    assert mine.overridden == {"extraction_cost"}
    assert {new.id for _, new in moved(shipped, mine)} == {
        "usd_per_exchange", "usd_per_account", "tokens_per_exchange", "training_to_extraction",
    }  # fmt: skip
    assert all(old.claimed == new.claimed for old, new in moved(shipped, mine))
    per_account = figure(mine, "usd_per_account").evidence
    assert per_account is not None
    assert per_account.mode == pytest.approx(2e6 / 24_000)
    assert shipped.find("extraction_cost").evidence != mine.find("extraction_cost").evidence


def test_a_status_can_be_overridden_and_moves_nothing() -> None:
    mine = load_claims().with_overrides(["not_for_sale=refuted"])
    assert mine.find("not_for_sale").status is Status.REFUTED
    assert moved(load_claims(), mine) == []


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        (["extraction_cost"], "sets nothing: write claim=value"),
        (["extraction_cost="], "sets nothing"),
        (["extraction_cots=5"], "did you mean `extraction_cost`"),
        (["extraction_cost=cheap"], "`cheap` is no figure; write 5 or low,mode,high, in USD"),
        (["extraction_cost=1,2"], "is no figure"),
        (["extraction_cost=inf"], "cannot be; write 5 or low,mode,high, in USD, from 0 to 1e"),
        (["extraction_cost=-5"], "cannot be; write 5"),
        (["campaign_accounts=1e-320"], "cannot be"),
        (["extraction_cost=nan"], "is no figure|must not fall"),
        (["open_lag=9,1,2"], "must not fall: 9, 1, 2"),
        (["open_lag=1", "open_lag=2"], "`open_lag` is set twice"),
        (["not_for_sale=5"], "has no figure: set it to one of corroborated, disputed"),
    ],
)
def test_an_override_that_is_none_says_what_is_allowed(given_: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_claims().with_overrides(given_)


def test_nothing_is_divided_by_nothing() -> None:
    with pytest.raises(InputError, match="must be more than 0"):
        figures(load_claims().with_overrides(["campaign_accounts=0"]))


amounts = st.floats(0.1, 1e12)


@given(amounts, amounts, amounts, amounts)
def test_a_quotient_of_ranges_holds_every_quotient_in_them(a: float, b: float, c: float, d: float) -> None:
    over, under = sorted((a, b)), sorted((c, d))
    mine = load_claims().with_overrides(
        [f"extraction_cost={over[0]},{over[0]},{over[1]}", f"campaign_accounts={under[0]},{under[1]},{under[1]}"]
    )
    each = figure(mine, "usd_per_account").evidence
    assert each is not None
    assert each.mode is not None
    for quotient in (over[0] / under[0], over[0] / under[1], over[1] / under[0], over[1] / under[1]):
        assert each.low * (1 - 1e-12) <= quotient <= each.high * (1 + 1e-12)


def test_figures_read_as_people_write_them() -> None:
    assert [short(value) for value in (0.003, 666.667, 20_833.3, 16.55e6, 5e9, 1e13, 0)] == [
        "0.003", "666.7", "20,833", "16.55M", "5B", "10T", "0",
    ]  # fmt: skip
    assert str(Range(1, 3)) == "1 to 3"
    assert str(Range(1, 3, 2)) == "2 (1 to 3)"
    assert str(Range(2, 2, 2)) == "2"


def test_what_uses_a_claim_is_a_command() -> None:
    from typer.main import get_command

    from tiergate.cli import catalog, economics

    known = {
        (group, name)
        for group, module in (("catalog", catalog), ("economics", economics))
        for name in get_command(module.app).commands  # type: ignore[attr-defined]
    }
    named = {tuple(one.split()) for claim in load_claims().claims.values() for one in claim.used_by}
    assert named <= known

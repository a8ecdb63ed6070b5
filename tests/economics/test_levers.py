"""What decides a cost, what has to be done for another one, and what control buys at most."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.economics.test_attack_cost import PUBLISHED
from tiergate.cli.redteam_files import write_results
from tiergate.economics.attack import Campaign, Deployment, cost_of, drawn
from tiergate.economics.bound import bound, others
from tiergate.economics.controls import Assumed, compare
from tiergate.economics.inverse import needed
from tiergate.economics.measured import read_measured
from tiergate.economics.monte_carlo import drawn_costs
from tiergate.economics.priors import load_priors, quantile, with_changes
from tiergate.economics.sensitivity import influences
from tiergate.errors import InputError
from tiergate.redteam.assess import Assessment
from tiergate.redteam.attack import Space
from tiergate.redteam.background import Setting
from tiergate.redteam.trial import Control, Trial


@pytest.mark.parametrize(("target", "said", "within"), [(1e6, 26, 0.05), (10e6, 400, 0.01), (100e6, 4_150, 0.001)])
def test_the_account_cost_that_is_needed_is_the_published_one(target: float, said: float, within: float) -> None:
    """Source: research of 2026-11-24: for 16 million exchanges by 24,000 accounts to cost 1, 10 and 100 million
    dollars, accounts have to cost some 26, 400 and 4,150 dollars each."""
    assert needed(PUBLISHED, "account-cost", target).value == pytest.approx(said, rel=within)


@pytest.mark.parametrize(
    ("lever", "here"),
    [
        ("account-cost", Deployment(limit=100)),
        ("limit", Deployment(identity_check=True)),
        ("delay", Deployment(recall=0.99, limit=50)),
    ],
)
def test_what_is_needed_does_it(lever: Any, here: Deployment) -> None:
    campaign = Campaign(16e6, channel="own", mix="large", deployment=here)
    found = needed(campaign, lever, 2e6)
    field = {"account-cost": "account_cost", "limit": "limit", "delay": "delay"}[lever]
    values = {name: getattr(here, name) for name in Deployment.__slots__} | {field: found.value}
    there = Campaign(16e6, channel="own", mix="large", deployment=Deployment(**values))
    median = np.median(drawn_costs(there, load_priors(), draws=10_000, seed=1).total)
    assert median == pytest.approx(2e6, rel=0.01)


@pytest.mark.parametrize(
    ("campaign", "lever", "target", "said"),
    [
        (PUBLISHED, "account-cost", 1_000, "with no such control at all: ask for more"),
        (PUBLISHED, "limit", 1e7, "leave it out"),
        (PUBLISHED, "account-cost", float("inf"), "no attack costs that: ask for up to 1e+15"),
        (Campaign(1e6), "delay", 1e7, "give the recall of your detection too"),
        (
            Campaign(1e6, channel="own", deployment=Deployment(recall=0.5)),
            "delay",
            1e9,
            "the 50% of accounts that are not found carry it",
        ),
        (Campaign(1e6, deployment=Deployment(identity_check=True)), "account-cost", 1e7, "leave the check out"),
    ],
)
def test_what_no_lever_reaches_is_said(campaign: Campaign, lever: Any, target: float, said: str) -> None:
    with pytest.raises(InputError) as caught:
        needed(campaign, lever, target)
    assert said in str(caught.value)


def test_an_inputs_index_is_the_variance_that_it_explains_alone() -> None:
    """The definition itself: the variance of the mean given an input, here in 50 bins of it, over the whole."""
    campaign = Campaign(16e6, channel="own", mix="unknown")
    names, bins, rows = campaign.inputs(), 50, 2_000
    points = np.random.default_rng(5).random((bins * rows, len(names)))
    shares = {name: points[:, at] for at, name in enumerate(names)}
    cost = np.log(cost_of(campaign, load_priors(), drawn(campaign, load_priors(), shares)).total)
    ours = {one.name: one for one in influences(campaign)}
    for at, name in enumerate(names):
        means = cost[np.argsort(points[:, at])].reshape(bins, rows).mean(axis=1)
        assert ours[name].first == pytest.approx(means.var() / cost.var(), abs=0.03), name
        assert ours[name].total > ours[name].first - ours[name].first_within - ours[name].total_within, name


def test_a_tornado_can_be_made_again() -> None:
    assert influences(PUBLISHED, samples=256) == influences(PUBLISHED, samples=256)


def test_what_the_research_found_to_matter_does() -> None:
    """Source: research of 2026-11-24, largest rank correlations: reseller's discount, account cost, labour, output."""
    found = influences(PUBLISHED)
    assert found[0].name == "channel"
    assert {"labour_time", "output_price", "payment_instrument", "exchange_output"} <= {one.name for one in found[:6]}
    by_name = {one.name: one for one in found}
    assert by_name["reseller_share"].at_low < by_name["reseller_share"].at_high
    assert by_name["proxy_traffic"].total < 0.01  # the research: addresses are under 1% of the bill


WITH_LAG = dict(load_priors()) | {"open_lag": others().months}


def test_when_open_weights_catch_up_is_as_long_as_they_took_before() -> None:
    """Source: research of 2026-11-24, open behind closed by the same index: strict 5.7 months, vertical 8.3 points."""
    found = others()
    assert found.months.mode == pytest.approx(5.7, abs=0.1)
    assert found.months.low < 2
    assert found.months.high > 10
    assert found.points == pytest.approx(8.3, abs=0.5)
    assert others(follower="China", leader="US", definition="staleness").months.mode == pytest.approx(8.6, abs=0.5)
    with pytest.raises(InputError, match="give one of horizontal, strict, staleness"):
        others(definition="vertical")


def test_control_buys_nothing_past_the_outside_option() -> None:
    flat = with_changes(["open_lag=6", "rival_lag=1", "campaign_days=30.4375", "student_training=2"], WITH_LAG)
    alone, with_rivals = bound(flat, draws=10, month_worth=1e6)
    assert alone.bought.median == pytest.approx(3.0)
    assert alone.worth is not None
    assert alone.worth.median == pytest.approx(3e6)
    assert with_rivals.bought.high == 0
    assert with_rivals.nothing == 1.0
    assert bound(flat, draws=10, slowed_days=30.4375)[0].bought.median == pytest.approx(1.0)
    assert bound(flat, draws=10, slowed_days=0)[0].bought.median == 0
    with pytest.raises(InputError, match="0 or more"):
        bound(flat, slowed_days=-1)


def test_more_lag_buys_at_most_so_much_more() -> None:
    few, many = (bound(with_changes([f"open_lag={lag}"], WITH_LAG), draws=5_000)[0] for lag in (4, 8))
    assert 0 < many.bought.median - few.bought.median <= 4
    assert few.bought.high <= 4


def test_controls_are_compared_by_dollar_and_by_block() -> None:
    found = {one.control: one for one in compare(1e7, 10_000, Assumed(limit=100, recall=0.9, accused=0.001))}
    assert set(found) == {"identity check", "limit", "limit and check", "detection", "all three"}
    for one in found.values():
        assert one.per_usd == pytest.approx(one.raised / one.costs)
        assert one.per_block == pytest.approx(one.raised / one.blocked)
        assert not one.measured
    assert found["all three"].raised > max(found[name].raised for name in ("identity check", "limit", "detection"))
    assert found["limit"].blocked == pytest.approx(100)
    assert "detection" not in {one.control for one in compare(1e7, 10_000, Assumed())}
    with pytest.raises(InputError, match="1 honest account or more"):
        compare(1e7, 0, Assumed())


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """What `tiergate redteam` writes, by its own writer."""
    attack = Space(1_000, 4.0, 40).attack(np.full(64, 0.5)[: len(_knobs())])
    made = []
    for control, exchanges, times in (
        (Control.NONE, 1_000, 1.0),
        (Control.ALL, 1_000, 3.0),
        (Control.NONE, 8_000, 1.0),
        (Control.ALL, 8_000, 2.0),
        (Control.REVIEWED, 8_000, None),
    ):
        trial = Trial(exchanges, 3.0, replacements=attack.spec.accounts // 2, answered_on=1.5, honest=2)
        levels = {} if times is None else {"low": times * 1.5, "mode": times, "high": times * 0.9}
        got = (None, None) if times is None else (attack, trial)
        made.append(Assessment(control, exchanges, *got, {}, levels, levels, {}, 1, None))
    run = {"limits": {"account": 20, "newcomer": 9, "newcomer_days": 7.0}, "honest_accounts_above_them": 0.01}
    write_results(tmp_path, made, Setting(accounts=1_000), run)
    return tmp_path


def _knobs() -> tuple[str, ...]:
    from tiergate.redteam.attack import KNOBS

    return KNOBS


def test_the_red_teams_file_is_read_for_the_nearest_number_of_exchanges(measured: Path) -> None:
    found = read_measured(measured, 1e6)["all"]
    assert found.exchanges == 8_000
    assert found.multiplier is not None
    assert (found.multiplier.low, found.multiplier.mode, found.multiplier.high) == (1.8, 2.0, 3.0)
    assert "simulated" in found.multiplier.source
    assert found.delay == 1.5
    assert found.recall == pytest.approx(0.5, abs=0.05)
    assert found.honest == pytest.approx(0.012)
    assert read_measured(measured / "redteam.json", 500)["all"].exchanges == 1_000
    assert read_measured(measured, 8_000)["reviewed"].multiplier is None


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("setting", "accounts"), 0),
        (("assessments", 1, "exchanges"), 0),
        (("assessments", 1, "attack", "spec", "accounts"), "x"),
        (("assessments", 1, "trial", "answered_on"), "soon"),
        (("assessments", 1, "trial", "honest"), []),
        (("assessments", 1, "multiplier", "mode"), 1e300),
    ],
)
def test_a_file_that_the_red_team_did_not_write_is_refused(measured: Path, where: tuple[Any, ...], value: Any) -> None:
    whole = json.loads((measured / "redteam.json").read_text())
    inner = whole
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    (measured / "redteam.json").write_text(json.dumps(whole))
    with pytest.raises(InputError, match="is not what `tiergate redteam` writes"):
        read_measured(measured, 1_000)


def test_measured_controls_take_the_place_of_assumed_ones(measured: Path) -> None:
    (one,) = compare(8_000, 10_000, Assumed(), measured=read_measured(measured, 8_000))
    assert one.control == "all"
    assert one.measured
    assert one.raised > 0
    given_up = float(quantile(load_priors()["check_abandoned"], np.array(0.5)))
    assert one.blocked == pytest.approx(10_000 * (0.012 + given_up))


def test_another_file_is_refused(tmp_path: Path, measured: Path) -> None:
    with pytest.raises(InputError, match="`tiergate redteam --out DIR` writes one"):
        read_measured(tmp_path / "none", 1)
    for text in ("[]", "{", json.dumps({"simulated": True}), os.urandom(32).hex()):
        (tmp_path / "redteam.json").write_text(text)
        with pytest.raises(InputError, match="is not what `tiergate redteam` writes"):
            read_measured(tmp_path, 1)

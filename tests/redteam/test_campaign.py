"""A running attack under verdicts: who is served, what it pays, and where its work goes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tiergate.clock import DAY
from tiergate.ledger.verdicts import Action
from tiergate.redteam.attack import Attack
from tiergate.redteam.background import Limits, Setting, at_us, times_us
from tiergate.redteam.campaign import Caps, RunningCampaign
from tiergate.simulation.spec import CampaignSpec

SETTING = Setting(accounts=100, days=10, warm_up=1, looks=(4.0,))
SPEC = CampaignSpec(accounts=10, exchanges_per_account=40, camouflage=0.2, payment_sharing=1.0)
FREE = Caps(account=None, case=20)


def running(attack: Attack | None = None, *, wanted: int = 400, caps: Caps = FREE) -> RunningCampaign:
    return RunningCampaign(attack or Attack(SPEC, 10.0, steps_up=False), SETTING, 1, wanted, caps)


def finish(campaign: RunningCampaign) -> int:
    campaign.advance(at_us(SETTING, SETTING.days) + 1)
    return campaign.answered


def test_undisturbed_it_gets_all_out_and_stops() -> None:
    campaign = running(wanted=300)
    assert finish(campaign) == 300
    assert campaign.done
    assert at_us(SETTING, 6) < campaign.last_us < at_us(SETTING, 9)
    assert finish(campaign) == 300
    rows = campaign.recorded()[0]
    assert times_us(rows).max() == campaign.last_us
    assert rows.num_rows > 300, "camouflage is recorded as well"


def test_a_cap_holds_for_each_account_and_day() -> None:
    campaign = running(caps=Caps(account=Limits(3, 3, 7.0), case=20))
    assert finish(campaign) < 10 * 3 * 11
    rows = campaign.recorded()[0]
    asked = np.unique(
        np.stack([np.asarray(rows["account_id"].to_pylist(), object), (times_us(rows) // DAY).astype(object)]).astype(
            str
        ),
        axis=1,
        return_counts=True,
    )[1]
    assert asked.max() == 3


@pytest.mark.parametrize(("aged", "young_days"), [(0.5, 7), (7.5, 0), (3.0, 4)])
def test_newcomers_may_ask_less_until_they_are_none(aged: float, young_days: int) -> None:
    spec = replace(SPEC, exchanges_per_account=200, signup_spread_days=0, aged_days=aged, human_rhythm=False)
    campaign = running(Attack(spec, 10.0, steps_up=False), wanted=10_000, caps=Caps(Limits(9, 2, 7.0), 20))
    finish(campaign)
    days = (times_us(campaign.recorded()[0]) - at_us(SETTING, 0)) // DAY
    asked = np.bincount(days, minlength=10)
    assert asked[:young_days].max(initial=0) <= 10 * 2
    assert asked[young_days + 1 :].max() > 10 * 8


def test_suspension_ends_an_account_and_says_when() -> None:
    campaign = running()
    campaign.advance(at_us(SETTING, 4))
    before = campaign.answered
    names = sorted(campaign.names)
    assert campaign.answer([*names, "somebody else"], "case", Action.SUSPEND) == 10
    assert campaign.reach() == before
    assert finish(campaign) == before
    assert set(campaign.accounts()[0]["closed_at"].cast("int64").to_pylist()) == {at_us(SETTING, 4)}


@pytest.mark.parametrize(("steps_up", "paid", "all_out"), [(False, 0, False), (True, 10, True)])
def test_verification_is_paid_for_once_or_ends_it(steps_up: bool, paid: int, all_out: bool) -> None:
    campaign = running(Attack(SPEC, 10.0, steps_up))
    campaign.advance(at_us(SETTING, 4))
    for _ in range(2):
        campaign.answer(sorted(campaign.names), "case", Action.VERIFY)
    assert campaign.step_ups == paid
    assert (finish(campaign) == 400) is all_out


def test_a_limited_case_has_one_budget() -> None:
    campaign = running()
    campaign.advance(at_us(SETTING, 4))
    before = campaign.answered
    campaign.answer(sorted(campaign.names), "case", Action.LIMIT)
    assert campaign.reach() <= before + 6 * 20
    after = finish(campaign) - before
    assert 6 * 20 * 0.9 <= after <= 6 * 20


def test_replacements_are_bought_and_take_the_work_over() -> None:
    spec = replace(SPEC, replaced_after_h=12)
    campaign = running(Attack(spec, 10.0, steps_up=False))
    campaign.advance(at_us(SETTING, 4))
    before = campaign.answered
    gone = sorted(campaign.names)[:4]
    campaign.answer(gone, "case", Action.SUSPEND)
    campaign.react()
    assert campaign.replacements == 4
    assert campaign.reach() == 400
    campaign.react()
    assert campaign.replacements == 4, "each account is replaced once"
    assert len(campaign.names) == 14
    assert campaign.reach() == 400
    assert finish(campaign) == 400 > before
    fresh = campaign.recorded()[1]
    assert times_us(fresh).min() >= at_us(SETTING, 4.5)


def test_an_attacker_who_does_not_replace_goes_on_with_the_rest() -> None:
    campaign = running()
    campaign.advance(at_us(SETTING, 4))
    campaign.answer(sorted(campaign.names)[:4], "case", Action.SUSPEND)
    campaign.react()
    assert campaign.replacements == 0
    assert 250 < finish(campaign) < 400

"""What evasion costs: every price has a source, and hiding more never costs less."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tiergate.catalog.attack_prices import load_attack_prices
from tiergate.catalog.cited import Amount
from tiergate.errors import InputError
from tiergate.simulation.evasion import LEVELS, cost
from tiergate.simulation.spec import CampaignSpec

HIDDEN = CampaignSpec(
    accounts=100,
    exchanges_per_account=10,
    client_programs=0,
    wordings=0,
    topics_per_account=1,
    camouflage=0.5,
    human_rhythm=True,
    pivot_share=0.5,
    pivot_spread_h=48,
    replaced_after_h=6,
    filler_words=12,
    prefix_kib=4,
    end_users=4,
    padding=0.2,
)


@pytest.mark.parametrize(("name", "price"), load_attack_prices().items(), ids=load_attack_prices().keys())
def test_a_price_says_what_when_and_where_from(name: str, price: Amount) -> None:
    assert 0 <= price.low <= price.mode <= price.high
    assert price.mode > 0
    assert price.unit
    assert price.source != "assumption" or len(price.note) > 20


@pytest.mark.parametrize("name", load_attack_prices())
def test_no_price_is_without_effect(name: str) -> None:
    prices = dict(load_attack_prices())
    before = cost(HIDDEN, 10, identity_checked=True, prices=prices).total
    price = prices[name]
    prices[name] = structs.replace(prices[name], mode=price.mode * 2, high=price.high * 2)
    assert cost(HIDDEN, 10, identity_checked=True, prices=prices).total > before


def test_a_bill_by_hand() -> None:
    plain = CampaignSpec(
        accounts=10, exchanges_per_account=100, signup_spread_days=0, address_sharing=1, payment_sharing=0.5,
        client_programs=2, camouflage=0, pivot_share=1, pivot_spread_h=0,
    )  # fmt: skip
    bill = cost(plain, 4, replacements=5, step_ups=3)
    paid = {name: value for name, value in bill.items.items() if value}
    assert paid == pytest.approx(
        {
            "tokens": 1_000 * (3_000 * 3 + 1_000 * 15) / 1e6,
            "accounts": 15 * 0.28,
            "payment": (7.5 + 7.5 / 8) * 2.0,
            "identity checks": 3 * 5.0,
            "client programs": 2 * 0.1,
            "ageing": 15 * 0.25 * 0.02,
            "running": 10 * 4 * 0.02,
        }
    )
    assert bill.per_exchange == pytest.approx(bill.total / 1_000)
    assert cost(plain, 4, exchanges=0).per_exchange == float("inf")


def test_the_same_campaign_costs_what_the_published_arithmetic_says() -> None:
    """16 million exchanges of 3,000 tokens in and 1,000 out at 3 and 15 dollars: 0.38 million dollars."""
    bill = cost(CampaignSpec(accounts=24_000, exchanges_per_account=16e6 / 24_000), 30)
    assert bill.items["tokens"] == pytest.approx(0.384e6)


def test_a_planned_ban_buys_accounts_again() -> None:
    planned = replace(HIDDEN, banned_on_day=3, ban_share=0.5)
    assert cost(planned, 10).total == pytest.approx(cost(HIDDEN, 10, replacements=50).total)
    assert cost(replace(planned, replaced_after_h=None), 10).items["accounts"] == pytest.approx(100 * 0.28)


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="0 or more"):
        cost(HIDDEN, -1)


def _specs() -> st.SearchStrategy[CampaignSpec]:
    share = st.floats(0, 1)
    return st.builds(
        CampaignSpec,
        accounts=st.integers(1, 5_000),
        exchanges_per_account=st.floats(1, 1_000),
        signup_spread_days=st.floats(0, 90),
        address_sharing=share,
        payment_sharing=share,
        client_programs=st.integers(0, 40),
        wordings=st.integers(0, 500),
        topics_per_account=st.integers(0, 8),
        camouflage=st.floats(0, 0.95),
        human_rhythm=st.booleans(),
        pivot_share=share,
        pivot_spread_h=st.floats(0, 500),
        replaced_after_h=st.none() | st.floats(0, 200),
        aged_days=st.floats(0, 90),
        filler_words=st.integers(0, 24),
        prefix_kib=st.integers(0, 64),
        end_users=st.integers(0, 16),
        padding=st.floats(0, 0.95),
    )


def _dearer(spec: CampaignSpec, knob: str, more: float) -> CampaignSpec:
    """The same exchanges with one knob turned towards hiding by ``more`` (0 to 1)."""
    now: Any = getattr(spec, knob)
    turned: Any
    if knob in ("address_sharing", "payment_sharing", "pivot_share"):
        turned = now * (1 - more)
    elif knob in ("client_programs", "wordings"):
        turned = 0 if more > 0.8 or now == 0 else now + round(100 * more)
    elif knob == "topics_per_account":
        turned = 1
    elif knob == "human_rhythm":
        turned = True
    elif knob in ("filler_words", "prefix_kib", "end_users"):
        turned = now + round(100 * more)
    elif knob in ("camouflage", "padding"):
        turned = now + (0.95 - now) * more
    elif knob == "replaced_after_h":
        turned = 200 * (1 - more) if now is None else now * (1 - more)
    elif knob == "accounts":
        turned = now + round(1_000 * more)
        return replace(spec, accounts=turned, exchanges_per_account=now * spec.exchanges_per_account / turned)
    else:
        turned = now * (1 + more) + more
    return replace(spec, **{knob: turned})


KNOBS = (
    *("accounts", "address_sharing", "payment_sharing", "client_programs", "wordings", "topics_per_account"),
    *("camouflage", "human_rhythm", "signup_spread_days", "pivot_share", "pivot_spread_h", "replaced_after_h"),
    *("aged_days", "filler_words", "prefix_kib", "end_users", "padding"),
)


@pytest.mark.parametrize("knob", KNOBS)
@given(spec=_specs(), more=st.floats(0, 1), days=st.floats(0.05, 60), after=st.floats(0, 1))
def test_hiding_more_never_costs_less(knob: str, spec: CampaignSpec, more: float, days: float, after: float) -> None:
    dearer = _dearer(spec, knob, more)
    for level in LEVELS:
        before = cost(spec, days, after_release=after, level=level).total
        assert cost(dearer, days, after_release=after, level=level).total >= before * (1 - 1e-9)


@pytest.mark.parametrize("knob", KNOBS)
def test_every_knob_has_a_price(knob: str) -> None:
    plain = CampaignSpec(
        accounts=50, exchanges_per_account=20, address_sharing=1, payment_sharing=1, client_programs=1,
        camouflage=0, pivot_share=1, pivot_spread_h=0, signup_spread_days=1,
    )  # fmt: skip
    spec = replace(plain, pivot_share=0.9) if knob == "pivot_spread_h" else plain
    assert cost(_dearer(spec, knob, 1.0), 10).total > cost(spec, 10).total


@given(spec=_specs(), days=st.floats(0.05, 60), more=st.integers(0, 1_000))
def test_time_replacements_checks_and_exchanges_cost(spec: CampaignSpec, days: float, more: int) -> None:
    bill = cost(spec, days).total
    slack = bill * (1 - 1e-9)
    prompt = replace(spec, pivot_spread_h=0)
    assert cost(prompt, days + more).total >= cost(prompt, days).total * (1 - 1e-9)
    assert cost(spec, days, replacements=more).total >= slack
    assert cost(spec, days, step_ups=more).total >= slack
    assert cost(spec, days, identity_checked=True).total > bill
    sent = spec.accounts * spec.exchanges_per_account
    assert cost(spec, days, exchanges=sent + more).total >= slack

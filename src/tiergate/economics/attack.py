"""What a campaign of N exchanges costs whoever runs it, item by item, for many draws of the prices at once.

The attacker minimises over accounts, exchanges per account, models and channel, knowing its own prices::

    accounts bought = N / (r * life(T) - max(r - newcomer limit, 0) * life(first days))
    life(t) = recall * L(min(delay, t)) + (1 - recall) * L(t)          days that an account works within its first t
    L(t) = (1 - exp(-h t)) / h,   h = closed_a_day + closed_for_volume * (r / usual_volume)^2

r are the exchanges that an account asks a day, at most the limit; T the days that the campaign has. Accounts are bought
for its beginning, as many as it takes with those that will be closed. Per account: code, mailbox, card, identity check
where asked, keeping, balance lost at closing. Per exchange: tokens at list, addresses. Resellers sell tokens below
list, up to their capacity, and pass on part of what accounts come to cost more. Only labour does not grow with N. The
student's training is left out. Where the red team measured what evasion costs, the attacker pays that multiple of all
of its own items but labour. Form of the problem: two-sided Stackelberg games, Ebel and Mitra, arXiv 2207.09497.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from tiergate.catalog.cited import Amount
from tiergate.economics.priors import F64, MOST, quantile
from tiergate.errors import InputError

Draws = Mapping[str, F64]
Channel = Literal["cheapest", "own", "reseller", "unknown"]
Mix = Literal["cheapest", "unknown", "small", "middle", "large"]
MODELS: Final = ("small", "middle", "large")
"""Models of one family: the low, mode and high of the token prices."""
RATES: Final = np.geomspace(0.02, 20, 31)
"""Exchanges an account asks a day that the attacker tries, as multiples of `usual_volume`."""
LEAST_LIMIT: Final = 0.001
"""Exchanges a day: fewer than one in three years is no service."""
TOGETHER: Final = {"input_price": "output_price"}
"""Prices that are of one model rise and fall together: the former is drawn where the latter is."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What stands against the attacker.

    ``identity_check``: accounts pass one at sign-up; ``account_cost``: USD an account costs in all, in place of code,
    mailbox, card and check; ``limit``: exchanges an account may ask a day, ``newcomer_limit`` for its first
    ``newcomer_days``; ``recall``: share of its accounts that
    detection closes, ``delay``: days after their first exchange; ``evasion``: times dearer not to be detected.
    Raises `InputError` for what cannot be.
    """

    identity_check: bool = False
    account_cost: float | None = None
    limit: float = np.inf
    newcomer_limit: float = np.inf
    newcomer_days: float = 7.0
    recall: float = 0.0
    delay: float = 0.0
    evasion: Amount | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.recall <= 1):
            raise InputError(f"a recall of {self.recall:g} is no share: give 0 to 1")
        if not min(self.limit, self.newcomer_limit) >= LEAST_LIMIT or not min(self.delay, self.newcomer_days) >= 0:
            raise InputError(f"a limit is {LEAST_LIMIT:g} exchanges a day or more, and a delay 0 days or more")
        if self.account_cost is not None and (self.identity_check or not 0 <= self.account_cost <= MOST):
            raise InputError(f"the cost of an account is 0 to {MOST:g} dollars, and says for itself what a check adds")
        if self.evasion is not None and self.evasion.low < 1:
            raise InputError("no control makes an attack cheaper: a multiplier is 1 or more")
        if self.evasion is not None and (self.identity_check or self.recall or self.limited):
            raise InputError(
                "the red team measured all controls together: give either its file or controls of your own"
            )

    @property
    def limited(self) -> bool:
        return min(self.limit, self.newcomer_limit) < np.inf


@dataclass(frozen=True, slots=True)
class Campaign:
    """What the attacker is after. ``accounts``: bought in all; the cheapest number when None. ``channel``: ``unknown``
    is a reseller in half of the draws; ``mix``: ``unknown`` is one model of any price in between, ``cheapest`` counts
    an exchange of a smaller model for what it is worth. Raises `InputError` for numbers that are not above 0."""

    exchanges: float
    accounts: float | None = None
    channel: Channel = "cheapest"
    mix: Mix = "cheapest"
    deployment: Deployment = field(default_factory=Deployment)

    def __post_init__(self) -> None:
        if not 1 <= self.exchanges < 1e15 or (self.accounts is not None and not 1 <= self.accounts < 1e12):
            raise InputError("give exchanges from 1 to 1e15, and accounts from 1 to 1e12")
        if self.accounts is not None and (self.channel in ("reseller", "cheapest") or self.mix == "cheapest"):
            raise InputError("with a number of accounts the channel is `own` or `unknown`, and the mix not `cheapest`")

    def inputs(self) -> tuple[str, ...]:
        """Names of the independent uncertain inputs that its cost depends on, in a fixed order."""
        here = self.deployment
        resellers = self.channel in ("cheapest", "reseller")
        names: tuple[str, ...] = ()
        names += ("phone_code", "mailbox", "payment_instrument") if here.account_cost is None or resellers else ()
        names += ("identity_check",) if here.identity_check else ()
        names += ("account_day", "lost_balance", "closed_a_day", "closed_for_volume", "usual_volume", "campaign_days")
        names += (
            "exchange_input",
            "exchange_output",
            "proxy_traffic",
            "exchange_traffic",
            "labour_time",
            "labour_price",
        )
        if self.mix == "unknown":
            names += ("output_price",)
        elif self.mix == "cheapest":
            names += ("small_worth", "middle_worth")
        if self.channel != "own":
            names += ("reseller_share",)
        if self.channel == "cheapest":
            names += ("reseller_capacity",)
        if resellers and here != Deployment():
            names += ("reseller_pass_on",)
        names += ("channel",) if self.channel == "unknown" else ()
        return names + (("evasion",) if here.evasion else ())


@dataclass(frozen=True, slots=True)
class Cost:
    """US dollars by item, and what the attacker chose: accounts bought in all, exchanges that each gets out in all and
    a day, share bought from resellers, model (0 small, 1 middle, 2 large); arrays of the draws' shape."""

    items: Mapping[str, F64]
    accounts: F64
    each: F64
    rate: F64
    resold: F64
    model: F64

    @property
    def total(self) -> F64:
        """US dollars."""
        return np.asarray(np.sum(list(self.items.values()), axis=0))


def drawn(campaign: Campaign, priors: Mapping[str, Amount], shares: Mapping[str, F64]) -> dict[str, F64]:
    """Values of the inputs at ``shares`` (0 to 1) of their probability; an input that is not in it is at its median."""
    half = np.full_like(next(iter(shares.values())), 0.5)
    values: dict[str, F64] = {}
    for name in campaign.inputs():
        share = shares.get(name, half)
        if name == "channel":
            values[name] = share
        elif name == "evasion":
            assert campaign.deployment.evasion is not None
            values[name] = quantile(campaign.deployment.evasion, share)
        else:
            values[name] = quantile(priors[name], share)
    for follower, leader in TOGETHER.items():
        if leader in values:
            values[follower] = quantile(priors[follower], shares.get(leader, half))
    return values


def cost_of(campaign: Campaign, priors: Mapping[str, Amount], values: Draws) -> Cost:
    """The bill of each draw; `InputError` where the accounts that are given cannot ask so much."""
    tokens, worth, model = _tokens(campaign, priors, values)
    wanted = campaign.exchanges / worth
    accounts = _accounts(campaign, campaign.deployment, values)
    addresses = values["exchange_traffic"] * values["proxy_traffic"]
    times = values.get("evasion", np.ones_like(tokens))
    paid = np.where(values["channel"] < 0.5, values["reseller_share"], 1.0) if "channel" in values else 1.0
    own = tokens * paid + accounts.per_exchange + addresses
    resold, resale = _resold(campaign, values, own * times, tokens, addresses, wanted)
    direct = wanted * (1 - resold)
    items = {
        "tokens": direct * tokens * paid,
        **{name: direct * one for name, one in accounts.items.items()},
        "addresses": direct * addresses,
        "resold tokens": wanted * resold * resale,
        "evasion": direct * own * (times - 1),
        "labour": values["labour_time"] * values["labour_price"],
    }
    return Cost(items, direct * accounts.bought, 1 / accounts.bought, accounts.rate, resold, model)


@dataclass(frozen=True, slots=True)
class _PerExchange:
    """What accounts cost for each own exchange: items in dollars, accounts bought, and exchanges an account a day."""

    items: Mapping[str, F64]
    bought: F64
    rate: F64

    @property
    def per_exchange(self) -> F64:
        return np.asarray(np.sum(list(self.items.values()), axis=0))


def _accounts(campaign: Campaign, here: Deployment, values: Draws) -> _PerExchange:
    if campaign.accounts is not None:
        return _given(campaign, here, values)
    usual = values["usual_volume"]
    best, best_rate = np.full_like(usual, np.inf), usual
    # An account's price does not depend on the model, so that the cheapest rate is found by itself.
    for multiple in RATES:
        rate = np.minimum(usual * multiple, here.limit)
        total = _at(rate, here, values).per_exchange
        best_rate = np.where(total < best, rate, best_rate)
        best = np.minimum(best, total)
        if np.all(usual * multiple >= here.limit):
            break
    return _at(best_rate, here, values)


def _given(campaign: Campaign, here: Deployment, values: Draws) -> _PerExchange:
    assert campaign.accounts is not None
    if here.newcomer_limit < np.inf:
        raise InputError("with a number of accounts no limit for new ones is reckoned with: leave one of them out")
    each = campaign.exchanges / campaign.accounts
    rate = each / values["campaign_days"]
    rate = each / _life(rate, here, values)[0]
    if np.median(rate) > here.limit:
        raise InputError(
            f"{campaign.accounts:,.0f} accounts would have to ask {np.median(rate):,.0f} exchanges a day each, and the "
            f"limit is {here.limit:,.0f}: give more accounts, or leave them to the attacker"
        )
    return _at(rate, here, values, bought=np.full_like(rate, 1 / each))


def _at(rate: F64, here: Deployment, values: Draws, *, bought: F64 | None = None) -> _PerExchange:
    life, lasting = _life(rate, here, values)
    if bought is None:
        bought = 1 / (rate * life - _held_back(rate, here, values))
    if here.account_cost is not None:
        price = {"accounts": np.full_like(rate, here.account_cost)}
    else:
        price = {"accounts": values["phone_code"] + values["mailbox"] + values["payment_instrument"]}
        price |= {"identity checks": values["identity_check"]} if here.identity_check else {}
    items = {name: one * bought for name, one in price.items()}
    items["keeping accounts"] = values["account_day"] * bought * life
    items["lost balances"] = values["lost_balance"] * bought * (1 - lasting)
    return _PerExchange(items, bought, rate)


def _life(rate: F64, here: Deployment, values: Draws) -> tuple[F64, F64]:
    """Days that an account bought is of use, and the share of those bought that last to the campaign's end."""
    hazard, days = _hazard(rate, values), values["campaign_days"]
    lasting = np.exp(-hazard * days) * np.where(here.delay < days, 1 - here.recall, 1.0)
    return _alive(hazard, np.inf, here, values), lasting


def _held_back(rate: F64, here: Deployment, values: Draws) -> F64:
    """Exchanges that the limit for new accounts keeps one from asking."""
    if here.newcomer_limit == np.inf:
        return np.zeros_like(rate)
    young = _alive(_hazard(rate, values), here.newcomer_days, here, values)
    return np.maximum(rate - here.newcomer_limit, 0.0) * young


def _hazard(rate: F64, values: Draws) -> F64:
    """Share of accounts that ordinary checks close a day."""
    grows = (rate / values["usual_volume"]) ** 2
    return np.maximum(values["closed_a_day"] + values["closed_for_volume"] * grows, 1e-12)


def _alive(hazard: F64, within: float, here: Deployment, values: Draws) -> F64:
    """Days that an account works ``within`` its first so many and the campaign's, closed by checks or detection."""
    days = np.minimum(values["campaign_days"], within)
    alive = -np.expm1(-hazard * days) / hazard
    if not here.recall:
        return alive
    # An account that is closed at once has still asked for some minutes.
    until = np.minimum(max(here.delay, 1e-3), days)
    return here.recall * -np.expm1(-hazard * until) / hazard + (1 - here.recall) * alive


def _tokens(campaign: Campaign, priors: Mapping[str, Amount], values: Draws) -> tuple[F64, F64, F64]:
    """Dollars at list for an exchange, what it is worth of one of the large model, and which model (0 small, 2 large;
    in between where it is not known)."""
    come, go = values["exchange_input"], values["exchange_output"]
    if campaign.mix == "unknown":
        cost = (come * values["input_price"] + go * values["output_price"]) / 1e6
        return cost, np.ones_like(cost), np.ones_like(cost)
    into, out = priors["input_price"], priors["output_price"]
    prices = ((into.low, out.low), (into.mode, out.mode), (into.high, out.high))
    costs = np.stack([(come * one + go * other) / 1e6 for one, other in prices])
    if campaign.mix in MODELS:
        at = MODELS.index(campaign.mix)
        return costs[at], np.ones_like(come), np.full_like(come, at)
    worths = np.stack([values["small_worth"], values["middle_worth"], np.ones_like(come)])
    # Accounts and addresses are paid for each exchange too, but tokens decide: what ties is the larger model's.
    chosen = 2 - np.argmin((costs / worths)[::-1], axis=0)
    picked = np.arange(len(come))
    return costs[chosen, picked], worths[chosen, picked], chosen.astype(float)


def _resold(campaign: Campaign, values: Draws, own: F64, tokens: F64, addresses: F64, wanted: F64) -> tuple[F64, F64]:
    """Share of the exchanges bought from resellers, and dollars for each: below list, and a part of what theirs come to
    cost more under the controls."""
    none = np.zeros_like(own)
    if campaign.channel in ("own", "unknown"):
        return none, none
    bare = tokens + _accounts(campaign, Deployment(), values).per_exchange + addresses
    passed_on = values.get("reseller_pass_on", none)
    resale = tokens * values["reseller_share"] + passed_on * np.maximum(own - bare, 0.0)
    if campaign.channel == "reseller":
        return np.ones_like(own), resale
    most = np.minimum(values["reseller_capacity"] * values["campaign_days"] / wanted, 1.0)
    return np.where(resale < own, most, 0.0), resale

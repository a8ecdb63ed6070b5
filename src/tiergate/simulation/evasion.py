"""What a campaign's disguise costs whoever runs it: every evasion knob of `CampaignSpec`, priced.

Prices are the catalog's (`tiergate.catalog.attack_prices`), each with low, mode and high, a unit, a day and a source;
where no dated source was found the source says ``assumption`` and why. Left out, because they do not grow with the
campaign: engineers, research, and the student model's training. Leaving them out understates the cost of every attack.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from tiergate.catalog.attack_prices import load_attack_prices
from tiergate.catalog.cited import Amount
from tiergate.errors import InputError
from tiergate.simulation.campaigns import SHARERS
from tiergate.simulation.spec import CampaignSpec

Level = Literal["low", "mode", "high"]
LEVELS: Final[tuple[Level, ...]] = ("low", "mode", "high")

UNTIL_USED_DAYS: Final = 0.5
"""Days by which the simulator signs accounts up before they work, at the least."""
BYTES_PER_TOKEN: Final = 4


@dataclass(frozen=True, slots=True)
class Bill:
    """What a campaign pays, US dollars by item, and the exchanges of its purpose that it got for that."""

    items: Mapping[str, float]
    exchanges: float

    @property
    def total(self) -> float:
        """US dollars."""
        return math.fsum(self.items.values())

    @property
    def per_exchange(self) -> float:
        """US dollars for each exchange that got out; infinite when none did."""
        return self.total / self.exchanges if self.exchanges else math.inf


def cost(
    spec: CampaignSpec,
    days: float,
    *,
    exchanges: float | None = None,
    after_release: float = 0.5,
    replacements: int = 0,
    step_ups: int = 0,
    identity_checked: bool = False,
    level: Level = "mode",
    prices: Mapping[str, Amount] | None = None,
) -> Bill:
    """The bill of a campaign that ran for ``days``.

    :param exchanges: exchanges of its purpose that were answered; all that ``spec`` plans when None. Refused ones use
        no tokens.
    :param after_release: share of them that was asked after a new model came out (for ``pivot_*``).
    :param replacements: accounts bought after others were closed; those of a ban that ``spec`` itself plans are added.
    :param step_ups: accounts that passed an identity check when asked to.
    :param identity_checked: every account had to pass one when it signed up.
    :param level: which figure of each price to take.
    Raises `InputError` when a number is negative.
    """
    sent = spec.accounts * spec.exchanges_per_account if exchanges is None else exchanges
    if min(days, sent, after_release, replacements, step_ups) < 0:
        raise InputError("a bill needs days, exchanges, replacements and step-ups of 0 or more")
    known = load_attack_prices() if prices is None else prices
    price = {name: float(getattr(one, level)) for name, one in known.items()}
    if spec.banned_on_day is not None and spec.replaced_after_h is not None:
        replacements += round(spec.ban_share * spec.accounts)
    bought = spec.accounts + replacements
    paid = price["list_price_paid"] / 1e6
    of_purpose = paid * (
        price["exchange_input"] * price["input_price"] + price["exchange_output"] * price["output_price"]
    )
    of_talk = paid * (
        price["camouflage_input"] * price["input_price"] + price["camouflage_output"] * price["output_price"]
    )
    talk = sent * spec.camouflage / (1 - spec.camouflage)
    padding = sent * spec.padding / (1 - spec.padding)
    of_padding = paid * (price["padding_input"] * price["input_price"] + price["output_price"])
    of_prefix = spec.prefix_kib * 1024 / BYTES_PER_TOKEN * price["repeated_input"]
    line_days = spec.accounts * days * (price["human_hours"] if spec.human_rhythm else 1.0)
    items = {
        "tokens": sent * of_purpose,
        "accounts": bought * (price["phone_code"] + price["mailbox"]),
        "payment": _instruments(spec, bought) * price["payment_instrument"],
        "identity checks": (bought * identity_checked + step_ups) * price["identity_check"],
        "addresses": (sent + talk + padding)
        * price["exchange_traffic"]
        * price["proxy_traffic"]
        * (1 - spec.address_sharing),
        "client programs": (min(spec.client_programs, bought) or bought) * price["client_program"],
        "wordings": _rewordings(spec, sent) * price["rewording_tokens"] * price["rewording_price"] / 1e6,
        "personas": (bought * price["persona"] + sent * price["sorting"]) * (spec.topics_per_account > 0),
        "camouflage": talk * of_talk,
        "padding": padding * of_padding,
        "personal text": sent * (spec.filler_words * price["filler_tokens"] + of_prefix) * paid * price["input_price"],
        "end users": bought * spec.end_users * price["end_user"],
        "ageing": bought * _waited(spec) * price["account_day"],
        "running": line_days * price["account_day"],
        "spares": spec.accounts * days * _spare(spec.replaced_after_h) * price["account_day"],
        "stale answers": sent * _stale(spec, days, after_release) * price["stale_answer"] * of_purpose,
    }
    return Bill(items, sent)


def _instruments(spec: CampaignSpec, accounts: int) -> float:
    """Cards for that many accounts: one each, but one for `SHARERS` where they are shared."""
    return accounts * (1 - spec.payment_sharing) + accounts * spec.payment_sharing / SHARERS


def _waited(spec: CampaignSpec) -> float:
    """Days that its accounts are kept before they work, on the average."""
    least = max(spec.aged_days - UNTIL_USED_DAYS, 0.0)
    return (max(spec.signup_spread_days, spec.aged_days, UNTIL_USED_DAYS) + least) / 2


def _rewordings(spec: CampaignSpec, sent: float) -> float:
    """Wordings beyond the first; as many as exchanges when every request is worded anew."""
    return min(spec.wordings - 1, sent) if spec.wordings else sent


def _spare(replaced_after_h: float | None) -> float:
    """Spare accounts held ready for each in use: one when it must take over at once, half when within a day."""
    return 0.0 if replaced_after_h is None else 1 / (1 + replaced_after_h / 24)


def _stale(spec: CampaignSpec, days: float, after_release: float) -> float:
    """Share of exchanges that an old model answered though a new one was out."""
    late = spec.pivot_spread_h / 24
    # Accounts turn after an exponential time of mean `late`: the expected part of a span that they spend before it.
    turns = days * after_release / late if late else math.inf
    waited = -math.expm1(-turns) / turns if turns else 1.0
    return after_release * (1 - spec.pivot_share * (1 - waited))

"""Attacks as points of a box: every knob that the attacker can turn, cheap at 0 and evasive at 1."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from tiergate.simulation.evasion import Bill, Level, cost
from tiergate.simulation.spec import CampaignSpec

F64 = npt.NDArray[np.float64]
_T = TypeVar("_T")

SHORTEST_DAYS: Final = 0.05
MOST_RESERVE: Final = 3.0
MOST_CAMOUFLAGE: Final = 0.8
_PROGRAMS: Final = (1, 2, 4, 8, 0)
_WORDINGS: Final = (1, 4, 20, 100, 0)
_TOPICS: Final = (0, 8, 4, 2, 1)
_REPLACED: Final = (None, 96.0, 24.0, 6.0, 1.0)
_AGED: Final = (0.5, 3.0, 7.5, 15.0)
_FILLERS: Final = (0, 6, 12, 24)
# Sketches read 16 KiB: a longer beginning hides no more and costs more.
_PREFIXES: Final = (0, 4, 16)
_END_USERS: Final = (0, 4, 16)
MOST_PADDING: Final = 0.5

CHOICES: Final[dict[str, int]] = {
    "accounts": 0,
    "reserve": 0,
    "days": 0,
    "address_sharing": 0,
    "payment_sharing": 0,
    "client_programs": len(_PROGRAMS),
    "wordings": len(_WORDINGS),
    "topics_per_account": len(_TOPICS),
    "camouflage": 0,
    "human_rhythm": 2,
    "signup_spread_days": 0,
    "pivot_share": 0,
    "pivot_spread_h": 0,
    "replaced_after_h": len(_REPLACED),
    "steps_up": 2,
    "aged_days": len(_AGED),
    "filler_words": len(_FILLERS),
    "prefix_kib": len(_PREFIXES),
    "end_users": len(_END_USERS),
    "padding": 0,
}
"""Knobs in order, with the number of choices of each; 0: continuous."""
KNOBS: Final = tuple(CHOICES)
MODEST: Final = ("accounts", "reserve", "days", "replaced_after_h", "steps_up", "aged_days", "prefix_kib", "padding")
"""Knobs that say how much is bought, or that are dear or do harm where they are not needed; all others hide it."""


@dataclass(frozen=True, slots=True)
class Attack:
    """A campaign and how its owner reacts. ``days``: how long it is planned to take; ``steps_up``: an account that is
    asked to verify itself does, for a price, rather than being given up."""

    spec: CampaignSpec
    days: float
    steps_up: bool

    def key(self) -> str:
        """The attack as JSON, the same for equal attacks."""
        return json.dumps(asdict(self), sort_keys=True)

    def bill(
        self,
        exchanges: float,
        *,
        release_day: float,
        days: float | None = None,
        replacements: int = 0,
        step_ups: int = 0,
        identity_checked: bool = False,
        level: Level = "mode",
    ) -> Bill:
        """What it paid to get ``exchanges`` out in ``days``, with a new model ``release_day`` days after its start."""
        span = self.days if days is None else days
        return cost(
            self.spec,
            span,
            exchanges=exchanges,
            after_release=max(0.0, 1 - release_day / span) if span else 0.0,
            replacements=replacements,
            step_ups=step_ups,
            identity_checked=identity_checked,
            level=level,
        )


@dataclass(frozen=True, slots=True)
class Space:
    """Attacks that are to get ``exchanges`` out within ``days``, with at most ``most_accounts`` at a time."""

    exchanges: int
    days: float
    most_accounts: int

    @property
    def steps(self) -> F64:
        """Distance of a knob's neighbouring choices (knobs,), 0 where it is continuous."""
        return np.array([1 / (number - 1) if number else 0.0 for number in CHOICES.values()])

    def attack(self, point: F64) -> Attack:
        """The attack at ``point`` (knobs,), rounded so that neighbours which differ by nothing are one attack."""
        at = dict(zip(KNOBS, np.clip(point, 0, 1).tolist(), strict=True))
        most = max(1, min(self.exchanges, self.most_accounts))
        accounts = round(_log_between(1, most, at["accounts"]))
        planned = self.exchanges * _rounded(_log_between(1, MOST_RESERVE, at["reserve"]), 0.05)
        spec = CampaignSpec(
            accounts=accounts,
            exchanges_per_account=planned / accounts,
            address_sharing=_rounded(1 - at["address_sharing"], 0.05),
            payment_sharing=_rounded(1 - at["payment_sharing"], 0.05),
            client_programs=_choice(_PROGRAMS, at["client_programs"]),
            wordings=_choice(_WORDINGS, at["wordings"]),
            topics_per_account=_choice(_TOPICS, at["topics_per_account"]),
            camouflage=_rounded(MOST_CAMOUFLAGE * at["camouflage"], 0.05),
            human_rhythm=at["human_rhythm"] > 0.5,
            signup_spread_days=_rounded(60 * at["signup_spread_days"], 1),
            pivot_share=_rounded(1 - at["pivot_share"], 0.05),
            pivot_spread_h=_rounded(120 * at["pivot_spread_h"], 2),
            replaced_after_h=_choice(_REPLACED, at["replaced_after_h"]),
            aged_days=_choice(_AGED, at["aged_days"]),
            filler_words=_choice(_FILLERS, at["filler_words"]),
            prefix_kib=_choice(_PREFIXES, at["prefix_kib"]),
            end_users=_choice(_END_USERS, at["end_users"]),
            padding=_rounded(MOST_PADDING * at["padding"], 0.05),
        )
        return Attack(spec, _rounded(_log_between(SHORTEST_DAYS, self.days, at["days"]), 0.05), at["steps_up"] > 0.5)

    def point(self, accounts: int = 1, hidden: float = 0.0, **knobs: float) -> F64:
        """A point with ``accounts`` accounts, all hiding knobs at ``hidden``, others cheap, and ``knobs`` as given."""
        most = max(2, min(self.exchanges, self.most_accounts))
        share = np.log(min(max(accounts, 1), most)) / np.log(most)
        at = {name: 0.0 if name in MODEST else hidden for name in KNOBS} | {"accounts": float(share)} | knobs
        return np.array([at[name] for name in KNOBS])

    def known(self) -> dict[str, F64]:
        """Attacks that are known to be strong, and the naive one, by name."""
        rate = self.exchanges
        few, own = max(5, rate // 1_000), {"address_sharing": 1.0, "payment_sharing": 1.0, "client_programs": 1.0}
        return {
            "few and old": self.point(few, days=1.0, reserve=0.1, aged_days=2 / 3),
            "fewer and old": self.point(max(3, rate // 1_300), days=1.0, reserve=0.3, aged_days=2 / 3),
            "fewer and old, own words": self.point(
                max(3, rate // 1_300), days=1.0, reserve=0.3, aged_days=2 / 3, filler_words=1 / 3
            ),
            "few, old, own cards": self.point(few, days=1.0, reserve=0.1, aged_days=2 / 3, **own),
            "own hours": self.point(few, days=1.0, reserve=0.1, aged_days=2 / 3, human_rhythm=1.0, **own),
            "own words": self.point(few, days=1.0, reserve=0.1, aged_days=2 / 3, filler_words=2 / 3),
            "own words and hours": self.point(
                few, days=1.0, reserve=0.1, aged_days=2 / 3, filler_words=2 / 3, human_rhythm=1.0, wordings=1.0
            ),
            "long beginnings": self.point(few, days=1.0, reserve=0.1, aged_days=2 / 3, prefix_kib=1.0),
            "own end users": self.point(
                few, days=1.0, reserve=0.1, aged_days=2 / 3, filler_words=2 / 3, end_users=0.5, wordings=1.0
            ),
            "padded": self.point(few, days=1.0, reserve=0.1, aged_days=2 / 3, padding=0.4),
            "one account": self.point(1),
            "smash and grab": self.point(max(2, rate // 50), days=0.0, reserve=0.1),
            "smash and grab, hidden": self.point(max(2, rate // 25), hidden=1.0, days=0.2, camouflage=0.0),
            "three accounts, hidden": self.point(3, hidden=1.0, days=1.0, camouflage=0.3),
            "ten accounts": self.point(10, days=1.0, reserve=0.1),
            "ten accounts, hidden": self.point(10, hidden=1.0, days=1.0, camouflage=0.3, reserve=0.1),
            "thirty accounts": self.point(30, days=1.0, reserve=0.1),
            "thirty accounts, hidden": self.point(30, hidden=1.0, days=1.0, camouflage=0.3, reserve=0.1),
            "everything hidden": self.point(rate // 4, hidden=1.0, days=1.0, reserve=0.2),
            "everything hidden, replacing": self.point(
                rate // 8, hidden=1.0, days=1.0, reserve=0.2, camouflage=0.5, replaced_after_h=1.0, steps_up=1.0
            ),
            "one persona each": self.point(rate // 25, hidden=1.0, days=1.0, camouflage=0.3, reserve=0.1),
            "rotated": self.point(
                rate // 25, address_sharing=1, payment_sharing=1, client_programs=1, wordings=1, days=1
            ),
            "slow and large": self.point(rate // 4, days=1.0, reserve=0.2, payment_sharing=1.0, human_rhythm=1.0),
            "replaced at once": self.point(rate // 25, days=0.7, reserve=0.5, replaced_after_h=1.0),
        }


def _log_between(low: float, high: float, share: float) -> float:
    return float(low * (high / low) ** share)


def _rounded(value: float, step: float) -> float:
    return round(round(value / step) * step, 6)


def _choice(choices: Sequence[_T], share: float) -> _T:
    return choices[round(share * (len(choices) - 1))]

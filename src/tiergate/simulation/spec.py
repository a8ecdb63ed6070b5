"""What a world is made of, and the worlds that come with a name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from tiergate.errors import InputError


@dataclass(frozen=True, slots=True)
class CampaignSpec:
    """One campaign and how it hides. Shares are 0 to 1, times are days from the world's start.

    What an evader can turn, and what it costs, is priced in `tiergate.simulation.evasion`:

    ``address_sharing``, ``payment_sharing``: share of accounts that have theirs in common with about seven others.
    ``client_programs``: programs among its accounts; 0: each account has one of its own, as customers do.
    ``wordings``: fixed instruction templates that the queue is spread over; 0: every request is worded anew.
    ``topics_per_account``: subjects that one account is dealt; 0: one queue for all.
    ``camouflage``: ordinary talk beside every request of the campaign, as a share of the account's traffic.
    ``human_rhythm``: every account asks in sittings at hours of its own, else around the clock.
    ``pivot_share``, ``pivot_spread_h``: accounts that turn to the new model, and within how many hours (mean).
    ``banned_on_day``, ``ban_share``: when, and how much of the pool is closed; ``replaced_after_h``: hours until fresh
    accounts take over, None when nobody does.
    ``innocent_share``: share of its accounts' traffic that belongs to a reseller's innocent downstream users;
    ``relays_sessions``: it carries the conversations of its own users instead of a queue.
    """

    name: str = "campaign-1"
    accounts: int = 40
    exchanges_per_account: float = 45
    starts_on_day: float = 0.0
    days: float | None = None
    signup_spread_days: float = 24
    address_sharing: float = 0.0
    payment_sharing: float = 0.0
    client_programs: int = 4
    wordings: int = 1
    topics_per_account: int = 0
    camouflage: float = 0.05
    human_rhythm: bool = False
    pivot_share: float = 0.5
    pivot_spread_h: float = 10.0
    banned_on_day: float | None = None
    ban_share: float = 1.0
    replaced_after_h: float | None = None
    innocent_share: float = 0.0
    relays_sessions: bool = False

    def __post_init__(self) -> None:
        for name in ("address_sharing", "payment_sharing", "pivot_share", "ban_share", "innocent_share", "camouflage"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"`{getattr(self, name)}` is no share: give `{name}` a number from 0 to 1")
        if self.innocent_share > 0.99 or self.camouflage > 0.99:
            raise InputError("a campaign with no traffic of its own is none: keep 1% of it")


@dataclass(frozen=True, slots=True)
class WorldSpec:
    """What a world is made of: people, named populations of honest customers who look guilty (accounts of each, by
    name; see `tiergate.simulation.hard_negatives`), and campaigns."""

    days: float = 14
    people: int = 260
    exchanges_per_account: float = 18
    machine_share: float = 0.05
    hard_negatives: dict[str, int] = field(default_factory=lambda: {"agent_users": 50, "office": 30})
    campaigns: tuple[CampaignSpec, ...] = (CampaignSpec(),)
    release_day: float = 6.0

    def scaled(self, factor: float) -> WorldSpec:
        """The same world with ``factor`` times the accounts. Raises `InputError` unless the factor is positive."""
        if not factor > 0:
            raise InputError(f"`{factor}` is no scale: give a number above 0")
        return replace(
            self,
            people=round(self.people * factor),
            hard_negatives={name: round(count * factor) for name, count in self.hard_negatives.items()},
            campaigns=tuple(replace(one, accounts=round(one.accounts * factor)) for one in self.campaigns),
        )


PRESETS: Final[dict[str, WorldSpec]] = {
    "demo": WorldSpec(days=10, campaigns=(CampaignSpec(payment_sharing=0.3),)),
    "small": WorldSpec(
        days=7, people=60, hard_negatives={"agent_users": 12, "office": 10}, campaigns=(CampaignSpec(accounts=10),)
    ),
    "quiet": WorldSpec(days=10, campaigns=()),
}

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
    ``signup_spread_days``, ``aged_days``: accounts signed up so many days before it begins at the most, and at the
    least.
    ``filler_words``: words of the account's own that go before each message.
    ``prefix_kib``: text of the account's own that goes before each message, KiB.
    ``end_users``: people that each account says it asks for, each with filler words of its own; 0: none is named.
    ``padding``: messages of one list that every account sends again and again, an answer of one token asked for, as a
    share of the account's traffic.
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
    aged_days: float = 0.5
    filler_words: int = 0
    prefix_kib: int = 0
    end_users: int = 0
    padding: float = 0.0

    def __post_init__(self) -> None:
        shares = ("address_sharing", "payment_sharing", "pivot_share", "ban_share", "innocent_share", "camouflage")
        for name in (*shares, "padding"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"`{getattr(self, name)}` is no share: give `{name}` a number from 0 to 1")
        if max(self.innocent_share, self.camouflage, self.padding) > 0.99:
            raise InputError("a campaign with no traffic of its own is none: keep 1% of it")
        for name in ("aged_days", "filler_words", "prefix_kib", "end_users"):
            if getattr(self, name) < 0:
                raise InputError(f"`{getattr(self, name)}` is less than nothing: give `{name}` 0 or more")

    @property
    def oldest_days(self) -> float:
        """Days before its start that its first account signed up."""
        return max(self.signup_spread_days, self.aged_days + 0.1)


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

    def thinned(self, factor: float) -> WorldSpec:
        """The same accounts, each campaign with ``factor`` times the exchanges. Raises `InputError` unless positive."""
        if not factor > 0:
            raise InputError(f"`{factor}` is no share: give a number above 0")
        each = (replace(one, exchanges_per_account=one.exchanges_per_account * factor) for one in self.campaigns)
        return replace(self, campaigns=tuple(each))


LOOK_ALIKES: Final = (
    "agency",
    "agent_users",
    "ci_fleet",
    "class_assignment",
    "company_egress",
    "corporate_vpn",
    "evaluation_harness",
    "failover_clients",
    "hackathon",
    "key_migration",
    "labelling_contractors",
    "nightly_batch",
    "office",
    "popular_template_users",
    "reasoning_audit",
    "release_day_benchmarkers",
    "saas_tenants",
    "student_programme",
    "support_bots",
    "translators",
)


def _around(campaign: CampaignSpec, days: float, *, release_day: float = 6.0) -> WorldSpec:
    """A campaign among 24 times as many honest accounts, a fifth of them in populations that look guilty."""
    each = round(campaign.accounts * 24 * 0.2 / len(LOOK_ALIKES))
    return WorldSpec(
        days=days,
        people=round(campaign.accounts * 24 * 0.8),
        hard_negatives=dict.fromkeys(LOOK_ALIKES, each),
        campaigns=(campaign,),
        release_day=release_day,
    )


# The published shapes are the provider's own figures of what it alleges; nobody else has reproduced them. Accounts of
# the February cases were published as about 24,000 in all, and are split here in proportion to exchanges; its window
# was not published, a month is assumed. At full size the world around a campaign is 24 times its accounts with 18
# exchanges each: the campaign is 4% of accounts but, where it asks hundreds of times a day, most of the traffic; thin
# it (`thinned`) for a share of traffic below 5%.
PRESETS: Final[dict[str, WorldSpec]] = {
    "demo": WorldSpec(days=10, people=420, campaigns=(CampaignSpec(payment_sharing=0.3),)),
    "small": WorldSpec(
        days=7, people=60, hard_negatives={"agent_users": 12, "office": 10}, campaigns=(CampaignSpec(accounts=10),)
    ),
    "quiet": WorldSpec(days=10, campaigns=()),
    # Anthropic, 23 February 2026: more than 150 thousand, 3.4 million and 13 million exchanges; about half of the last
    # one's traffic moved to a new model within 24 hours of its release.
    "february_150k": _around(CampaignSpec(accounts=217, exchanges_per_account=691, payment_sharing=0.5), 30),
    "february_3m": _around(CampaignSpec(accounts=4_930, exchanges_per_account=690, client_programs=12), 30),
    "february_13m": _around(
        CampaignSpec(accounts=18_850, exchanges_per_account=690, pivot_share=0.5, pivot_spread_h=8), 30, release_day=20
    ),
    # Letter of 10 June 2026: 28.8 million exchanges over about 25,000 accounts from 22 April to 5 June.
    "june": _around(CampaignSpec(accounts=25_000, exchanges_per_account=1_152, camouflage=0.1), 45),
    # Report of 10 September 2026: more than 3.4 million exchanges of 273 accounts in 17 days.
    "september_273": _around(CampaignSpec(accounts=273, exchanges_per_account=12_454), 17),
    # The same report: more than 400 thousand exchanges of more than 1,500 accounts in 20 days, its own users' sessions.
    "september_1500": _around(
        CampaignSpec(accounts=1_500, exchanges_per_account=267, relays_sessions=True, human_rhythm=True), 20
    ),
    # The same report: a pool of about 5,000 accounts (residential proxies, disposable mail, virtual cards) and another
    # that took over at once when it was banned.
    "september_two_pools": _around(
        CampaignSpec(accounts=5_000, exchanges_per_account=600, banned_on_day=12, replaced_after_h=0.5), 24
    ),
    # The same report: more than 12.1 million exchanges in 14 days that relay the firm's own users, chosen by their
    # harness; accounts were not published, 5,000 are assumed.
    "september_relay": _around(
        CampaignSpec(accounts=5_000, exchanges_per_account=2_420, relays_sessions=True, client_programs=2), 14
    ),
    # A pool of resellers' accounts in which four fifths of the traffic belongs to innocent customers (vary the share).
    "reseller": _around(CampaignSpec(accounts=120, exchanges_per_account=60, innocent_share=0.8), 14),
}

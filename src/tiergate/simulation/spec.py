"""What a world is made of, and the worlds that come with a name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from tiergate.errors import InputError


@dataclass(frozen=True, slots=True)
class WorldSpec:
    """What a world is made of. Shares are 0 to 1; a campaign's ``..._sharing`` is the share of its accounts that
    have theirs in common with about seven others."""

    days: float = 14
    benign_accounts: int = 260
    agent_accounts: int = 50
    office_accounts: int = 30
    office_size: int = 30
    exchanges_per_account: float = 18
    machine_share: float = 0.05
    campaign_accounts: int = 40
    campaign_exchanges_per_account: float = 45
    signup_spread_days: float = 24
    address_sharing: float = 0.0
    payment_sharing: float = 0.0
    camouflage: float = 0.05
    release_day: float = 6.0

    def scaled(self, factor: float) -> WorldSpec:
        """The same world with ``factor`` times the accounts. Raises `InputError` unless the factor is positive."""
        if not factor > 0:
            raise InputError(f"`{factor}` is no scale: give a number above 0")
        names = ("benign_accounts", "agent_accounts", "office_accounts", "campaign_accounts")
        return replace(self, **{name: round(getattr(self, name) * factor) for name in names})


PRESETS: Final[dict[str, WorldSpec]] = {
    "demo": WorldSpec(days=10, payment_sharing=0.3),
    "small": WorldSpec(days=7, benign_accounts=60, agent_accounts=12, office_accounts=10, campaign_accounts=10),
    "quiet": WorldSpec(days=10, campaign_accounts=0),
}

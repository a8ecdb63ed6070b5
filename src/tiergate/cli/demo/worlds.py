"""The simulated world as the demonstration needs it: requests to send, accounts to register, truth to compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class DemoWorld:
    """``exchanges`` in order of time; ``accounts`` as the registry takes them; the population of each account."""

    exchanges: list[Row]
    accounts: list[Row]
    population_of: dict[str, str]
    campaigns: frozenset[str]

    def next_request(self, account: str) -> Row:
        """A request as this account would send it after the world's end: its last one again, under a new id."""
        last = next(row for row in reversed(self.exchanges) if row["account_id"] == account)
        return {**last, "started_at": self.exchanges[-1]["started_at"]}

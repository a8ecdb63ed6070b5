"""The simulated world as the demonstration needs it: requests to send, accounts to register, truth to compare."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PRESET: Final = "demo"
CAMPAIGNS: Final = frozenset({"campaign"})

Row = dict[str, Any]


@dataclass(frozen=True)
class DemoWorld:
    """``exchanges`` in order of time; ``accounts`` as the registry takes them; the population of each account."""

    exchanges: list[Row]
    accounts: list[Row]
    population_of: dict[str, str]
    campaigns: frozenset[str]

    def next_request(self, account: str) -> Row:
        """A request as this account would send it after the world's end: its last one again."""
        last = next(row for row in reversed(self.exchanges) if row["account_id"] == account)
        return {**last, "started_at": self.exchanges[-1]["started_at"]}


def make_world(folder: Path, seed: int) -> DemoWorld:
    """Simulate the preset `demo`, write it into ``folder`` for the curious, and return it."""
    from tiergate.simulation.prompts import GrammarPrompts
    from tiergate.simulation.spec import PRESETS
    from tiergate.simulation.world import simulate, write_world

    world = simulate(PRESETS[PRESET], seed, GrammarPrompts())
    write_world(world, folder)
    return DemoWorld(
        exchanges=world.exchanges.to_pylist(),
        accounts=world.accounts.to_pylist(),
        population_of={row["account_id"]: row["population"] for row in world.truth.to_pylist()},
        campaigns=CAMPAIGNS,
    )

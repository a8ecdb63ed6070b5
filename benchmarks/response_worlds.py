"""Worlds in which response is measured: a scenario of `detection.worlds`, or a preset of `tiergate simulate`.

Both have real prompts, networks, clients and load shapes. A preset of more accounts than there is time for is made
with fewer, campaign and customers alike, and a campaign whose accounts ask hundreds of times a day with fewer
exchanges: the share that gets out is one of what it planned. Its campaign begins when the platform has a history.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.detection.worlds import SCENARIOS, RealSurroundings, Split, compose, loads, prompts

from tiergate.simulation.spec import PRESETS, CampaignSpec, WorldSpec
from tiergate.simulation.world import World, simulate

HISTORY_DAYS: Final = 3.0
MOST_A_DAY: Final = 40.0
"""Exchanges of a campaign's account a day, above which it is thinned."""
PRESET_WORLDS: Final = {
    f"{name}_preset" if name in SCENARIOS else name: spec
    for name, spec in PRESETS.items()
    if name not in ("quiet", "small")
}
"""Presets by the world's name here: three scenarios are called as a preset is, and are other worlds."""
WORLDS: Final = (*PRESET_WORLDS, *SCENARIOS)


def make_world(data: Path, name: str, seed: int, split: Split, accounts: int) -> tuple[World, dict[str, float]]:
    """A world of ``accounts`` accounts at most, and which ``share`` it is of the preset's accounts and of its
    campaign's ``exchanges`` by account."""
    if name in SCENARIOS:
        return compose(data, seed, scenario=name, split=split, accounts=accounts), {"accounts": 1.0, "exchanges": 1.0}
    spec, share = _fitting(PRESET_WORLDS[name], accounts)
    campaign = spec.campaigns[0]
    thin = min(1.0, MOST_A_DAY / (campaign.exchanges_per_account / spec.days))
    spec = replace(
        spec,
        days=spec.days + HISTORY_DAYS,
        release_day=spec.release_day + HISTORY_DAYS,
        campaigns=(_later(replace(campaign, exchanges_per_account=campaign.exchanges_per_account * thin)),),
    )
    world = simulate(spec, seed, prompts(data, split, seed), RealSurroundings(data), loads(data))
    return world, {"accounts": share, "exchanges": thin}


def _fitting(spec: WorldSpec, accounts: int) -> tuple[WorldSpec, float]:
    whole = spec.people + sum(spec.hard_negatives.values()) + sum(one.accounts for one in spec.campaigns)
    share = min(1.0, accounts / whole)
    return (spec if share == 1.0 else spec.scaled(share)), share


def _later(campaign: CampaignSpec) -> CampaignSpec:
    banned = None if campaign.banned_on_day is None else campaign.banned_on_day + HISTORY_DAYS
    return replace(campaign, starts_on_day=campaign.starts_on_day + HISTORY_DAYS, banned_on_day=banned)

"""Worlds of real prompts, load shapes, addresses and clients, for measuring detection.

    python -m benchmarks.detection.worlds --scenario shared --seed 101 --split report --out world

A scenario is a campaign with its disguise, among people and all populations that look guilty. Prompt sources are split
as a whole, never by row, and so are seeds:

| | tune | report |
| --- | --- | --- |
| people | dolly_6k, crosswoz_dialogues, clinc150, nq_open | oasst1_en_validation, arena_hard_v01, t0_batch_jobs |
| developers | realhumaneval_chat | specstory_sessions |
| system prompts, public templates | fabric_patterns | prompts_chat, prompts_zh_roles |
| campaign | alpaca_5k, math_cot, metatool_queries, | alpaca_zh, lawyer_llama, |
| | code_alpaca_2k, taskbench_requests, | glaive_toolcall, toolbench_queries, |
| | gorilla_apibench, smile_dialogues | gaokao_gpt4_eval |
| seeds | 1 to 99 | 101 and up |

oasst1_en_validation, specstory_sessions and prompts_chat were in an earlier report split, whose results led to
changes. Since then small worlds of the report sources (seeds 21 and 22, 1,500 accounts) led to one more: weak links
leave the prior odds alone. Seeds 101, 102 and 111 were run before the detector's last changes, 112 before the last
two (how instructions are told apart, how newcomers are judged), which tuning worlds prompted; 114 was run after them.
115 to 119 were each run once as new ones; 115, 117 and 118 led to changes of who is a member. Seeds 120 and up have
not been run. Load shapes (servegen_client_rates), networks (ip_asn_ipv4), browsers
(user_agents) and TLS fingerprints are used by both. The data is read where it lies; nothing of it is kept.
"""

from __future__ import annotations

import argparse
import ipaddress
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from tiergate.simulation.prompts import ListedPrompts
from tiergate.simulation.spec import LOOK_ALIKES, CampaignSpec, WorldSpec
from tiergate.simulation.surroundings import COUNTRIES, Client, MadeUpSurroundings, Place
from tiergate.simulation.world import World, simulate, write_world

Split = Literal["tune", "report"]
SOURCES: dict[str, dict[str, tuple[str, ...]]] = {
    "tune": {
        "people": ("dolly_6k", "crosswoz_dialogues", "clinc150", "nq_open"),
        "developers": ("realhumaneval_chat",),
        "system": ("fabric_patterns",),
        "campaign": (
            "alpaca_5k",
            "math_cot",
            "metatool_queries",
            "code_alpaca_2k",
            "taskbench_requests",
            "gorilla_apibench",
            "smile_dialogues",
        ),
    },
    "report": {
        "people": ("oasst1_en_validation", "arena_hard_v01", "t0_batch_jobs"),
        "developers": ("specstory_sessions",),
        "system": ("prompts_chat", "prompts_zh_roles"),
        "campaign": ("alpaca_zh", "lawyer_llama", "glaive_toolcall", "toolbench_queries", "gaokao_gpt4_eval"),
    },
}
LARGEST_SUBJECT = 120

ACCOUNTS: Final = 6_000
DAYS: Final = 21.0
_PARTLY: Final = CampaignSpec(accounts=240, exchanges_per_account=22, address_sharing=0.3, payment_sharing=0.3)
_ROTATED: Final = replace(_PARTLY, address_sharing=0, payment_sharing=0, client_programs=0, wordings=0)

SCENARIOS: Final[dict[str, tuple[CampaignSpec, ...]]] = {
    # 4% of accounts and under 5% of traffic; three in ten share a card or an address with about seven others.
    "shared": (_PARTLY,),
    # Every direct identifier of its own (address, card, mail, client program) and every prompt worded anew.
    "rotated": (_ROTATED,),
    # The same, around fixed wordings, half of the traffic camouflage.
    "camouflaged": (replace(_ROTATED, wordings=20, camouflage=0.5),),
    # The same, in the hours of people.
    "human": (replace(_ROTATED, wordings=1, human_rhythm=True),),
    # The same, each account with two subjects of its own.
    "personas": (replace(_ROTATED, wordings=1, topics_per_account=2),),
    # June: many accounts, each asking little, address and card of its own, one wording.
    "june": (CampaignSpec(accounts=280, exchanges_per_account=20, camouflage=0.1),),
    # September: 273 accounts that ask two hundred times as often as anybody (about 12 a day here, for size).
    "september_273": (CampaignSpec(accounts=273, exchanges_per_account=250, client_programs=3),),
    # Banned on the eleventh day; a second pool starts within the hour.
    "two_pools": (replace(_PARTLY, banned_on_day=11, replaced_after_h=0.5, address_sharing=0.0),),
    # Resellers' accounts of which one exchange in ten is the campaign's.
    "reseller": (CampaignSpec(accounts=60, exchanges_per_account=20, innocent_share=0.9, client_programs=3),),
    # Nobody.
    "quiet": (),
    # The same campaigns at their published rates by account, for what leaks before they are found. Each begins when
    # the platform has a history, and is shorter than published, for size: `PUBLISHED_DAYS`.
    # June: 28.8 million exchanges of about 25,000 accounts in 45 days are 26 a day.
    "june_rate": (CampaignSpec(accounts=300, exchanges_per_account=26 * 18, starts_on_day=3, camouflage=0.1),),
    # September: more than 3.4 million exchanges of 273 accounts in 17 days are about 730 a day.
    "september_273_rate": (
        CampaignSpec(accounts=273, exchanges_per_account=730, starts_on_day=12, days=1, client_programs=3),
    ),
    # 25 a day until the ban in the middle, and 25 a day in the second pool from half an hour later.
    "two_pools_rate": (
        replace(
            _PARTLY,
            exchanges_per_account=25 * 18,
            starts_on_day=3,
            banned_on_day=12,
            replaced_after_h=0.5,
            address_sharing=0.0,
        ),
    ),
}

PUBLISHED_DAYS: Final[dict[str, float]] = {"june_rate": 45, "september_273_rate": 17, "two_pools_rate": 92}
"""Scenarios at a published rate, and how many days their campaign ran (two pools: May to July), as alleged by the
provider; see the sources at `tiergate.simulation.spec.PRESETS`."""


def compose(
    shared_data: Path, seed: int, *, scenario: str = "shared", split: Split = "report", accounts: int = ACCOUNTS
) -> World:
    """A world of ``accounts`` accounts, a fifth of them populations that look guilty, with the scenario's campaign."""
    factor = accounts / ACCOUNTS
    campaigns = tuple(replace(one, accounts=max(4, round(one.accounts * factor))) for one in SCENARIOS[scenario])
    spec = WorldSpec(
        days=DAYS,
        people=round(accounts * 0.76),
        hard_negatives=dict.fromkeys(LOOK_ALIKES, round(accounts * 0.01)),
        exchanges_per_account=18,
        campaigns=campaigns,
        release_day=9.0,
    )
    return simulate(spec, seed, prompts(shared_data, split, seed), RealSurroundings(shared_data), loads(shared_data))


class RealSurroundings(MadeUpSurroundings):
    """Addresses from routed networks, more of them from larger ones; browsers by their measured weight."""

    def __init__(self, shared_data: Path) -> None:
        super().__init__()
        networks = pq.read_table(shared_data / "infra/ip_asn_ipv4.parquet", columns=["start", "end", "asn"]).to_pydict()
        hosting = set(pq.read_table(shared_data / "infra/asn_hosting.parquet").column(0).to_pylist())
        self._first = np.array([int(ipaddress.ip_address(a)) for a in networks["start"]])
        self._size = np.array([int(ipaddress.ip_address(a)) for a in networks["end"]]) - self._first + 1
        self._asn = np.array([int(a) for a in networks["asn"]])
        hosted = np.isin(self._asn, [int(str(a).removeprefix("AS")) for a in hosting])
        self._pools = [self._pool(~hosted), self._pool(hosted)]
        agents = pq.read_table(shared_data / "infra/user_agents.parquet", columns=["userAgent", "weight"]).to_pydict()
        weight = np.array(agents["weight"], float)
        self._agents, self._agent_cumulated = agents["userAgent"], np.cumsum(weight / weight.sum())
        prints = pq.read_table(shared_data / "infra/tls_fingerprints.parquet", columns=["ja4"])["ja4"].to_pylist()
        self._prints = sorted({ja4 for ja4 in prints if ja4})[:24]

    def home(self, rng: np.random.Generator) -> Place:
        return self._draw(rng, 0)

    def hosting(self, rng: np.random.Generator) -> Place:
        return self._draw(rng, 1)

    def browser(self, rng: np.random.Generator) -> Client:
        at = min(int(np.searchsorted(self._agent_cumulated, rng.random())), len(self._agents) - 1)
        return Client(self._agents[at], self._prints[at % len(self._prints)])

    def _pool(self, chosen: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        index = np.flatnonzero(chosen)
        return index, np.cumsum(self._size[index] / self._size[index].sum())

    def _draw(self, rng: np.random.Generator, pool: int) -> Place:
        index, cumulated = self._pools[pool]
        at = index[min(int(np.searchsorted(cumulated, rng.random())), len(index) - 1)]
        address = ipaddress.ip_address(int(self._first[at] + rng.integers(self._size[at])))
        asn = int(self._asn[at])
        return Place(str(address), asn, COUNTRIES[asn % len(COUNTRIES)])


def prompts(shared_data: Path, split: Split, seed: int) -> ListedPrompts:
    """Of the sources of a split."""
    sources = SOURCES[split]
    system = [row["prompt"] for row in _rows(shared_data, sources["system"]) if 300 <= row["prompt_chars"] <= 6_000]
    rng = np.random.default_rng([seed, 7])
    chosen = [system[i] for i in rng.choice(len(system), 9, replace=False)]
    return ListedPrompts(
        _subjects(_rows(shared_data, sources["people"])),
        code=_subjects(_rows(shared_data, sources["developers"])),
        campaign=[row["prompt"] for row in _rows(shared_data, sources["campaign"])],
        agent_system=chosen[0],
        public_templates=tuple(f"{text}\n\n{{filling}}" for text in chosen[1:]),
    )


def _subjects(rows: list[dict[str, Any]]) -> list[list[str]]:
    """Messages by source and session; what has no session in runs of the source's own order."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for number, row in enumerate(rows):
        groups[row["source"], row["session"] or str(number // LARGEST_SUBJECT)].append(row["prompt"])
    return [group for _, group in sorted(groups.items()) if len(group) >= 3]


def _rows(shared_data: Path, sources: tuple[str, ...]) -> list[dict[str, Any]]:
    rows = []
    for name in sources:
        columns = ["source", "session", "prompt", "prompt_chars"]
        rows += pq.read_table(shared_data / f"prompts/{name}.parquet", columns=columns).to_pylist()
    return [row for row in rows if row["prompt"] and row["prompt"].strip()]


def loads(shared_data: Path) -> list[npt.NDArray[np.float64]]:
    """Requests by ten-minute window of every client that was active in at least a day's worth of windows."""
    columns = ["category", "model", "client", "window_start_s", "rate_rps"]
    rates = pq.read_table(shared_data / "traces/servegen_client_rates.parquet", columns=columns).sort_by(
        [(name, "ascending") for name in columns[:4]]
    )
    rate = np.asarray(rates["rate_rps"]).astype(float)
    keys = [np.asarray(rates[name].combine_chunks().dictionary_encode().indices) for name in columns[:3]]
    fresh = np.any([np.diff(key, prepend=-1) != 0 for key in keys], axis=0)
    clients = np.split(rate, np.flatnonzero(fresh)[1:])
    return [one for one in clients if len(one) >= 144 and (one > 0).sum() >= 24][:2_000]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared-data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenario", choices=list(SCENARIOS), default="shared")
    parser.add_argument("--seed", type=int, default=101)
    parser.add_argument("--accounts", type=int, default=ACCOUNTS)
    parser.add_argument("--split", choices=["tune", "report"], default="report")
    options = parser.parse_args()
    world = compose(
        options.shared_data, options.seed, scenario=options.scenario, split=options.split, accounts=options.accounts
    )
    write_world(world, options.out)


if __name__ == "__main__":
    main()

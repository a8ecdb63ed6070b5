"""Worlds of real prompts, load shapes, addresses and clients, for measuring detection.

    python -m benchmarks.detection.worlds --shared-data ../shared/data --out world --seed 11 --split report

Sources are split as a whole, never by row. The detector was tuned on `tune` and the bundled grammar; results on
`report` led to one change as well, as README.md in this folder says.

| | tune | report |
| --- | --- | --- |
| people | dolly_6k, crosswoz_dialogues, arena_hard_v01 | clinc150, nq_open, oasst1_en_validation |
| developers | realhumaneval_chat | specstory_sessions |
| agent's system prompt | fabric_patterns | prompts_chat |
| public templates | fabric_patterns | prompts_chat |
| campaign | alpaca_5k, math_cot, metatool_queries, code_alpaca | taskbench, gorilla_apibench, smile_dialogues |
| seeds used | 1 to 9 | 11 and up |

Load shapes (servegen_client_rates), networks (ip_asn_ipv4), browsers (user_agents) and TLS fingerprints are used by
both. The campaign's accounts share an instruction template and nothing else of their own: each has its own address
on an ordinary network, its own payment and mail. The data is read where it lies; nothing of it is kept.
"""

from __future__ import annotations

import argparse
import ipaddress
from collections import defaultdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from tiergate.simulation.prompts import ListedPrompts
from tiergate.simulation.spec import CampaignSpec, WorldSpec
from tiergate.simulation.surroundings import COUNTRIES, Client, MadeUpSurroundings, Place
from tiergate.simulation.world import World, simulate, write_world

Split = Literal["tune", "report"]
SOURCES: dict[str, dict[str, tuple[str, ...]]] = {
    "tune": {
        "people": ("dolly_6k", "crosswoz_dialogues", "arena_hard_v01"),
        "developers": ("realhumaneval_chat",),
        "system": ("fabric_patterns",),
        "campaign": ("alpaca_5k", "math_cot", "metatool_queries", "code_alpaca_2k"),
    },
    "report": {
        "people": ("clinc150", "nq_open", "oasst1_en_validation"),
        "developers": ("specstory_sessions",),
        "system": ("prompts_chat",),
        "campaign": ("taskbench_requests", "gorilla_apibench", "smile_dialogues"),
    },
}
LARGEST_SUBJECT = 120


def compose(
    shared_data: Path,
    seed: int,
    *,
    n_accounts: int = 20_000,
    n_exchanges: int = 400_000,
    campaign_accounts: int = 500,
    split: Split = "report",
) -> World:
    """A world of about ``n_exchanges`` by ``n_accounts``, of them 1,600 agent users, 360 in offices, one campaign."""
    agent, office = round(n_accounts * 0.08), round(n_accounts * 0.018)
    people = n_accounts - agent - office - campaign_accounts
    campaign_each = 60
    left = n_exchanges - campaign_accounts * campaign_each
    spec = WorldSpec(
        days=28,
        people=people,
        hard_negatives={"agent_users": agent, "office": office},
        # Agent users make half as many again (see `hard_negatives`).
        exchanges_per_account=left / (people + 1.5 * agent + office),
        campaigns=(CampaignSpec(accounts=campaign_accounts, exchanges_per_account=campaign_each),),
    )
    return simulate(spec, seed, _prompts(shared_data, split, seed), RealSurroundings(shared_data), _loads(shared_data))


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


def _prompts(shared_data: Path, split: Split, seed: int) -> ListedPrompts:
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


def _loads(shared_data: Path) -> list[npt.NDArray[np.float64]]:
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
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--split", choices=["tune", "report"], default="report")
    options = parser.parse_args()
    write_world(compose(options.shared_data, options.seed, split=options.split), options.out)


if __name__ == "__main__":
    main()

"""Joint detection in simulated worlds: a campaign spread thin over five labs, and honest groups that look alike.

Recall counts the campaign's accounts in joint clusters that are mostly the campaign's; every other cluster is false. A
lab alone is `detect` over its own log. Opening is done by counting labs, which finds what the tokens find
(tests/sharing/tokens holds that), so that large worlds can be run.

    python -m benchmarks.joint_detection --seeds 1-6 --shared 0.6 [--apart] [--alone]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from tiergate.detection.run import DetectionInputs, Parameters, run_detection
from tiergate.ledger.sketches import Sketcher
from tiergate.records.refused import RefusedRows
from tiergate.records.schema import SKETCH_SCHEMA
from tiergate.sharing.tokens.clusters import clusters
from tiergate.sharing.tokens.items import Item, Nomination
from tiergate.sharing.tokens.nominating import nominate
from tiergate.sharing.tokens.opening import OpenedItem
from tiergate.sharing.tokens.rows import HANDLES, Described
from tiergate.simulation.labs import LabShare, deal
from tiergate.simulation.prompts import GrammarPrompts
from tiergate.simulation.spec import LOOK_ALIKES, CampaignSpec, WorldSpec
from tiergate.simulation.world import simulate

LABS = 5


def opened(nominations: dict[int, list[Nomination]], threshold: int) -> list[OpenedItem]:
    """What the hub would open."""
    held: dict[Item, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for lab, some in nominations.items():
        for handle, one in enumerate(some, 1):
            for item in one.items:
                held[item][lab].append(handle)
    return [
        OpenedItem(
            repr(item).encode(), {lab: Described(item.kind, 0, 0, tuple(who[:HANDLES])) for lab, who in labs.items()}
        )
        for item, labs in held.items()
        if len(labs) >= threshold
    ]


def alone(share: LabShare, releases: pa.Table, campaign: set[str]) -> int:
    """Accounts of the campaign in the cases that a lab finds by itself."""
    table = share.exchanges
    for column in SKETCH_SCHEMA:
        table = table.append_column(column, pa.nulls(table.num_rows, column.type))
    with tempfile.TemporaryDirectory() as folder:
        inputs = DetectionInputs(table.to_batches, share.accounts, releases, RefusedRows(None), [])
        found = run_detection(
            inputs, Path(folder), parameters=Parameters(), sketch_key=None, progress=lambda _words, _share: None
        )
    return len(campaign & set(found.case_accounts["account_id"].to_pylist()))


def world(
    seed: int, *, shared: float, accounts: int, people: int, threshold: int, apart: bool, by_itself: bool
) -> dict[str, Any]:
    """One world, measured."""
    started = time.process_time()
    thin = CampaignSpec(accounts=accounts, address_sharing=shared, payment_sharing=shared)
    alike = dict.fromkeys(LOOK_ALIKES, people // 80)
    spec = WorldSpec(days=10, people=people, hard_negatives=alike, campaigns=(thin,))
    made = simulate(spec, seed, GrammarPrompts())
    shares = dict(enumerate(deal(made, LABS, seed, apart=apart), 1))
    sketcher = Sketcher(b"benchmark key of the whole group")
    nominated = {n: nominate(one.exchanges.to_batches(), one.accounts, sketcher) for n, one in shares.items()}
    truth = {n: dict(zip(*_columns(one, "account_id", "population"), strict=True)) for n, one in shares.items()}
    campaign = {n: {who for who, of in people.items() if of == "campaign"} for n, people in truth.items()}
    caught, wrong, false = 0, 0, []
    for cluster in clusters(opened(nominated, threshold), threshold):
        who = [(lab, nominated[lab][handle - 1].customer) for lab, handle in cluster.customers]
        right = sum(customer in campaign[lab] for lab, customer in who)
        if 2 * right >= len(who):
            caught, wrong = caught + right, wrong + len(who) - right
        else:
            false.append(dict(Counter(truth[lab].get(customer, "organisation") for lab, customer in who)))
    row: dict[str, Any] = {
        "seed": seed,
        "accounts": sum(one.accounts.num_rows for one in shares.values()),
        "nominated": sum(map(len, nominated.values())),
        "campaign": accounts,
        "joint_recall": round(caught / accounts, 3),
        "named_wrongly": wrong,
        "false_clusters": false,
    }
    if by_itself:
        found = sum(alone(one, made.model_releases, campaign[n]) for n, one in shares.items())
        row["recall_of_labs_alone"] = round(found / accounts, 3)
    return row | {"processor_s": round(time.process_time() - started, 1)}


def _columns(share: LabShare, *names: str) -> list[list[str]]:
    return [share.truth[name].to_pylist() for name in names]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1-3", help="first and last, as 1-3")
    parser.add_argument("--shared", type=float, default=0.6, help="share of the campaign's accounts with a common card")
    parser.add_argument("--accounts", type=int, default=20, help="accounts of the campaign, over all labs")
    parser.add_argument("--people", type=int, default=2_400, help="honest people; a quarter more are in groups")
    parser.add_argument("--threshold", type=int, default=3)
    parser.add_argument("--apart", action="store_true", help="spread groups that look alike over the labs as well")
    parser.add_argument("--alone", action="store_true", help="run `detect` at every lab too")
    asked = parser.parse_args(arguments)
    first, last = map(int, asked.seeds.split("-"))
    rows = []
    for seed in range(first, last + 1):
        rows.append(
            world(
                seed,
                shared=asked.shared,
                accounts=asked.accounts,
                people=asked.people,
                threshold=asked.threshold,
                apart=asked.apart,
                by_itself=asked.alone,
            )
        )
        print(json.dumps(rows[-1]), flush=True)
    accounts = sum(row["accounts"] for row in rows)
    false = sum(len(row["false_clusters"]) for row in rows)
    total = {
        "joint_recall": round(sum(row["joint_recall"] for row in rows) / len(rows), 3),
        "false_clusters_per_100k": round(false / accounts * 1e5, 2),
        "accounts": accounts,
    }
    print(json.dumps(total))


if __name__ == "__main__":
    main()

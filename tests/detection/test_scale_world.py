"""The large sketched world, made small: in the public format, the same however it is cut, and with its campaigns."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from benchmarks.detection import scale_world
from benchmarks.detection.scale import compare
from benchmarks.detection.scale_cast import CAMPAIGNS
from benchmarks.detection.scale_world import write_scale_world

from tiergate.records.read import read_accounts, read_exchanges
from tiergate.records.refused import RefusedRows

ACCOUNTS, EXCHANGES = 2_000, 40_000


@pytest.fixture(name="world", scope="module")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scale")
    write_scale_world(folder, accounts=ACCOUNTS, exchanges=EXCHANGES, seed=3)
    return folder


def test_every_row_is_taken_and_the_sizes_are_those_asked_for(world: Path) -> None:
    with RefusedRows(None) as refused:
        exchanges = pa.Table.from_batches(list(read_exchanges([world / "exchanges"], refused=refused)))
        accounts = read_accounts([world / "accounts.parquet"], refused=refused)
    assert refused.count == 0
    assert len(exchanges) == EXCHANGES
    assert len(accounts) == ACCOUNTS
    assert pc.count_distinct(exchanges["exchange_id"]).as_py() == EXCHANGES
    assert exchanges["prompt_text"].null_count == EXCHANGES
    assert set(pc.unique(exchanges["account_id"]).to_pylist()) == set(accounts["account_id"].to_pylist())


def test_campaigns_send_their_share_under_one_template_each(world: Path) -> None:
    truth = {row["account_id"]: row["campaign"] for row in pq.read_table(world / "truth.parquet").to_pylist()}
    log = pq.read_table(world / "exchanges", columns=["account_id", "sketch_template", "sketch_words"]).to_pylist()
    for number, (_, each) in enumerate(CAMPAIGNS):
        rows = [row for row in log if truth[row["account_id"]] == number]
        assert set(Counter(row["account_id"] for row in rows).values()) == {each}
        shingles = Counter(token for row in rows for token in row["sketch_template"])
        assert shingles.most_common(1)[0][1] > 0.85 * len(rows)
    # Of everybody's shingles most come up once, and words come up again and again.
    shingles = Counter(token for row in log if truth[row["account_id"]] is None for token in row["sketch_template"])
    assert np.mean([times == 1 for times in shingles.values()]) > 0.9
    words = Counter(token for row in log for token in row["sketch_words"])
    assert len(words) < 0.5 * sum(words.values())


def test_it_is_the_same_however_it_is_cut(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale_world, "SEGMENT_ROWS", 7_001)
    write_scale_world(tmp_path, accounts=ACCOUNTS, exchanges=EXCHANGES, seed=3)
    assert len(list((tmp_path / "exchanges").iterdir())) == 6
    for name in ("exchanges", "accounts.parquet", "truth.parquet"):
        assert pq.read_table(tmp_path / name).equals(pq.read_table(world / name))


def test_what_was_caught_is_counted_by_population(world: Path, tmp_path: Path) -> None:
    truth = pq.read_table(world / "truth.parquet")
    campaign = truth.filter(pc.equal(truth["campaign"], 1))["account_id"].to_pylist()
    people = truth.filter(pc.equal(truth["population"], "people"))["account_id"].to_pylist()
    caught = campaign[: len(campaign) // 2] + people[:2]
    pq.write_table(pa.table({"account_id": caught}), tmp_path / "case_accounts.parquet")
    cases = {"accounts": [len(caught)], "recommended_action": ["watch"], "q_value": [0.5]}
    pq.write_table(pa.table(cases), tmp_path / "cases.parquet")
    found = compare(world, tmp_path)
    assert found["recall"] == {"campaign 0": 0.0, "campaign 1": 0.5, "campaign 2": 0.0}
    assert found["false_accounts"]["people"] == f"2 of {len(people)}"

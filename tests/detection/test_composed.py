"""Detection on small worlds of real prompts, load shapes, addresses and clients, split by source."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.detection.conftest import log_batches
from tiergate.detection.run import DetectionInputs, Parameters, run_detection
from tiergate.records.refused import RefusedRows

pytestmark = pytest.mark.shared_data


@pytest.mark.parametrize(("split", "seed"), [("tune", 1), ("report", 21), ("report", 22)])
def test_the_campaign_is_found_and_the_look_alikes_are_not(
    split: str, seed: int, shared_data: Path, tmp_path: Path
) -> None:
    from benchmarks.detection.worlds import compose

    world = compose(shared_data, seed, split=split, accounts=1_500)
    population = {row["account_id"]: row["population"] for row in world.truth.to_pylist()}
    with RefusedRows(None) as refused:
        inputs = DetectionInputs(lambda: log_batches(world.exchanges), world.accounts, None, refused, [])
        summary = run_detection(
            inputs, tmp_path, parameters=Parameters(), sketch_key=None, progress=lambda step, share: None
        )
    members = summary.case_accounts.to_pylist()
    caught = Counter(population[row["account_id"]] for row in members)
    assert caught["campaign"] >= 0.9 * Counter(population.values())["campaign"]
    assert caught["agent_users"] == caught["office"] == 0
    assert caught["people"] <= 3
    acting = {row["case_id"] for row in summary.cases.to_pylist() if row["recommended_action"] != "watch"}
    found = Counter(population[row["account_id"]] for row in members if row["case_id"] in acting)
    assert found["campaign"] >= 0.9 * Counter(population.values())["campaign"]
    assert found.keys() == {"campaign"}

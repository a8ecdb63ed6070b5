"""A cases folder as `tiergate detect` writes it, made by hand, and a way to run the real command line."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.cli import forked

from tiergate.records.schema import TIME

START = datetime(2026, 9, 1, tzinfo=UTC)
EVIDENCE = (
    ("template", "shared_template", 31.0, 8.4, "for", "38 of 40 accounts send one template that 0.4% of others send"),
    ("network", "shared_egress", 3.0, 2.9, "for", "accounts share 3 egress networks <unusual for the platform>"),
    ("timing", "hand_over", 0.81, 2.2, "for", "load moves to other members within the hour when one stops"),
    ("timing", "human_rhythm", 0.4, -1.3, "against", "activity falls by 40% at night, as people's does"),
    ("network", "not available", 0.0, 0.0, "neither", "the input has no network evidence to look at"),
    ("workload", "pivot", 0.4, 0.0, "neither", "40% of those who could turned to a new model"),
    ("identity", "distinct_payment", 40.0, -0.7, "against", "40 accounts pay with 40 different instruments"),
)


@pytest.fixture
def cases_folder(tmp_path: Path) -> Path:
    """One case of 40 accounts with everything detection writes."""
    folder = tmp_path / "cases"
    folder.mkdir()
    accounts = [f"acct-{n:03}" for n in range(40)]
    times = pa.field("first_linked_at", TIME)
    facts: dict[str, Any] = {
        "case_id": "case_7f3a90bb12cd", "opened_at": START + timedelta(days=14), "first_seen": START,
        "last_seen": START + timedelta(days=14), "accounts": 40, "exchanges": 4_321, "output_tokens": 5_000_000,
        "value_usd": 75.25, "capability": "chain_of_thought", "confidence": 0.991, "q_value": 0.00969,
        "recommended_action": "verify", "summary": "40 accounts work through one queue of reasoning prompts",
        "links_nats": 7.5, "workload_nats": 6.25, "prior_nats": 3.0, "expected": 0.002,
    }  # fmt: skip
    pq.write_table(pa.Table.from_pylist([facts]), folder / "cases.parquet")
    pq.write_table(
        pa.table(
            {
                "case_id": ["case_7f3a90bb12cd"] * 40,
                "account_id": accounts,
                "membership": np.linspace(0.7, 1.0, 40),
                "first_linked_at": pa.array([START] * 40, times.type),
                "campaign_exchanges": pa.array(range(80, 120), pa.int64()),
            }
        ),
        folder / "case_accounts.parquet",
    )
    names = ("family", "statistic", "value", "log_odds", "direction", "explanation")
    rows = [{"case_id": "case_7f3a90bb12cd", **dict(zip(names, row, strict=True))} for row in EVIDENCE]
    pq.write_table(pa.Table.from_pylist(rows), folder / "case_evidence.parquet")
    rng = np.random.default_rng(1)
    pairs = [(a, b) for a in range(40) for b in range(a) if rng.random() < 0.15]
    pq.write_table(
        pa.table(
            {
                "case_id": ["case_7f3a90bb12cd"] * len(pairs),
                "account_a": [accounts[a] for a, _ in pairs],
                "account_b": [accounts[b] for _, b in pairs],
                "weight": rng.gamma(4.0, 2.0, len(pairs)),
                "families": [["template", "network"]] * len(pairs),
            }
        ),
        folder / "links.parquet",
    )
    pq.write_table(
        pa.table(
            {
                "score": [*rng.normal(0, 2, 300), *rng.normal(0, 2, 25), 11.5],
                "kind": ["decoy"] * 300 + ["target"] * 26,
                "case_id": [None] * 325 + ["case_7f3a90bb12cd"],
            }
        ),
        folder / "decoys.parquet",
    )
    run = {
        "tiergate": "0.1.0",
        "exchanges": {"read": 20_000, "refused": 2, "repeated": 0, "used": 19_998},
        "accounts": 240,
        "lacking": ["customer"],
    }
    (folder / "run.json").write_text(json.dumps(run))
    return folder


@pytest.fixture
def traffic() -> list[pa.RecordBatch]:
    """Fourteen days of exchanges: the case's 40 accounts around the clock, 200 others by day."""
    rng = np.random.default_rng(2)
    case = rng.uniform(0, 14 * 24, 4_321)
    rest = rng.integers(0, 14, 15_000) * 24 + rng.normal(14, 3, 15_000)
    names = [f"acct-{n:03}" for n in rng.integers(0, 40, len(case))] + [
        f"u{n}" for n in rng.integers(0, 200, len(rest))
    ]
    times = (START.timestamp() * 1e6 + np.concatenate([case, rest]) * 3.6e9).astype(np.int64)
    batch = pa.record_batch({"account_id": pa.array(names), "started_at": pa.array(times, pa.int64()).cast(TIME)})
    return [batch.slice(0, 9_000), batch.slice(9_000)]


RunCommand = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_tiergate(tmp_path: Path) -> RunCommand:
    """Run the real command line in an empty folder, without the caller's settings, at 80 columns."""

    def run(*arguments: str, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TIERGATE_")}
        return forked.run(arguments, cwd, environment | {"COLUMNS": "80"}, timeout_s=120)

    return run

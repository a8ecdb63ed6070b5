"""`tiergate spend --focus`."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tests.advice.test_focus import exchange
from tests.cli.conftest import RunCommand


def test_the_draft_says_who_used_what(run_tiergate: RunCommand, tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([exchange(1)]), tmp_path / "log.parquet")
    out = tmp_path / "charges.csv"
    done = run_tiergate("spend", "log.parquet", "--focus", str(out), "--focus-draft", "--seller", "Us")
    assert done.returncode == 0, done.stderr
    (row,) = csv.DictReader(out.read_text("utf-8").splitlines())
    assert (row["PrincipalId"], row["CredentialId"], row["ProviderName"]) == ("a1", "k1", "Us")
    assert row["SkuPriceDetails"] == '{"ModelDeveloper": "openai", "ModelId": "m-2026"}'
    assert row["BilledCost"] == "0.000007"


def test_other_files_are_refused_before_any_work(run_tiergate: RunCommand, tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([exchange(1)]), tmp_path / "log.parquet")
    done = run_tiergate("spend", "log.parquet", "--focus", "x.txt")
    assert done.returncode == 2
    assert "neither a .csv nor a .parquet" in done.stderr

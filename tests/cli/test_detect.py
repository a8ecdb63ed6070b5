"""`tiergate detect` as a user runs it, on a log where thirty accounts share a template, addresses and hours."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

RunCommand = Callable[..., subprocess.CompletedProcess[str]]

START = datetime(2026, 9, 1, tzinfo=UTC)
TOPICS = ("bread", "chess", "botany", "opera", "football", "tax law")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6,000 exchanges of 300 accounts as JSONL, and one row that cannot be read."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("log") / "exchanges.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(6_000):
            account, campaign = number % 300, number % 300 < 30
            hour = rng.uniform(0, 24) if campaign else rng.normal(14, 3) % 24
            prompt = (
                f"Solve the problem and write out your full reasoning step by step, number {number} on "
                f"{rng.choice(TOPICS)} and {rng.choice(TOPICS)}"
                if campaign
                else " ".join(f"word{n}" for n in rng.integers(0, 30, 12))
            )
            row = {
                "exchange_id": f"e{number}",
                "started_at": (START + timedelta(days=int(rng.integers(10)), hours=float(hour))).isoformat(),
                "account_id": f"a{account:03}",
                "operation": "chat",
                "request_model": "m",
                "status": 200,
                "prompt_text": prompt,
                "output_tokens": 100,
                "client_address": f"10.0.{account % 5 if campaign else account}.1",
                "user_agent": "py/1" if campaign else f"ua{account % 9}",
            }
            file.write(json.dumps(row) + "\n")
        file.write('{"exchange_id": "bad"}\n')
    return path


def test_detect_opens_the_case_and_says_what_it_refused(log: Path, tmp_path: Path, run_tiergate: RunCommand) -> None:
    done = run_tiergate("detect", str(log), "--out", "cases", "--report")
    assert done.returncode == 0, done.stderr
    members = pq.read_table(tmp_path / "cases" / "case_accounts.parquet")["account_id"].to_pylist()
    assert len(members) >= 27
    assert set(members) <= {f"a{n:03}" for n in range(30)}
    assert "chain_of_thought" in done.stdout.splitlines()[1]
    assert "read 6,001 exchanges, used 6,000, refused 1 row" in done.stderr
    refusal = json.loads((tmp_path / "cases" / "refused.jsonl").read_text())
    assert (refusal["row"], refusal["column"]) == (6_001, "started_at")
    assert "`cases/refused.jsonl`" in done.stderr
    assert "<svg" in (tmp_path / "cases" / "report.html").read_text()


def test_detect_speaks_json_and_names_the_same_cases_each_time(log: Path, run_tiergate: RunCommand) -> None:
    first = json.loads(run_tiergate("detect", str(log.parent), "--out", "one", "--json").stdout)
    second = json.loads(run_tiergate("detect", str(log), "--out", "two", "--json").stdout)
    assert first["cases"] == second["cases"]
    assert 27 <= sum(case["accounts"] for case in first["cases"]) <= 30
    assert {row["direction"] for row in first["cases"][0]["evidence"]} == {"for", "against"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.parquet", b"not parquet", "`x.parquet` is not a readable Parquet file"),
        ("x.txt", b"hello", "`x.txt` has no known ending"),
        ("x.jsonl.gz", b"not gzip", "`x.jsonl.gz`"),
    ],
)
def test_a_file_that_is_not_what_it_claims_is_one_line(
    name: str, content: bytes, said: str, tmp_path: Path, run_tiergate: RunCommand
) -> None:
    (tmp_path / name).write_bytes(content)
    done = run_tiergate("detect", name, "--out", "cases")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("tiergate: ")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_output_that_cannot_be_written_is_one_line(log: Path, tmp_path: Path, run_tiergate: RunCommand) -> None:
    (tmp_path / "cases").touch()
    done = run_tiergate("detect", str(log), "--out", "cases")
    assert (done.returncode, done.stderr) == (1, "tiergate: cannot use `cases`: File exists\n")

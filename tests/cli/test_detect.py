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

from tiergate.ledger.log import ExchangeLog
from tiergate.ledger.sketches import Sketcher
from tiergate.records.schema import Exchange

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
    assert {row["direction"] for row in first["cases"][0]["evidence"]} == {"for", "against", "neither"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.parquet", b"not parquet", "`x.parquet` is not a readable Parquet file"),
        ("x.txt", b"hello", "`x.txt` has no known ending"),
        ("x.jsonl.gz", b"not gzip", "`x.jsonl.gz`"),
        ("x.jsonl", b"he\x1bllo\nworld\n", "none of its 2 lines is a JSON object; the first is `hello`"),
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


def test_a_file_of_wrong_rows_alone_says_what_is_wrong_with_them(tmp_path: Path, run_tiergate: RunCommand) -> None:
    good = {"exchange_id": "e", "started_at": "2026-09-01T00:00:00Z", "account_id": "a", "operation": "chat"}
    rows = [{**good, "status": "fine", "request_model": "m"}, *[{**good, "status": 200}] * 3]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "{\n")
    done = run_tiergate("detect", "x.jsonl", "--out", "cases")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "tiergate: there is no exchange to look at: 5 rows were refused: request_model is required and missing (3), "
        "is not a JSON object (1), status is not a whole number of 32 bits (1); the first is row 1 of `x.jsonl`, with "
        "`fine`"
    )


def test_a_csv_of_wrong_rows_alone_is_not_imported(tmp_path: Path, run_tiergate: RunCommand) -> None:
    (tmp_path / "map.toml").write_text(
        "\n".join(f'{name} = "{name}"' for name in ("exchange_id", "started_at", "account_id", "request_model"))
        + '\noperation = {constant = "chat"}\nstatus = {constant = 200}\n'
    )
    (tmp_path / "x.csv").write_text(
        "exchange_id,started_at,account_id,request_model\ne1,soon,a,m\ne2,,a,m\ne3,late,a,m\n"
    )
    done = run_tiergate("import", "columns", "x.csv", "--map", "map.toml", "--out", "x.parquet")
    assert done.returncode == 2
    assert "3 rows were refused: started_at is not a time (RFC 3339) (2), started_at is required and" in done.stderr
    assert "the first is row 1 of `x.csv`, with `soon`" in done.stderr
    assert not (tmp_path / "x.parquet").exists()
    assert len((tmp_path / "x.parquet.refused.jsonl").read_text().splitlines()) == 3


def test_with_a_state_a_second_day_reads_itself_alone(log: Path, tmp_path: Path, run_tiergate: RunCommand) -> None:
    lines = log.read_text().splitlines(keepends=True)
    (tmp_path / "day1.jsonl").write_text("".join(lines[:1_200] + lines[-1:]))
    (tmp_path / "day2.jsonl").write_text("".join(lines[1_100:2_000]))
    options = ("--decoys", "2", "--out")
    first = run_tiergate("detect", "day1.jsonl", *options, "cases", "--state", "state")
    assert "look 1" in first.stderr
    assert "read 1,201 exchanges, used 1,200, refused 1 row" in first.stderr
    second = run_tiergate("detect", "day2.jsonl", *options, "cases", "--state", "state", "--report")
    assert second.returncode == 0, second.stderr
    assert "look 2" in second.stderr
    assert "read 2,101 exchanges, used 2,000, 100 repeated, refused 1 row" in second.stderr
    reseeded = run_tiergate("detect", "day1.jsonl", *options, "other", "--state", "state", "--seed", "2")
    assert "the data is that of look 2, so this is no new look" in reseeded.stderr
    assert json.loads((tmp_path / "other" / "run.json").read_text())["look"]["number"] == 2
    again = run_tiergate("detect", "day1.jsonl", "day2.jsonl", *options, "again", "--state", "state")
    assert "nothing has changed since the last look" in again.stderr
    for name in ("cases", "case_accounts", "links", "decoys"):
        one, other = ((tmp_path / out / f"{name}.parquet").read_bytes() for out in ("cases", "again"))
        assert one == other, name
    run = json.loads((tmp_path / "cases" / "run.json").read_text())
    assert [row["file"] for row in run["inputs"]] == ["day1.jsonl", "day2.jsonl"]
    assert run["look"]["number"] == 2


def test_a_gateways_unsealed_rows_are_looked_at_and_not_kept(
    log: Path, tmp_path: Path, run_tiergate: RunCommand
) -> None:
    rows = [json.loads(line) for line in log.read_text().splitlines()[:2_000]]
    exchanges = [
        Exchange(**row | {"started_at": int(datetime.fromisoformat(row["started_at"]).timestamp() * 1_000_000)})
        for row in rows
    ]
    (tmp_path / "key").write_bytes(bytes(32))
    command = ("detect", "log", "--decoys", "2", "--key", "key", "--state", "state", "--out")
    gateway = ExchangeLog.open(tmp_path / "log", sketcher=Sketcher(bytes(32)))
    gateway.append(exchanges[:1_200])
    gateway.seal()
    gateway.append(exchanges[1_200:])
    counts = []
    for out in ("one", "two"):
        done = run_tiergate(*command, out)
        assert done.returncode == 0, done.stderr
        counts.append(json.loads((tmp_path / out / "run.json").read_text())["exchanges"])
        gateway.seal()
    gateway.close()
    assert counts[0] == counts[1]
    assert (counts[0]["used"], counts[0]["repeated"]) == (2_000, 0)
    state = json.loads((tmp_path / "state" / "state.json").read_text())
    assert [file["rows"] for file in state["files"]] == [1_200, 800]
    assert not (tmp_path / "state" / "key").exists()

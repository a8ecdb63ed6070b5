"""`verify` and `decisions` as an operator, an applicant and a witness use them, each with files of their own."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.ledger.decisions import NOW_US, ORIGIN, decided

from tiergate.ledger.checkpoints import load_private_key
from tiergate.ledger.decision_log import DecisionLog

RunCommand = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A deployment with 40 decisions, 30 of them signed."""
    folder = tmp_path / "data"
    log = DecisionLog.open(folder / "decisions", origin=ORIGIN)
    log.append([decided(n) for n in range(30)])
    log.sign(load_private_key(folder / "decisions.key", ORIGIN), NOW_US)
    log.append([decided(n) for n in range(30, 40)])
    log.close()
    return folder


def test_a_receipt_goes_from_the_operator_past_a_witness_to_whoever_checks(
    data: Path, tmp_path: Path, run_tiergate: RunCommand
) -> None:
    def saved(name: str, *arguments: str) -> str:
        done = run_tiergate(*arguments)
        assert done.returncode == 0, done.stderr
        (tmp_path / name).write_text(done.stdout, encoding="utf-8")
        return done.stderr

    saved("log.pub", "decisions", "checkpoint", "--public-key")
    witness = ["--name", "w.example", "--key", "w.key", "--log-key", "log.pub", "--state", "w.json"]
    for since, signing in (("0", []), ("30", ["--sign"])):
        saved("request.txt", "decisions", "checkpoint", "--since", since, *signing)
        said = saved("line.txt", "decisions", "witness", "request.txt", *witness)
        saved("cosigned.txt", "decisions", "checkpoint", "--request", "request.txt", "--add", "line.txt")
    witness_key = said.strip().removeprefix("tiergate: cosigned as ")
    saved("receipt.json", "decisions", "receipt", "31", "--disclose", "person")

    arguments = ["verify", "receipt.json", "--key", "log.pub", "--witness", witness_key]
    done = run_tiergate(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"valid: record 31 of the first 40 of {ORIGIN}"
    assert "person: person-3@example.com" in done.stdout
    assert "cosigned by w.example at " in done.stdout
    found = json.loads(run_tiergate(*arguments, "--json").stdout)
    assert (found["valid"], found["size"], found["record"]["outcome"]) == (True, 40, "DENY")
    bare = base64.b64encode(load_private_key(data / "decisions.key", ORIGIN).public.key).decode()
    assert run_tiergate("verify", "receipt.json", "--key", bare).returncode == 0

    # A changed receipt is invalid (1); what is no receipt, key or file is bad input (2).
    receipt = (tmp_path / "receipt.json").read_text(encoding="utf-8")
    (tmp_path / "changed.json").write_text(receipt.replace('"DENY"', '"ALLOW"'), encoding="utf-8")
    done = run_tiergate("verify", "changed.json", "--key", "log.pub")
    assert (done.returncode, done.stdout) == (1, "")
    assert "record 31 is not in the log as it was signed" in done.stderr
    done = run_tiergate("verify", "changed.json", "--key", "log.pub", "--json")
    assert (done.returncode, json.loads(done.stdout)["valid"]) == (1, False)
    (tmp_path / "junk.json").write_text("{}")
    for wrong in (
        ["junk.json", "--key", "log.pub"],
        ["missing.json", "--key", "log.pub"],
        ["receipt.json", "--key", "missing.pub"],
        ["receipt.json", "--key", "log.pub", "--witness", "log.pub"],
        ["receipt.json", "--key", "log.pub", "--quorum", "1"],
    ):
        done = run_tiergate("verify", *wrong)
        assert (done.returncode, done.stdout) == (2, ""), wrong
        assert len(done.stderr.splitlines()) == 1


def test_the_whole_log_is_verified_and_damage_located(data: Path, run_tiergate: RunCommand) -> None:
    done = run_tiergate("decisions", "log")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"valid: 40 decisions of {ORIGIN}, 30 of them signed\n14 ALLOW, 13 DENY, 13 REVIEW; ")
    found = json.loads(run_tiergate("decisions", "log", "--json").stdout)
    assert (found["valid"], found["records"], found["signed"], found["signature_checked"]) == (True, 40, 30, True)
    # An auditor has a copy of the log alone, and the key from elsewhere.
    key = run_tiergate("decisions", "checkpoint", "--public-key").stdout.strip()
    (data / "decisions.key").rename(data / "elsewhere")
    assert "--key" in run_tiergate("decisions", "log", "--data", "data/decisions").stderr
    assert run_tiergate("decisions", "log", "--data", "data/decisions", "--key", key).returncode == 0

    (path,) = (data / "decisions").rglob("*.records")
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    done = run_tiergate("decisions", "log", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["valid"]) == (1, False)
    assert 15 <= found["record"] <= 25
    assert run_tiergate("decisions", "log").returncode == 1
    # Records that were signed are not given up.
    done = run_tiergate("decisions", "recover")
    assert (done.returncode, done.stdout) == (1, "")
    assert "restore it from a copy" in done.stderr
    assert run_tiergate("decisions", "log", "--data", "nowhere").returncode == 2


def test_erasing_and_recovering(data: Path, run_tiergate: RunCommand) -> None:
    done = run_tiergate("decisions", "erase", "--field", "person", "--value", "person-3@example.com", "--json")
    assert json.loads(done.stdout) == {"erased": 6}
    assert run_tiergate("decisions", "erase", "--record", "0").stdout == "erased 2 personal values\n"
    for wrong in ([], ["--field", "person"], ["--value", "x"]):
        assert run_tiergate("decisions", "erase", *wrong).returncode == 2
    assert run_tiergate("decisions", "receipt", "3", "--disclose", "person").returncode == 2
    assert "72 personal values kept, 8 erased" in run_tiergate("decisions", "log").stdout

    (path,) = (data / "decisions").rglob("*.records")
    path.write_bytes(path.read_bytes()[:-1])
    assert run_tiergate("decisions", "checkpoint", "--sign").returncode == 1
    assert run_tiergate("decisions", "recover").stdout == "39 decisions whole, 1 lost\n"
    (data / "decisions" / "hashes").unlink()
    assert run_tiergate("decisions", "log").returncode == 1
    assert run_tiergate("decisions", "recover").returncode == 0
    assert run_tiergate("decisions", "log").returncode == 0


def test_a_witness_finds_a_second_history(data: Path, tmp_path: Path, run_tiergate: RunCommand) -> None:
    key = load_private_key(data / "decisions.key", ORIGIN)
    (tmp_path / "log.pub").write_text(f"{key.public}\n")
    witness = ["--name", "w.example", "--key", "w.key", "--log-key", "log.pub", "--state", "w.json"]
    (tmp_path / "first.txt").write_text(run_tiergate("decisions", "checkpoint", "--since", "0").stdout)
    assert run_tiergate("decisions", "witness", "first.txt", *witness).returncode == 0
    other = DecisionLog.open(tmp_path / "other" / "decisions", origin=ORIGIN)
    other.append([decided(n) for n in range(35)])
    other.sign(key, NOW_US)
    other.close()
    arguments = ["--since", "30", "--data", "other"]
    (tmp_path / "second.txt").write_text(run_tiergate("decisions", "checkpoint", *arguments).stdout)
    done = run_tiergate("decisions", "witness", "second.txt", *witness)
    assert (done.returncode, done.stdout) == (1, "")
    assert "rewritten or forked" in done.stderr


def test_erasing_somebody_erases_them_in_the_logs_of_all_gateways(data: Path, run_tiergate: RunCommand) -> None:
    for worker in ("worker-2", "worker-3"):
        with closing(DecisionLog.open(data / "decisions" / worker, origin=f"{ORIGIN}/{worker}")) as log:
            log.append([decided(n) for n in range(10)])
    said = run_tiergate("decisions", "log").stderr
    assert ("worker-2" in said, "worker-3" in said) == (True, True)
    assert len(json.loads(run_tiergate("decisions", "log", "--json").stdout)["not_verified"]) == 2
    # One record is of one log.
    run_tiergate("decisions", "erase", "--record", "3", "--field", "person")
    assert b"person-3@example.com" in (data / "decisions" / "worker-2" / "personal.sqlite").read_bytes()
    done = run_tiergate("decisions", "erase", "--field", "person", "--value", "person-3@example.com")
    assert done.returncode == 0, done.stderr
    left = [path for path in data.rglob("*") if path.is_file() and b"person-3@example.com" in path.read_bytes()]
    assert left == []

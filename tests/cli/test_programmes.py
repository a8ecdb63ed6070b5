"""From a founded programme to a statement and an appeal, by the command line alone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.admission.parties import founded, on_disk

from tiergate.admission.credits import Credits
from tiergate.cli import app
from tiergate.cli.options import digest, micro_usd
from tiergate.database import open_database
from tiergate.errors import InputError, StateError

RunCommand = Callable[..., subprocess.CompletedProcess[str]]


def test_a_member_from_application_to_statement_and_appeal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # In this process: a start of Python for each of thirty commands would take longer than all that they do.
    monkeypatch.chdir(tmp_path)

    def said(*words: str) -> str:
        capsys.readouterr()
        app(args=list(words), standalone_mode=False)
        return capsys.readouterr().out

    def told(*words: str) -> Any:
        return json.loads(said(*words, "--json"))

    founded = told("programme", "create", "consortium", "--author", "operator")
    assert founded["pool_micro_usd"] == 10**14
    paper = tmp_path / "paper.pdf"
    paper.write_bytes(b"signed")
    met = [word for one in founded["requirements"] for word in ("--met", f"{one['code']}={paper}")]
    applied = told("member", "apply", "consortium", "acme", "--author", "ann", *met)
    member = applied["membership_id"]
    assert applied["standing"]["code"] == "membership_applied"
    assert applied["met"]["sso_mfa"] == digest(str(paper))
    told("member", "sponsor", member, "--organisation", "operator", "--author", "sue")
    told("member", "review", member, "--approve", "--author", "rob")
    with pytest.raises(StateError, match="`Rob` approved already"):
        said("member", "review", member, "--approve", "--author", "Rob")
    assert told("member", "review", member, "--approve", "--author", "rita")["standing"]["may_use"]

    line = told("credit", "line", "consortium", "acme", "2,500.50", "--author", "operator")
    assert line["balance"]["available"] == 2_500_500_000
    site = ("--asset", "domain:*.example.org", "--evidence", str(paper), "--issuer", "legal", "--until", "2999-01-01")
    purpose = told("purpose", "declare", member, "test_own_systems", *site, "--author", "ann")["purpose_id"]
    told("purpose", "accept", purpose, "--author", "rob")
    bound = ("--project", "red", "--model", "classified-1", "--purpose", purpose, "--line", line["line_id"])
    grant = told("grant", "give", member, "max", *bound, "--author", "operator")
    assert (grant["surface"], grant["holder_kind"], grant["pending"]) == ("chat", "person", True)
    assert not told("grant", "approve", grant["grant_id"], "--author", "rita")["pending"]
    app(args=["grant", "give", member, "sam", *bound[:6], "--surface", "api"], standalone_mode=False)
    notes = capsys.readouterr().err
    assert "the gateway serves the surface `chat` only" in notes
    assert "no credit line pays for it" in notes
    by_code = ("grant", "give", member, "max", "--project", "red", "--model", "classified-1")
    with pytest.raises(InputError, match="give its id, `pur_"):
        said(*by_code, "--purpose", "test_own_systems")

    engine = open_database(tmp_path / "data" / "control.sqlite")
    store = Credits(engine)
    made = store.reserve(line["line_id"], 5_000_000, member_id="max", purpose_id=purpose, now_us=1_000_000)
    store.settle(made.reservation_id, 1_234_567, now_us=2_000_000)
    engine.dispose()
    rows = told("credit", "statement", "consortium", "--organisation", "acme")
    assert sum(row["spent"] for row in rows) == 1_234_567
    assert f"max  {purpose}  1 answer  $1.234567 spent  $0.00 reserved" in said("credit", "statement", "consortium")

    assert told("grant", "deprovision", "person", "max")["ended"] == [grant["grant_id"]]
    assert grant["grant_id"] in [one["grant_id"] for one in told("grant", "list")]
    told("member", "suspend", member, "--code", "late", "--reason", "the review is old", "--author", "rob")
    assert "suspended: the review is old (`late`)" in said("member", "list")
    appeal = told("appeal", "file", "membership", member, "--grounds", "it is not", "--author", "ann")["appeal_id"]
    for reviewer in ("rex", "rita"):
        told("appeal", "decide", appeal, "--overturn", "--reason", "true", "--author", reviewer)
    assert told("member", "list")[0]["standing"]["code"] == "membership_active"
    assert told("appeal", "list")[0]["outcome"] == "overturned"
    assert [one["action"] for one in told("member", "history", member)][-2:] == ["suspend", "reinstate"]


def test_mistakes_end_with_the_codes_of_all_commands(tmp_path: Path, run_tiergate: RunCommand) -> None:
    (tmp_path / "data").mkdir()
    founded(on_disk(tmp_path / "data"))
    for words, code in (
        (("grant", "revoke", "gra_x", "--reason", "r"), 2),
        (("credit", "line", "consortium", "acme", "100,000,001"), 1),
    ):
        done = run_tiergate(*words)
        assert (done.returncode, done.stdout) == (code, ""), words
        assert done.stderr.startswith("tiergate: ")
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("typed", "micro"), [("1", 10**6), ("$1,000.25", 1_000_250_000), ("0.000001", 1), ("0", 0)])
def test_dollars_are_read_exactly(typed: str, micro: int) -> None:
    assert micro_usd(typed) == micro


@pytest.mark.parametrize("typed", ["", "x", "1.0000001", "nan", "inf", "1e999999", f"0.000001{'0' * 40}1"])
def test_what_is_no_amount_is_refused(typed: str) -> None:
    with pytest.raises(InputError, match="no amount of dollars"):
        micro_usd(typed)

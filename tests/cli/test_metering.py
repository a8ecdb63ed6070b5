"""Budgets and spend by the command line, on what a gateway recorded."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tiergate.cli import app
from tiergate.clock import DAY, SystemClock
from tiergate.errors import InputError, StateError
from tiergate.gateway.metering.spend import BY
from tiergate.ledger.log import ExchangeLog
from tiergate.ledger.sketches import Sketcher
from tiergate.records.schema import Exchange

Told = Callable[..., str]
NOW = SystemClock().now_us()


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Told:
    """Runs a command in this process, in a folder with a gateway's data; gives what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tiergate.cli.budgets.now", lambda: NOW)

    def run(*words: str) -> str:
        capsys.readouterr()
        app(args=list(words), standalone_mode=False)
        return capsys.readouterr().out

    run("keys", "create", "acct-1")
    log = ExchangeLog.open(Path("data/log"), sketcher=Sketcher(bytes(32)))
    rows = [
        ("a", NOW, "acme", "alice", "small", 1_500_000, "upstream"),
        ("b", NOW, "acme", "bob", "large", 2_000_001, "estimate"),
        ("c", NOW, None, "alice", "small", 7, "upstream"),
        ("d", NOW - 40 * DAY, "acme", "alice", "small", 1_000_000, "upstream"),
        ("e", NOW, "acme", None, "small", None, None),
        ("f", NOW, "acme", None, "=1+1\x1b[2J", 0, "upstream"),
    ]
    log.append(
        [
            Exchange(
                exchange_id=name, started_at=at_us, account_id="acct-1", credential_id="key_1", operation="chat",
                request_model=model, status=200, organization_id=organisation, end_user_id=user, input_tokens=10,
                output_tokens=2, cost_micro_usd=cost, usage_source=source,
            )
            for name, at_us, organisation, user, model, cost, source in rows
        ]
    )  # fmt: skip
    log.close()
    return run


def test_spend_is_summed_exactly_by_whatever_is_asked(said: Told) -> None:
    assert said("spend", "data").splitlines() == [
        "$4.500001  acme  5 exchanges  50 tokens in  10 out  1 estimated  1 without a price",
        "$0.000007  -  1 exchange  10 tokens in  2 out",
    ]
    rows = list(csv.DictReader(io.StringIO(said("spend", "--by", "end-user", "--by", "model", "--csv"))))
    assert [(row["end-user"], row["model"], row["cost_micro_usd"]) for row in rows] == [
        ("acme/alice", "small", "2500000"),
        ("acme/bob", "large", "2000001"),
        ("acct-1/alice", "small", "7"),
        ("", "'=1+1\x1b[2J", "0"),
        ("", "small", "0"),
    ], "a model's name is the caller's: no spreadsheet takes it for a formula"
    assert "$0.00  =1+1\N{REPLACEMENT CHARACTER}[2J  1 exchange" in said("spend", "--by", "model")
    today = f"{datetime.fromtimestamp(NOW / 1e6, UTC):%Y-%m-%d}"
    (day,) = json.loads(said("spend", "--by", "day", "--since", today, "--json"))
    assert (day["day"], day["exchanges"], day["cost_micro_usd"]) == (today, 5, 3_500_008)
    (key,) = json.loads(said("spend", "--by", "key", "--until", today, "--json"))
    assert (key["key"], key["cost_micro_usd"]) == ("key_1", 1_000_000)
    for by in BY:
        assert sum(row["cost_micro_usd"] for row in json.loads(said("spend", "--by", by, "--json"))) == 4_500_008
    with pytest.raises(InputError, match="not kept by `team`: give organisation"):
        said("spend", "--by", "team")
    with pytest.raises(InputError, match="not both"):
        said("spend", "--csv", "--json")


def test_budgets_are_set_listed_and_removed(said: Told) -> None:
    def told(*words: str) -> Any:
        return json.loads(said(*words, "--json"))

    made = told("budgets", "set", "organisation", "acme", "usd/month", "5,000.50", "--reason", "a pilot")
    assert made == {"scope": "organisation", "subject": "acme", "measure": "usd/month", "amount": 5_000_500_000}
    said("budgets", "set", "key", "*", "requests/minute", "600")
    said("budgets", "set", "end-user", "*", "usd/day", "2", "--of", "acme")
    said("budgets", "set", "end-user", "alice", "usd/day", "3", "--of", "acme")
    listed = said("budgets", "list").splitlines()
    assert listed == [
        "organisation  acme  usd/month  $5,000.50  $3.500001 spent  $0.00 reserved",
        "key  *  requests/minute  600",
        "end-user  acme/*  usd/day  $2.00",
        "end-user  acme/alice  usd/day  $3.00  $1.50 spent  $0.00 reserved",
    ], "what was spent in a window before its limit was set counts"
    said("budgets", "set", "organisation", "acme", "usd/month", "6")
    (month, *_, alice) = told("budgets", "list")
    assert (month["amount"], month["spent"], alice["spent"]) == (6_000_000, 3_500_001, 1_500_000)
    said("budgets", "remove", "end-user", "alice", "usd/day", "--of", "acme")
    assert len(told("budgets", "list")) == 3
    with pytest.raises(StateError, match="no limit on `usd/day end_user acme/alice`"):
        said("budgets", "remove", "end-user", "alice", "usd/day", "--of", "acme")
    for words, message in (
        (("end-user", "alice", "usd/day", "1"), "give its organisation"),
        (("key", "key_1", "usd/day", "1", "--of", "acme"), "leave that out for a limit of `key`"),
        (("key", "key_1", "tokens/minute", "1.5"), "no whole number of tokens"),
        (("key", "key_1", "usd/day", "2,000,000,000"), "a limit is 0 to"),
    ):
        with pytest.raises(InputError, match=message):
            said("budgets", "set", *words)


def test_a_limit_that_meets_no_account_says_so(said: Told, capsys: pytest.CaptureFixture[str]) -> None:
    told = "no account belongs to `acme` yet: `tiergate keys create ACCOUNT --organisation acme`"
    app(args=["budgets", "set", "organisation", "acme", "usd/month", "5"], standalone_mode=False)
    assert told in capsys.readouterr().err
    said("keys", "create", "acct-1", "--organisation", "acme")
    app(args=["budgets", "set", "organisation", "acme", "usd/month", "5"], standalone_mode=False)
    assert told not in capsys.readouterr().err
    with pytest.raises(InputError, match="belongs to `acme`"):
        said("keys", "create", "acct-1", "--organisation", "other")
    with pytest.raises(InputError, match="leave it out"):
        said("keys", "create", "acct-1", "--organisation", " ")

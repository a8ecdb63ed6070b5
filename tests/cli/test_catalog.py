"""`tiergate catalog`, as people call it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from tests.cli.conftest import RunCommand

from tiergate.database import open_database


def test_tiers_as_table_json_csv_and_chart(run_tiergate: RunCommand, tmp_path: Path) -> None:
    on = ("catalog", "tiers", "--as-of", "2026-06-20", "--tier", "unavailable")
    table = run_tiergate(*on, "--csv", "tiers.csv", "--chart", "tiers.svg")
    assert table.returncode == 0, table.stderr
    assert "Claude Fable 5" in table.stdout
    assert "8 models on 2026-06-20: 8 unavailable" in table.stderr
    shown = json.loads(run_tiergate(*on, "--json").stdout)
    (fable,) = (one for one in shown["models"] if one["model"] == "claude-fable-5")
    assert fable["because"] == "it is switched off for everyone"
    assert "fairbydesign.org" in fable["sources"][0]
    with (tmp_path / "tiers.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [row["model"] for row in rows] == [one["model"] for one in shown["models"]]
    assert all(row["sources"] for row in rows)
    drawn = (tmp_path / "tiers.svg").read_text()
    assert "Epoch AI" in drawn
    assert "classified 2" in drawn


def test_a_model_shows_every_fact_with_its_source(run_tiergate: RunCommand) -> None:
    done = run_tiergate("catalog", "model", "Kimi K3", "--as-of", "2026-07-20")
    assert "on 2026-07-20: commodity, because whoever signs up and pays is served" in done.stdout
    assert "open weights, Kimi K3 License, restricted use, from 2026-07-27\n" in done.stdout
    assert "(CC-BY-4.0)" in done.stdout
    shown = json.loads(run_tiergate("catalog", "model", "kimi-k3", "--as-of", "2026-11-28", "--json").stdout)
    assert shown["tier"] == "open"
    assert {one["alleged_by"] for one in shown["alleged"]} >= {"Anthropic"}


def test_a_model_shows_its_scores_by_vintage_and_its_list_prices(run_tiergate: RunCommand, tmp_path: Path) -> None:
    head = "Model,eci,date,Organization,Country,Model accessibility\n"
    (tmp_path / "mine.csv").write_text(f"{head}GPT-4o (Nov 2024),128.5,2024-11-20,OpenAI,US,closed\n")
    done = run_tiergate("catalog", "model", "gpt-5.6-sol", "--as-of", "2026-08-22").stdout
    assert "  GPT-5.6 Sol: 161.7 (159.1 to 164.8), vintage 2026-08-11\n    Epoch AI" in done
    assert "  gpt-5.6-sol: 4 in, 20 out, effective 2026-08-21\n    as of " in done
    before = run_tiergate("catalog", "model", "gpt-5.6-sol", "--as-of", "2026-07-01").stdout
    assert "list prices on 2026-07-01: none on file" in before
    mine = json.loads(run_tiergate("catalog", "model", "gpt-4o", "--vintage", "mine.csv", "--json").stdout)
    assert [(one["version"], one["eci"], one["vintage"]) for one in mine["scores"]] == [
        ("GPT-4o (Nov 2024)", 128.5, "mine")
    ]


def test_changes_say_the_fact(run_tiergate: RunCommand) -> None:
    asked = ("catalog", "changes", "2026-06-28", "2026-07-27", "--no-releases")
    shown = json.loads(run_tiergate(*asked, "--json").stdout)["changes"]
    assert [(one["day"], one["model"], one["after"], one["facts"]) for one in shown] == [
        ("2026-07-01", "claude-fable-5", "commodity", "ends: switched off"),
        ("2026-07-27", "kimi-k3", "open", "begins: open weights, Kimi K3 License, restricted use"),
    ]
    assert "2 changes of tier" in run_tiergate(*asked).stderr


def test_providers_and_allegations(run_tiergate: RunCommand, tmp_path: Path) -> None:
    table = run_tiergate("catalog", "providers", "--as-of", "2026-11-28", "--csv", "providers.csv")
    assert "ask: by contract or approval only; - is unknown" in table.stderr
    assert "source" in (tmp_path / "providers.csv").read_text().splitlines()[0]
    assert "FedRAMP: unknown" in run_tiergate("catalog", "providers", "mistral", "--as-of", "2026-11-28").stdout
    told = run_tiergate("catalog", "allegations", "alibaba", "--as-of", "2026-07-01").stdout
    assert told.startswith("alleged by Anthropic on 2026-06-24: Alibaba distilled models of Anthropic; at least 28,800")
    assert "denied by Alibaba, 2026-06-26" in told
    assert "151,000,000" not in told


def test_the_check_refuses_what_cannot_be_shipped(run_tiergate: RunCommand, tmp_path: Path) -> None:
    assert run_tiergate("catalog", "check").returncode == 0
    (tmp_path / "mine.toml").write_text('[[price]]\nid = "x"\nas_of = 2026-01-01\nsource = "s"\nlicence = "NC"\n')
    done = run_tiergate("catalog", "check", "mine.toml")
    assert done.returncode == 2
    assert "price x: the licence `NC` does not let data be shipped" in done.stdout
    assert "1 row cannot be shipped" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tiers", "--as-of", "2020-01-01"), "the catalog begins on 2023-02-24, give a later day"),
        (("tiers", "--as-of", "1 June"), "see `tiergate catalog tiers --help`"),
        (("tiers", "--tier", "first"), "give one of classified, commodity, open"),
        (("model", "claude-fabel-5"), "did you mean `claude-fable-5`"),
        (("changes", "2026-07-01", "2026-06-01"), "give the earlier day first"),
        (("check", "nothing.toml"), "there is no file `nothing.toml`"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    run_tiergate: RunCommand, arguments: tuple[str, ...], said: str
) -> None:
    done = run_tiergate("catalog", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_an_override_counts_where_its_deployment_is_named(run_tiergate: RunCommand, tmp_path: Path) -> None:
    refused = run_tiergate("catalog", "claims", "--data", "data")
    assert (refused.returncode, "is no deployment" in refused.stderr) == (2, True)
    (tmp_path / "data").mkdir()
    open_database(tmp_path / "data" / "control.sqlite").dispose()
    given = ("--data", "data", "--author", "ann")
    put = run_tiergate("catalog", "override", "extraction_cost", "2e6", "--reason", "quoted", *given)
    assert put.returncode == 0, put.stderr
    bars = json.loads(run_tiergate("economics", "charts", "extraction", "--data", "data", "--json").stdout)["bars"]
    (ours,) = [one for one in bars if (one["claim"], one["layer"]) == ("extraction_cost", "evidence")]
    assert ours["mode"] == 2e6
    shown = run_tiergate("catalog", "claims", "extraction_cost", "--data", "data")
    assert "by ann" in shown.stderr
    assert "as claimed    48,000 USD" in shown.stdout
    for wrong in (("2e6", "--withdraw"), ("likely", "--reason", "r"), ("2e6",)):
        assert run_tiergate("catalog", "override", "extraction_cost", *wrong, *given).returncode == 2
    gone = run_tiergate("catalog", "override", "extraction_cost", "--withdraw", "--reason", "not so", *given)
    assert gone.returncode == 0, gone.stderr
    assert "by ann" not in run_tiergate("catalog", "claims", "extraction_cost", "--data", "data").stderr

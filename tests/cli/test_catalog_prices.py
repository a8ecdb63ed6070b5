"""`tiergate catalog prices`, `refresh` and `claims`, `tiergate economics prices` and `charts`, as people run them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from tests.cli.conftest import RunCommand


def test_prices_of_a_model_by_any_name_and_on_a_day(run_tiergate: RunCommand) -> None:
    done = run_tiergate("catalog", "prices", "GPT 5.6 Sol", "--as-of", "2026-08-21", "--json")
    (row,) = json.loads(done.stdout)
    assert (row["id"], row["input"], row["output"], row["from"]) == ("gpt-5.6-sol", 4.0, 20.0, "2026-08-21")
    assert row["source"].startswith("litellm")
    assert row["licence"] == "MIT"
    later = run_tiergate("catalog", "prices", "gpt-5.6-sol", "--as-of", "2027-08-21")
    assert "the newest price map was read on 2026-10-31: prices may have changed since" in later.stderr


def test_what_a_capability_cost_in_every_form(run_tiergate: RunCommand, tmp_path: Path) -> None:
    done = run_tiergate(
        "economics", "prices", "--eci", "150", "--eci", "156", "--since", "2026-06-01", "--until", "2026-08-31",
        "--csv", "out/cells.csv", "--chart", "out/cells.svg",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert ["2026-07-31", "0.450", "0.450"] in [line.split() for line in done.stdout.splitlines()]
    assert "ECI>=156  2026-06 GPT-5.4, 2026-07 GPT-5.6 Luna" in done.stdout
    assert "not counted: DeepSeek V4 Flash 0731" in done.stderr
    assert "Epoch AI" in done.stderr
    with (tmp_path / "out" / "cells.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["month"], row["eci"], row["usd"]) for row in rows[:2]] == [
        ("2026-06-30", "150.0", "1.125"), ("2026-06-30", "156.0", "5.625"),
    ]  # fmt: skip
    drawn = (tmp_path / "out" / "cells.svg").read_text()
    assert "Source: list prices" in drawn
    assert "ECI \N{GREATER-THAN OR EQUAL TO} 156" in drawn


def test_what_a_capability_cost_by_the_scores_of_another_vintage(run_tiergate: RunCommand, tmp_path: Path) -> None:
    head = "Display name,Model version,eci,date,Organization,Country,Model accessibility\n"
    of_openai = ("GPT-5 (high),,148,2025-08-07", "GPT-5 (low),,140,2025-08-07", ",GPT-5.4,155,2026-03-05")
    (tmp_path / "mine.csv").write_text(head + "".join(f"{row},OpenAI,US,\n" for row in of_openai))
    on = ("economics", "prices", "--since", "2026-04-01", "--until", "2026-04-30", "--vintage")
    done = run_tiergate(*on, "mine.csv", "--eci", "145", "--eci", "150", "--json")
    shown = json.loads(done.stdout)
    assert [(one["model"], one["usd"]) for one in shown["cells"]] == [("GPT-5", 3.4375), ("GPT-5.4", 5.625)]
    assert "vintage mine" in shown["source"]
    assert "vintage `mine` has 2 of the 91 models" in done.stderr
    (tmp_path / "none.csv").write_text(head + "Mine,,148,2025-08-07,Me,US,\n")
    assert "has no model by a name that prices are on file for" in run_tiergate(*on, "none.csv").stderr


def test_a_claim_with_its_source_and_what_an_override_moves(run_tiergate: RunCommand, tmp_path: Path) -> None:
    done = run_tiergate("catalog", "claims", "extraction_cost", "--set", "extraction_cost=2e6", "--csv", "claim.csv")
    assert done.returncode == 0, done.stderr
    assert "as claimed    48,000 USD" in done.stdout
    assert "as evidenced  2M USD (set by you)" in done.stdout
    assert "usd_per_account" in done.stdout
    with (tmp_path / "claim.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["evidence_mode"], row["set_by_you"], row["licence"]) == ("2000000.0", "True", "own")
    bar = run_tiergate("catalog", "claims", "mythos_swe_bench", "--set", "mythos_swe_bench=90", "--json")
    (moved,) = json.loads(bar.stdout)["moved_bars"]
    assert (moved["chart"], moved["before_mode"], moved["after_mode"]) == ("tiers", 93.9, 90.0)
    nothing = run_tiergate("catalog", "claims", "open_lag", "--set", "open_lag=3")
    assert "Nothing is computed from this" in nothing.stdout
    listed = run_tiergate("catalog", "claims", "--status", "refuted", "--json")
    assert {one["status"] for one in json.loads(listed.stdout)["claims"]} == {"refuted"}


def test_the_essays_charts_in_both_layers(run_tiergate: RunCommand, tmp_path: Path) -> None:
    done = run_tiergate("economics", "charts", "extraction", "--chart", "chart.svg", "--set", "extraction_cost=1e6")
    assert done.returncode == 0, done.stderr
    assert "20,833 to 104,167 as claimed" in done.stdout
    drawn = (tmp_path / "chart.svg").read_text()
    assert "as claimed: training costs 20,833 to 104,167 times as much" in drawn
    assert "set by the reader: extraction_cost" in drawn
    tiers = json.loads(run_tiergate("economics", "charts", "tiers", "--json").stdout)["bars"]
    assert {bar["layer"] for bar in tiers} == {"claimed", "evidence"}
    assert [bar["alleged_by"] for bar in tiers if bar["claim"] == "mythos_swe_bench"] == ["Anthropic"] * 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("catalog prices gpt-5.6-sol --as-of 2025-01-01", "no price of `gpt-5.6-sol` is on file before 2026-07-31"),
        ("catalog prices gpt-77", "no price is on file for a model `gpt-77`"),
        ("catalog prices --chart all.svg", "name a model"),
        ("economics prices --until 9999-12-31", "prices are known until 2026-10-31"),
        ("economics prices --eci nan", "a threshold is a number of points of ECI"),
        ("economics prices --blend inf", "inf parts of input are no blend"),
        ("catalog refresh --out o --since 2027-01-01", "`--since` must not be after `--until`"),
        ("catalog refresh --out o --since 2026-01-01 --from f", "leave out `--since`"),
        ("catalog refresh --out o --from none.json", "there is no file `none.json`"),
        ("catalog claims --topic weather", "give access, distillation, forecast, market"),
        ("catalog claims extraction_cost --status refuted", "leave them out"),
        ("economics prices --since 2023-01-01", "no price is on file before 2024-11-30: give a month from then on"),
        ("economics prices --without GPT-9", "there is no model `GPT-9` to leave out"),
        ("economics prices --eci 999 --chart a.svg", "there is nothing to draw"),
        ("economics prices --prices none.csv", "there is no file `none.csv`"),
        ("economics charts --chart a.svg", "name extraction or tiers"),
        ("economics charts tiers --chart a.pdf", "an .svg or a .png"),
        ("economics charts --set open_lag=x", "`x` is no figure"),
    ],
)
def test_what_cannot_be_asked_says_what_is_allowed(
    arguments: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tiergate.cli import app
    from tiergate.errors import InputError

    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        app(args=arguments.split(), standalone_mode=False)
    assert said in str(caught.value)

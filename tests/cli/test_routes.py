"""`tiergate routes`, as the real command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.conftest import RunCommand
from tests.gateway.routing.files import TEXT


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "gateway.yaml").write_text(TEXT, encoding="utf-8")
    return folder


def test_a_right_file_is_summed_up_without_its_keys(run_tiergate: RunCommand, data: Path) -> None:
    done = run_tiergate("routes", "check", "data/gateway.yaml")
    assert done.returncode == 0, done.stderr
    assert "3 upstreams, 3 models, 2 groups" in done.stdout
    assert "chat  cheapest: swift, wise, own" in done.stdout
    assert "`EAST_KEY` is not set here" in done.stderr
    (data / "models.toml").write_text('[models.swift]\ntier = "open"\n[models.wise]\ntier = "commodity"\n')
    tiers = TEXT.replace("strategy: cheapest", "offer: [open]").replace(
        "candidates: [swift, wise]", "candidates: [swift]"
    )
    (data / "gateway.yaml").write_text(tiers.replace("weights: {swift: 3, wise: 1}", "weights: {swift: 3}"))
    shown = json.loads(run_tiergate("routes", "check", "data/gateway.yaml", "--json").stdout)
    assert shown["groups"]["chat"] == {
        "strategy": "cheapest", "tier": "commodity", "candidates": ["wise", "own"], "offered": ["swift"],
    }  # fmt: skip
    assert shown["variables_not_set_here"] == ["EAST_KEY", "WEST_KEY"]


def test_a_wrong_file_is_told_fault_by_fault(run_tiergate: RunCommand, data: Path) -> None:
    (data / "gateway.yaml").write_text(TEXT.replace("key_env", "key").replace("strategy", "stratgy"), encoding="utf-8")
    done = run_tiergate("routes", "check", "data/gateway.yaml")
    assert done.returncode == 2
    first, *rest = done.stdout.splitlines()
    assert first == "data/gateway.yaml, line 5: there is no field `upstreams.east.key`: did you mean `key_env`?"
    assert len(rest) == 3
    assert "4 faults" in done.stderr
    assert len(json.loads(run_tiergate("routes", "check", "data/gateway.yaml", "--json").stdout)["faults"]) == 4
    assert run_tiergate("routes", "check", "nowhere.yaml").returncode == 2


def test_a_request_is_explained(run_tiergate: RunCommand, data: Path) -> None:
    asked = ("routes", "explain", "--model", "chat", "--tools", "--on", "2026-07-01", "--input-tokens", "1000")
    done = run_tiergate(*asked)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "chat, cheapest",
        "  1  swift  expected 0.001012 USD  at east, us-east-1, US, kept 30 days",
        "  2  wise   expected 0.006840 USD  at west, eu-west-1, FR, kept 0 days",
        "  -  own    no_tools: it has no tools",
    ]
    shown = json.loads(run_tiergate(*asked, "--require", "region=eu", "--max-tokens", "10", "--json").stdout)
    assert [one["model"] for one in shown["asked"]] == ["wise"]
    assert shown["asked"][0]["expected_usd"] == 0.00315
    assert {one["model"]: [reason["code"] for reason in one["reasons"]] for one in shown["excluded"]} == {
        "swift": ["region_not_allowed"], "own": ["no_tools", "region_not_allowed"],
    }  # fmt: skip


def test_a_policy_of_the_file_is_explained_too(run_tiergate: RunCommand, data: Path) -> None:
    asked = ("routes", "explain", "--model", "swift", "--routes", "data/gateway.yaml")
    assert "  1  swift" in run_tiergate(*asked).stdout
    refused = run_tiergate(*asked, "--organisation", "acme").stdout
    assert "region_not_allowed: it is in us-east-1, allowed is eu, no" in refused
    assert "refused with 400 no_candidate_qualifies" in refused


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "nothing"), "there is no group or model `nothing`"),
        (("--model", "chat", "--require", "regoin=eu"), "there is no header `x-tiergate-require-regoin`"),
        (("--model", "chat", "--require", "region"), "write it as region=eu"),
    ],
)
def test_what_cannot_be_explained_says_why(
    run_tiergate: RunCommand, data: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = run_tiergate("routes", "explain", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr

"""`tiergate advise`, as people call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.conftest import RunCommand

REQUIREMENTS = """\
organisation: {name: Example Bank, country: DE, sector: finance}
tasks: [coding, vulnerability_research]
data: {residency: [EU], retention_days: 30}
certifications: [soc2]
load: {requests_per_month: 200_000, input_tokens: 3_000, output_tokens: 800}
budget_usd_per_month: 5_000
"""
ON = ("--as-of", "2026-11-28", "--draws", "500")


@pytest.fixture
def requirements(tmp_path: Path) -> str:
    (tmp_path / "requirements.yaml").write_text(REQUIREMENTS)
    return "requirements.yaml"


def test_advice_in_words(run_tiergate: RunCommand, requirements: str) -> None:
    done = run_tiergate("advise", requirements, *ON)
    assert done.returncode == 0, done.stderr
    assert "classified tier needed: not known: models that anybody can have may refuse" in done.stdout
    assert "gpt-5.6-luna" in done.stdout
    assert "into Cyber Verification Program of Anthropic: eligible: not known" in done.stdout
    assert "ruled out by" in done.stdout
    assert "no legal advice" in done.stderr
    why = run_tiergate("advise", requirements, *ON, "--why-not", "Kimi K3")
    assert (
        "kimi-k3@amazon-bedrock:US, open\n  ruled out: residency (line 3): amazon-bedrock sells it so in US"
        in why.stdout
    )
    assert "as of 2026-11-24, litellm 1.109.1 on PyPI, its price map (MIT)" in why.stdout


def test_a_signed_record_is_written_and_verified(run_tiergate: RunCommand, requirements: str, tmp_path: Path) -> None:
    for out in ("one", "two"):
        done = run_tiergate(
            "advise", requirements, *ON, "--out", out, "--key", "advice.key", "--signer", "ann", "--json"
        )
        assert done.returncode == 0, done.stderr
    for name in ("advice.json", "advice.note", "aibom.json", "advice.pub"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert json.loads(done.stdout) == json.loads((tmp_path / "one" / "advice.json").read_bytes())
    assert (tmp_path / "advice.key").stat().st_mode & 0o077 == 0
    verify = ("advise", "--verify", "one", "--public-key", "one/advice.pub")
    assert run_tiergate(*verify).stdout == "valid: advice of 2026-11-28, signed by ann\n"
    assert json.loads(run_tiergate(*verify, "--json").stdout)["changed"] == []
    record = tmp_path / "one" / "advice.json"
    record.write_bytes(record.read_bytes().replace(b"EU", b"US"))
    failed = run_tiergate(*verify)
    assert failed.returncode == 1
    assert "of another record" in failed.stderr


def test_what_cannot_be_advised_on(run_tiergate: RunCommand, requirements: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(
        f"{REQUIREMENTS}models: {{only: [gpt-5.4], avoid: [gpt-5.4]}}\norigin: {{only: [FR]}}\n"
    )
    for call, said in (
        (("bad.yaml",), "contradicts line 7: `gpt-5.4` in `models.only` there, in `models.avoid` here"),
        (("none.yaml",), "there is no file `none.yaml`: see docs/advice.md"),
        ((), "say what is asked"),
        ((requirements, "--key", "k"), "give `--out DIR` as well"),
        ((requirements, "--data", "nowhere"), "has no facts of parties"),
        (("--verify", "nowhere"), "say who must have signed it"),
    ):
        done = run_tiergate("advise", *call)
        assert done.returncode == 2, (call, done.stdout)
        assert said in done.stderr

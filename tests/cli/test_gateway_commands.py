"""`serve`, `keys` and `respond` together: a running gateway obeys what the commands write."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tiergate.cli.demo.children import free_port, server
from tiergate.cli.demo.traffic import Reply, send_one
from tiergate.records.schema import EXCHANGE_SCHEMA

RunCommand = Callable[..., subprocess.CompletedProcess[str]]

QUESTION = dict.fromkeys(EXCHANGE_SCHEMA.names) | {
    "request_model": "m",
    "prompt_text": "hello",
    "started_at": datetime(2026, 9, 1, tzinfo=UTC),
}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[str]:
    """A real gateway over ``tmp_path/data`` in front of the mock model; its chat completions address."""
    upstream, port = free_port(), free_port()
    mock = ["-m", "tiergate.simulation.mock_upstream", "--port", str(upstream)]
    serve = ["-m", "tiergate", "serve", "--data", str(tmp_path / "data"), "--port", str(port)]
    serve += ["--upstream", f"http://127.0.0.1:{upstream}/v1"]
    with (
        server("mock model", mock, port=upstream, log=tmp_path / "mock.log"),
        server("gateway", serve, port=port, log=tmp_path / "gateway.log", settings={"TIERGATE_CONSOLE": "false"}),
    ):
        yield f"http://127.0.0.1:{port}/v1/chat/completions"


def answer_becomes(status: int, url: str, key: str) -> Reply:
    give_up = time.monotonic() + 10
    while (reply := send_one(url, QUESTION, key)).status != status and time.monotonic() < give_up:
        time.sleep(0.1)
    return reply


def test_a_gateway_obeys_keys_and_verdicts(
    gateway: str, cases_folder: Path, tmp_path: Path, run_tiergate: RunCommand
) -> None:
    member = run_tiergate("keys", "create", "acct-001").stdout.strip()
    other = json.loads(run_tiergate("keys", "create", "else", "--json").stdout)["key"]
    assert answer_becomes(200, gateway, member).status == 200
    assert answer_becomes(200, gateway, other).status == 200

    done = run_tiergate("respond", "apply", "case_7f", "--cases", str(cases_folder), "--author", "ann")
    assert done.stdout == "verify: 40 accounts of case_7f3a90bb12cd\n"
    refused = answer_becomes(403, gateway, member)
    assert refused.status == 403
    assert "verification_required" in refused.body
    assert send_one(gateway, QUESTION, other).status == 200
    (listed,) = run_tiergate("respond", "list").stdout.splitlines()
    assert listed.startswith("case_7f3a90bb12cd  verify  40 accounts  by ann: ")

    assert run_tiergate("respond", "lift", "case_7f").stdout == "lifted 40 verdicts of case_7f3a90bb12cd\n"
    assert answer_becomes(200, gateway, member).status == 200

    key_id = run_tiergate("keys", "list").stdout.splitlines()[0].split()[0]
    assert run_tiergate("keys", "revoke", key_id).returncode == 0
    assert answer_becomes(401, gateway, member).status == 401
    assert "listens on http://127.0.0.1:" in (tmp_path / "gateway.log").read_text()


def test_lifting_what_is_not_there_is_bad_usage(run_tiergate: RunCommand) -> None:
    run_tiergate("keys", "create", "a")
    done = run_tiergate("respond", "lift", "case_9")
    assert done.returncode == 2
    assert "no case under a verdict begins with `case_9`" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "`upstream_url`"),
        (("--upstream", "ftp://x"), "give an http or https address"),
        (("--upstream", "http://x/v1", "--retention", "all"), "`retention`"),
    ],
)
def test_a_setting_that_is_wrong_is_one_line(arguments: tuple[str, ...], said: str, run_tiergate: RunCommand) -> None:
    done = run_tiergate("serve", *arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert said in line

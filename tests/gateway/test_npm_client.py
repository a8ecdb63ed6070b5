"""The official npm client of OpenAI's API, with a Node.js that comes as a package for Python."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.gateway.conftest import Deployed
from tests.npm import node_with_packages, path_with

HERE = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def node() -> Path:
    """The node executable; the client of `package-lock.json` is installed beside the test."""
    return node_with_packages(HERE)


def test_the_npm_client_finds_what_it_relies_on(node: Path, plain: Deployed, slow: Deployed) -> None:
    customer, patient = plain.customer(), slow.customer()
    settings = {
        "TIERGATE_ADDRESS": plain.address,
        "TIERGATE_KEY": customer.key,
        "TIERGATE_SLOW_ADDRESS": slow.address,
        "TIERGATE_SLOW_KEY": patient.key,
    }
    done = subprocess.run(
        [node, "--test", "--test-reporter=tap", "openai.test.mjs"],
        cwd=HERE,
        capture_output=True,
        text=True,
        env=path_with(node.parent) | settings,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    slow.row_where(patient.account_id, lambda row: row["finish_reason"] == "client_disconnected")
    streamed = [row for row in plain.rows(customer.account_id) if row["stream"] and row["operation"] == "chat"]
    assert len(streamed) == 2
    assert all(row["input_tokens"] > 0 for row in streamed)

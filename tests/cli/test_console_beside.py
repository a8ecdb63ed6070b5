"""The console beside a real gateway: there without being asked for, told where its gateway is, gone with it."""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path

import httpx2
from benchmarks.gateway_crash import gateway, mock_upstream, serving
from benchmarks.watch_crash import children, gone
from tests.gateway.conftest import GIVE_UP_S

from tiergate.api.operators import Operators, Role
from tiergate.cli.demo.children import free_port
from tiergate.clock import SystemClock
from tiergate.database import open_database
from tiergate.parties.tokens import load_or_create_pepper


def said(output: Path, words: str) -> str:
    """The line that has these words, once it is there."""
    give_up = time.monotonic() + GIVE_UP_S
    while True:
        for line in output.read_text().splitlines():
            if words in line:
                return line
        assert time.monotonic() < give_up, output.read_text()
        time.sleep(0.1)


def test_it_comes_with_the_gateway_shows_it_and_goes_with_it(tmp_path: Path) -> None:
    data, output, port = tmp_path / "data", tmp_path / "gateway.out", free_port()
    settings = {"TIERGATE_CONSOLE": "true", "TIERGATE_CONSOLE_PORT": str(port)}
    with (
        serving(mock_upstream(), tmp_path / "upstream.out") as upstream,
        serving([*gateway(data, upstream.address), "--console"], output, settings) as server,
    ):
        link = re.search(r"http://localhost:\d+/first-run\?token=tgf_\w+", said(output, "first administrator"))
        assert link is not None
        assert httpx2.get(link[0], trust_env=False, timeout=60).status_code == 200
        engine = open_database(data / "control.sqlite")
        operators = Operators(engine, load_or_create_pepper(data / "pepper"))
        now_us = SystemClock().now_us()
        eve = operators.add("eve@example.com", [Role.ENGINEER], None, now_us)
        token = operators.issue_token(eve.operator_id, now_us)[1]
        engine.dispose()
        headers = {"authorization": f"Bearer {token}"}
        live = httpx2.get(f"http://localhost:{port}/v1/live", headers=headers, trust_env=False, timeout=60).json()
        assert live["fault"] is None
        assert live["connections"] == 0
        # What the gateway told it by is the console's alone.
        assert "metrics are at" not in output.read_text()
        (child,) = children(server.process.pid)
        server.process.kill()
        assert gone(child)


def test_a_port_that_is_taken_is_a_note(tmp_path: Path) -> None:
    with socket.socket() as other, serving(mock_upstream(), tmp_path / "upstream.out") as upstream:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        settings = {"TIERGATE_CONSOLE": "true", "TIERGATE_CONSOLE_PORT": str(port)}
        output = tmp_path / "gateway.out"
        with serving([*gateway(tmp_path / "data", upstream.address), "--console"], output, settings) as server:
            assert "--console-port" in said(output, f"control: port {port} is taken")
            assert httpx2.get(f"{server.address}/healthz", trust_env=False, timeout=60).status_code == 200

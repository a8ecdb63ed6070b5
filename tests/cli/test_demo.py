"""`tiergate demo` as a newcomer runs it: every step real, and nothing left running."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import httpx2
import pyarrow as pa
import pytest

from tiergate.cli.demo.children import free_port
from tiergate.cli.demo.traffic import send_one
from tiergate.ledger.log import read_log
from tiergate.records.schema import EXCHANGE_SCHEMA, TEXT_COLUMNS


class Demo:
    """A demonstration under way in ``folder``; `read_until` follows what it says."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.port = free_port()
        self.said = ""
        command = [sys.executable, "-m", "tiergate", "demo", "--out", "demo", "--port", str(self.port), *arguments]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TIERGATE_")}
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def read_until(self, words: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if words in line:
                return
        raise AssertionError(f"never said {words!r}:\n{self.said}")

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        self.said += self.process.communicate(timeout=30)[0]
        return self.process.returncode

    @property
    def gateway_listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def demos() -> Iterator[list[Demo]]:
    started: list[Demo] = []
    yield started
    for demo in started:
        if demo.process.poll() is None:
            demo.interrupt()
        assert demo.process.stdout is not None
        demo.process.stdout.close()


def test_demo_goes_the_whole_way_and_then_serves_until_interrupted(tmp_path: Path, demos: list[Demo]) -> None:
    demo = Demo(tmp_path)
    demos.append(demo)
    demo.read_until("Ctrl-C ends everything")
    assert "Every step did what it should" in demo.said
    assert "   0 of   50 in a case above watch   agent users (innocent)" in demo.said
    assert re.search(r"a member of the case, gets HTTP 4(03|29)", demo.said)
    assert "who is in no case, gets HTTP 200" in demo.said

    key = re.search(r"Bearer (tg_[\w-]+)", demo.said)
    assert key is not None
    question = dict.fromkeys(EXCHANGE_SCHEMA.names) | {
        "request_model": "mock", "prompt_text": "hello", "started_at": datetime(2026, 10, 1, tzinfo=UTC),
    }  # fmt: skip
    url = f"http://127.0.0.1:{demo.port}/v1/chat/completions"
    assert send_one(url, question, key[1]).status == 200
    page = (tmp_path / "demo" / "report.html").read_text(encoding="utf-8")
    assert "Simulated." in page
    assert "What the gateway did" in page

    console = re.search(r"Console: (\S+)\n  sign in as ana with (\S+) ", demo.said)
    assert console is not None
    with httpx2.Client(base_url=console[1], trust_env=False, timeout=60) as ana:
        assert ana.post("/sign-in", data={"name": "ana", "password": console[2]}).headers["location"] == "/"
        assert len(ana.get("/v1/cases").json()["items"]) >= 1
        assert ana.get("/v1/live").json()["fault"] is None
        assert ana.get("/").status_code == 200
        states = [one["state"] for one in ana.get("/v1/memberships").json()["items"]]
        assert sorted(states) == ["active", "sponsored"], states
        assert 'value="classified-1" selected' in ana.get("/admission/drill").text

    log = pa.Table.from_batches(read_log(tmp_path / "demo" / "data" / "log"))
    assert log.num_rows > 8_000
    assert all(log[name].null_count == log.num_rows for name in TEXT_COLUMNS)

    assert demo.interrupt() == 0
    assert not demo.gateway_listens
    with pytest.raises(aiohttp.ClientConnectionError):
        send_one(url, question, key[1])
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(console[1], trust_env=False, timeout=60)


def test_demo_interrupted_halfway_leaves_nothing_running(tmp_path: Path, demos: list[Demo]) -> None:
    demo = Demo(tmp_path, "--no-serve")
    demos.append(demo)
    demo.read_until("sending: ")
    assert demo.gateway_listens
    assert demo.interrupt() == 130
    assert demo.said.splitlines()[-1] == "tiergate: interrupted"
    assert "Traceback" not in demo.said
    assert not demo.gateway_listens

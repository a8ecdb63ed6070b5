"""Real gateways of others in front of the authorizer: Envoy and LiteLLM, from PyPI, in environments of their own."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from benchmarks.gateway_crash import Server, serving
from benchmarks.june_world import Person, World, build

from tests.gateway.conftest import Row, row_where, rows_of
from tiergate.clock import HOUR, SystemClock
from tiergate.ledger.verdicts import Action, Verdict, VerdictStore, new_verdict_id

ROOT = Path(__file__).resolve().parents[3]
TOKEN = "a-secret-of-the-tests-alone"
MODEL_HEADER = "x-ai-eg-model"
LARGEST = 2_000_000
START_S = 300.0
"""When a program of others' is given up: LiteLLM is slow to start, and slower on a busy machine."""


def installed(name: str) -> Path:
    """The `bin` folder of an environment with what `NAME.txt` pins, made once and kept in a git-ignored folder."""
    pins = Path(__file__).with_name(f"{name}.txt")
    kept = ROOT / ".peers"
    kept.mkdir(exist_ok=True)
    place = kept / f"{name}-{hashlib.sha256(pins.read_bytes()).hexdigest()[:12]}"
    with (kept / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "ready").exists():
            shutil.rmtree(place, ignore_errors=True)
            python = place / "bin" / "python"
            uv = os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
            for command in (
                [uv, "venv", "--quiet", "--python", sys.executable, str(place)],
                [uv, "pip", "install", "--quiet", "--python", str(python), "--require-hashes", "-r", str(pins)],
            ):
                subprocess.run(command, check=True)
            (place / "ready").touch()
    return place / "bin"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def process(command: list[str], output: Path, answers: str, environment: Mapping[str, str]) -> Iterator[None]:
    """A program of others', from the moment that anything answers at the URL ``answers``."""
    with output.open("wb") as file:
        started = subprocess.Popen(command, stdout=file, stderr=file, env=os.environ | dict(environment))
    try:
        give_up = time.monotonic() + START_S
        while True:
            host, _, port = answers.partition(":")
            try:
                socket.create_connection((host, int(port)), 5).close()
                break
            except OSError:
                assert started.poll() is None, output.read_text()
                assert time.monotonic() < give_up, output.read_text()
                time.sleep(0.05)
        yield
    finally:
        started.terminate()
        try:
            started.wait(30)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


RESPONSE = {
    "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "parallel_tool_calls": True,
    "tool_choice": "auto", "tools": [],
    "output": [
        {
            "type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": "tin", "annotations": []}],
        }
    ],
    "usage": {
        "input_tokens": 11, "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 3, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 14,
    },
}  # fmt: skip


@dataclass
class Model:
    """A model's API that keeps the headers of what reached it."""

    port: int
    reached: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture(scope="session")
def model() -> Iterator[Model]:
    made = Model(0)

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            made.reached.append({name.lower(): value for name, value in self.headers.items()})
            usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "tin"}}
            said = {"id": "c", "object": "chat.completion", "created": 1, "model": asked["model"], "usage": usage}
            if asked.get("stream"):
                piece = {"index": 0, "delta": {"role": "assistant", "content": "tin"}, "finish_reason": None}
                last = {"index": 0, "delta": {}, "finish_reason": "stop"}
                base = said | {"object": "chat.completion.chunk", "usage": None}
                events = [
                    base | {"choices": [piece]},
                    base | {"choices": [last]},
                    base | {"choices": [], "usage": usage},
                ]
                body = b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in events) + b"data: [DONE]\n\n"
                self._send(200, body, "text/event-stream")
            elif "break" in json.dumps(asked):
                self._send(500, b'{"error":{"message":"broken","type":"server_error","code":null}}', "application/json")
            elif self.path.endswith("/responses"):
                self._send(200, json.dumps(RESPONSE | {"model": asked["model"]}).encode(), "application/json")
            else:
                self._send(200, json.dumps(said | {"choices": [choice]}).encode(), "application/json")

        def _send(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    made.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Authorizing:
    """A running authorizer on a world where some are admitted to the classified tier."""

    world: World
    server: Server
    grpc: str

    @property
    def port(self) -> int:
        return int(self.server.address.rpartition(":")[2])

    @property
    def grpc_port(self) -> int:
        return int(self.grpc.rpartition(":")[2])

    def rows(self, account_id: str) -> list[Row]:
        return rows_of(self.world.data, account_id)

    def row_where(self, account_id: str, fits: Callable[[Row], bool]) -> Row:
        """The one row that fits, waiting for it."""
        return row_where(self.world.data, account_id, fits)


@contextmanager
def authorizing(folder: Path, world: World, **settings: str) -> Iterator[Authorizing]:
    environment = {
        "TIERGATE_TRUSTED_PROXIES": "127.0.0.0/8",
        "TIERGATE_PACKS": str(world.data / "packs"),
        "TIERGATE_REPORT_TOKEN": TOKEN,
        "TIERGATE_MODEL_HEADER": MODEL_HEADER,
        "TIERGATE_MAX_BODY_BYTES": str(LARGEST),
    } | {f"TIERGATE_{name.upper()}": value for name, value in settings.items()}
    command = ["-m", "tiergate", "authorize", "--data", str(world.data), "--port", "0", "--grpc-port", "0"]
    output = folder / "authorizer.out"
    with serving(command, output, environment) as server:
        grpc = next(line for line in output.read_text().splitlines() if "gRPC on" in line).rpartition(" ")[2]
        yield Authorizing(world, server, grpc)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = build(tmp_path_factory.mktemp("external") / "data", {"eligible": 6, "commodity": 20}, line_micro_usd=10**7)
    yield made
    made.engine.dispose()


@pytest.fixture(scope="session")
def authorizer(world: World) -> Iterator[Authorizing]:
    with authorizing(world.data.parent, world) as started:
        yield started


def suspend(world: World, person: Person, action: Action = Action.SUSPEND, **more: Any) -> None:
    """A verdict against a person's account, which is obeyed within a second."""
    now_us = SystemClock().now_us()
    verdict = Verdict(
        verdict_id=new_verdict_id(), account_id=person.account_id, case_id=f"case_{person.account_id}",
        action=action, reason="a reason", author="ann", decided_at=now_us, evidence=[],
        expires_at=now_us + HOUR, **more,
    )  # fmt: skip
    VerdictStore(world.engine).put([verdict])


def ask(
    address: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, **more: Any
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers in small letters and body of an answer."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    given = {"Content-Type": "application/json"} | dict(headers or {})
    asked = urllib.request.Request(address + path, data, given, method=more.pop("method", None))
    try:
        with urllib.request.urlopen(asked, timeout=20, **more) as answer:
            status, told, said = answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, told, said = error.code, error.headers, error.read()
    return status, {name.lower(): value for name, value in told.items()}, said

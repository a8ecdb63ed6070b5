"""Whether the exchange log keeps its promise when the gateway is killed under load.

    python -m benchmarks.gateway_crash --kills 50

Eight customers ask without pause, half of them for streamed answers, while the gateway is killed with SIGKILL after a
random moment and started again on the same data folder. An exchange that its customer received to the end must be in
the log exactly once. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import openai

from tiergate.clock import SystemClock
from tiergate.database import open_database
from tiergate.ledger.log import INTERRUPTED, read_log
from tiergate.parties.registry import Registry
from tiergate.parties.tokens import load_or_create_pepper

CLIENTS = 8
START_SECONDS = 60.0
EXCHANGE_ID = "x-tiergate-exchange-id"


@contextmanager
def serving(arguments: list[str], output: Path, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server process of ours; it is ended with the block."""
    server = Server(arguments, output, settings)
    try:
        yield server
    finally:
        server.stop()


class Server:
    """``python ARGUMENTS``, from the moment it says its address; its output goes to the file ``output``."""

    def __init__(self, arguments: list[str], output: Path, settings: Mapping[str, str] | None = None) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TIERGATE_")}
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                stdout=file,
                stderr=file,
                env=environment | dict(settings or {}),
            )
        give_up = time.monotonic() + START_SECONDS
        while not (said := re.search(r"http://127\.0\.0\.1:\d+", output.read_text())):
            if self.process.poll() is not None or time.monotonic() > give_up:
                self.stop()
                raise RuntimeError(f"{arguments} did not start: {output.read_text()}")
            time.sleep(0.02)
        self.address = said[0]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


def mock_upstream(delay_ms: float = 0.0) -> list[str]:
    return ["-m", "tiergate.simulation.mock_upstream", "--port", "0", "--delay-ms", str(delay_ms)]


def gateway(data: Path, upstream: str, port: str = "0") -> list[str]:
    asked = ["--data", str(data), "--upstream", f"{upstream}/v1", "--port", port]
    return ["-m", "tiergate", "serve", *asked, "--no-console"]


def issue_keys(data: Path, count: int) -> list[str]:
    """Keys of ``count`` new accounts, `acct-0` and up."""
    data.mkdir(parents=True, exist_ok=True)
    engine = open_database(data / "control.sqlite")
    registry, now = Registry(engine, load_or_create_pepper(data / "pepper")), SystemClock().now_us()
    names = [f"acct-{number}" for number in range(count)]
    registry.add_accounts([{"account_id": name, "created_at": now} for name in names])
    keys = registry.issue_keys(names, "benchmark", now)
    engine.dispose()
    return [keys[name] for name in names]


def crash(folder: Path, *, kills: int, load_seconds: float, seed: int) -> dict[str, int]:
    """Kill the gateway ``kills`` times, each after up to ``load_seconds`` of load, and count what became of answers."""
    data, chance = folder / "data", random.Random(seed)
    keys, end = issue_keys(data, CLIENTS), threading.Event()
    answered: list[str] = []
    with serving(mock_upstream(delay_ms=2), folder / "upstream.out") as upstream:
        running = Server(gateway(data, upstream.address), folder / "gateway.out")
        again = gateway(data, upstream.address, running.address.rpartition(":")[2])
        clients = [
            threading.Thread(target=ask, args=(running.address, key, number % 2 == 0, answered, end))
            for number, key in enumerate(keys)
        ]
        try:
            for client in clients:
                client.start()
            for _ in range(kills):
                time.sleep(chance.uniform(0.3, 1.0) * load_seconds)
                running.process.kill()
                running.process.wait()
                running = Server(again, folder / "gateway.out")
        finally:
            end.set()
            for client in clients:
                client.join()
            running.stop()
    kept: Counter[str] = Counter()
    interrupted = 0
    for batch in read_log(data / "log", columns=["exchange_id", "finish_reason"]):
        kept.update(batch.column("exchange_id").to_pylist())
        interrupted += batch.column("finish_reason").to_pylist().count(INTERRUPTED)
    return {
        "kills": kills,
        "answered": len(answered),
        "missing": sum(not kept[one] for one in answered),
        "doubled": sum(count > 1 for count in kept.values()),
        "interrupted": interrupted,
    }


def ask(address: str, key: str, stream: bool, answered: list[str], end: threading.Event) -> None:
    """Ask until ``end``; ids of the exchanges whose answers came to their end go to ``answered``."""
    with openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0, timeout=10) as client:
        number = 0
        while not end.is_set():
            number += 1
            question = f"{key[-6:]} asks number {number}"
            with suppress(openai.APIError, httpx2.HTTPError, RuntimeError):
                answered.append(_one_answer(client, question, stream))
                continue
            time.sleep(0.05)


def _one_answer(client: openai.OpenAI, question: str, stream: bool) -> str:
    """The exchange id of an answer that came to its end."""
    create = client.chat.completions.with_streaming_response.create
    with create(model="m", messages=[{"role": "user", "content": question}], stream=stream) as answer:
        last = b"".join(answer.iter_bytes())
        if answer.status_code != 200 or not last.rstrip().endswith(b"[DONE]" if stream else b"}"):
            raise RuntimeError("cut answer")
        return answer.headers[EXCHANGE_ID]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--load-seconds", type=float, default=1.5, help="longest time between a start and its kill")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = crash(Path(folder), kills=options.kills, load_seconds=options.load_seconds, seed=options.seed)
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()

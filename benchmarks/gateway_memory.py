"""Whether the gateway's memory stays flat, however many requests end in whatever way.

    python -m benchmarks.gateway_memory --requests 1000000

One gateway process on one core, the callers and the upstream in another on the other core. Of every hundred requests
some are answered whole and some as streams, others are left in the middle of a stream, have a wrong key or a wrong
body, or fail at the upstream; callers, end users, projects, sessions and names of models are always others. Limits hold
for every key and every end user. Prints one JSON line: resident memory at twenty moments, and how much it grew in the
second half for a million requests.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import uvloop
from benchmarks.gateway.load import Asker, Door, connect
from benchmarks.gateway.mock import Mock, whole_answer
from benchmarks.gateway.processes import running
from benchmarks.gateway_crash import gateway, issue_keys

from tiergate.clock import SystemClock
from tiergate.database import open_database
from tiergate.gateway.metering.limits import Limit, LimitStore

KINDS: Final = (
    ("whole",) * 70 + ("stream",) * 10 + ("left",) * 6 + ("wrong key",) * 6 + ("wrong body",) * 4 + ("broken",) * 4
)
"""Of every hundred requests, so many of each kind."""

ACCOUNTS: Final = 500
CONNECTIONS: Final = 32
MOMENTS: Final = 20


class Upstream(Mock):
    """The mock, which tears the connection down for who asks for that."""

    def data_received(self, data: bytes) -> None:
        if b'"broken"' in data:
            self._transport.abort()
        else:
            super().data_received(data)


def request(door: Door, kind: str, number: int, keys: list[str], others: int) -> bytes:
    """A request of a kind; of ``others`` different end users, projects, sessions and models."""
    name = number % others
    body: dict[str, Any] = {
        "model": f"model-{name % 20_000}",
        "messages": [{"role": "user", "content": f"What is tin, number {number}? " * 8}],
        "user": f"user-{name // 25_000}",
    }
    if kind in ("stream", "left"):
        body |= {"stream": True, "max_tokens": 12, "seed": 20 if kind == "left" else 0}
    if kind == "broken":
        body["messages"][0]["content"] = "broken"
    said = b"{" if kind == "wrong body" else json.dumps(body).encode()
    key = "tg_" + "0" * 43 if kind == "wrong key" else keys[number % len(keys)]
    head = (
        f"POST {door.path} HTTP/1.1\r\nHost: tiergate\r\nAuthorization: Bearer {key}\r\n"
        f"X-Session-Id: s{name}\r\nX-Tiergate-Project: p{name % 1000}\r\nContent-Length: {len(said)}\r\n\r\n"
    )
    return head.encode() + said


async def ask_all(door: Door, keys: list[str], numbers: range, others: int, ended: Counter[str]) -> None:
    """Ask requests of these numbers, on as many connections as there are; what came of each is counted."""
    left = iter(numbers)

    async def keep_asking() -> None:
        asker: Asker | None = None
        for number in left:
            kind = KINDS[number * 37 % len(KINDS)]
            if asker is None or asker.transport.is_closing():
                (asker,) = await connect(door, 1)
            sent = request(door, kind, number, keys, others)
            if kind == "left":
                asking = asyncio.ensure_future(asker.ask(sent))
                await asyncio.sleep(0.05)
                asker.transport.abort()
                with suppress(ConnectionError):
                    await asking
                ended[kind] += 1
                continue
            try:
                await asker.ask(sent)
                ended[f"{kind}: answered"] += 1
            except ConnectionError:
                ended[f"{kind}: refused"] += 1
                asker.transport.abort()
        if asker is not None:
            asker.transport.close()

    await asyncio.gather(*(keep_asking() for _ in range(CONNECTIONS)))


def prepared(data: Path) -> list[str]:
    """Keys of a deployment with limits on every key and end user."""
    keys = issue_keys(data, ACCOUNTS)
    engine = open_database(data / "control.sqlite")
    store = LimitStore(engine)
    for scope in ("key", "end_user"):
        limit = Limit(scope=scope, subject="*", measure="requests/minute", amount=10**7)
        store.put(limit, author="benchmark", now_us=SystemClock().now_us())
    engine.dispose()
    return keys


async def measured(folder: Path, rounds: list[range], others: int, **settings: str) -> tuple[list[float], Counter[str]]:
    """Resident memory in MB after each round of requests, and what came of them.

    :param settings: of the gateway, beside its defaults.
    """
    data, ended = folder / "data", Counter[str]()
    keys, whole = prepared(data), whole_answer()
    server = await asyncio.get_running_loop().create_server(lambda: Upstream(whole), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    command = [sys.executable, *gateway(data, f"http://127.0.0.1:{port}")]
    found = []
    environment = {f"TIERGATE_{name.upper()}": value for name, value in settings.items()}
    with running(command, folder / "gateway.out", max(os.sched_getaffinity(0)), environment) as process:
        said = await asyncio.to_thread(process.said, r"http://127\.0\.0\.1:\d+")
        for numbers in rounds:
            await ask_all(Door(said, (), ""), keys, numbers, others, ended)
            await asyncio.sleep(1)  # what is under way ends
            found.append(await asyncio.to_thread(process.memory_mb))
            print(f"{ended.total():,} requests, {found[-1]:.0f} MB", file=sys.stderr, flush=True)
        server.close()
    return found, ended


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000)
    options = parser.parse_args()
    each, began = options.requests // MOMENTS, time.monotonic()
    rounds = [range(number * each, (number + 1) * each) for number in range(MOMENTS)]
    with tempfile.TemporaryDirectory() as folder:
        memory, ended = uvloop.run(measured(Path(folder), rounds, 10**9))
    half = MOMENTS // 2
    slope = np.polyfit(np.arange(half) * each / 1e6, memory[half:], 1)[0]
    print(
        json.dumps(
            {
                "requests": ended.total(),
                "seconds": round(time.monotonic() - began),
                "load_average": os.getloadavg()[1],
                "ended": dict(sorted(ended.items())),
                "memory_mb": [round(one, 1) for one in memory],
                "grew_mb_per_million": round(float(slope), 1),
            }
        )
    )


if __name__ == "__main__":
    main()

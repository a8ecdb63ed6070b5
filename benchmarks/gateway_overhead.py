"""What the gateway costs: the mock upstream asked directly against through the gateway, on one machine.

    python -m benchmarks.gateway_overhead

The client is a process of its own that speaks HTTP/1.1 over kept-alive raw sockets, so that it costs little itself;
it still shares the processors with the servers. Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.gateway_crash import gateway, issue_keys, mock_upstream, serving

from tiergate.clock import HOUR, SystemClock
from tiergate.gateway.snapshot import load
from tiergate.ledger.verdicts import Action, Verdict, VerdictStore, new_verdict_id
from tiergate.parties.database import open_database
from tiergate.parties.registry import Registry
from tiergate.parties.tokens import load_or_create_pepper

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Figures = dict[str, float]


def request(address: str, key: str, *, stream: bool) -> bytes:
    """A whole chat completion request of about 1 kB."""
    messages = [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": "What is tin? " * 60}]
    body = json.dumps({"model": "model-small", "messages": messages, "stream": stream}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def connect(address: str) -> Connection:
    host, _, port = address.removeprefix("http://").partition(":")
    return await asyncio.open_connection(host, int(port))


async def ask(connection: Connection, asking: bytes) -> float:
    """Send a request and read its answer; returns seconds to the first byte of the answer's body."""
    reader, writer = connection
    began = time.perf_counter()
    writer.write(asking)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 200 "):
        raise RuntimeError(head.decode())
    _, measured, rest = head.partition(b"content-length: ")
    if measured:
        await reader.readexactly(int(rest.partition(b"\r\n")[0]))
        return time.perf_counter() - began
    first = None
    while size := int(await reader.readline(), 16):
        await reader.readexactly(size + 2)
        first = first or time.perf_counter() - began
    await reader.readline()
    return first or time.perf_counter() - began


async def measure(address: str, key: str, requests: int, seconds: float) -> Figures:
    """p50 and p99 in ms at 1 connection, requests/s at 32, and ms to a stream's first byte."""
    whole, streamed = request(address, key, stream=False), request(address, key, stream=True)
    one = await connect(address)
    for _ in range(50):
        await ask(one, whole)
    waits = 1000 * np.array([await ask(one, whole) for _ in range(requests)])
    firsts = 1000 * np.array([await ask(one, streamed) for _ in range(requests // 10)])
    many = [await connect(address) for _ in range(32)]
    began, answered = time.perf_counter(), 0

    async def keep_asking(connection: Connection) -> None:
        nonlocal answered
        while time.perf_counter() - began < seconds:
            await ask(connection, whole)
            answered += 1

    await asyncio.gather(*map(keep_asking, many))
    rate = answered / (time.perf_counter() - began)
    for _, writer in [one, *many]:
        writer.close()
    return {
        "p50_ms": float(np.percentile(waits, 50)),
        "p99_ms": float(np.percentile(waits, 99)),
        "requests_per_s_32": rate,
        "first_byte_p50_ms": float(np.percentile(firsts, 50)),
        "first_byte_p99_ms": float(np.percentile(firsts, 99)),
    }


def client(address: str, key: str, requests: int, seconds: float) -> Figures:
    return asyncio.run(measure(address, key, requests, seconds))


def look_up_us(folder: Path, accounts: int = 10_000) -> float:
    """Microseconds to find a key's credential and its account's verdict among ``accounts``, half under a verdict."""
    keys = issue_keys(folder, accounts)
    engine = open_database(folder / "control.sqlite")
    registry = Registry(engine, load_or_create_pepper(folder / "pepper"))
    store, now = VerdictStore(engine), SystemClock().now_us()
    fields: dict[str, Any] = {
        "case_id": "case",
        "action": Action.WATCH,
        "reason": "r",
        "author": "a",
        "decided_at": now,
    }
    store.put(
        [
            Verdict(verdict_id=new_verdict_id(), account_id=f"acct-{n}", expires_at=now + HOUR, **fields)
            for n in range(0, accounts, 2)
        ]
    )
    snapshot = load(registry, store, now, None)
    engine.dispose()
    began = time.perf_counter()
    for key in keys:
        credential = snapshot.credential(key)
        assert credential is not None
        snapshot.verdict(credential.account_id, now)
    return 1e6 * (time.perf_counter() - began) / accounts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    with (
        tempfile.TemporaryDirectory() as name,
        serving(mock_upstream(), Path(name) / "upstream.out") as upstream,
        multiprocessing.get_context("spawn").Pool(1) as pool,
    ):
        data = Path(name) / "data"
        (key,) = issue_keys(data, 1)
        with serving(gateway(data, upstream.address), Path(name) / "gateway.out") as door:
            direct, through = (
                pool.apply(client, (address, key, options.requests, options.seconds))
                for address in (upstream.address, door.address)
            )
        look_up = look_up_us(Path(name) / "look-up")
    print(f"{'':<20} {'direct':>10} {'gateway':>10}")
    for figure, value in direct.items():
        print(f"{figure:<20} {value:>10.2f} {through[figure]:>10.2f}")
    print(f"{'look_up_us':<20} {'':>10} {look_up:>10.2f}")
    print(json.dumps({"direct": direct, "gateway": through, "look_up_us": look_up, "load_before": load_before}))


if __name__ == "__main__":
    main()

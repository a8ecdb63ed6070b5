"""Threshold tokens: labs, a key server and a hub as processes, over HTTP, from items to what is opened.

Each lab has items of its own and some that others have too. Wall time is from the first blinded item to the last lab's
answer; processor time is that of all processes. Pin it to the processors that are meant: `taskset -c 0,1`.

    python -m benchmarks.threshold_tokens --items 1000000
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tiergate.cli.demo.children import free_port, server
from tiergate.parties.tokens import new_token
from tiergate.sharing.tokens import peer
from tiergate.sharing.tokens.group import KIND
from tiergate.sharing.tokens.items import Item, Kind, Nomination
from tiergate.sharing.tokens.lab import Lab, Sent

LABS, THRESHOLD = 5, 3
ITEMS_EACH = 20
"""Items of one customer."""
IN_COMMON = 0.01
"""Share of a lab's items that are drawn from those that all labs draw from; half of these are held by a given lab."""


def nominations(lab: int, items: int) -> list[Nomination]:
    """Customers of a lab with ``items`` items in all."""
    common = round(items * IN_COMMON)
    pool = [f"common-{n}" for n in range(2 * common) if hashlib.sha256(f"{lab} {n}".encode()).digest()[0] < 128][
        :common
    ]
    values = pool + [f"lab-{lab}-{n}" for n in range(items - len(pool))]
    kinds = list(Kind)
    held = [Item(kinds[int(hashlib.sha256(one.encode()).hexdigest(), 16) % len(kinds)], one) for one in values]
    return [
        Nomination(f"customer-{lab}-{at}", frozenset(held[at : at + ITEMS_EACH]), 100)
        for at in range(0, len(held), ITEMS_EACH)
    ]


def hand_in(number: int, items: int, token: str, ports: Sequence[int]) -> tuple[Sent, float, int]:
    """A lab's work in a process of its own; what it sent, its processor time and bytes to the hub."""
    chosen = nominations(number, items)
    before = time.process_time()
    with _at(ports[0], token, peer.KeyServer) as keys, _at(ports[1], token, peer.Hub) as hub:
        lab = Lab(number, THRESHOLD, [keys], hub)
        prepared = lab.prepare(chosen, lab.epoch())
        lab.hand_in(prepared)
    return prepared.sent, time.process_time() - before, len(prepared.rows)


def _at(port: int, token: str, party: Any) -> Any:
    return party(f"http://127.0.0.1:{port}", token)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000, help="of all labs together")
    asked = parser.parse_args(arguments)
    each = asked.items // LABS
    tokens = [new_token(KIND) for _ in range(LABS)]
    members = "".join(
        f'[[labs]]\nname = "lab-{n}"\nnumber = {n}\nquota = {asked.items}\n'
        f'token_sha256 = "{hashlib.sha256(one.encode()).hexdigest()}"\n'
        for n, one in enumerate(tokens, 1)
    )
    ports = [free_port(), free_port()]
    settings = {"PYTHONPATH": os.pathsep.join(sys.path)}
    with tempfile.TemporaryDirectory() as name:
        for party in ("key-server", "hub"):
            (Path(name) / party).mkdir()
            (Path(name) / party / "labs.toml").write_text(f"threshold = {THRESHOLD}\n" + members)
        commands = [
            ["-m", "tiergate", "share", party, "--data", f"{name}/{party}", "--port", str(port)]
            for party, port in zip(("key-server", "hub"), ports, strict=True)
        ]
        with (
            server("key server", commands[0], port=ports[0], log=Path(name) / "keys.log", settings=settings),
            server("hub", commands[1], port=ports[1], log=Path(name) / "hub.log", settings=settings),
        ):
            started = time.perf_counter()
            with ProcessPoolExecutor(LABS, mp_context=get_context("spawn")) as pool:
                work = [pool.submit(hand_in, n, each, one, ports) for n, one in enumerate(tokens, 1)]
                done = [one.result() for one in work]
            handed_in = time.perf_counter()
            with _at(ports[1], tokens[0], peer.Hub) as hub:
                told = hub.opened(done[0][0].epoch)
            ended = time.perf_counter()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    every = children.ru_utime + children.ru_stime
    labs = sum(seconds for _, seconds, _ in done)
    print(
        json.dumps(
            {
                "items": each * LABS,
                "labs": LABS,
                "threshold": THRESHOLD,
                "wall_s": round(ended - started, 1),
                "opening_s": round(ended - handed_in, 2),
                "processor_s": round(every, 1),
                "processor_of_labs_s": round(labs, 1),
                "processor_us_per_item": round(1e6 * every / (each * LABS), 1),
                "bytes_to_hub_per_item": round(sum(size for *_, size in done) / (each * LABS), 1),
                "opened_for_lab_1": len(told.items),
                "load": round(os.getloadavg()[0], 1),
            }
        )
    )


if __name__ == "__main__":
    main()

"""What a request costs at each door, side by side in one run.

    python -m benchmarks.gateway --peers /var/tmp/peers --json result.json

Each door gets one core; the mock upstream and the client, which speaks raw HTTP/1.1 over kept connections so as to cost
little itself, share another. Requests are of about 1.2 kB and all different, answers of 0.7 kB. Processor time is that
of a door's process and of whatever it started, from /proc. Latency is what a door adds to the mock asked directly,
percentile by percentile. `doors.py` says how peers are installed and set up. Prints a table; ``--json`` keeps it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import uvloop
from benchmarks.gateway.doors import MODEL, Opening, authorizer, envoy, envoy_asking, litellm, tiergate
from benchmarks.gateway.load import F64, Door, at_once, one_by_one, requests, streams
from benchmarks.gateway.processes import Running, Together, running

CONNECTIONS: Final = 32
EVENTS: Final = 66
GAP_MS: Final = 4
SLOW_EVENTS: Final = 12
SLOW_GAP_MS: Final = 1_000
SPREAD_S: Final = 5.0
Figures = dict[str, float]


def percentiles(name: str, values_s: F64, unit: float) -> Figures:
    return {f"{name}_p{q}": float(np.percentile(values_s, q)) * unit for q in (50, 99)}


def whole_answers(door: Door, process: Running | Together | None, options: argparse.Namespace) -> Figures:
    """One connection one request at a time, then 32 without pause."""
    asked = requests(door)
    uvloop.run(at_once(door, asked, 4, options.seconds / 5))
    found = percentiles("latency_us", uvloop.run(one_by_one(door, asked, options.requests)), 1e6)
    before = process.cpu_s() if process else 0.0
    parts = process.parts if isinstance(process, Together) else {}
    each = {name: part.cpu_s() for name, part in parts.items()}
    answered, took = uvloop.run(at_once(door, asked, CONNECTIONS, options.seconds))
    found["requests_per_s"] = answered / took
    if process:
        used = process.cpu_s() - before
        found |= {"cpu_us": used / answered * 1e6, "core_busy": used / took}
        found |= {f"cpu_us_{name}": (part.cpu_s() - each[name]) / answered * 1e6 for name, part in parts.items()}
    return found


def streamed_answers(door: Door, process: Running | Together | None, options: argparse.Namespace) -> Figures:
    """32 streams at once of 66 events, 4 ms apart."""
    asked = requests(door, events=EVENTS, gap_ms=GAP_MS)
    uvloop.run(streams(door, asked, CONNECTIONS, 1))
    before = process.cpu_s() if process else 0.0
    # Not all at the same moment: 32 that begin together wait for each other, at any door.
    read = uvloop.run(streams(door, asked, CONNECTIONS, options.streams, spread_s=EVENTS * GAP_MS / 1000))
    found = percentiles("first_event_ms", read.firsts_s, 1e3) | percentiles("event_ms", read.delays_s, 1e3)
    if process:
        found["stream_cpu_ms"] = (process.cpu_s() - before) / read.streams * 1e3
    return found


def slow_streams(door: Door, process: Running | Together | None, options: argparse.Namespace) -> Figures:
    """Many streams at once, an event a second each."""
    asked = requests(door, events=SLOW_EVENTS, gap_ms=SLOW_GAP_MS)
    read = uvloop.run(streams(door, asked, options.slow, 1, spread_s=SPREAD_S))
    found = {"slow_streams": float(read.streams), "largest_stall_ms": float(read.delays_s.max()) * 1e3}
    if process:
        found["memory_mb"] = process.memory_mb()
    return found


MEASURES: Final[list[Callable[[Door, Running | Together | None, argparse.Namespace], Figures]]] = [
    whole_answers,
    streamed_answers,
    slow_streams,
]


def measure(door: Door, process: Running | Together | None, options: argparse.Namespace) -> Figures:
    found: Figures = {}
    for one in MEASURES[:1] if door.checks else MEASURES:
        try:
            found |= one(door, process, options)
        except ConnectionError as error:
            print(f"{one.__name__}: {str(error)[:300]}", file=sys.stderr)
    return found


def added(through: Figures, direct: Figures) -> Figures:
    """Figures of a door, its latencies less those of the mock asked directly."""
    waits = ("latency_us_p", "first_event_ms_p", "event_ms_p")
    return {name: value - direct.get(name, 0.0) if name.startswith(waits) else value for name, value in through.items()}


def table(results: dict[str, Figures]) -> str:
    names = list(dict.fromkeys(name for figures in results.values() for name in figures))
    rows = [["", *results]]
    rows += [[name, *(f"{one[name]:,.2f}" if name in one else "" for one in results.values())] for name in names]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, help="environment that the peers are installed in")
    parser.add_argument("--only", nargs="+", help="doors to measure, besides the mock itself")
    parser.add_argument("--requests", type=int, default=3_000, help="requests on one connection")
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds of requests on 32 connections")
    parser.add_argument("--streams", type=int, default=20, help="streams of each of 32 connections")
    parser.add_argument("--slow", type=int, default=1_000, help="slow streams at once")
    parser.add_argument("--door-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    doors: dict[str, Opening] = {"tiergate": tiergate, "tiergate+tiers": partial(tiergate, tiers=True)}
    doors["authorizer"] = authorizer
    if options.peers:
        doors |= {"envoy": partial(envoy, peers=options.peers), "litellm": partial(litellm, peers=options.peers)}
        doors["envoy+authorizer"] = partial(envoy_asking, peers=options.peers)
        doors["envoy+authorizer-grpc"] = partial(envoy_asking, peers=options.peers, grpc=True)
    os.sched_setaffinity(0, {options.load_core})
    load_before = os.getloadavg()
    results: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mock = [sys.executable, "-m", "benchmarks.gateway.mock"]
        with running(mock, folder / "mock.out", options.load_core) as upstream:
            address = upstream.said(r"http://127\.0\.0\.1:\d+")
            direct = results["direct"] = measure(Door(address, (), MODEL), None, options)
            for title, opening in doors.items():
                if options.only and title not in options.only:
                    continue
                with opening(folder / title, address, options.door_core) as (door, process):
                    results[title] = added(measure(door, process, options), direct)
    print(table(results))
    print(f"load average before {load_before[0]:.1f}, after {os.getloadavg()[0]:.1f}; latencies are what is added")
    if options.json:
        document = {"results": results, "load_before": load_before, "load_after": os.getloadavg()}
        options.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()

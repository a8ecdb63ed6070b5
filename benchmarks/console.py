"""Pages of the console over a large deployment: time and processor time of a request on loopback, and bytes.

    nice -n 5 python -m benchmarks.console --data /tmp/console-world

The deployment (`benchmarks.console_world`) is made where ``--data`` is not there yet. `tiergate control` serves it as a
process of its own; one client asks each address in turn. A section of the console adds its addresses to `ADDRESSES`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
from benchmarks.console_world import make

from tiergate.api.operators import Role
from tiergate.api.services import open_services
from tiergate.api.settings import ControlSettings
from tiergate.cli.demo.children import free_port
from tiergate.clock import HOUR, SystemClock

ADDRESSES: Final[dict[str, str]] = {
    "worklist": "/cases",
    "worklist, last page": "/cases?after=0.9999999999999999.",
    "worklist, by severity": "/cases?severity=high",
    "worklist, every status": "/cases?status=&step=watch",
    "worklist, by account": "/cases?search=acct_0000005000",
    "case of 100, evidence": "/cases/{small}",
    "case of 100, history": "/cases/{small}/history",
    "largest case, evidence": "/cases/{large}",
    "largest case, accounts": "/cases/{large}/accounts",
    "largest case, why": "/cases/{large}/why?a=acct_000000000007&b=acct_000000000050",
    "largest case, traffic": "/cases/{large}/traffic",
    "largest case, graph": "/cases/{large}/graph.json",
    "API, a page of cases": "/v1/cases?status=open",
    "API, a case": "/v1/cases/{small}",
    "API, effects": "/v1/cases/{small}/effects",
}
"""What is asked; `{small}` and `{large}` are cases."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--largest", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--only", default="", help="part of the names of addresses")
    options = parser.parse_args(arguments)
    clock = SystemClock()
    if not options.data.exists():
        started = time.monotonic()
        make(
            options.data, cases=options.cases, accounts=options.accounts, largest=options.largest,
            now_us=clock.now_us(), seed=1,
        )  # fmt: skip
        print(f"made in {time.monotonic() - started:.0f} s", flush=True)
    port = free_port()
    given: dict[str, Any] = {"data": options.data}
    with open_services(ControlSettings(**given), clock, f"http://localhost:{port}") as services:
        name = "bench@example.com"
        operator = services.operators.named(name) or services.operators.add(name, [Role.ANALYST], None, clock.now_us())
        cookie = {services.session_cookie: services.sessions.begin(operator.operator_id, clock.now_us(), HOUR)}
        by_size = sorted(services.cases.every(), key=lambda one: (-one.found.accounts, one.case_id))
    ids = {"large": by_size[0].case_id, "small": by_size[len(by_size) // 2].case_id}
    print(f"{len(by_size):,} cases, the largest of {by_size[0].found.accounts:,} accounts\n")
    with (
        _serving(options.data, port) as pid,
        httpx2.Client(base_url=f"http://localhost:{port}", cookies=cookie, trust_env=False, timeout=120) as client,
    ):
        print(
            "| page | first ms | p50 ms | p99 ms | processor ms | bytes |\n| --- | ---: | ---: | ---: | ---: | ---: |"
        )
        for what, address in ADDRESSES.items():
            if options.only in what:
                _measure(what, address.format(**ids), client, options.rounds, pid)


@contextmanager
def _serving(data: Path, port: int) -> Iterator[int]:
    """The console as a process of its own until the block ends; its id."""
    settings = {"TIERGATE_CONTROL_DATA": str(data), "TIERGATE_CONTROL_PORT": str(port)}
    child = subprocess.Popen(
        [sys.executable, "-m", "tiergate", "control"], env=os.environ | settings, stdout=subprocess.DEVNULL
    )
    try:
        give_up = time.monotonic() + 120
        while time.monotonic() < give_up:
            try:
                if httpx2.get(f"http://localhost:{port}/healthz", trust_env=False).status_code == 200:
                    break
            except httpx2.TransportError:
                time.sleep(0.2)
        yield child.pid
    finally:
        child.terminate()
        child.wait()


def _processor_ms(pid: int) -> float:
    """What a process used so far, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _measure(what: str, address: str, client: httpx2.Client, rounds: int, pid: int) -> None:
    def ask() -> tuple[float, httpx2.Response]:
        started = time.perf_counter()
        answer = client.get(address)
        return 1000 * (time.perf_counter() - started), answer

    first, answer = ask()
    answer = _counted(ask, answer)
    used = _processor_ms(pid)
    taken = sorted(ask()[0] for _ in range(rounds))
    used = (_processor_ms(pid) - used) / rounds
    said = "" if answer.status_code == 200 else f", HTTP {answer.status_code}"
    p99 = taken[min(len(taken) - 1, round(0.99 * len(taken)))]
    row = f"| {what}{said} | {first:.0f} | {statistics.median(taken):.0f} | {p99:.0f} | {used:.0f} "
    print(f"{row}| {len(answer.content):,} |", flush=True)


def _counted(ask: Callable[[], tuple[float, httpx2.Response]], answer: httpx2.Response) -> httpx2.Response:
    """The answer once what is counted beside requests was counted."""
    give_up = time.monotonic() + 300
    while ("being counted" in answer.text or answer.status_code == 503) and time.monotonic() < give_up:
        time.sleep(1)
        answer = ask()[1]
    return answer


if __name__ == "__main__":
    main()

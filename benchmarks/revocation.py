"""How soon every gateway on one data folder refuses a key that was revoked, or an account under a new verdict.

    python -m benchmarks.revocation --workers 5 --rounds 40
    python -m benchmarks.revocation --workers 3 --rounds 40 --what verdict

Each round revokes one key, or puts a verdict on its account, by another process's connection, and asks every gateway
with it, 100 times a second each, until the last has refused. The time is from the commit to the sending of the first
request that a gateway refused. Beside it stands what one request with a valid key takes, which is part of each time.
Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import numpy as np
from benchmarks.gateway_crash import gateway, mock_upstream, serving
from benchmarks.june_world import COMMODITY, build

from tiergate.clock import HOUR, SystemClock
from tiergate.ledger.verdicts import Action, Verdict, VerdictStore, new_verdict_id

ASKED_EVERY_S: Final = 0.01
GIVE_UP_S: Final = 30.0
SETTLING_S: Final = 2.0
BODY: Final = json.dumps({"model": COMMODITY, "messages": [{"role": "user", "content": "hm"}]}).encode()


class Caller:
    """One kept-alive connection to one gateway."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=GIVE_UP_S)

    def status(self, key: str) -> int:
        """The status of one chat completion asked with ``key``."""
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._connection.request("POST", "/v1/chat/completions", BODY, headers)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def refused_at(self, key: str, status: int) -> float:
        """When the first request that is refused was sent, in seconds of the monotonic clock."""
        give_up = time.monotonic() + GIVE_UP_S
        while (asked := time.monotonic()) < give_up:
            if self.status(key) == status:
                return asked
            time.sleep(ASKED_EVERY_S)
        raise SystemExit(f"a key was still served after {GIVE_UP_S:.0f} s")


def measure(what: str, workers: int, rounds: int, folder: Path) -> dict[str, object]:
    """Seconds from a ``what`` to refusal, over all rounds and gateways."""
    world = build(folder / "data", {"commodity": rounds})
    clock, seconds, last, asking = SystemClock(), [], [], []
    ids = {one.account_id: one.credential_id for one in world.registry.credentials().values()}
    verdicts, refusal = VerdictStore(world.engine), 401 if what == "revocation" else 403
    with ExitStack() as stack:
        upstream = stack.enter_context(serving(mock_upstream(), folder / "mock"))
        started = [
            stack.enter_context(serving(gateway(world.data, upstream.address), folder / f"gateway-{number}"))
            for number in range(workers)
        ]
        callers = [Caller(server.address) for server in started]
        pool = stack.enter_context(ThreadPoolExecutor(workers))
        time.sleep(SETTLING_S)
        for person in world.of("commodity"):
            for caller in callers:
                began = time.monotonic()
                if caller.status(person.key) != 200:
                    raise SystemExit("a valid key was refused")
                asking.append(time.monotonic() - began)
            if what == "revocation":
                world.registry.revoke_key(ids[person.account_id], clock.now_us())
            else:
                verdicts.put([suspension(person.account_id, clock.now_us())])
            committed = time.monotonic()
            delays = [
                at - committed for at in pool.map(lambda one, key=person.key: one.refused_at(key, refusal), callers)
            ]
            seconds += delays
            last.append(max(delays))
    world.engine.dispose()
    p50, p99 = np.percentile(seconds, (50, 99))
    return {
        "workers": workers,
        f"{what}s": rounds,
        "p50_s": round(float(p50), 3),
        "p99_s": round(float(p99), 3),
        "max_s": round(max(seconds), 3),
        "every_worker_p99_s": round(float(np.percentile(last, 99)), 3),
        "request_p50_s": round(float(np.median(asking)), 4),
        "load_average": round(os.getloadavg()[0], 1),
    }


def suspension(account_id: str, now_us: int) -> Verdict:
    """A verdict on one account."""
    return Verdict(
        verdict_id=new_verdict_id(),
        account_id=account_id,
        case_id="case_1",
        action=Action.SUSPEND,
        reason="benchmark",
        author="benchmark",
        decided_at=now_us,
        expires_at=now_us + HOUR,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--what", choices=("revocation", "verdict"), default="revocation")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(options.what, options.workers, options.rounds, Path(folder))
    for name, value in figures.items():
        print(f"{name:20} {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

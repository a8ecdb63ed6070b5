"""Whether the watch keeps its promise when it, or the gateway beside it, is killed.

    python -m benchmarks.watch_crash --kills 50

First the watch alone: the log of a simulated world grows in pieces, and after each the watch is killed with SIGKILL at
random moments of a look, twice a piece; then it looks once undisturbed. Another data folder gets the same pieces and no
kills. Case files, verdicts in force and what was told of them must come out alike, each alert under one id with one
body.

Then both: customers ask without pause while the gateway with its watch beside it, or the watch alone, is killed. An
exchange that its customer received to the end must be in the log once, a watch must never outlive its gateway, and each
alert must come as in the first part. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import msgspec
from benchmarks.gateway_crash import Server, ask, gateway, issue_keys, mock_upstream, serving

from tiergate.database import open_database
from tiergate.ledger.log import ExchangeLog, read_log
from tiergate.ledger.sketches import Sketcher, load_or_create_key
from tiergate.ledger.verdicts import VerdictStore
from tiergate.parties.registry import Registry
from tiergate.parties.tokens import load_or_create_pepper
from tiergate.records.schema import Exchange
from tiergate.response.alerts.outbox import Outbox
from tiergate.response.case_files import CaseFile
from tiergate.response.desk import CaseDesk
from tiergate.response.ladder import load_policy
from tiergate.simulation.prompts import GrammarPrompts
from tiergate.simulation.spec import CampaignSpec, WorldSpec
from tiergate.simulation.world import World, simulate

SECRET: Final = {"ALERTS": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
SPEC: Final = WorldSpec(days=6, people=120, campaigns=(CampaignSpec(accounts=20, payment_sharing=0.3),))
DECOYS: Final = 8
KILLS_A_PIECE: Final = 2
CLIENTS: Final = 4
GIVE_UP_S: Final = 60.0
TIMES: Final = ("opened_at_us", "step_since_us", "step_until_us")


@cache
def simulated() -> World:
    """A world in which a campaign is found, within seconds."""
    return simulate(SPEC, 3, GrammarPrompts())


class Alerts:
    """What came, by path and id: the bodies, which must all be the same."""

    def __init__(self) -> None:
        self.bodies: dict[str, dict[str, set[bytes]]] = defaultdict(lambda: defaultdict(set))
        self.url = ""

    def told(self, path: str) -> Counter[tuple[str, str]]:
        """Type and case of each alert that came to ``path``."""
        bodies = [json.loads(next(iter(same))) for same in self.bodies[path].values()]
        return Counter((body["type"], body["data"].get("case_id", "")) for body in bodies)

    def two_faced(self) -> int:
        """Ids that came with different bodies."""
        return sum(len(same) > 1 for ids in self.bodies.values() for same in ids.values())


@contextmanager
def receiving() -> Iterator[Alerts]:
    """A receiver of webhooks on loopback."""
    alerts = Alerts()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            alerts.bodies[self.path][str(self.headers["webhook-id"])].add(body)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    alerts.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield alerts
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def deployment(data: Path, world: World, sink: str) -> None:
    """A data folder with the world's accounts, nothing asked yet, whose alerts go to ``sink``."""
    data.mkdir(parents=True)
    (data / "key").write_bytes(b"k" * 32)
    (data / "alerts.toml").write_text(
        f'[[sinks]]\nname = "all"\nkind = "webhook"\nprivate = true\nurl = "{sink}"\nsecret = {{env = "ALERTS"}}\n'
    )
    engine = open_database(data / "control.sqlite")
    Registry(engine, load_or_create_pepper(data / "pepper")).add_accounts(world.accounts.to_pylist())
    Outbox(engine)
    engine.dispose()


def exchanges_of(world: World) -> list[Exchange]:
    """The world's exchanges as a gateway would record them, oldest first."""
    fields = set(Exchange.__struct_fields__)
    return [
        Exchange(
            **{name: value for name, value in row.items() if name in fields}
            | {"started_at": round(row["started_at"].timestamp() * 1e6)}
        )
        for row in world.exchanges.to_pylist()
    ]


def record(data: Path, exchanges: list[Exchange]) -> None:
    """Put exchanges into the log of a data folder."""
    log = ExchangeLog.open(data / "log", sketcher=Sketcher(load_or_create_key(data / "key")))
    log.append(exchanges)
    log.close()


def watch(data: Path, *, killed_after: float | None = None) -> bool:
    """One look by a process of its own; whether it was killed before its end."""
    arguments = [sys.executable, "-m", "tiergate", "watch", "--data", str(data), "--once", "--decoys", str(DECOYS)]
    with subprocess.Popen(
        arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ | SECRET
    ) as process:
        try:
            _, said = process.communicate(timeout=killed_after)
        except subprocess.TimeoutExpired:
            process.kill()
            return True
        if process.returncode != 0:
            raise RuntimeError(f"the watch ended with {process.returncode}: {said}")
    return False


def standing(data: Path, now_us: int) -> tuple[dict[str, Any], dict[str, Any], dict[str, list[str]]]:
    """Case files, verdicts in force and what was done about each case, all without the times at which it was."""
    engine = open_database(data / "control.sqlite")
    try:
        desk = CaseDesk(engine, load_policy())
        files = {one.case_id: msgspec.to_builtins(one) for one in desk.changes.every(CaseFile)}
        for one in files.values():
            for name in TIMES:
                del one[name]
            if one["proposal"] is not None:
                del one["proposal"]["at_us"]
        verdicts = {
            account: (one.case_id, one.action.value, one.charged, one.observed, one.evidence)
            for account, one in VerdictStore(engine).in_force(now_us).items()
        }
        done = {name: [change.action for change in desk.changes.history(CaseFile, name)] for name in files}
    finally:
        engine.dispose()
    return files, verdicts, done


def crash_watch(folder: Path, *, kills: int, seed: int) -> dict[str, object]:
    """Kill the watch ``kills`` times while a log grows, and compare with one that was never killed."""
    chance, world = random.Random(seed), simulated()
    asked = exchanges_of(world)
    whole, broken = folder / "whole", folder / "broken"
    pieces, cut, took = max(1, kills // KILLS_A_PIECE), 0, 0.0
    with receiving() as alerts:
        deployment(whole, world, f"{alerts.url}/whole")
        deployment(broken, world, f"{alerts.url}/broken")
        for piece in range(pieces):
            grown = asked[len(asked) * piece // pieces : len(asked) * (piece + 1) // pieces]
            record(whole, grown)
            record(broken, grown)
            began = time.monotonic()
            watch(whole)
            took = time.monotonic() - began
            for _ in range(KILLS_A_PIECE):
                cut += watch(broken, killed_after=chance.uniform(0.2, 1.0) * took)
            watch(broken)
        now_us = time.time_ns() // 1000
        of_whole, of_broken = standing(whole, now_us), standing(broken, now_us)
        told_whole, told_broken = alerts.told("/whole"), alerts.told("/broken")
        return {
            "kills": cut,
            "cases": len(of_whole[0]),
            "verdicts": len(of_whole[1]),
            "alerts": sum(told_whole.values()),
            "same_cases": of_whole[0] == of_broken[0],
            "same_verdicts": of_whole[1] == of_broken[1],
            "same_history": of_whole[2] == of_broken[2],
            "same_alerts": told_whole == told_broken,
            "alerts_twice": sum(count > 1 for count in told_broken.values()),
            "ids_with_two_bodies": alerts.two_faced(),
        }


def crash_both(folder: Path, *, kills: int, seed: int, load_seconds: float) -> dict[str, object]:
    """Kill the gateway with its watch beside it, or the watch alone, ``kills`` times under load."""
    chance, world = random.Random(seed), simulated()
    data, output, end = folder / "both", folder / "gateway.out", threading.Event()
    answered: list[str] = []
    outlived = gateways = watches = 0
    with receiving() as alerts, serving(mock_upstream(delay_ms=2), folder / "upstream.out") as upstream:
        deployment(data, world, f"{alerts.url}/both")
        record(data, exchanges_of(world))
        keys = issue_keys(data, CLIENTS)
        settings = SECRET | {"TIERGATE_WATCH": "true", "TIERGATE_WATCH_EVERY_S": "1"}
        running = Server(gateway(data, upstream.address), output, settings)
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
                beside = children(running.process.pid)
                if chance.random() < 0.5:
                    for pid in beside:
                        with suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                    watches += bool(beside)
                    continue
                running.process.kill()
                running.process.wait()
                gateways += 1
                outlived += sum(not gone(pid) for pid in beside)
                running = Server(again, output, settings)
        finally:
            end.set()
            for client in clients:
                client.join()
            running.stop()
        watch(data)
        told = alerts.told("/both")
        kept: Counter[str] = Counter()
        for batch in read_log(data / "log", columns=["exchange_id"]):
            kept.update(batch.column("exchange_id").to_pylist())
        engine = open_database(data / "control.sqlite")
        changes = CaseDesk(engine, load_policy()).changes
        opened = len(changes.every(CaseFile))
        waiting = len(Outbox(engine).listed(["waiting", "dead"]))
        engine.dispose()
    return {
        "gateways_killed": gateways,
        "watches_killed": watches,
        "answered": len(answered),
        "missing": sum(not kept[one] for one in answered),
        "doubled": sum(count > 1 for count in kept.values()),
        "watches_that_outlived": outlived,
        "cases": opened,
        "cases_told": sum(count for (kind, _), count in told.items() if kind == "case.opened"),
        "alerts_not_sent": waiting,
        "ids_with_two_bodies": alerts.two_faced(),
    }


def children(pid: int) -> list[int]:
    """Processes that a process started and that run."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(one) for one in found.stdout.split()]


def gone(pid: int) -> bool:
    """Whether a process that is not ours to wait for ends in time."""
    give_up = time.monotonic() + GIVE_UP_S
    while time.monotonic() < give_up:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        with suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        time.sleep(0.05)
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--load-seconds", type=float, default=4.0, help="longest time between two kills under load")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        alone = crash_watch(Path(folder), kills=options.kills, seed=options.seed)
        print(json.dumps(alone), flush=True)
        both = crash_both(Path(folder), kills=options.kills, seed=options.seed, load_seconds=options.load_seconds)
    print(json.dumps(both | {"load_average": round(os.getloadavg()[0], 1)}))


if __name__ == "__main__":
    main()

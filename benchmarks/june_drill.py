"""The June drill: how fast an order that closes two models reaches every gateway, and whom it must not touch.

    python -m benchmarks.june_drill --people 100000 --workers 5 --rate 200 --out drill.json
    python -m benchmarks.june_drill --verify drill.json --key PUBLIC

A member organisation's people call a classified model through several gateways on one data folder, some attested as
eligible under the order, some as ineligible, most by nobody; others use a commodity model. The order is activated under
load. A probe asks every gateway for an ineligible person 20 times a second, beside the load, and so finds the moment.
Every answer is compared with what had to be, every decision with the logs, and every micro-dollar with the usage. The
order is version 2 of the bundled pack, without its last day, which is past. The report is signed: Ed25519 over its
canonical JSON (RFC 8785). Exit code 1 where anything that must not happen did.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import rfc8785
from benchmarks.gateway_crash import gateway, mock_upstream, serving
from benchmarks.june_world import CLOSED, COMMODITY, GROUPS, Person, World, build
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tiergate.admission.credits import Credits
from tiergate.ledger.checkpoints import load_private_key
from tiergate.ledger.decision_reader import DecisionReader, verify_log

MIX: Final = {"eligible": 0.3, "ineligible": 0.2, "not_attested": 0.2, "commodity": 0.3}
SHARES: Final = {"eligible": 0.55, "ineligible": 0.15, "not_attested": 0.2, "commodity": 0.1}
PROBES_PER_S: Final = 20
CONNECTIONS: Final = 24
PREFIX: Final = b"tiergate june drill 1\n"
PROMISED_S: Final = 1.0
PRICE: Final = (3_000_000, 15_000_000)
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer. Times are seconds on one monotonic clock."""

    worker: int
    group: str
    sent_s: float
    done_s: float
    status: int
    codes: tuple[str, ...]
    micro_usd: int

    @property
    def served(self) -> bool:
        return self.status == 200


@dataclass
class Load:
    """Asks all gateways, at a rate that does not wait for answers, until it is told to end."""

    world: World
    addresses: list[str]
    rate: float
    seed: int
    seen: list[Seen] = field(default_factory=list)
    ended: bool = False
    _free: list[asyncio.Queue[Connection]] = field(default_factory=list)

    async def run(self) -> None:
        for address in self.addresses:
            queue: asyncio.Queue[Connection] = asyncio.Queue()
            for _ in range(CONNECTIONS):
                host, _, port = address.removeprefix("http://").partition(":")
                queue.put_nowait(await asyncio.open_connection(host, int(port)))
            self._free.append(queue)
        groups = {group: self.world.of(group) for group in GROUPS}
        await asyncio.gather(
            self._mixed(groups), *(self._probe(groups["ineligible"], n) for n in range(len(self._free)))
        )
        for queue in self._free:
            while not queue.empty():
                queue.get_nowait()[1].close()

    async def _mixed(self, groups: dict[str, list[Person]]) -> None:
        chance, names, number = random.Random(self.seed), list(MIX), 0
        began, under_way = time.monotonic(), set[asyncio.Task[None]]()
        while not self.ended:
            await asyncio.sleep(max(0.0, began + number / self.rate - time.monotonic()))
            group = chance.choices(names, [MIX[name] for name in names])[0]
            task = asyncio.create_task(self._ask(number % len(self._free), chance.choice(groups[group])))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            number += 1
        await asyncio.gather(*under_way)

    async def _probe(self, people: Sequence[Person], worker: int) -> None:
        chance = random.Random(self.seed + worker)
        await asyncio.sleep(worker / PROBES_PER_S / len(self._free))
        while not self.ended:
            due = time.monotonic() + 1 / PROBES_PER_S
            await self._ask(worker, chance.choice(people))
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _ask(self, worker: int, person: Person) -> None:
        asking = _request(person, self.addresses[worker])
        connection = await self._free[worker].get()
        sent_s = time.monotonic()
        reader, writer = connection
        writer.write(asking)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        body = await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        done_s = time.monotonic()
        self._free[worker].put_nowait(connection)
        status, said = int(head[9:12]), json.loads(body)
        reasons = said.get("error", {}).get("tiergate", {}).get("reasons") or [said.get("error") or {}]
        codes = () if status == 200 else tuple(str(one.get("code")) for one in reasons)
        micro_usd = _cost(said["usage"]) if status == 200 and person.group != "commodity" else 0
        self.seen.append(Seen(worker, person.group, sent_s, done_s, status, codes, micro_usd))


def _request(person: Person, address: str) -> bytes:
    model = COMMODITY if person.group == "commodity" else CLOSED
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hm"}], "max_tokens": 64}).encode()
    headers = {"Host": address, "Authorization": f"Bearer {person.key}", "Content-Type": "application/json"}
    headers |= {"Content-Length": str(len(body))} | person.headers()
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /v1/chat/completions HTTP/1.1\r\n{lines}\r\n".encode() + body


def _cost(usage: dict[str, int]) -> int:
    return -(-(usage["prompt_tokens"] * PRICE[0] + usage["completion_tokens"] * PRICE[1]) // 1_000_000)


async def _under_load(load: Load, before_s: float, after_s: float) -> tuple[dict[str, Any], float, float]:
    """The activation, and the moments between which it was committed."""
    running = asyncio.create_task(load.run())
    await asyncio.sleep(before_s)
    began_s = time.monotonic()
    row = await asyncio.to_thread(load.world.activate)
    committed_s = time.monotonic()
    await asyncio.sleep(after_s)
    load.ended = True
    await running
    return msgspec.to_builtins(row), began_s, committed_s


def judge(
    seen: list[Seen], workers: int, began_s: float, committed_s: float, promised_s: float = PROMISED_S
) -> dict[str, Any]:
    """What must hold of the answers, and figures. ``live``: when a gateway first refused an ineligible person."""
    closed = [one for one in seen if one.group in ("ineligible", "not_attested")]
    live = {
        worker: min(
            (one.done_s for one in closed if one.worker == worker and not one.served and one.sent_s > began_s),
            default=float("inf"),
        )
        for worker in range(workers)
    }
    last_live = max(live.values())
    after = [one for one in seen if one.sent_s > committed_s]
    served_late = [one for one in closed if one.served and one.sent_s > live[one.worker]]
    promised = [one for one in closed if one.served and one.sent_s > committed_s + promised_s]
    refused = [one for one in seen if one.group == "eligible" and not one.served]
    early = [one for one in closed if not one.served and one.done_s < began_s]
    commodity = [one for one in seen if one.group == "commodity"]
    return {
        "seconds_to_live": {
            "by_worker": [round(live[worker] - committed_s, 4) for worker in range(workers)],
            "last_worker": round(last_live - committed_s, 4),
            "last_served_after_commit": round(
                max((one.sent_s - committed_s for one in closed if one.served), default=0.0), 4
            ),
        },
        "must_be_0": {
            "ineligible_served_after_live": len(served_late),
            "ineligible_served_after_promised_second": len(promised),
            "eligible_refused": len(refused),
            "closed_before_activation": len(early),
            "commodity_refused": sum(not one.served for one in commodity),
        },
        "requests": len(seen),
        "requests_per_s": round(len(seen) / (max(one.done_s for one in seen) - min(one.sent_s for one in seen)), 1),
        "ineligible_served_between_commit_and_live": sum(
            one.served and committed_s < one.sent_s <= live[one.worker] for one in closed
        ),
        "answers_after_commit": {
            group: dict(Counter("served" if one.served else "+".join(one.codes) for one in after if one.group == group))
            for group in GROUPS
        },
        "refused_before_activation": dict(
            Counter(f"{one.group}: {'+'.join(one.codes)}" for one in seen if not one.served and one.done_s < began_s)
        ),
        "commodity_ms": {
            when: _waits([one for one in commodity if (one.sent_s > began_s) == late])
            for when, late in (("before", False), ("after", True))
        },
        "eligible_ms_after": _waits([one for one in after if one.group == "eligible"]),
    }


def _waits(seen: list[Seen]) -> dict[str, float]:
    waits = [1000 * (one.done_s - one.sent_s) for one in seen] or [0.0]
    return {f"p{share}": round(float(np.percentile(waits, share)), 1) for share in (50, 99)}


def audit(world: World, seen: list[Seen]) -> dict[str, Any]:
    """The logs hold every decision, and credit every micro-dollar."""
    logs, outcomes = [], Counter[str]()
    folder = world.data / "decisions"
    for one in sorted([folder, *folder.glob("worker-*")]):
        with closing(DecisionReader(one)) as log:
            key = load_private_key(world.data / "decisions.key", log.origin).public
            found = verify_log(log, key=key)
            outcomes.update(found.outcomes)
            logs.append({"log": log.origin, "records": found.records, "signed": found.signed, "root": found.root.hex()})
    classified = [one for one in seen if one.group != "commodity"]
    balance = Credits(world.engine).balance(world.line_id)
    return {
        "logs": logs,
        "outcomes": dict(outcomes),
        "must_be_0": {
            "decisions_missing": len(classified) - sum(outcomes.values()),
            "allowed_and_not_served": outcomes["ALLOW"] - sum(one.served for one in classified),
            "micro_usd_wrong": balance.spent - sum(one.micro_usd for one in classified),
            "micro_usd_still_reserved": balance.reserved,
            "micro_usd_overrun": balance.overrun,
        },
        "micro_usd_spent": balance.spent,
    }


def sign_report(report: dict[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    return {
        "report": report,
        "public_key": base64.b64encode(key.public_key().public_bytes_raw()).decode(),
        "signature": base64.b64encode(key.sign(PREFIX + rfc8785.dumps(report))).decode(),
    }


def verify_report(signed: dict[str, Any], public_key: str) -> bool:
    """Whether ``public_key`` signed the report. The key that comes with a report proves nothing."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key))
        key.verify(base64.b64decode(signed["signature"]), PREFIX + rfc8785.dumps(signed["report"]))
    except (InvalidSignature, ValueError):
        return False
    return True


def drill(
    folder: Path, *, people: int, workers: int, rate: float, before_s: float, after_s: float, seed: int = 1,
    promised_s: float = PROMISED_S,
) -> dict[str, Any]:  # fmt: skip
    """Run the drill and return its report. ``promised_s``: seconds after which nobody ineligible may be served."""
    load_before = os.getloadavg()[0]
    sizes = {group: max(2, round(people * share)) for group, share in SHARES.items()}
    world = build(folder / "data", sizes)
    settings = {"TIERGATE_TRUSTED_PROXIES": "127.0.0.0/8", "TIERGATE_PACKS": str(folder / "data" / "packs")}
    with ExitStack() as stack:
        upstream = stack.enter_context(serving(mock_upstream(), folder / "upstream.out"))
        starting_s = time.monotonic()
        doors = [
            stack.enter_context(serving(gateway(world.data, upstream.address), folder / f"gateway-{n}.out", settings))
            for n in range(workers)
        ]
        started_s = time.monotonic() - starting_s
        load = Load(world, [door.address for door in doors], rate, seed)
        row, began_s, committed_s = asyncio.run(_under_load(load, before_s, after_s))
    answers, books = judge(load.seen, workers, began_s, committed_s, promised_s), audit(world, load.seen)
    world.engine.dispose()
    return {
        "change": row,
        "people": sizes,
        "workers": workers,
        "rate_asked": rate + workers * PROBES_PER_S,
        "seconds_to_start_a_worker": round(started_s / workers, 2),
        "load_before": round(load_before, 2),
        "cpus": os.cpu_count(),
        "answers": answers,
        "books": books,
        "held": not any(answers["must_be_0"].values()) and not any(books["must_be_0"].values()),
    }


def show(report: dict[str, Any]) -> None:
    """The figures as a table."""
    answers, books = report["answers"], report["books"]
    rows = [
        ("people, workers", f"{sum(report['people'].values()):,}, {report['workers']}"),
        ("requests, per second", f"{answers['requests']:,}, {answers['requests_per_s']}"),
        ("seconds to the last worker's refusal", answers["seconds_to_live"]["last_worker"]),
        ("seconds to the last ineligible served", answers["seconds_to_live"]["last_served_after_commit"]),
        *(answers["must_be_0"] | books["must_be_0"]).items(),
        ("commodity ms before, p50 p99", " ".join(map(str, answers["commodity_ms"]["before"].values()))),
        ("commodity ms after, p50 p99", " ".join(map(str, answers["commodity_ms"]["after"].values()))),
        ("decisions on record", sum(books["outcomes"].values())),
    ]
    for name, value in rows:
        print(f"{name:<44} {value}")
    for group, counts in answers["answers_after_commit"].items():
        for said, number in sorted(counts.items()):
            print(f"  after, {group:<14} {said:<36} {number:>7,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=2_000)
    parser.add_argument("--workers", type=int, default=5)
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second, beside the probes")
    parser.add_argument("--before-s", type=float, default=5.0)
    parser.add_argument("--after-s", type=float, default=10.0)
    parser.add_argument("--out", type=Path, help="where the signed report goes")
    parser.add_argument("--verify", type=Path, help="verify a report instead")
    parser.add_argument("--key", help="the public key to verify by")
    options = parser.parse_args()
    if options.verify is not None:
        signed = json.loads(options.verify.read_text())
        fits = verify_report(signed, options.key or "")
        print("valid" if fits else "the signature does not fit the report and the key")
        sys.exit(not (fits and signed["report"]["held"]))
    with tempfile.TemporaryDirectory() as folder:
        report = drill(
            Path(folder), people=options.people, workers=options.workers, rate=options.rate,
            before_s=options.before_s, after_s=options.after_s,
        )  # fmt: skip
    signed = sign_report(report, Ed25519PrivateKey.generate())
    show(report)
    print(json.dumps(signed))
    if options.out is not None:
        options.out.write_text(json.dumps(signed, indent=1))
    sys.exit(not report["held"])


if __name__ == "__main__":
    main()

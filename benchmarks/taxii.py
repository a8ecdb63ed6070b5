"""How fast findings are read and told over TAXII 2.1, beside medallion, the reference server of OASIS.

    python -m benchmarks.taxii --objects 100000 1000000 --rounds 50
    python -m benchmarks.taxii --objects 100000 --medallion /var/tmp/peers-taxii/venv --medallion-objects 1000

Each store is filled with random findings through the checks that everything passes, and served by `tiergate control`, a
process of its own. One client on one kept-alive connection reads it in pages of 1,000, then polls for the last nine
objects. Then lab A tells a finding, and it is measured when a reader of lab B's database finds all of it: pushed by A
into B's API, and read by B's `tiergate share follow` of A's API, a process of its own each. Medallion keeps its objects
in memory and is asked by the same client. Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from tiergate.api.taxii_requests import ROOT
from tiergate.api.taxii_resources import FINDINGS, KIND, time_of
from tiergate.cli.demo.children import free_port, server
from tiergate.cli.share_peers import opened
from tiergate.clock import DAY, SystemClock
from tiergate.database import open_database
from tiergate.parties.tokens import load_or_create_pepper
from tiergate.sharing.check import check
from tiergate.sharing.exchange import Exchange
from tiergate.sharing.finding import Finding, Lab, Token, finding_id
from tiergate.sharing.objects import ENCODER
from tiergate.sharing.peers import Peers
from tiergate.sharing.reading import from_objects
from tiergate.sharing.receiving import Receiving
from tiergate.sharing.stix import to_bundle
from tiergate.sharing.store import DATABASE, SharedStore
from tiergate.sharing.versions import OURS

PAGE: Final = 1_000
POLLS: Final = 200
LAB: Final = Lab.named("lab-a.example")
MEDALLION: Final = """
import json, sys
import medallion
app, config = medallion.application_instance, json.load(open(sys.argv[1]))
for name in ("users", "taxii", "backend"):
    medallion.set_config(app, name, config)
medallion.register_blueprints(app)
app.run(host="127.0.0.1", port=int(sys.argv[2]), threaded=False)
"""


def findings(seed: int) -> Iterator[Finding]:
    """Random findings without an end, of some 16 objects each."""
    rng, now_us = random.Random(seed), SystemClock().now_us() // 1_000 * 1_000 - DAY
    while True:
        accounts = {
            Token(scheme="hmac-sha256", epoch="2026-11", kind="account", value=f"{rng.getrandbits(256):064x}")
            for _ in range(4)
        }
        clients = {
            Token(scheme="hmac-sha256", epoch="2026-11", kind="user_agent", value=f"{rng.getrandbits(256):064x}")
            for _ in range(4)
        }
        yield Finding(
            finding_id=finding_id(LAB, f"{rng.getrandbits(64)}"),
            lab=LAB,
            created_us=now_us,
            modified_us=now_us,
            first_seen_us=now_us - DAY,
            last_seen_us=now_us,
            confidence=90,
            accounts=9,
            exchanges=17,
            networks=(rng.randrange(1, 2**32),),
            tokens=tuple(sorted(accounts | clients)),
        )


def fill(data: Path, objects: int) -> float:
    """Fill a store with that many objects and up to some 5,000 more. Returns objects a second, checks included."""
    engine = open_database(data / DATABASE)
    store, made, held, began = SharedStore(engine), findings(1), 0, time.perf_counter()
    while held < objects:
        some = [next(made) for _ in range(250)]
        verdict = check(ENCODER.encode(to_bundle(some)), SystemClock().now_us())
        assert verdict.faults == []
        added = store.add(verdict.taken, origin=OURS, now_us=SystemClock().now_us())
        held += added.new
    engine.dispose()
    return held / (time.perf_counter() - began)


class Reader:
    """One kept-alive connection to a collection."""

    def __init__(self, port: int, collection: str, authorization: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        self._collection, self._headers = collection, {"Authorization": authorization, "Accept": KIND}

    def ask(self, what: str, query: str) -> tuple[float, dict[str, Any]]:
        """Seconds until the whole answer was there, and the answer."""
        began = time.perf_counter()
        self._connection.request("GET", f"{self._collection}{what}/?{query}", headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        took = time.perf_counter() - began
        if answer.status != 200:
            raise SystemExit(f"answered {answer.status}: {body[:200]!r}")
        return took, msgspec.json.decode(body) | {"last": answer.getheader("x-taxii-date-added-last")}

    def measure(self, polls: int) -> dict[str, float]:
        """Pages from the first to the last, then polls for the last nine objects."""
        pages: list[float] = []
        objects, query, stamps = 0, f"limit={PAGE}", []
        while True:
            took, envelope = self.ask("objects", query)
            pages.append(took)
            stamps.append(envelope["last"])
            objects += len(envelope["objects"])
            if not envelope.get("more"):
                break
            query = f"limit={PAGE}&next={envelope['next']}"
        _, listed = self.ask("manifest", f"limit={PAGE}" + (f"&added_after={stamps[-2]}" if len(stamps) > 1 else ""))
        since, asked = listed["objects"][-10]["date_added"], []
        for _ in range(polls):
            took, envelope = self.ask("objects", f"added_after={since}")
            asked.append(took)
            assert len(envelope["objects"]) == 9
        return {
            "objects": objects,
            "objects_per_s": objects / sum(pages),
            "page_p50_ms": percentile(pages, 50),
            "page_p95_ms": percentile(pages, 95),
            "poll_p50_ms": percentile(asked, 50),
            "poll_p95_ms": percentile(asked, 95),
        }


def percentile(seconds: list[float], which: float) -> float:
    """In milliseconds."""
    return 1e3 * float(np.percentile(seconds, which))


@contextmanager
def control(data: Path, log: Path) -> Iterator[int]:
    """A control API over a data folder. Yields its port."""
    port = free_port()
    command = ["-m", "tiergate", "control", "--data", str(data), "--port", str(port)]
    with server("control", command, port=port, log=log):
        yield port


def read_tiergate(objects: int) -> dict[str, float]:
    """A store of that size, read."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir()
        filled = fill(data, objects)
        engine = open_database(data / DATABASE)
        _, token = Peers(engine, load_or_create_pepper(data / "pepper")).add("lab-b.example", SystemClock().now_us())
        engine.dispose()
        with control(data, Path(folder) / "log") as port:
            reader = Reader(port, f"{ROOT}collections/{FINDINGS.id}/", f"Bearer {token}")
            return {"filled_per_s": filled} | reader.measure(POLLS)


def read_medallion(python: Path, objects: int) -> dict[str, float]:
    """The same objects in medallion's memory, read."""
    made, held = findings(1), dict[str, Any]()
    while len(held) < objects:
        for one in to_bundle([next(made)]).objects[2:]:  # it takes `version` of our extension for a time
            held.setdefault(one.id, msgspec.to_builtins(one))
    some, now_us = list(held.values())[:objects], SystemClock().now_us()
    listed = []
    for number, one in enumerate(some):
        added = time_of(now_us + number)
        version = one.get("modified", one.get("created"))
        if version is None:
            # How medallion keeps the time of what has no version.
            one["_date_added"] = version = added
        kind = "application/stix+json;version=2.1"
        listed.append({"id": one["id"], "date_added": added, "version": version, "media_type": kind})
    about = {"id": FINDINGS.id, "title": "all", "can_read": True, "can_write": True, "media_types": []}
    root = {"title": "r", "versions": [KIND], "max_content_length": 1 << 20}
    content = {
        "/discovery": {"title": "peer", "api_roots": ["/r/"]},
        "r": {"information": root, "status": [], "collections": [about | {"manifest": listed, "objects": some}]},
    }
    with tempfile.TemporaryDirectory() as folder:
        data, config, program = (Path(folder) / name for name in ("data.json", "config.json", "run.py"))
        data.write_text(json.dumps(content))
        backend = {
            "module": "medallion.backends.memory_backend",
            "module_class": "MemoryBackend",
            "filename": str(data),
        }
        config.write_text(json.dumps({"users": {"u": "p"}, "taxii": {"max_page_size": PAGE}, "backend": backend}))
        program.write_text(MEDALLION)
        port = free_port()
        process = subprocess.Popen(
            [python, program, config, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            give_up = time.monotonic() + 120
            while time.monotonic() < give_up:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.1)
            shown = base64.b64encode(b"u:p").decode()
            measured = Reader(port, f"/r/collections/{FINDINGS.id}/", f"Basic {shown}").measure(3)
            return measured | {"pulled": pulled(Path(folder) / "b", f"http://127.0.0.1:{port}/r/", "u:p")}
        finally:
            process.terminate()
            process.wait()


def pulled(data: Path, url: str, shown: str) -> int:
    """How many objects our own client takes of a server of TAXII; it must refuse none."""
    with opened(data, create=True) as sharing:
        (data / "shown").write_text(shown)
        now_us = SystemClock().now_us()
        peer, _ = sharing.peers.add(LAB.name, now_us, url=url, token_file="shown", private=True, lasts_us=0)
        done = sharing.exchange.pull(peer, now_us)
    if done.refused:
        raise SystemExit(f"refused: {done.refused[0]}")
    return done.new


def followed_after(rounds: int) -> dict[str, float]:
    """The same where lab A's API tells it and lab B follows that; then from the withdrawal until B has it withdrawn."""
    made, took, withdrawn = findings(3), list[float](), list[float]()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        a, b = (Path(folder) / name for name in "ab")
        ours, theirs = (stack.enter_context(opened(one, create=True)) for one in (a, b))
        _, token = ours.peers.add("lab-b.example", SystemClock().now_us())
        (b / "token").write_text(token or "")
        port = stack.enter_context(control(a, Path(folder) / "log"))
        url = f"http://127.0.0.1:{port}{ROOT}"
        origin, _ = theirs.peers.add(
            LAB.name, SystemClock().now_us(), url=url, token_file="token", private=True, lasts_us=0
        )
        command = [sys.executable, "-m", "tiergate", "share", "follow", "--data", str(b)]
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(child.wait)
        stack.callback(child.terminate)

        def until(what: Finding, times: list[float], do: Callable[[], object], revoked: bool) -> None:
            began = time.perf_counter()
            do()
            give_up = began + 60
            while True:
                heard = [one for one in from_objects(theirs.store.objects(origin.peer_id)) if isinstance(one, Finding)]
                same = [one for one in heard if one.finding_id == what.finding_id]
                if same and (same[0].revoked if revoked else same[0] == what):
                    break
                if time.perf_counter() > give_up:
                    raise SystemExit("what was told did not come")
                time.sleep(0.005)
            times.append(time.perf_counter() - began)

        for _ in range(rounds + 1):
            found = next(made)
            until(found, took, lambda: ours.store.tell(found, SystemClock().now_us()), False)  # noqa: B023
            until(found, withdrawn, lambda: ours.store.withdraw(found.finding_id, SystemClock().now_us()), True)  # noqa: B023
    # The first is not counted: the follower starts meanwhile.
    return {
        "followed_p50_ms": percentile(took[1:], 50),
        "followed_p95_ms": percentile(took[1:], 95),
        "withdrawn_p50_ms": percentile(withdrawn[1:], 50),
        "withdrawn_p95_ms": percentile(withdrawn[1:], 95),
    }


def told_after(rounds: int) -> dict[str, float]:
    """From the finding at lab A, as a record, until a reader of lab B's database has all of it."""
    took, made = [], findings(2)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        a, b = (Path(folder) / name for name in "ab")
        for one in (a, b):
            one.mkdir()
        now_us = SystemClock().now_us()
        engines = [open_database(one / DATABASE) for one in (a, b)]
        for engine in engines:
            stack.callback(engine.dispose)
        stores = [SharedStore(engine) for engine in engines]
        peers = [
            Peers(engine, load_or_create_pepper(one / "pepper")) for engine, one in zip(engines, (a, b), strict=True)
        ]
        origin, token = peers[1].add(LAB.name, now_us)
        (a / "token").write_text(token or "")
        port = stack.enter_context(control(b, Path(folder) / "log"))
        url = f"http://127.0.0.1:{port}{ROOT}"
        peers[0].add("lab-b.example", now_us, url=url, token_file="token", private=True)
        exchange = Exchange(stores[0], peers[0], Receiving(stores[0]), a)
        for _ in range(rounds):
            found = next(made)
            began = time.perf_counter()
            stores[0].tell(found, SystemClock().now_us())
            done = exchange.push(peers[0].every()[0])
            assert done.refused == []
            heard = from_objects(stores[1].objects(origin.peer_id))
            took.append(time.perf_counter() - began)
            assert any(isinstance(one, Finding) and one == found for one in heard)
    return {"rounds": rounds, "told_p50_ms": percentile(took, 50), "told_p95_ms": percentile(took, 95)}


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, nargs="*", default=[100_000], help="sizes of the store")
    parser.add_argument("--rounds", type=int, default=50, help="findings from lab A to lab B")
    parser.add_argument("--medallion", type=Path, help="virtual environment with medallion 3.0.0")
    parser.add_argument("--medallion-objects", type=int, default=1_000)
    options = parser.parse_args()
    results: list[dict[str, Any]] = []
    for one in options.objects:
        results.append({"who": "tiergate"} | read_tiergate(one))
        print(results[-1], flush=True)
    if options.medallion is not None:
        python = options.medallion / "bin" / "python"
        results.append({"who": "medallion"} | read_medallion(python, options.medallion_objects))
    names = ("objects", "objects_per_s", "page_p50_ms", "page_p95_ms", "poll_p50_ms", "poll_p95_ms", "filled_per_s")
    print("| | " + " | ".join(names) + " |")
    for one in results:
        print(f"| {one['who']} | " + " | ".join(f"{one.get(name, float('nan')):,.1f}" for name in names) + " |")
    told = told_after(options.rounds) | followed_after(options.rounds) if options.rounds else {}
    print(json.dumps({"read": results, "told": told, "load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()

"""What the decision log costs: appending, proving, checking, a scan of all of it, and making all decisions again.

    python -m benchmarks.decision_log --records 1000000 --out results/decision_log.json

Decisions are made by the engine, about 20,000 people, and recorded as the gateway does: eight personal fields and the
facts. The rate of bare records, with two personal fields and no facts, is beside it. Compared in the same run with the
text of RFC 6962 written down in Python as it stands (`naive`, on few records: it hashes the whole tree for each proof)
and with inserting the same canonical JSON into SQLite in WAL mode, which proves nothing. Prints a table and, last, one
line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sqlite3
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from tests.admission.at_random import RIGHT_GRANT, T0, right

from tiergate.admission.cache import DecisionCache
from tiergate.admission.engine import Engine
from tiergate.admission.kept_policies import Engines
from tiergate.admission.known_facts import ModelFact, RequestFact, Standing
from tiergate.admission.replay import Replayer, State, replay_log
from tiergate.clock import SystemClock
from tiergate.errors import ProofError
from tiergate.gateway.deciding import as_decided
from tiergate.gateway.tiers import JudgedRequest, Ruling
from tiergate.ledger.decision_log import DecisionLog
from tiergate.ledger.decision_reader import DecisionReader, scan, verify_log
from tiergate.ledger.decision_records import Decided, commit
from tiergate.ledger.merkle import leaf_hash, node_hash, verify_consistency, verify_inclusion
from tiergate.ledger.notes import ED25519, PrivateKey
from tiergate.ledger.receipts import make_receipt, verify_receipt

ORIGIN = "benchmark.example/decisions"
BATCH = 100
NAIVE_RECORDS = 4_096
DISTINCT = 50_000
"""Decisions that are made beforehand, and appended over and over with new salts."""
PEOPLE = 20_000
LACKING: list[dict[str, Any]] = [{}, {"credential_bound": False}, {"person_classes": {}}, {"memberships": ()}]
SAMPLES = 500


def bare(count: int) -> list[Decided]:
    """Decisions of some 500 bytes each as records, without facts, deterministic."""
    made = []
    for n in range(count):
        digest = sha256(b"%d" % n).hexdigest()
        made.append(
            Decided(
                time_us=1_790_000_000_000_000 + n * 50,
                request=digest,
                inputs=digest[::-1],
                policy="classified/4",
                packs={"ofac": "2026-11-10", "bis-affiliates": "3"},
                epoch=n // 10_000,
                reasons=["owner_listed", "purpose_missing"][: n % 3],
                outcome=("ALLOW", "DENY", "REVIEW")[n % 3],
                personal={f"field-{m}": f"value-{n % 997}-{m}" for m in range(2)},
            )
        )
    return made


def decisions(count: int) -> list[Decided]:
    """Decisions as the gateway records them: of people who have one grant each, some without what they need."""
    engine, rng = Engine(), random.Random(1)
    cache = DecisionCache(engine)
    people = [_person(rng, number) for number in range(min(PEOPLE, count))]
    claims = {"project": "project_1", "purpose": "defence", "asset": "asset_1"}
    made = []
    for n in range(count):
        standing, model, request = people[n % len(people)]
        request = msgspec.structs.replace(request, now_us=T0 + n)
        decision = cache.decide(standing, model, request, epoch=1)
        ruling = Ruling(decision, standing, model, JudgedRequest(request, claims), 1)
        made.append(as_decided(ruling, f"exc_{n:026d}", b"%d" % n, engine.digest, bytes(32)))
    return made


def _person(rng: random.Random, number: int) -> tuple[Standing, ModelFact, RequestFact]:
    person = "per_" + sha256(b"%d" % number).hexdigest()[:32]
    lacks: dict[str, Any] = rng.choices(LACKING, [8, 1, 1, 1])[0]
    grant = msgspec.structs.replace(RIGHT_GRANT, grant_id=f"gra_{number:016x}", person_id=person)
    given = {"credential_id": f"key_{number:016x}", "person_id": person, "grants": (grant,)}
    return right(**(given | lacks))


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, over leaf hashes."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(naive_root(leaves[:k]), naive_root(leaves[k:]))


def naive_path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 6962 section 2.1.1, over leaf hashes."""
    if len(leaves) == 1:
        return []
    k = 1 << (len(leaves) - 1).bit_length() - 1
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


@contextmanager
def timed(into: dict[str, float], name: str, per: float = 1.0, *, rate: bool = False) -> Iterator[None]:
    """Seconds of the block divided by ``per``, or ``per`` a second; processor seconds of this process beside them."""
    wall, processor = time.perf_counter(), time.process_time()
    yield
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    into[name] = per / wall if rate else wall / per
    into[f"{name}_processor"] = per / max(processor, 1e-9) if rate else processor / per


def median_us(call: Callable[[int], object], indexes: Sequence[int]) -> float:
    took = []
    for index in indexes:
        start = time.perf_counter()
        call(index)
        took.append((time.perf_counter() - start) * 1e6)
    return statistics.median(took)


def append_all(log: DecisionLog, made: Sequence[Decided], batch: int) -> None:
    for start in range(0, len(made), batch):
        log.append(made[start : start + batch])


def append_from_threads(log: DecisionLog, made: Sequence[Decided], threads: int) -> None:
    """One decision a call, as requests would: what waits is written together."""
    workers = [threading.Thread(target=append_all, args=(log, made[n::threads], 1)) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def rates(folder: Path, made: Sequence[Decided], rounds: int, figures: dict[str, float]) -> None:
    for durable, times in ((False, rounds), (True, 1)):
        kind = "durable" if durable else "os"
        log = DecisionLog.open(folder / kind, origin=ORIGIN, durable=durable)
        with timed(figures, f"append_{kind}_per_s", times * len(made), rate=True):
            for _ in range(times):
                append_all(log, made, BATCH)
        with timed(figures, f"append_{kind}_by_1000_per_s", len(made), rate=True):
            append_all(log, made, 1_000)
        single = made[:2_000]
        with timed(figures, f"append_{kind}_one_by_one_per_s", len(single), rate=True):
            append_all(log, single, 1)
        with timed(figures, f"append_{kind}_32_threads_per_s", len(single), rate=True):
            append_from_threads(log, single, 32)
        log.close()


def bare_rate(folder: Path, figures: dict[str, float]) -> None:
    made = bare(DISTINCT)
    log = DecisionLog.open(folder / "bare", origin=ORIGIN)
    with timed(figures, "append_bare_os_per_s", len(made), rate=True):
        append_all(log, made, BATCH)
    log.close()


def sqlite_rates(folder: Path, made: Sequence[Decided], rounds: int, figures: dict[str, float]) -> None:
    """The same canonical JSON, with nothing beside it."""
    for durable, times in ((False, rounds), (True, 1)):
        kind = "durable" if durable else "os"
        database = sqlite3.connect(folder / f"{kind}.sqlite", isolation_level=None)
        database.execute("pragma journal_mode = wal")
        database.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
        database.execute("create table decisions (number integer primary key, record blob not null)")
        with timed(figures, f"sqlite_{kind}_per_s", times * len(made), rate=True):
            for start in list(range(0, len(made), BATCH)) * times:
                texts = [(text,) for text, _ in commit(made[start : start + BATCH])]
                database.execute("begin immediate")
                database.executemany("insert into decisions (record) values (?)", texts)
                database.execute("commit")
        database.close()


def proofs(folder: Path, figures: dict[str, float]) -> None:
    key = PrivateKey(ORIGIN, ED25519, bytes(32))
    with closing(DecisionLog.open(folder)) as log:
        log.sign(key, SystemClock().now_us())
        size = log.size
        figures["sign_checkpoint_us"] = median_us(lambda _: log.sign(key, 0), range(50))
    with closing(DecisionReader(folder)) as reader:
        root = reader.root(size)
        at = [int.from_bytes(sha256(b"at %d" % n).digest()[:8], "big") % size for n in range(SAMPLES)]
        found = {index: reader.inclusion_proof(index, size) for index in at}
        leaves = {index: leaf_hash(reader.record_text(index)) for index in at}
        figures["inclusion_proof_us"] = median_us(lambda index: reader.inclusion_proof(index, size), at)
        figures["verify_inclusion_us"] = median_us(
            lambda index: verify_inclusion(index, size, leaves[index], found[index], root), at
        )
        olds = [max(1, index) for index in at]
        figures["consistency_proof_us"] = median_us(lambda old: reader.consistency_proof(old, size), olds)
        roots = {old: (reader.root(old), reader.consistency_proof(old, size)) for old in olds}
        figures["verify_consistency_us"] = median_us(
            lambda old: verify_consistency(old, size, roots[old][0], root, roots[old][1]), olds
        )
        figures["make_receipt_us"] = median_us(lambda index: make_receipt(reader, index), at)
        receipts = {index: make_receipt(reader, index) for index in at}
        figures["receipt_bytes"] = statistics.median(map(len, receipts.values()))
        figures["verify_receipt_us"] = median_us(lambda index: verify_receipt(receipts[index], key.public), at)
        with timed(figures, "scan_s"):
            assert sum(1 for _ in scan(reader, key=key.public)) == size
        with timed(figures, "verify_log_s"):
            assert verify_log(reader, key=key.public).records == size
        figures["scanned_records"] = size
    with timed(figures, "open_s"):
        DecisionLog.open(folder).close()
    figures["bytes_per_record"] = sum(one.stat().st_size for one in folder.rglob("*") if one.is_file()) / size


def replays(folder: Path, figures: dict[str, float]) -> None:
    """Every decision made again, with all that `decisions log` checks."""
    engine = Engine()
    replayer = Replayer(Engines(folder, engine))
    with closing(DecisionReader(folder)) as reader:
        key = PrivateKey(ORIGIN, ED25519, bytes(32)).public
        with timed(figures, "replay_s"):
            states = Counter(one.state for one in replay_log(reader, "", replayer, key=key))
        figures |= {"replayed": states.total(), "replayed_as_recorded": states[State.SAME]}
        figures["replay_evaluations"] = replayer.evaluated


def value_flips(folder: Path, count: int, figures: dict[str, float]) -> None:
    """Flip one bit after another in rows of personal values, facts among them; count those that the record shows."""
    seed = random.Random(2)
    figures |= {"flipped_values": count, "value_flips_found": 0}
    with closing(DecisionReader(folder)) as reader, sqlite3.connect(folder / "personal.sqlite") as database:
        for _ in range(count):
            index = seed.randrange(reader.size)
            (held,) = database.execute("select held from openings where record = ?", (index,)).fetchone()
            damaged = bytearray(held)
            damaged[seed.randrange(len(held))] ^= 1 << seed.randrange(8)
            for text in (bytes(damaged), held):
                database.execute("update openings set held = ? where record = ?", (text, index))
                database.commit()
                try:
                    reader.checked(index)
                except ProofError:
                    figures["value_flips_found"] += 1
    database.close()


def flips(folder: Path, count: int, figures: dict[str, float]) -> None:
    """Flip one bit after another, anywhere in records, hashes and checkpoint; count those that a scan finds, and those
    whose place it tells."""
    key = PrivateKey(ORIGIN, ED25519, bytes(32)).public
    files = [*sorted((folder / "records").iterdir()), folder / "hashes", folder / "checkpoint"]
    seed = random.Random(1)
    figures |= {"flipped": count, "flips_found": 0, "flips_located": 0}
    for n in range(count):
        path = seed.choices(files, [one.stat().st_size for one in files])[0] if n else folder / "checkpoint"
        with path.open("r+b") as file:
            at = seed.randrange(path.stat().st_size)
            (old,) = os.pread(file.fileno(), 1, at)
            os.pwrite(file.fileno(), bytes([old ^ 1 << seed.randrange(8)]), at)
            try:
                with closing(DecisionReader(folder)) as reader:
                    for _ in scan(reader, key=key):
                        pass
            except ProofError as error:
                figures["flips_found"] += 1
                figures["flips_located"] += error.index is not None or path.name == "checkpoint"
            os.pwrite(file.fileno(), bytes([old]), at)


def naive(made: Sequence[Decided], figures: dict[str, float]) -> None:
    leaves = [leaf_hash(text) for text, _ in commit(made[:NAIVE_RECORDS])]
    figures["naive_records"] = len(leaves)
    figures["naive_root_us"] = median_us(lambda _: naive_root(leaves), range(5))
    figures["naive_inclusion_proof_us"] = median_us(lambda n: naive_path(n * 401 % len(leaves), leaves), range(5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--flips", type=int, default=10, help="bits to flip, each looked for by a whole scan")
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder if not given")
    parser.add_argument("--out", type=Path, help="file for the JSON")
    options = parser.parse_args()
    made = decisions(min(options.records, DISTINCT))
    rounds = max(1, options.records // len(made))
    figures: dict[str, float] = {"records": rounds * len(made), "load_before": os.getloadavg()[0]}
    folder = Path(tempfile.mkdtemp(prefix="decision-log-", dir=options.folder))
    try:
        bare_rate(folder, figures)
        rates(folder, made, rounds, figures)
        sqlite_rates(folder, made, rounds, figures)
        proofs(folder / "os", figures)
        replays(folder / "os", figures)
        value_flips(folder / "os", options.flips, figures)
        flips(folder / "os", options.flips, figures)
    finally:
        shutil.rmtree(folder)
    naive(made, figures)
    figures["load_after"] = os.getloadavg()[0]
    for name, value in figures.items():
        print(f"{name:<40} {value:>14,.1f}")
    line = json.dumps({name: round(value, 3) for name, value in figures.items()})
    print(line)
    if options.out is not None:
        options.out.write_text(line + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

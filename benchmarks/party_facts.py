"""Facts of parties: how fast they are recorded, read from files, and put together as of a time. Simulated.

    python -m benchmarks.party_facts --parties 3000000 --stakes 4000000

Prints a line for each step: facts, seconds on the clock, seconds of processor time, largest memory so far.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from tiergate.database import open_database
from tiergate.parties.fact_rows import Party, Stake, fact_key, party_id
from tiergate.parties.facts import FactStore
from tiergate.parties.sources.reading import Feed
from tiergate.parties.sources.taking import READERS
from tiergate.records.refused import RefusedRows


def measured(name: str, facts: int, work: Callable[[], object]) -> None:
    clock, processor = time.perf_counter(), time.process_time()
    work()
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{name:<28} {facts:>10,}  {clock:>7.1f} s  {processor:>7.1f} s cpu  {facts / clock:>9,.0f}/s "
        f"{facts / processor:>9,.0f}/s cpu  {memory:.2f} GB"
    )


def record(store: FactStore, parties: int, stakes: int) -> None:
    def all_parties() -> None:
        with store.importing("parties", now_us=1) as writer:
            for number in range(parties):
                name = f"{number:020d}"
                writer.add(
                    Party(
                        key=fact_key("parties", name), party=party_id("lei", name), name=f"Company {number} Ltd",
                        incorporated_in="GB", headquarters="GB",
                        identifiers=(f"lei:{name}", f"GB-COH:{number:08d}"),
                    )
                )  # fmt: skip

    def all_stakes() -> None:
        rng = np.random.default_rng(1)
        with store.importing("stakes", now_us=2) as writer:
            owners = rng.integers(0, parties, stakes)
            owned = (owners + rng.integers(1, parties, stakes)) % parties
            for number, (owner, other) in enumerate(zip(owners.tolist(), owned.tolist(), strict=True)):
                writer.add(
                    Stake(
                        key=fact_key("stakes", str(number)), owner=party_id("lei", f"{owner:020d}"),
                        owned=party_id("lei", f"{other:020d}"), prong="shares", lo_ppm=250_001, hi_ppm=500_000,
                    )
                )  # fmt: skip

    measured("record parties", parties, all_parties)
    measured("record stakes", stakes, all_stakes)
    measured("as_of", parties + stakes, lambda: store.as_of(5))


def read(folder: Path, rows: int) -> None:
    leis = [_lei(number) for number in range(rows)]
    relation = "Relationship.StartNode.NodeID,Relationship.EndNode.NodeID,Relationship.RelationshipType\n"
    psc = {"kind": "individual-person-with-significant-control", "name": "A", "notified_on": "2016-04-06",
           "natures_of_control": ["ownership-of-shares-25-to-50-percent"]}  # fmt: skip
    texts = {
        "gleif": "LEI,Entity.LegalName\n" + "".join(f"{lei},Company {n}\n" for n, lei in enumerate(leis)),
        "gleif-relations": relation
        + "".join(f"{a},{b},IS_DIRECTLY_CONSOLIDATED_BY\n" for a, b in zip(leis, [*leis[1:], leis[0]], strict=True)),
        "gleif (xml)": "<d>"
        + "".join(f"<LEIRecord><LEI>{lei}</LEI><Entity><LegalName>C</LegalName></Entity></LEIRecord>" for lei in leis)
        + "</d>",
        "psc": "".join(
            json.dumps({"company_number": str(n), "data": psc | {"links": {"self": f"/{n}"}}}) + "\n"
            for n in range(rows)
        ),
    }
    for name, text in texts.items():
        path = folder / "file"
        path.write_text(text)
        measured(f"read {name}", rows, partial(_count, name.split()[0], path))


def _count(kind: str, path: Path) -> int:
    return sum(1 for _ in READERS[kind]([path], Feed(kind, RefusedRows(None))))


def _lei(number: int) -> str:
    body = f"{number:018d}"
    return f"{body}{98 - int(body + '00') % 97:02}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--parties", type=int, default=3_000_000)
    parser.add_argument("--stakes", type=int, default=4_000_000)
    parser.add_argument("--rows", type=int, default=100_000, help="of each file that is read")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        read(Path(folder), options.rows)
        record(FactStore(open_database(Path(folder) / "parties.sqlite")), options.parties, options.stakes)
        print(f"database {(Path(folder) / 'parties.sqlite').stat().st_size / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()

"""Recall and false alarms of `tiergate detect` on worlds whose truth is known, with seconds and peak memory.

    python -m benchmarks.detection.run demo --seeds 1 2 3
    python -m benchmarks.detection.run composed --shared-data ../shared/data --split report --seeds 11 12 13

`demo` detects on worlds of the bundled simulator; `composed` on worlds of 20,000 accounts and 400,000 exchanges made
from real prompts, load shapes, addresses and clients (`worlds.py` beside this lists which sources belong to which
split, README.md what was looked at). Each detection is a whole process of the command line, pinned to two
cores where the system allows it; seconds and memory are the operating system's. All worlds are simulated.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tiergate.simulation.spec import PRESETS
from tiergate.simulation.world import simulate, write_world


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", choices=["demo", "composed"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--split", choices=["tune", "report"], default="report")
    parser.add_argument("--shared-data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--keep", type=Path, help="folder to keep the worlds and cases in")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        results = [measure(options, seed, options.keep or Path(scratch)) for seed in options.seeds]
    print(json.dumps(results, indent=2))


def measure(options: argparse.Namespace, seed: int, folder: Path) -> dict[str, Any]:
    """Make one world, detect on it, and compare with its truth."""
    world = folder / f"{options.world}-{options.split}-{seed}"
    if not (world / "truth.parquet").exists():
        if options.world == "demo":
            from tiergate.simulation.prompts import GrammarPrompts

            write_world(simulate(PRESETS["demo"], seed, GrammarPrompts()), world)
        else:
            from benchmarks.detection.worlds import compose

            write_world(compose(options.shared_data, seed, split=options.split, accounts=20_000), world)
    cases = folder / f"{world.name}-cases"
    started = time.monotonic()
    command = [sys.executable, "-m", "tiergate", "detect", str(world), "--out", str(cases)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - started
    if status:
        raise SystemExit(f"`{' '.join(command)}` ended with {os.waitstatus_to_exitcode(status)}")
    result = compare(world, cases) | {
        "seed": seed,
        "wall_s": round(seconds, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_memory_mib": usage.ru_maxrss // 1024,
    }
    print(json.dumps(result), file=sys.stderr)
    return result


def compare(world: Path, cases: Path) -> dict[str, Any]:
    """Recall of campaign accounts and accounts of each other population in any case."""
    truth = pq.read_table(world / "truth.parquet").to_pylist()
    population = {row["account_id"]: row["population"] for row in truth}
    caught = set(pq.read_table(cases / "case_accounts.parquet")["account_id"].to_pylist())
    total, hit = Counter(population.values()), Counter(population[name] for name in caught)
    found = pq.read_table(cases / "cases.parquet")
    return {
        "world": world.name,
        "exchanges": pq.ParquetFile(world / "exchanges.parquet").metadata.num_rows,
        "accounts": len(truth),
        "recall": round(hit["campaign"] / max(total["campaign"], 1), 4),
        "false_accounts": {name: f"{hit[name]} of {total[name]}" for name in sorted(total) if name != "campaign"},
        "cases": found.num_rows,
        "q_values": found["q_value"].to_pylist(),
        "actions": found["recommended_action"].to_pylist(),
    }


if __name__ == "__main__":
    main()

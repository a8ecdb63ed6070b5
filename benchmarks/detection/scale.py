"""Seconds, memory, recall and false alarms of `tiergate detect` on large sketched logs.

    python -m benchmarks.detection.scale --accounts 1000000 --exchanges 16000000 --out /var/tmp/world --detect

Makes the world if it is not there yet (some minutes and 6 GB of disk for a million accounts), then runs the command
line as a child pinned to two cores. Seconds by step are of the child's own clock; memory is the proportional set
size of the child and its children together, sampled, so that pages shared between forked processes count once. All
worlds are simulated.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from benchmarks.detection.scale_world import write_scale_world

SAMPLED_EVERY_S = 0.5
CORES = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--exchanges", type=int, default=16_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="folder of the world; cases go beside it")
    parser.add_argument("--detect", action="store_true", help="detect on it as well")
    parser.add_argument("--decoys", type=int, help="decoy platforms, if not as many as the command chooses")
    options = parser.parse_args()
    world: Path = options.out
    if not (world / "truth.parquet").exists():
        started = time.monotonic()
        write_scale_world(world, accounts=options.accounts, exchanges=options.exchanges, seed=options.seed)
        print(f"made `{world}` in {time.monotonic() - started:.0f} s", file=sys.stderr)
    if options.detect:
        cases = world.with_name(world.name + "-cases")
        more = ["--decoys", str(options.decoys)] if options.decoys else []
        print(json.dumps(measure(world, cases, more), indent=2))


def measure(world: Path, cases: Path, more: list[str]) -> dict[str, Any]:
    """Detect on ``world`` into ``cases`` and compare with its truth."""
    cases.mkdir(parents=True, exist_ok=True)
    times = cases / "steps.jsonl"
    times.unlink(missing_ok=True)
    detect = ["detect", str(world), "--out", str(cases), *more]
    command = [sys.executable, "-m", "benchmarks.detection.scale_child", str(times), *detect]
    started = time.monotonic()
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, cores))
    peak = 0
    while True:
        done, status, usage = os.wait4(child.pid, os.WNOHANG)
        if done:
            break
        peak = max(peak, sum(map(_proportional_kib, _tree(child.pid))))
        time.sleep(SAMPLED_EVERY_S)
    if status:
        raise SystemExit(f"`{' '.join(command)}` ended with {os.waitstatus_to_exitcode(status)}")
    return {
        "world": world.name,
        "wall_s": round(time.monotonic() - started, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "load_average": round(os.getloadavg()[0], 1),
        "peak_memory_mib": max(peak, usage.ru_maxrss) // 1024,
        "steps": _steps(times),
        **compare(world, cases),
    }


def compare(world: Path, cases: Path) -> dict[str, Any]:
    """Recall of each campaign, and accounts of each other population in any case."""
    truth = pq.read_table(world / "truth.parquet")
    labels = [
        name if campaign is None else f"campaign {campaign}"
        for name, campaign in zip(truth["population"].to_pylist(), truth["campaign"].to_pylist(), strict=True)
    ]
    label = dict(zip(truth["account_id"].to_pylist(), labels, strict=True))
    caught = set(pq.read_table(cases / "case_accounts.parquet")["account_id"].to_pylist())
    total, hit = Counter(labels), Counter(label[name] for name in caught)
    found = pq.read_table(cases / "cases.parquet")
    return {
        "accounts": truth.num_rows,
        "recall": {name: round(hit[name] / total[name], 4) for name in sorted(total) if name.startswith("campaign")},
        "false_accounts": {name: f"{hit[name]} of {total[name]}" for name in sorted(total) if name.isalpha()},
        "cases": [[row["accounts"], row["recommended_action"], row["q_value"]] for row in found.to_pylist()],
    }


def _steps(times: Path) -> dict[str, dict[str, float]]:
    """Calls, seconds and highest memory by step, in order of first end."""
    steps: dict[str, dict[str, float]] = defaultdict(lambda: {"calls": 0, "wall_s": 0.0, "cpu_s": 0.0})
    for line in times.read_text().splitlines():
        call = json.loads(line)
        step = steps[call["step"]]
        step["calls"] += 1
        for name in ("wall_s", "cpu_s"):
            step[name] = round(step[name] + call[name], 2)
        step |= {name: call[name] for name in ("resident_mib", "peak_mib")}
    return dict(steps)


def _tree(process: int) -> list[int]:
    """A process and all that descend from it."""
    found = [process]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found += map(int, task.read_text().split())
            except OSError:
                continue
    return found


def _proportional_kib(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    main()

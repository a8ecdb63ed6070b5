"""What a campaign gets out, and whom else it costs, where detection and response run: worlds played again.

    python -m benchmarks.response --data ../shared/data --scenario june_rate --seed 120 --json result.json

Each world is one of `benchmarks.detection.worlds`, played by `tiergate.redteam.replay` with the policy that Tiergate
ships and no people. Looks are ``--every`` hours apart, and closer together for a day after each pool of the campaign
begins: elsewhere more of them would find little and take long. Prints a table; ``--json`` keeps all figures.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from benchmarks.detection.worlds import SCENARIOS, compose

from tiergate.redteam.recorded import Recorded
from tiergate.redteam.replay import Control, Outcome, Replay, Setting
from tiergate.response.ladder import load_policy
from tiergate.simulation.world import write_world

CLOSE_H: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 18.0)
"""Hours after a pool's first exchange at which is looked too."""


def pools(outcome: Outcome) -> list[float | None]:
    """Hours that each pool after the first lasted, None for one that was never stopped."""
    return [wave.stopped_after_h for wave in outcome.waves[1:]]


def measure(options: argparse.Namespace, scenario: str) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "world"
        composed = compose(
            options.data, options.seed, scenario=scenario, split=options.split, accounts=options.accounts
        )
        write_world(composed, folder)
        world = Recorded.read(folder)
    setting = Setting(every_h=options.every, close_h=CLOSE_H, decoys=options.decoys, seed=options.seed)
    rows = []
    for name in options.control:
        began = time.monotonic()

        def told(step: str, share: float) -> None:
            sys.stderr.write(f"\r{scenario}: {step} ({share:.0%})   ")

        outcome = Replay(world, setting, load_policy(), Control(name), told).run()
        refused = sum(outcome.refused.values())
        rows.append(
            {
                "scenario": scenario,
                "control": name,
                "out": outcome.answered / outcome.planned if outcome.planned else None,
                "others_refused": refused / outcome.asked,
                "refused_by_reason": dict(outcome.refused),
                "touched": outcome.touched,
                "case_h": outcome.case_h,
                "step_h": outcome.step_h,
                "pools_h": pools(outcome),
                "usd_each": None if outcome.bill is None or not outcome.answered else outcome.bill.per_exchange,
                "looks": outcome.looks,
                "exchanges": len(world.times),
                "seconds": round(time.monotonic() - began, 1),
            }
        )
    sys.stderr.write("\n")
    return rows


def shown(row: dict[str, Any]) -> str:
    lasted = [one for one in row["pools_h"] if one is not None]
    longest = f"{np.median(lasted):.1f} / {max(lasted):.1f}" if lasted else ""
    out = "" if row["out"] is None else f"{row['out']:.2%}"
    hours = "" if row["step_h"] is None else f"{row['step_h']:.1f}"
    return (
        f"| {row['scenario']} | {row['control']} | {out} | {row['others_refused']:.1e} | {row['touched']} | {hours} "
        f"| {len(row['pools_h'])}, {len(row['pools_h']) - len(lasted)} | {longest} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scenario", nargs="+", default=list(SCENARIOS), choices=list(SCENARIOS))
    parser.add_argument("--control", nargs="+", default=["none", "response"], choices=list(Control))
    parser.add_argument("--split", default="report", choices=["tune", "report"])
    parser.add_argument("--seed", type=int, default=120)
    parser.add_argument("--accounts", type=int, default=6_000)
    parser.add_argument("--every", type=float, default=24.0)
    parser.add_argument("--decoys", type=int)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    rows: list[dict[str, Any]] = []
    print("| world | control | got out | others refused | touched | step after, h | fresh pools, not stopped | h |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for scenario in options.scenario:
        for row in measure(options, scenario):
            rows.append(row)
            print(shown(row), flush=True)
        if options.json:
            settings = {name: str(value) for name, value in vars(options).items()}
            options.json.write_text(json.dumps({"options": settings, "load": load, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()

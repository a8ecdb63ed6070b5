"""What a campaign gets out, and whom else it costs, where detection and response run: worlds played again.

    nice -n 10 python -m benchmarks.response --data ../shared/data --out ../response --seed 122

Each world (`benchmarks.response_worlds`) is played by `tiergate.redteam.replay` under each variant, with the policy
that Tiergate ships. Looks are ``--every`` hours apart, and closer after each planned pool of the campaign begins. What
was measured is a file in ``--out``, and so is each look's answer: stop it at any time, give the same command again, and
it goes on with the look that was running. ``--table`` prints what is there. Do not change the code during a run.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, Final

import numpy as np
from benchmarks.detection.worlds import RealSurroundings
from benchmarks.response_worlds import WORLDS, make_world

from tiergate.redteam.outcome import Control, Outcome
from tiergate.redteam.recorded import Recorded
from tiergate.redteam.replay import Replay, Setting
from tiergate.redteam.successors import Means
from tiergate.response.ladder import load_policy
from tiergate.simulation.world import write_world

VARIANTS: Final[dict[str, tuple[Control, Means]]] = {
    **{control.value: (control, Means()) for control in Control},
    # The campaign passes every check that an account is asked for, and pays for it.
    "verifies": (Control.RESPONSE, Means(verifies=True)),
    "verifies_people": (Control.PEOPLE, Means(verifies=True)),
    # It has as many accounts again, which work an hour after the first stop.
    "reserve": (Control.RESPONSE, Means(reserve=1.0, after_h=1.0)),
    # It can have any number at any time.
    "unlimited": (Control.RESPONSE, Means(fresh_a_day=inf, after_h=1.0)),
}
HEAD: Final = (
    "| world | accounts, exchanges (share of the preset) | variant | got out | others refused | touched | first step "
    "| second pool | fresh (not stopped), median | USD each |\n"
    "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)


def measured(options: argparse.Namespace, name: str) -> list[dict[str, Any]]:
    """Rows of one world; what is lacking is played first."""
    folder = options.out / f"{name}-{options.split}-{options.seed}-{options.accounts}"
    files = {variant: folder / f"{variant}-{options.every:g}h-{options.decoys}.json" for variant in options.variant}
    lacking = [variant for variant, file in files.items() if not file.exists()]
    if lacking and not options.table:
        world, facts = _made(options, name, folder / "world")
        for variant in lacking:
            row = {"world": name, "variant": variant, **facts} | _played(options, world, variant, folder / "answers")
            files[variant].write_text(json.dumps(row, indent=2))
            print(shown(row), flush=True)
    return [json.loads(file.read_text()) for file in files.values() if file.exists()]


def _made(options: argparse.Namespace, name: str, folder: Path) -> tuple[Recorded, dict[str, Any]]:
    facts = folder.with_suffix(".json")
    if not facts.exists():
        world, shares = make_world(options.data, name, options.seed, options.split, options.accounts)
        write_world(world, folder)
        told = {"accounts": world.accounts.num_rows, "exchanges": world.exchanges.num_rows, "shares": shares}
        facts.write_text(json.dumps(told))
    return replace(Recorded.read(folder), surroundings=RealSurroundings(options.data)), json.loads(facts.read_text())


def _played(options: argparse.Namespace, world: Recorded, variant: str, answers: Path) -> dict[str, Any]:
    control, means = VARIANTS[variant]
    setting = Setting(every_h=options.every, decoys=options.decoys, seed=options.seed, means=means)
    began = time.monotonic()

    def told(step: str, share: float) -> None:
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {answers.parent.name} {variant}: {step} ({share:.0%})\n")

    return figures(Replay(world, setting, load_policy(), control, told, answers).run()) | {
        "seconds": round(time.monotonic() - began, 1),
        "load": os.getloadavg()[0],
    }


def figures(outcome: Outcome) -> dict[str, Any]:
    lasted = [one.lasted_h for one in outcome.fresh if one.lasted_h is not None]
    return {
        "out": outcome.out,
        "planned": outcome.planned,
        "others_refused": outcome.refused.total() / outcome.asked,
        "refused_by_reason": dict(outcome.refused),
        "touched": outcome.touched,
        "case_h": outcome.case_h,
        "step_h": outcome.step_h,
        "pools_h": [wave.stopped_after_h for wave in outcome.waves],
        "fresh": len(outcome.fresh),
        "fresh_not_stopped": len(outcome.fresh) - len(lasted),
        "fresh_h": float(np.median(lasted)) if lasted else None,
        "step_ups": outcome.step_ups,
        "usd_each": None if outcome.bill is None or not outcome.answered else outcome.bill.per_exchange,
        "looks": dict(outcome.looks),
    }


def shown(row: dict[str, Any]) -> str:
    hours = {
        name: "" if value is None else f"{value:.1f} h"
        for name, value in (("step", row["step_h"]), ("fresh", row["fresh_h"]), ("second", (*row["pools_h"], None)[1]))
    }
    second = (hours["second"] or "not stopped") if len(row["pools_h"]) > 1 else ""
    shares = row["shares"]
    scale = f"{row['accounts']:,} ({shares['accounts']:.3g}), {row['exchanges']:,} ({shares['exchanges']:.2g})"
    out = "" if row["out"] is None else f"{row['out']:.2%}"
    each = "" if row["usd_each"] is None else f"{row['usd_each']:.4f}"
    fresh = f"{row['fresh']} ({row['fresh_not_stopped']}) {hours['fresh']}".strip() if row["fresh"] else ""
    return (
        f"| {row['world']} | {scale} | {row['variant']} | {out} | {row['others_refused']:.1e} | {row['touched']} "
        f"| {hours['step']} | {second} | {fresh} | {each} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--world", nargs="+", default=list(WORLDS), choices=WORLDS)
    parser.add_argument("--variant", nargs="+", default=[one.value for one in Control], choices=list(VARIANTS))
    parser.add_argument("--split", default="report", choices=["tune", "report"])
    parser.add_argument("--seed", type=int, default=122)
    parser.add_argument("--accounts", type=int, default=7_000)
    parser.add_argument("--every", type=float, default=12.0)
    parser.add_argument("--decoys", type=int, default=6)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if (options.seed < 100) != (options.split == "tune"):
        parser.error("seeds below 100 are for tuning, those above 100 for the report")
    rows = [row for name in options.world for row in measured(options, name)]
    print(HEAD)
    print("\n".join(shown(row) for row in rows))


if __name__ == "__main__":
    main()

"""How far forecasts of when a gap closes were off, over rolling origins and over real vintages of Epoch's index.

    python -m benchmarks.backtest [--data ../shared/data] [--months 1] [--out backtest.json]

Prints the tables of benchmarks/README.md and one JSON line with the settings, the time it took and every record.
Without the data collection it reads the frontier rows that are shipped, which give the same records, and leaves out the
vintages.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

from tiergate.catalog.scores import read_vintage, shipped
from tiergate.economics.backtest import Record, Tuning, backtest, over_vintages

OLDER = ("2026-02", "2026-03", "2026-04")
NEWEST = "2026-08-11"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments.add_argument("--months", type=int, default=1, help="months from one origin to the next")
    arguments.add_argument("--out", type=Path, help="also write the JSON line there")
    given = arguments.parse_args()
    begun = time.perf_counter()
    folder = given.data / "market" / "eci"
    newest = read_vintage(folder / f"{NEWEST}_scores.csv") if folder.is_dir() else shipped()
    found = backtest(newest, step=given.months)
    if folder.is_dir():
        found += over_vintages([read_vintage(folder / f"{name}_scores.csv") for name in OLDER], newest)
    took = time.perf_counter() - begun
    for protocol in dict.fromkeys(one.protocol for one in found):
        show([one for one in found if one.protocol == protocol])
    hindsight = Tuning(newest).known(None)
    result = {
        "months": given.months,
        "vintage": newest.name,
        "took_s": round(took, 2),
        "pace_with_hindsight": hindsight and asdict(hindsight.pace),
        "records": [asdict(one) for one in found],
    }
    line = json.dumps(result)
    print(line)
    if given.out is not None:
        given.out.write_text(line + "\n", encoding="utf-8")


def show(found: list[Record]) -> None:
    print(f"{found[0].protocol}\n")
    print("| who behind whom | method | answered | plain off | median off | with open | bias | CRPS | share in 80% |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for one in found:
        figures = (one.mae_plain, one.mae, one.mae_open, one.bias, one.crps, one.coverage)
        cells = " | ".join("unknown" if value is None else f"{value:.2f}" for value in figures)
        print(f"| {one.follower} behind {one.leader} | {one.method} | {one.resolved} of {one.origins} | {cells} |")
    print()


if __name__ == "__main__":
    main()

"""Tiergate and published detectors on worlds whose truth is known: what each finds, whom it wrongs, what it costs.

    python -m benchmarks.detection.run --split report --out results

measures every scenario of `worlds.py` under three seeds, and writes table.md, results.json and plots into the folder.
Every measurement is a process of its own and, when done, a file of its own: stop with Ctrl-C, run the same command
again, and it goes on where it was. Measurements of older code are kept as they are; the table says so. For figures
of one state of the code, give a new folder. All worlds are simulated; benchmarks/README.md says what is measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final, get_args

from benchmarks.detection.children import ROOT, ChildError, call
from benchmarks.detection.measuring import Settings, WorldBench
from benchmarks.detection.peers import PEERS
from benchmarks.detection.results import Results, save
from benchmarks.detection.worlds import ACCOUNTS, SCENARIOS, Split

from tiergate.cli.terminal import Advance, note, progress
from tiergate.errors import InputError, TiergateError

SEEDS: Final = {"tune": range(1, 100), "report": range(101, 1 << 31)}


def main() -> None:
    try:
        settings, benches, keep = _told(sys.argv[1:])
        failed = run(settings, benches, keep_worlds=keep)
    except TiergateError as error:
        note(str(error))
        raise SystemExit(error.exit_code) from error
    except KeyboardInterrupt:
        note("stopped; what is finished is kept, and the same command goes on from there")
        raise SystemExit(130) from None
    raise SystemExit(1 if failed else 0)


def run(settings: Settings, benches: Sequence[WorldBench], *, keep_worlds: bool) -> int:
    """Measure what is not measured yet, and write the tables after each world. Returns how many measurements failed."""
    steps = [(bench, list(bench.steps())) for bench in benches]
    total, done, failed = sum(len(some) for _, some in steps), 0, 0
    with progress("measuring") as advance:
        for bench, some in steps:
            before = bench.result()
            for name, measure in some:
                words, share = f"{bench.scenario} {bench.seed}: {name}", done / total
                advance(words, share)
                try:
                    measure(partial(_advanced, advance, words, share))
                except ChildError as error:
                    failed += 1
                    note(f"{bench.name}: {error}")
                done += 1
            if not keep_worlds:
                bench.clear()
            if bench.result() != before:
                _report(settings, benches)
        _report(settings, benches)
        advance("done", 1.0)
    note(f"wrote `{settings.out / 'table.md'}`" + (f"; {failed} measurements failed" if failed else ""))
    return failed


def _advanced(advance: Advance, words: str, share: float, more: str) -> None:
    advance(f"{words}, {more}", share)


def _report(settings: Settings, benches: Sequence[WorldBench]) -> None:
    worlds = [one for one in (bench.result() for bench in benches) if one is not None]
    results = Results(split=settings.split, accounts=settings.accounts, decoys=settings.decoys, worlds=worlds)
    save(settings.out / "results.json", results)
    call("report:write_report", list[str], settings.out / "scratch", out=settings.out)


def _told(arguments: Sequence[str]) -> tuple[Settings, list[WorldBench], bool]:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.detection.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--split", choices=get_args(Split), default="report", help="which prompt sources and seeds")
    parser.add_argument("--seeds", type=int, nargs="+", help="1 2 3 for tune, 101 102 103 for report unless given")
    parser.add_argument("--scenarios", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS), metavar="NAME")
    parser.add_argument(
        "--peers", nargs="*", choices=list(PEERS), default=list(PEERS), metavar="NAME", help="none after it: Tiergate"
    )
    parser.add_argument("--accounts", type=int, default=ACCOUNTS, help="accounts of each world")
    parser.add_argument("--decoys", type=int, help="of each detection; fewer are faster, and less sure")
    parser.add_argument("--shared-data", type=Path, default=ROOT.parent / "shared" / "data", metavar="DIR")
    parser.add_argument("--keep-worlds", action="store_true", help="keep each world's files after it is measured")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    told = parser.parse_args(arguments)
    if not told.shared_data.is_dir():
        raise InputError(f"`{told.shared_data}` is not there: give the data collection's folder with --shared-data")
    allowed = SEEDS[told.split]
    seeds = told.seeds or list(allowed[:3])
    for seed in seeds:
        if seed not in allowed:
            raise InputError(f"`{seed}` is no seed of the split {told.split}: tune has 1 to 99, report 101 and up")
    settings = Settings(told.out.resolve(), told.shared_data.resolve(), told.split, told.accounts, told.decoys)
    peers = list(told.peers)
    benches = [WorldBench(settings, scenario, seed, peers) for seed in seeds for scenario in told.scenarios]
    return settings, benches, told.keep_worlds


if __name__ == "__main__":
    main()

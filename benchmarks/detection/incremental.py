"""What a state saves: seconds of processor time by step for a whole log, for one day more, and for nothing new.

    python -m benchmarks.detection.incremental WORLD [--decoys N]

WORLD is a folder that `tiergate simulate` wrote. The last day of its exchanges arrives last. Each run is a process of
its own; the answer of the state is compared with that of the whole log, table by table.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tiergate.cli.inputs import Inputs, find_inputs
from tiergate.clock import DAY
from tiergate.detection.run import DetectionInputs, Parameters, run_detection
from tiergate.detection.state import State
from tiergate.records.refused import RefusedRows

KEY = bytes(range(32))


class Laps:
    """A progress callback that adds up the processor seconds between the steps it is told of."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._step, self._since = "start", cpu_seconds()

    def __call__(self, step: str, _: float) -> None:
        now = cpu_seconds()
        self.seconds[self._step] = self.seconds.get(self._step, 0.0) + now - self._since
        self._step, self._since = step.split(",")[0], now


def cpu_seconds() -> float:
    """Of this process and of the finished ones that it started: the decoys'."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def whole(files: list[Path], world: Path, out: Path, decoys: int | None) -> dict[str, float]:
    """A run without a state."""
    inputs, refused, laps = _inputs(files, world), RefusedRows(None), Laps()
    run_detection(
        DetectionInputs(
            lambda: inputs.batches(refused), inputs.account_table(refused), inputs.release_table(refused), refused, []
        ),
        out,
        parameters=Parameters(decoys=decoys),
        sketch_key=KEY,
        progress=laps,
    )
    return laps.seconds


def remembered(files: list[Path], world: Path, out: Path, folder: Path, decoys: int | None) -> dict[str, float]:
    """A run with the state ``folder``."""
    inputs, refused, laps = _inputs(files, world), RefusedRows(None), Laps()
    accounts, releases = inputs.account_table(refused), inputs.release_table(refused)
    with State.open(folder, KEY) as state:
        state.take_up(inputs.parts()[0], refused, lambda _, share: laps("reading new files", share))
        laps("asking whether anything changed", 0.0)
        question = state.question(str(decoys), accounts, releases)
        if state.repeat_answer(question, out):
            laps("done", 1.0)
            return laps.seconds
        summary = run_detection(
            DetectionInputs(state.batches, accounts, releases, refused, []),
            out,
            parameters=Parameters(decoys=decoys),
            sketch_key=KEY,
            progress=laps,
            history=state.history,
        )
        laps("keeping the answer", 0.0)
        state.keep_answer(question, summary.history, summary.files)
        laps("done", 1.0)
    return laps.seconds


def _inputs(files: list[Path], world: Path) -> Inputs:
    inputs = find_inputs([world])
    inputs.exchanges = files
    return inputs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", type=Path)
    parser.add_argument("--decoys", type=int)
    arguments = parser.parse_args()
    exchanges = pq.read_table(find_inputs([arguments.world]).exchanges)
    time_us = exchanges["started_at"].cast(pa.int64())
    last = pc.greater(time_us, pc.max(time_us).as_py() - DAY)
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as name,
        ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool,
    ):
        folder = Path(name)
        before, day = folder / "before.parquet", folder / "day.parquet"
        pq.write_table(exchanges.filter(pc.invert(last)), before)
        pq.write_table(exchanges.filter(last), day)
        print(f"{len(exchanges):,} exchanges, {pc.sum(last).as_py():,} of them on the last day")
        del exchanges, time_us
        world, decoys, out, kept = arguments.world, arguments.decoys, folder / "out", folder / "state"
        columns = {"whole log": pool.submit(whole, [before, day], world, folder / "full", decoys).result()}
        columns["first look"] = pool.submit(remembered, [before], world, out, kept, decoys).result()
        columns["one day more"] = pool.submit(remembered, [before, day], world, out, kept, decoys).result()
        columns["nothing new"] = pool.submit(remembered, [before, day], world, folder / "again", kept, decoys).result()
        for path in sorted((folder / "full").glob("*.parquet")):
            one, other = pq.read_table(path), pq.read_table(out / path.name)
            history = ["lineage_id", "first_opened_at", "looks", "e_value"] if path.name == "cases.parquet" else []
            same = one.drop_columns(history).equals(other.drop_columns(history))
            print(f"{path.name}: {len(one):,} rows, {'the same' if same else 'DIFFERENT'}")
        print(f"state: {sum(file.stat().st_size for file in kept.rglob('*') if file.is_file()) / 1e6:.1f} MB")
    steps = list(dict.fromkeys(step for laps in columns.values() for step in laps))
    print("\n" + " | ".join(["CPU seconds".ljust(32), *(name.rjust(13) for name in columns)]))
    for step in steps:
        print(" | ".join([step.ljust(32), *(f"{laps.get(step, 0.0):13.2f}" for laps in columns.values())]))
    print(" | ".join(["total".ljust(32), *(f"{sum(laps.values()):13.2f}" for laps in columns.values())]))


if __name__ == "__main__":
    main()

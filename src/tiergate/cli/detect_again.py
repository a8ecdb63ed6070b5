"""`tiergate detect --state`: what was read and found is remembered, and a case keeps its history."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import pyarrow as pa

import tiergate
from tiergate.cli.inputs import Inputs
from tiergate.cli.terminal import counted, note, progress
from tiergate.detection.run import DetectionInputs, Parameters, run_detection
from tiergate.detection.state import State
from tiergate.records.refused import RefusedRows


def detect_again(
    out: Path, inputs: Inputs, refused: RefusedRows, folder: Path, *, sketch_key: bytes | None, parameters: Parameters
) -> None:
    """Run one detection over everything that the state ``folder`` holds and the files of ``inputs`` that are new to it.

    When nothing has changed since the last look, its answer is written into ``out`` as it was. Other parameters, or
    another version, give an answer of their own to the same data, which is no look: of many seeds one could choose the
    best. ``refused`` counts the
    refusals of all calls, and its side file keeps the rows that this one refused.
    """
    with State.open(folder, sketch_key) as state, progress("detecting") as advance:
        parts, unsealed = inputs.parts()
        read = state.take_up(parts, refused, advance)
        accounts, releases = inputs.account_table(refused), inputs.release_table(refused)
        data = state.question(accounts, releases, *unsealed)
        question = state.question(data, json.dumps([tiergate.__version__, asdict(parameters)]))
        if state.repeat_answer(question, out):
            advance("done", 1.0)
            note("nothing has changed since the last look: the cases are as they were")
            return
        again = state.looked_at(data)
        summary = run_detection(
            DetectionInputs(
                exchanges=lambda: chain(state.batches(), unsealed),
                accounts=accounts,
                model_releases=releases,
                refused=refused,
                files=inputs.files,
                repeated=state.repeated,
                earlier=state.files,
            ),
            out,
            parameters=parameters,
            sketch_key=sketch_key,
            progress=advance,
            history=state.history,
            again=again,
        )
        if again:
            note(f"the data is that of look {summary.history.count}, so this is no new look: e-values are as they were")
            return
        state.keep_answer(question, summary.history, summary.files, data=data)
        note(f"read {counted(read, 'new file')}; this was look {summary.history.count}")


def all_exchanges(
    folder: Path, inputs: Inputs, *, sketch_key: bytes | None, columns: list[str]
) -> Iterator[pa.RecordBatch]:
    """What a detection with the state ``folder`` looks at: all that it holds, and what gateways have not yet sealed."""
    with State.open(folder, sketch_key) as state:
        yield from state.batches(columns)
        yield from (batch.select(columns) for batch in inputs.parts()[1])

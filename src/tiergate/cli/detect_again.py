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

    When nothing has changed since the last look, its answer is written into ``out`` as it was. ``refused`` counts the
    refusals of all calls, and its side file keeps the rows that this one refused.
    """
    with State.open(folder, sketch_key) as state, progress("detecting") as advance:
        parts, unsealed = inputs.parts()
        read = state.take_up(parts, refused, advance)
        accounts, releases = inputs.account_table(refused), inputs.release_table(refused)
        asked = json.dumps([tiergate.__version__, asdict(parameters)])
        question = state.question(asked, accounts, releases, *unsealed)
        if state.repeat_answer(question, out):
            advance("done", 1.0)
            note("nothing has changed since the last look: the cases are as they were")
            return
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
        )
        state.keep_answer(question, summary.history, summary.files)
        note(f"read {counted(read, 'new file')}; this was look {summary.history.count}")


def all_exchanges(
    folder: Path, inputs: Inputs, *, sketch_key: bytes | None, columns: list[str]
) -> Iterator[pa.RecordBatch]:
    """What a detection with the state ``folder`` looks at: all that it holds, and what gateways have not yet sealed."""
    with State.open(folder, sketch_key) as state:
        yield from state.batches(columns)
        yield from (batch.select(columns) for batch in inputs.parts()[1])

"""`tiergate detect --state`: what was read and found is remembered, and a case keeps its history."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from tiergate.cli.inputs import Inputs
from tiergate.cli.terminal import counted, note, progress
from tiergate.detection.again import Kind, look_again
from tiergate.detection.run import Parameters
from tiergate.detection.state import State
from tiergate.records.refused import RefusedRows


def detect_again(
    out: Path, inputs: Inputs, refused: RefusedRows, folder: Path, *, sketch_key: bytes | None, parameters: Parameters
) -> None:
    """Run one detection over everything that the state ``folder`` holds and the files of ``inputs`` that are new to it.

    ``refused`` counts the refusals of all calls, and its side file keeps the rows that this one refused.
    """
    with State.open(folder, sketch_key) as state, progress("detecting") as advance:
        parts, unsealed = inputs.parts()
        kind, read = look_again(
            out,
            state,
            parts=parts,
            unsealed=unsealed,
            accounts=inputs.account_table(refused),
            releases=inputs.release_table(refused),
            refused=refused,
            files=inputs.files,
            sketch_key=sketch_key,
            parameters=parameters,
            progress=advance,
        )
        look = state.history.count
        if kind is Kind.SAME:
            note("nothing has changed since the last look: the cases are as they were")
        elif kind is Kind.AGAIN:
            note(f"the data is that of look {look}, so this is no new look: e-values are as they were")
        else:
            note(f"read {counted(read, 'new file')}; this was look {look}")


def all_exchanges(
    folder: Path, inputs: Inputs, *, sketch_key: bytes | None, columns: list[str]
) -> Iterator[pa.RecordBatch]:
    """What a detection with the state ``folder`` looks at: all that it holds, and what gateways have not yet sealed."""
    with State.open(folder, sketch_key) as state:
        yield from state.batches(columns)
        yield from (batch.select(columns) for batch in inputs.parts()[1])

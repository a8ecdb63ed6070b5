"""Detection once more, over all that a state holds and what is new to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from itertools import chain
from pathlib import Path

import pyarrow as pa

import tiergate
from tiergate.detection.frozen import keep_read
from tiergate.detection.run import DetectionInputs, Parameters, Progress, run_detection
from tiergate.detection.state import Part, State
from tiergate.records.refused import RefusedRows


class Kind(StrEnum):
    """What came of it: a new look; the data of the last one asked in another way, which is no look; or the last answer
    once more, as nothing has changed."""

    NEW = "new"
    AGAIN = "again"
    SAME = "same"


def look_again(
    out: Path,
    state: State,
    *,
    parts: Sequence[Part],
    unsealed: Sequence[pa.RecordBatch],
    accounts: pa.Table | None,
    releases: pa.Table | None,
    refused: RefusedRows,
    files: list[Path],
    sketch_key: bytes | None,
    parameters: Parameters,
    progress: Progress,
    keep: bool = False,
) -> tuple[Kind, int]:
    """Write the answer to everything that ``state`` holds, ``parts`` that are new to it and ``unsealed`` into ``out``.

    When nothing has changed since the last look, that is its answer as it was. Other parameters, or another version,
    give an answer of their own to the same data, which is no look: of many seeds one could choose the best.
    Returns what it was, and how many parts were new. ``refused`` counts the refusals of all calls.

    :param keep: whether what was read is kept with the answer (`frozen`), so that it can be asked for again later.
    """
    read = state.take_up(parts, refused, progress)
    data = state.question(accounts, releases, *unsealed)
    question = state.question(data, json.dumps([tiergate.__version__, asdict(parameters)]))
    if state.repeat_answer(question, out):
        progress("done", 1.0)
        return Kind.SAME, read
    again = state.looked_at(data)
    kept: list[Path] = []
    if keep:
        kept = keep_read(out, state, unsealed=unsealed, accounts=accounts, parameters=parameters, again=again)
    summary = run_detection(
        DetectionInputs(
            exchanges=lambda: chain(state.batches(), unsealed),
            accounts=accounts,
            model_releases=releases,
            refused=refused,
            files=files,
            repeated=state.repeated,
            earlier=state.files,
        ),
        out,
        parameters=parameters,
        sketch_key=sketch_key,
        progress=progress,
        history=state.history,
        again=again,
    )
    if again:
        return Kind.AGAIN, read
    state.keep_answer(question, summary.history, [*summary.files, *kept], data=data)
    return Kind.NEW, read

"""What is asked is sketched while its answer is awaited, and recorded with those sketches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tiergate.gateway.recorder import Recorder
from tiergate.ledger.log import ExchangeLog, read_log
from tiergate.ledger.row_sketches import RowSketcher
from tiergate.ledger.sketches import Sketcher
from tiergate.records.schema import SKETCH_SCHEMA, Exchange

SKETCHER = Sketcher(b"k" * 32)


def exchange(number: int) -> Exchange:
    return Exchange(
        exchange_id=f"ex_{number}", started_at=number, account_id="a", provider="p", operation="chat",
        request_model="m", status=200, system_text="Answer briefly.", prompt_text=f"Tell me of tin and metal {number}",
    )  # fmt: skip


@pytest.fixture
def sketched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows were sketched at each time."""
    counts: list[int] = []
    sketch = RowSketcher.sketch

    def counted(self: RowSketcher, rows: Any) -> Any:
        counts.append(len(rows))
        return sketch(self, rows)

    monkeypatch.setattr(RowSketcher, "sketch", counted)
    return counts


def recorded(folder: Path, steps: Callable[[Recorder], Coroutine[Any, Any, None]]) -> pa.Table:
    async def run() -> None:
        log = ExchangeLog.open(folder, sketcher=SKETCHER)
        recorder = Recorder(log, asyncio.get_running_loop(), seal_every_s=1_000, durable=False)
        await steps(recorder)
        await recorder.close()

    asyncio.run(run())
    return pa.Table.from_batches(read_log(folder)).sort_by("started_at")


def test_a_lone_exchange_is_sketched_before_its_answer_comes(tmp_path: Path, sketched: list[int]) -> None:
    async def steps(recorder: Recorder) -> None:
        recorder.awaits(exchange(1))
        await asyncio.sleep(0)
        assert sketched == [1]
        await recorder.record(exchange(1))
        recorder.ended("ex_1")

    recorded(tmp_path, steps)
    assert sketched == [1]


def test_those_that_wait_together_are_sketched_together_and_alike(tmp_path: Path, sketched: list[int]) -> None:
    asked = [exchange(number) for number in range(7)]

    async def steps(recorder: Recorder) -> None:
        for one in asked[:6]:
            recorder.awaits(one)
        await asyncio.sleep(0)
        recorder.ended("ex_5")  # its caller hung up
        await recorder.begin(asked[0])
        await asyncio.gather(*(recorder.record(one) for one in (*asked[:5], asked[6])))
        for one in asked:
            recorder.ended(one.exchange_id)

    rows = recorded(tmp_path, steps)
    assert sketched == [5, 1]
    texts = pa.table(
        {name: [getattr(one, name) for one in (*asked[:5], asked[6])] for name in ("system_text", "prompt_text")}
    )
    assert rows.select(SKETCH_SCHEMA.names).to_pylist() == SKETCHER.sketch(texts).to_pylist()


def test_nothing_stays_of_answers_that_never_came(tmp_path: Path, sketched: list[int]) -> None:
    async def steps(recorder: Recorder) -> None:
        recorder.awaits(exchange(1))
        await asyncio.sleep(0)
        recorder.ended("ex_1")
        await recorder.record(exchange(1))

    assert recorded(tmp_path, steps).num_rows == 1
    assert sketched == [1, 1]

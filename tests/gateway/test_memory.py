"""The gateway's memory does not grow with the requests that it served, however they ended."""

from __future__ import annotations

from pathlib import Path

import uvloop
from benchmarks.gateway_memory import measured

ROUND = 3_000
MOST_MB = 4.0
"""1.3 kB a request: a request that is kept takes more."""


def test_requests_that_ended_in_every_way_leave_nothing_behind(tmp_path: Path) -> None:
    rounds = [range(number * ROUND, (number + 1) * ROUND) for number in range(2)]
    # Sealing takes memory that is kept for the next time; the benchmark has it.
    memory, ended = uvloop.run(measured(tmp_path, rounds, 50, seal_every_s="3600"))
    assert set(ended) == {
        "whole: answered", "stream: answered", "left", "wrong key: refused", "wrong body: refused", "broken: refused"
    }  # fmt: skip
    assert memory[1] - memory[0] < MOST_MB, memory

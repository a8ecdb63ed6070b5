"""`tiergate detect` with a stopwatch on its steps: what `scale.py` runs as a child.

    python -m benchmarks.detection.scale_child TIMES.jsonl detect WORLD --out DIR

Writes one JSON object a step into TIMES.jsonl as the step ends: its name, seconds of wall time and of processor time,
resident memory now and at its highest so far (MiB).
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import tiergate.cli
import tiergate.cli.inputs
from tiergate.detection import run
from tiergate.detection.exchanges import ExchangeMixture
from tiergate.detection.holdings import Holdings
from tiergate.detection.workload import WorkloadTest

STEPS: Final = (
    *("take_in", "gather", "join", "WorkloadTest", "link", "find", "decoy_clusters", "calibrate", "ExchangeMixture"),
    *("tie", "tables", "exchange_table", "_link_table", "_fingerprint"),
)
METHODS: Final = (
    (Holdings, "of"),
    (ExchangeMixture, "membership"),
    (WorkloadTest, "permuted"),
    (tiergate.cli.inputs.Inputs, "account_table"),
)


class Stopwatch:
    """Writes how long each call of a wrapped function took."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function, updated=())
        def timed(*arguments: Any, **named: Any) -> Any:
            begun = time.monotonic(), time.process_time()
            made = function(*arguments, **named)
            if isinstance(made, Iterator):
                made = list(made)
            self._write(name, *begun)
            return made

        return timed

    def _write(self, name: str, wall: float, processor: float) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        line = {
            "step": name,
            "wall_s": round(time.monotonic() - wall, 2),
            "cpu_s": round(time.process_time() - processor, 2),
            "resident_mib": pages * os.sysconf("SC_PAGE_SIZE") >> 20,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def main() -> None:
    watch = Stopwatch(Path(sys.argv[1]))
    for name in STEPS:
        # Steps come and go as the detector changes; those that are there are timed.
        if hasattr(run, name):
            setattr(run, name, watch.wrap(name, getattr(run, name)))
    for owner, name in METHODS:
        function = getattr(owner, name)
        timed = watch.wrap(f"{owner.__name__}.{name}", function)
        setattr(owner, name, staticmethod(timed) if inspect.ismethod(function) else timed)
    sys.argv[1:] = sys.argv[2:]
    tiergate.cli.main()


if __name__ == "__main__":
    main()

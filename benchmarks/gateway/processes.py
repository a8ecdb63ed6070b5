"""Processes that are measured: each on one core, its processor time and memory as the operating system counts them."""

from __future__ import annotations

import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

START_S: Final = 120.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Running:
    """A process with its descendants."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self._process, self._output = process, output

    def said(self, pattern: str) -> str:
        """What the process printed that fits ``pattern``, waiting for it. Raises `RuntimeError` when it ends first."""
        give_up = time.monotonic() + START_S
        while not (found := re.search(pattern, self._output.read_text(errors="replace"))):
            self._still_starts(give_up)
        return found[0]

    def wait_for(self, url: str) -> None:
        """Wait for any answer from ``url``. Raises `RuntimeError` when the process ends first."""
        give_up = time.monotonic() + START_S
        while True:
            try:
                urllib.request.urlopen(url, timeout=5).close()
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                self._still_starts(give_up)

    def _still_starts(self, give_up: float) -> None:
        if self._process.poll() is not None or time.monotonic() > give_up:
            said = self._output.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{self._process.args!r} did not start: {said}")
        time.sleep(0.05)

    def cpu_s(self) -> float:
        """Seconds of processor time so far, in user and in system mode."""
        total = 0
        for pid in self._pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / _TICKS

    def memory_mb(self) -> float:
        """Resident memory now."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self._pids())
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def _pids(self) -> list[int]:
        pids, new = [], [self._process.pid]
        while new:
            pids += new
            tasks = [task for pid in new for task in Path(f"/proc/{pid}/task").iterdir()]
            new = [int(child) for task in tasks for child in (task / "children").read_text().split()]
        return pids


class Together:
    """Processes that make up one door, by name."""

    def __init__(self, **parts: Running) -> None:
        self.parts = parts

    def cpu_s(self) -> float:
        """Seconds of processor time of all."""
        return sum(part.cpu_s() for part in self.parts.values())

    def memory_mb(self) -> float:
        """Resident memory of all, now."""
        return sum(part.memory_mb() for part in self.parts.values())


@contextmanager
def running(
    command: list[str], output: Path, core: int, environment: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """A process on one core, ended with the block."""
    before = os.sched_getaffinity(0)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TIERGATE_")}
    os.sched_setaffinity(0, {core})
    try:
        with output.open("wb") as file:
            process = subprocess.Popen(command, stdout=file, stderr=file, env=clean | dict(environment or {}))
    finally:
        os.sched_setaffinity(0, before)
    try:
        yield Running(process, output)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

"""Child processes, so that seconds and memory are the operating system's and a leak of one reaches no other.

The parent keeps no tables: Linux counts a parent's memory into the peak of a child that it starts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from benchmarks.detection.results import Usage

from tiergate.errors import TiergateError

T = TypeVar("T")

ROOT: Final = Path(__file__).resolve().parents[2]
GRACE_S: Final = 5.0


class ChildError(TiergateError):
    """A measurement ended without a result."""


def run_child(module: str, arguments: Sequence[str], log: Path) -> Usage:
    """Run ``python -m module`` to its end, what it says into ``log``. Raises `ChildError` when it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with log.open("wb") as said:
        child = subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=ROOT, stdout=said, stderr=said)
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            _stop(child)
            raise
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        lines = log.read_text(errors="replace").strip().splitlines()
        raise ChildError(f"`{module} {arguments[0]}` ended with {child.returncode}: {lines[-1] if lines else ''}")
    seconds = time.monotonic() - started
    return Usage(round(seconds, 2), round(usage.ru_utime + usage.ru_stime, 2), usage.ru_maxrss // 1024)


def call(function: str, kind: type[T], scratch: Path, **arguments: Any) -> tuple[T, Usage]:
    """Call ``module:function`` of this package in a child with ``arguments`` (JSON values and paths).

    Returns what it returned, as ``kind``, and what it used.
    """
    name = function.rpartition(":")[2]
    answer = scratch / f"{name}.json"
    answer.unlink(missing_ok=True)
    plain = {key: str(value) if isinstance(value, Path) else value for key, value in arguments.items()}
    command = [f"benchmarks.detection.{function}", msgspec.json.encode(plain).decode(), str(answer)]
    usage = run_child("benchmarks.detection.task", command, scratch / f"{name}.log")
    return msgspec.json.decode(answer.read_bytes(), type=kind), usage


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Ctrl-C reaches the child as well; one that does not end by itself is killed."""
    child.terminate()
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()

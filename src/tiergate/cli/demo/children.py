"""Server processes that the demonstration starts on loopback, and ends again whatever happens."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tiergate.errors import TiergateError

START_SECONDS = 20.0
STOP_SECONDS = 8.0
LAST_LINES = 5


def free_port() -> int:
    """A loopback port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(
    name: str, arguments: list[str], *, port: int, log: Path, settings: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run ``python ARGUMENTS`` until the block ends; enter it once ``port`` accepts connections.

    The child's output goes to ``log``. It gets a process group of its own, so that Ctrl-C in a terminal reaches
    this process only, which then ends its children in order. Raises `TiergateError` when it does not come up.
    """
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("TIERGATE_")}
    with log.open("wb") as output:
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**inherited, **(settings or {})},
            start_new_session=True,
        )
    try:
        _wait_until_open(name, child, port, log)
        yield
    finally:
        _stop(child)


def _wait_until_open(name: str, child: subprocess.Popen[bytes], port: int, log: Path) -> None:
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up:
        if child.poll() is not None:
            last = " / ".join(log.read_text(errors="replace").splitlines()[-LAST_LINES:])
            raise TiergateError(f"the {name} ended while it started (exit code {child.returncode}): {last}")
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TiergateError(f"the {name} did not listen on port {port} within {START_SECONDS:.0f} s: see `{log}`")


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Ask it to end, insist after `STOP_SECONDS`, and reap it."""
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()

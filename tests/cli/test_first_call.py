"""The page on the first call of a classified model, run as it stands: one shell, a real gateway and upstream.

Commands but `serve` are run in this process: thirty starts of Python would take longer than all that they do.
"""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tiergate.cli import app

PAGE = Path(__file__).parents[2] / "docs" / "first-classified-call.md"
GIVE_UP_S = 180
PRELUDE = """
python() { "$PYTHON" "$@"; }
tiergate() {
    if [ "$1" = serve ]; then exec "$PYTHON" -m tiergate "$@"; fi
    { printf '%s\\0' "$@"; echo; } > ask
    { read -r code; cat; } < answer
    return "$code"
}
"""
"""A command is handed over by one pipe, and its exit code and output come back by another."""


def test_every_command_of_the_page_does_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    script = "\n".join(re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    for port in ("8099", "8080"):
        script = script.replace(port, str(_free_port()))
    for pipe in ("ask", "answer"):
        os.mkfifo(pipe)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TIERGATE_")}
    said = Path("said")
    with said.open("wb") as output:
        shell = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", f"{PRELUDE}{script}\nwait"],
            stdout=output, stderr=output, start_new_session=True,
            env=inherited | {"PYTHON": sys.executable, "no_proxy": "*", "TIERGATE_CONSOLE": "false"},
        )  # fmt: skip
    try:
        errors = _answer(shell)
    finally:
        if shell.poll() is None:
            os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
    out = said.read_text()
    whole = f"{out}\n{errors}\n" + "".join(path.read_text() for path in Path().glob("*.log"))
    assert shell.returncode in (0, 128 + signal.SIGTERM), whole
    assert re.findall(r"^\d{3}$", out, re.MULTILINE) == ["200", "403"], whole
    for words in (
        "\nmem_", '"content":', "ALLOW   pty_", '"code":"purpose_missing"', "- purpose_missing: no purpose was",
        '"would_settle":["a record of the exact size of a share of the organisation that is on file as 40% to 60%"]',
        "would settle it today, ofac_50@1: a record of pty_",
    ):  # fmt: skip
        assert words in out, whole


def _answer(shell: subprocess.Popen[bytes]) -> str:
    """Run what the shell hands over, until it ends; returns what was said beside results."""
    errors, give_up = "", time.monotonic() + GIVE_UP_S
    # Open for writing too, so that it has no end between two commands.
    ask = os.open("ask", os.O_RDWR)
    try:
        while shell.poll() is None and time.monotonic() < give_up:
            if not select.select([ask], [], [], 0.05)[0]:
                continue
            words = b""
            while not words.endswith(b"\0\n"):
                words += os.read(ask, 65_536)
            done = CliRunner().invoke(app, words.decode().split("\0")[:-1])
            errors += done.stderr + (f"{done.exception!r}\n" if done.exception else "")
            with Path("answer").open("w", encoding="utf-8") as answer:
                answer.write(f"{done.exit_code}\n{done.stdout}")
    finally:
        os.close(ask)
    return errors


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])

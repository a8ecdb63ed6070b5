"""A command of ours as a child of the gateway: a process of its own, since what it does would make answers wait.

Its standard input is a pipe that the gateway holds open: when the gateway is gone, however it went, the pipe is at its
end and the child ends too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from tiergate.response.watch_lock import FOLDER, is_held

NICENESS: Final = 10
ASK_AGAIN_S: Final = 10.0
"""How often a gateway looks whether the place of its child is free."""
WAITS_S: Final = (1.0, 5.0, 30.0, 120.0, 300.0)
"""Before the child is started again, each time that it dies at once."""
STEADY_S: Final = 600.0
"""What lives so long did not die at once."""
PATIENCE_S: Final = 5.0
"""A child that is told to end may be killed after that: it is made to lose nothing."""
MOST_LINE: Final = 500


class Beside:
    """The child and the thread that looks after it.

    :param name: of the command, which the gateway's log has before each line of the child's.
    :param environment: variables added to the gateway's.
    :param told: called with each line that is for the gateway's log.
    :param elsewhere: says why the child's place is taken now, None where it is free: it is then waited for.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        told: Callable[[str], None],
        *,
        environment: Mapping[str, str] | None = None,
        elsewhere: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._name, self._arguments, self._told = name, arguments, told
        self._environment, self._elsewhere = dict(environment or {}), elsewhere
        self._ending = threading.Event()
        self._child: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._keep, name=name, daemon=True)

    def start(self) -> None:
        """Begin. Call once."""
        self._thread.start()

    def stop(self) -> None:
        """End the child, and wait until it has ended."""
        self._ending.set()
        if self._thread.is_alive():
            self._end_child()
            self._thread.join(PATIENCE_S)

    def _keep(self) -> None:
        deaths, said = 0, False
        while not self._ending.is_set():
            taken = self._elsewhere()
            if taken is not None:
                if not said:
                    self._say(taken)
                said = True
                self._ending.wait(ASK_AGAIN_S)
                continue
            said, began = False, time.monotonic()
            code = self._run()
            if self._ending.is_set():
                return
            deaths = 0 if time.monotonic() - began > STEADY_S else deaths + 1
            wait_s = WAITS_S[min(deaths, len(WAITS_S)) - 1] if deaths else WAITS_S[0]
            self._say(f"it ended with {code} and is started again in {wait_s:.0f} s")
            self._ending.wait(wait_s)

    def _run(self) -> int:
        """The child from its start to its end; its exit code."""
        # A session of its own: Ctrl-C in a terminal reaches the gateway, which then ends the child.
        with subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "tiergate", self._name, *self._arguments, "--beside"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # The gateway makes its own lines of what the child says, in whatever form.
            env=os.environ | {"TIERGATE_LOG": "text"} | self._environment,
            start_new_session=True,
        ) as child:
            self._child = child
            if self._ending.is_set():
                child.kill()
            assert child.stdout is not None
            for line in child.stdout:
                self._say(line.rstrip().removeprefix("tiergate: ")[:MOST_LINE])
            return child.wait()

    def _say(self, line: str) -> None:
        self._told(f"{self._name}: {line}")

    def _end_child(self) -> None:
        child = self._child
        if child is None or child.poll() is not None:
            return
        child.terminate()
        try:
            child.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


def watch_beside(data: Path, every_s: float, told: Callable[[str], None]) -> Beside:
    """`tiergate watch`. Of several gateways on one data folder one has it; the others wait for its place."""

    def elsewhere() -> str | None:
        return "another process watches this data folder; waiting for its place" if is_held(data / FOLDER) else None

    return Beside("watch", ["--data", str(data), "--every", str(every_s)], told, elsewhere=elsewhere)


def end_with_the_gateway() -> None:
    """For the child: give way to the gateway, and end when it is gone."""
    os.nice(NICENESS)
    threading.Thread(target=_until_the_end, daemon=True).start()


def _until_the_end() -> None:
    while os.read(0, 64):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    # A long step of numpy hears no signal until it is done.
    time.sleep(PATIENCE_S)
    os.killpg(0, signal.SIGKILL)

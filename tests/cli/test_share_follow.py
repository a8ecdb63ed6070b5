"""Three labs as processes that stay in touch, are killed and come back: a withdrawal reaches whoever had a finding."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import msgspec
import pytest
from tests.cli.test_share_feedback import EPOCH, KEY, NAME, asked
from tests.gateway.conftest import GIVE_UP_S
from tests.response.test_watch import record
from tests.sharing.test_taxii import FOUND, OURS, THEIRS

from tiergate.cli.demo.children import free_port, server
from tiergate.cli.deployment import open_deployment
from tiergate.cli.options import now
from tiergate.cli.share_peers import opened
from tiergate.clock import HOUR
from tiergate.ledger.verdicts import VerdictStore
from tiergate.sharing.finding import Finding, Lab, keyed_token
from tiergate.sharing.reading import from_objects

Run = Callable[..., CompletedProcess[str]]
ELSEWHERE = Lab.named("lab-c.example")


@contextmanager
def following(data: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`tiergate share follow` on a data folder."""
    arguments = ["share", "follow", "--data", str(data), "--json", "--every", "0.2"]
    with (data.with_suffix(".log")).open("ab") as log:
        child = subprocess.Popen([sys.executable, "-m", "tiergate", *arguments], stdout=log, stderr=log)
    try:
        yield child
    finally:
        child.terminate()
        child.wait(GIVE_UP_S)


def control(data: Path, port: int) -> Any:
    command = ["-m", "tiergate", "control", "--data", str(data), "--port", str(port)]
    settings = {"PYTHONPATH": os.pathsep.join(sys.path)}
    return server("control", command, port=port, log=data.with_suffix(".control.log"), settings=settings)


def until(what: Callable[[], bool]) -> None:
    give_up = time.monotonic() + GIVE_UP_S
    while not what():
        assert time.monotonic() < give_up
        time.sleep(0.2)


def heard(data: Path) -> dict[str, bool]:
    """Findings that a lab heard, and whether each is withdrawn."""
    with opened(data) as sharing:
        told = [one for peer in sharing.peers.every() for one in from_objects(sharing.store.objects(peer.peer_id))]
    return {one.finding_id: one.revoked for one in told if isinstance(one, Finding)}


def verified(data: Path) -> set[str]:
    with open_deployment(data) as deployment:
        return set(VerdictStore(deployment.engine).in_force(now()))


def know(here: Path, name: str, *, there: Path, ours: str, port: int) -> None:
    """The lab of ``here`` knows where the other, ``name``, is, which knows it as ``ours``."""
    with opened(there, create=True) as sharing:
        _, token = sharing.peers.add(ours, now())
    assert token is not None
    with opened(here, create=True) as sharing:
        (here / "token").write_text(token)
        url = f"http://127.0.0.1:{port}/taxii2/sharing/"
        sharing.peers.add(name, now(), url=url, token_file="token", private=True, lasts_us=0)


@pytest.fixture
def finding() -> Finding:
    at_us = (now() - HOUR) // 1_000 * 1_000
    token = keyed_token(KEY, EPOCH, "user_agent", "puller/1")
    return msgspec.structs.replace(FOUND, tokens=(token,), networks=(64500,), created_us=at_us, modified_us=at_us)


def test_a_withdrawal_reaches_all_that_got_it_also_who_was_down_and_lifts_what_it_did(
    run_tiergate: Run, finding: Finding, tmp_path: Path
) -> None:
    a, b, c = (tmp_path / name for name in "abc")
    ports = {name: free_port() for name in "ac"}
    # B follows A. C asks nobody: A sends it what it may have, as long as that takes.
    know(b, OURS.name, there=a, ours=THEIRS.name, port=ports["a"])
    know(a, ELSEWHERE.name, there=c, ours=OURS.name, port=ports["c"])
    for data in (b, c):
        (data / "key").write_bytes(b"k" * 32)
        (data / "epochs").mkdir()
        (data / "epochs" / f"{EPOCH}.key").write_bytes(KEY)
        record(data, asked(now()))
        with open_deployment(data, create=True):
            pass
    with ExitStack() as stack:
        serving_a = stack.enter_context(ExitStack())
        serving_a.enter_context(control(a, ports["a"]))
        at_c = stack.enter_context(ExitStack())
        at_c.enter_context(control(c, ports["c"]))
        at_c.enter_context(following(c))
        stack.enter_context(following(b))
        sender = stack.enter_context(following(a))
        with opened(a) as sharing:
            sharing.store.tell(finding, now())
        until(lambda: heard(b) == heard(c) == {finding.finding_id: False})
        for data, lab in ((b, THEIRS), (c, ELSEWHERE)):
            given = ("--lab", lab.name, "--data", str(data))
            applied = run_tiergate("share", "match", NAME, "--apply", *given)
            assert applied.returncode == 0, applied.stderr
            assert verified(data) == {"heir-1", "heir-2"}

        # C goes, then A's server and sender die, and it is withdrawn meanwhile.
        at_c.close()
        sender.send_signal(signal.SIGKILL)
        sender.wait(GIVE_UP_S)
        serving_a.close()
        with opened(a) as sharing:
            sharing.store.withdraw(finding.finding_id, now())
        assert heard(b) == heard(c) == {finding.finding_id: False}

        stack.enter_context(control(a, ports["a"]))
        stack.enter_context(following(a))
        until(lambda: heard(b) == {finding.finding_id: True} and verified(b) == set())
        assert heard(c) == {finding.finding_id: False}
        stack.enter_context(control(c, ports["c"]))
        stack.enter_context(following(c))
        until(lambda: heard(c) == {finding.finding_id: True} and verified(c) == set())
    history = run_tiergate("share", "history", NAME, "--data", str(c)).stdout
    assert "its maker withdrew it" in history
    told = [json.loads(line) for line in (tmp_path / "b.log").read_text().splitlines() if line.startswith("{")]
    assert {one["doing"] for one in told} == {"reading"}
    assert sum(one.get("new", 0) for one in told) > 0
    # What could not be reached is said once of each of two processes, to send and to read, however often it is tried.
    missed = [line for line in (tmp_path / "a.log").read_text().splitlines() if "cannot reach" in line]
    assert len(missed) <= 4

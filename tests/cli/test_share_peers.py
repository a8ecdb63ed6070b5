"""Two labs that run `tiergate control`, and share a case from the command line."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from tests.gateway.conftest import GIVE_UP_S
from tests.response.evidence.conftest import Deployment, deployment

from tiergate.cli.demo.children import free_port, server
from tiergate.cli.share_exchange import _follow
from tiergate.cli.share_peers import opened
from tiergate.sharing.exchange import Round
from tiergate.sharing.peers import Peer

__all__ = ["deployment"]

NOW = 1_790_000_000_000_000

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def addresses(deployment: Deployment, tmp_path: Path) -> Iterator[dict[str, str]]:
    shutil.copytree(deployment.data, tmp_path / "a")
    found = {}
    with ExitStack() as stack:
        for name in ("a", "b"):
            port = free_port()
            command = ["-m", "tiergate", "control", "--data", str(tmp_path / name), "--port", str(port)]
            stack.enter_context(server("control", command, port=port, log=tmp_path / f"{name}.log"))
            found[name] = f"http://127.0.0.1:{port}/taxii2/sharing/"
        yield found


def test_a_case_is_pushed_received_and_withdrawn(
    deployment: Deployment, addresses: dict[str, str], run_tiergate: Run, tmp_path: Path
) -> None:
    case = deployment.file.case_id[:13]
    token = run_tiergate("share", "peers", "add", "lab-a.example", "--data", "b").stdout.strip()
    assert token.startswith("tgl_")
    (tmp_path / "a" / "b.token").write_text(token)
    added = run_tiergate(
        "share", "peers", "add", "Lab-B.example", "--data", "a", "--url", addresses["b"].rstrip("/"),
        "--token-file", "b.token", "--private", "--days", "0", "--json",
    )  # fmt: skip
    assert json.loads(added.stdout)["token"] is None, added.stderr

    given = ("--data", "a", "--lab", "lab-a.example")
    pushed = run_tiergate("share", "push", case, *given, "--author", "ann")
    assert (pushed.returncode, ", 0 refused" in pushed.stdout) == (0, True), pushed.stderr
    received = run_tiergate("share", "received", "--data", "b")
    assert received.stdout.startswith("finding   campaign--")
    assert "lab-a.example" in received.stdout
    assert "told peers as campaign--" in run_tiergate("case", "history", case, "--data", "a").stdout
    assert "lab-b.example: 0 objects" in run_tiergate("share", "push", "--data", "a").stdout

    gone = run_tiergate("share", "withdraw", case, *given)
    assert gone.returncode == 0, gone.stderr
    assert run_tiergate("share", "received", "--data", "b").stdout.endswith("  withdrawn\n")
    assert run_tiergate("share", "withdraw", case, *given).returncode == 2

    (listed,) = json.loads(run_tiergate("share", "peers", "list", "--data", "b", "--json").stdout)
    assert (listed["name"], listed["refused"], token in str(listed)) == ("lab-a.example", {}, False)
    assert run_tiergate("share", "peers", "end", "lab-a.example", "--data", "b").returncode == 0
    refused = run_tiergate("share", "pull", "--data", "a")
    assert (refused.returncode, "401" in refused.stdout) == (1, True)
    assert " ended " in run_tiergate("share", "peers", "list", "--data", "b").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("pull",), "shares with nobody yet"),
        (("peers", "add", "lab b"), "is no domain"),
        (("peers", "add", "lab-b.example", "--url", "https://lab-b.example/"), "the file of the token"),
    ],
)
def test_bad_usage_is_one_line(arguments: tuple[str, ...], said: str, run_tiergate: Run) -> None:
    done = run_tiergate("share", *arguments)
    assert (done.returncode, said in done.stderr, done.stderr.count("\n")) == (2, True, 1)


def test_rounds_go_on_beside_a_slow_peer_and_with_those_who_are_peers_now(tmp_path: Path) -> None:
    slow, asked = threading.Event(), []
    with opened(tmp_path, create=True) as sharing:
        for name in ("slow.example", "lab-b.example", "late.example"):
            sharing.peers.add(name, NOW, url=f"https://{name}/", token_file="t")

        def live() -> list[Peer]:
            if asked.count("lab-b.example") == 3 and sharing.peers.named("lab-b.example"):
                sharing.peers.end("lab-b.example", NOW)
            if asked.count("late.example") == 6:
                slow.set()
                raise KeyboardInterrupt
            some = [one for one in sharing.peers.every() if one.ended_at_us is None]
            return some if len(asked) > 3 else some[:2]

        def go(peer: Peer) -> Round:
            asked.append(peer.name)
            if peer.name == "slow.example":
                assert slow.wait(GIVE_UP_S)
            return Round()

        with pytest.raises(KeyboardInterrupt):
            _follow(live, go, 0.01, False)
    assert {name: asked.count(name) for name in asked} == {"slow.example": 1, "lab-b.example": 3, "late.example": 6}

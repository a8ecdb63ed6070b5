"""Real gateways with a real watch: its verdicts reach all of them, and one of them has it."""

from __future__ import annotations

import http.client
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa
from benchmarks.gateway_crash import Server, gateway, mock_upstream, serving
from benchmarks.watch_crash import children, deployment, exchanges_of, gone, receiving, record, simulated

from tests.gateway.conftest import GIVE_UP_S
from tiergate.cli.beside import watch_beside
from tiergate.clock import SystemClock
from tiergate.database import open_database
from tiergate.parties.registry import Registry
from tiergate.parties.tokens import load_or_create_pepper
from tiergate.response.watch_lock import held, is_held


def status(server: Server, key: str) -> int:
    """The status of one question."""
    connection = http.client.HTTPConnection(server.address.removeprefix("http://"), timeout=GIVE_UP_S)
    try:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        connection.request("POST", "/v1/chat/completions", b'{"model": "m", "messages": []}', headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def test_a_case_that_the_watch_finds_is_refused_by_every_gateway(tmp_path: Path) -> None:
    world, data = simulated(), tmp_path / "data"
    population = {row["account_id"]: row["population"] for row in world.truth.to_pylist()}
    campaign = sorted(one for one, kind in population.items() if kind == "campaign")
    other = next(one for one, kind in population.items() if kind != "campaign")
    with ExitStack() as stack:
        alerts = stack.enter_context(receiving())
        deployment(data, world, f"{alerts.url}/beside")
        engine = open_database(data / "control.sqlite")
        registry = Registry(engine, load_or_create_pepper(data / "pepper"))
        keys = registry.issue_keys([*campaign, other], "test", SystemClock().now_us())
        engine.dispose()
        upstream = stack.enter_context(serving(mock_upstream(), tmp_path / "upstream.out"))
        settings = {"TIERGATE_WATCH": "true", "TIERGATE_WATCH_EVERY_S": "1"}
        started = [
            stack.enter_context(serving(gateway(data, upstream.address), tmp_path / f"{number}.out", settings))
            for number in range(2)
        ]
        assert [status(one, keys[campaign[0]]) for one in started] == [200, 200]
        record(data, exchanges_of(world))
        give_up = time.monotonic() + 2 * GIVE_UP_S
        while not all(403 in [status(one, keys[account]) for account in campaign[:2]] for one in started):
            assert time.monotonic() < give_up, [(tmp_path / f"{number}.out").read_text() for number in range(2)]
            time.sleep(0.2)
        for one in started:
            assert sum(status(one, keys[account]) == 403 for account in campaign) >= 15
            assert status(one, keys[other]) == 200
        said = [(tmp_path / f"{number}.out").read_text() for number in range(2)]
        assert sum("watch: another process watches this data folder" in one for one in said) == 1
        assert sum("watch: case_" in one for one in said) == 1
        watching = [pid for one in started for pid in children(one.process.pid)]
        assert len(watching) == 1
        for one in started:
            one.process.kill()
        assert gone(watching[0])
        assert not is_held(data / "detection")


def test_the_lock_is_one_process_s(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    with held(tmp_path):
        pass
    assert not is_held(tmp_path)


def test_a_watch_that_cannot_start_is_tried_again_and_ends_when_told(tmp_path: Path) -> None:
    told: list[str] = []
    beside = watch_beside(tmp_path / "nowhere", 1.0, told.append)
    beside.start()
    give_up = time.monotonic() + GIVE_UP_S
    while not any("started again" in line for line in told):
        assert time.monotonic() < give_up, told
        time.sleep(0.05)
    beside.stop()
    assert "watch: `" in told[0]
    assert "watch: it ended with 2 and is started again in 1 s" in told


@pytest.mark.parametrize("ends", ["told", "orphaned"])
def test_a_watch_beside_ends_promptly_with_its_gateway(tmp_path: Path, ends: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    open_database(data / "control.sqlite").dispose()
    beside = watch_beside(data, 300.0, lambda _: None)
    beside.start()
    give_up = time.monotonic() + GIVE_UP_S
    while not is_held(data / "detection"):
        assert time.monotonic() < give_up
        time.sleep(0.05)
    child = beside._child
    assert child is not None
    if ends == "orphaned":
        assert child.stdin is not None
        child.stdin.close()  # as the system does for a gateway that is killed
        assert gone(child.pid)
    beside.stop()
    assert gone(child.pid)


def test_a_watch_outlives_a_database_that_fails(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    engine = open_database(data / "control.sqlite")
    told: list[str] = []
    beside = watch_beside(data, 1.0, told.append)
    beside.start()
    give_up = time.monotonic() + GIVE_UP_S
    while not sa.inspect(engine).has_table("alert_place"):
        assert time.monotonic() < give_up, told
        time.sleep(0.05)
    with engine.begin() as connection:
        connection.exec_driver_sql("drop table alert_place")
    while not told:
        assert time.monotonic() < give_up
        time.sleep(0.05)
    assert told[0].startswith("watch: alerts wait: (sqlite3.OperationalError) no such table")
    assert len(told) == 1
    assert is_held(data / "detection")
    beside.stop()
    engine.dispose()

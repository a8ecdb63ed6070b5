"""Sums of traffic are those of the log, whatever is sealed, cut off or added meanwhile."""

from __future__ import annotations

import math
import random
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.conftest import GIVE_UP_S
from tiergate.clock import DAY, HOUR
from tiergate.gateway.metering.spend import COLUMNS, spent
from tiergate.gateway.traffic.figures import By, Traffic
from tiergate.gateway.traffic.store import FILE
from tiergate.gateway.traffic.sums import GROWTH, MOST_NAMES, quantile_s
from tiergate.ledger.log import ExchangeLog, read_log
from tiergate.ledger.segments import Segments
from tiergate.ledger.sketches import Sketcher
from tiergate.records.schema import Exchange

BEGAN = 1_795_500_000_000_000 // DAY * DAY
SPAN = BEGAN, BEGAN + 10 * DAY
SAME = ("exchanges", "input_tokens", "output_tokens", "cached_input_tokens", "cost_micro_usd", "estimated", "unpriced")


def exchange(number: int, chance: random.Random, **more: Any) -> Exchange:
    status = chance.choice([200, 200, 200, 429, 502])
    answered = status == 200
    made = Exchange(
        exchange_id=f"ex_{number}",
        started_at=BEGAN + chance.randrange(9 * DAY),
        account_id="acct",
        operation="chat",
        request_model=chance.choice(["small", "large", "gift"]),
        upstream=chance.choice(["one", "two", None]),
        status=status,
        finish_reason="stop" if answered else chance.choice(["budget_spent", "upstream_error"]),
        latency_ms=chance.lognormvariate(6, 1),
        input_tokens=chance.randrange(5_000) if answered else None,
        output_tokens=chance.randrange(5_000) if answered else None,
        cached_input_tokens=chance.choice([None, 10]) if answered else None,
        usage_source=chance.choice(["upstream", "estimate"]) if answered else None,
        cost_micro_usd=chance.choice([None, chance.randrange(10**7)]) if answered else None,
    )
    return msgspec.structs.replace(made, **more)


class Deployment:
    """A log that grows in steps that the seed gives."""

    def __init__(self, data: Path, seed: int) -> None:
        self.data, self.chance, self.made = data, random.Random(seed), 0
        self.log = ExchangeLog.open(data / "log", sketcher=Sketcher(b"k" * 32))

    def more(self, count: int) -> None:
        self.log.append([exchange(self.made + n, self.chance) for n in range(count)])
        self.made += count


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path, 5)


def told(traffic: Traffic, *by: By, **more: Any) -> list[dict[str, Any]]:
    figures = traffic.figures(*SPAN, by, **more)
    return [dict(one.group) | {name: getattr(one, name) for name in SAME} for one in figures]


def of_log(data: Path, *by: str) -> list[dict[str, Any]]:
    rows = spent(read_log(data / "log", columns=COLUMNS), by, from_us=SPAN[0], to_us=SPAN[1])
    return [dict(one.group) | {name: getattr(one, name) for name in SAME} for one in rows]


def test_sums_are_the_log_s_at_every_moment(deployment: Deployment) -> None:
    traffic = Traffic(deployment.data)
    assert traffic.figures(*SPAN) == []
    for step in range(12):
        deployment.more(deployment.chance.randrange(200))
        if step % 3 == 1:
            deployment.log.seal()
        if step % 4:
            traffic.catch_up()
            assert told(traffic) == of_log(deployment.data)
            assert told(traffic, "model") == of_log(deployment.data, "model")
    traffic.catch_up()
    days = {one.at_us: one.cost_micro_usd for one in traffic.figures(*SPAN, every="day")}
    assert sum(days.values()) == sum(row["cost_micro_usd"] for row in of_log(deployment.data, "day"))
    assert len(days) == len(of_log(deployment.data, "day"))
    hours = traffic.figures(BEGAN + 5 * HOUR, BEGAN + 29 * HOUR, every="hour")
    assert (hours[0].at_us or 0) >= BEGAN + 5 * HOUR
    deployment.log.close()
    traffic.close()


def test_another_reader_and_one_that_begins_anew_see_the_same(deployment: Deployment) -> None:
    first, second = Traffic(deployment.data), Traffic(deployment.data)
    for _ in range(4):
        deployment.more(100)
        deployment.log.seal()
        threads = [threading.Thread(target=one.catch_up) for one in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    deployment.more(50)
    # What one read of a spool is in a segment that the other adds: it counts once.
    first.catch_up()
    deployment.log.seal()
    second.catch_up()
    expected = of_log(deployment.data, "model")
    assert told(first, "model") == told(second, "model") == expected
    for one in (first, second):
        one.close()
    (deployment.data / FILE).unlink()
    third = Traffic(deployment.data)
    third.catch_up()
    assert told(third, "model") == expected
    third.close()
    deployment.log.close()


def test_cut_off_it_goes_on_where_it_stood(deployment: Deployment) -> None:
    for _ in range(5):
        deployment.more(40)
        deployment.log.seal()
    looks = 0

    def ended() -> bool:
        nonlocal looks
        looks += 1
        return looks > 2

    traffic = Traffic(deployment.data)
    traffic.catch_up(ended)
    number = traffic.standing()[0].number
    assert 0 < number < 5
    traffic.catch_up()
    assert traffic.standing()[0].number == 5
    assert told(traffic) == of_log(deployment.data)
    traffic.close()
    deployment.log.close()


def test_a_thread_keeps_it_up_while_the_log_is_sealed(deployment: Deployment) -> None:
    traffic = Traffic(deployment.data)
    with traffic.kept_up():
        deployment.more(30)
        deployment.log.seal()
        deployment.more(20)
        give_up = time.monotonic() + GIVE_UP_S
        while sum(one.exchanges for one in traffic.figures(*SPAN)) < 50:
            assert time.monotonic() < give_up
            time.sleep(0.05)
    assert told(traffic) == of_log(deployment.data)
    traffic.close()
    deployment.log.close()


def test_another_log_in_its_place_is_added_up_from_its_start(tmp_path: Path, deployment: Deployment) -> None:
    deployment.more(30)
    deployment.log.close()
    traffic = Traffic(deployment.data)
    traffic.catch_up()
    (tmp_path / "log").rename(tmp_path / "before")
    other = Deployment(tmp_path, 6)
    other.more(10)
    other.log.close()
    traffic.catch_up()
    assert told(traffic) == of_log(tmp_path)
    traffic.close()


def test_names_without_end_are_one_name(tmp_path: Path) -> None:
    log = ExchangeLog.open(tmp_path / "log", sketcher=Sketcher(b"k" * 32))
    chance = random.Random(1)
    asked = [exchange(n, chance, request_model=f"m{n}", status=404, cost_micro_usd=None) for n in range(2_000)]
    (tmp_path / "models.toml").write_text('[models.m7]\ntier = "commodity"\n')
    log.append(asked)
    log.append([exchange(2_000 + n, chance, upstream=f"u{n}") for n in range(2 * MOST_NAMES)])
    log.seal()
    traffic = Traffic(tmp_path)
    traffic.catch_up()
    assert {one.group["model"] for one in traffic.figures(*SPAN, ["model"])} == {
        "small",
        "large",
        "gift",
        "m7",
        "other",
    }
    assert len(traffic.figures(*SPAN, ["upstream"])) <= MOST_NAMES + 1
    assert {one.group["tier"] for one in traffic.figures(*SPAN, ["tier"])} == {None, "commodity"}
    assert sum(one.exchanges for one in traffic.figures(*SPAN)) == 2_000 + 2 * MOST_NAMES
    traffic.close()
    log.close()


def test_minutes_are_known_of_the_last_hours_alone(deployment: Deployment) -> None:
    for number, ago in enumerate((9 * HOUR, 8 * HOUR, HOUR, 0)):
        deployment.log.append([exchange(number, deployment.chance, started_at=BEGAN + 2 * DAY - ago)])
        deployment.log.seal()
    traffic = Traffic(deployment.data)
    traffic.catch_up()
    minutes = [one.at_us for one in traffic.figures(BEGAN + DAY, BEGAN + 2 * DAY + HOUR, every="minute")]
    assert minutes == [BEGAN + 2 * DAY - HOUR, BEGAN + 2 * DAY]
    assert traffic.standing()[1] == BEGAN + 2 * DAY
    assert len(traffic.figures(*SPAN, every="hour")) == 4
    traffic.close()
    deployment.log.close()


def test_reasons_are_told_of_what_failed_or_broke_off(tmp_path: Path) -> None:
    log = ExchangeLog.open(tmp_path / "log", sketcher=Sketcher(b"k" * 32))
    chance = random.Random(2)
    for number, (status, reason) in enumerate(
        [(200, "stop"), (200, "client_disconnected"), (429, "budget_spent"), (200, "interrupted"), (500, None)]
    ):
        log.append([exchange(number, chance, status=status, finish_reason=reason)])
    traffic = Traffic(tmp_path)
    traffic.catch_up()
    found = {one.group["reason"]: one.answered for one in traffic.figures(*SPAN, ["reason"])}
    assert found == {None: 1, "client_disconnected": 1, "budget_spent": 0, "interrupted": 1}
    traffic.close()
    log.close()


@given(st.lists(st.floats(0.1, 1e6), min_size=1, max_size=200), st.sampled_from([0.01, 0.5, 0.95, 0.99, 1.0]))
def test_a_quantile_is_within_ten_percent(latencies_ms: list[float], share: float) -> None:
    buckets: dict[int, int] = {}
    for one in latencies_ms:
        bucket = math.ceil(math.log(one) / math.log(GROWTH))
        buckets[bucket] = buckets.get(bucket, 0) + 1
    exact = sorted(latencies_ms)[math.ceil(share * len(latencies_ms) - 1e-9) - 1]
    assert quantile_s(buckets, share) == pytest.approx(exact / 1000, rel=0.1)


def test_entries_after_one_are_those_that_follow(deployment: Deployment) -> None:
    for _ in range(3):
        deployment.more(2)
        deployment.log.seal()
    segments = Segments(deployment.data / "log")
    every = segments.entries()
    assert [entry for _, entry in segments.after(0)] == every
    assert [(number, entry.segment) for number, entry in segments.after(2)] == [(3, every[2].segment)]
    (deployment.data / "log" / "manifest" / f"{1:012d}.json").unlink()
    assert [number for number, _ in segments.after(0)] == [2, 3]
    assert segments.named(1) is None
    deployment.log.close()

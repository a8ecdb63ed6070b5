"""Classified calls by a file of routes, paid from a credit line: whatever comes of them, the line and the log agree."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
from benchmarks.gateway_crash import Server, serving
from benchmarks.june_world import CLOSED, World, build

from tests.gateway.conftest import GIVE_UP_S
from tests.gateway.faulty_upstream import FaultyUpstream, faulty_upstream
from tiergate.admission.credits import Balance, Credits
from tiergate.gateway.routing.reload import FILE
from tiergate.ledger.log import read_log

ROUTES = """
upstreams:
  east: {{url: "{upstream}", dialect: openai, private: true, timeouts: {{read_s: 2}}}}
models:
  mythos-5:
    upstream: east
    context_tokens: 100_000
    capabilities: [streaming]
    prices:
      - {{from: 2026-01-01, input: 1_000_000, cached_input: 500_000, output: 2_000_000}}
      - {{from: 2999-01-01, input: 9_000_000, output: 9_000_000}}
groups:
  safe: {{candidates: [mythos-5], retry_500: false}}
"""
COST = 6 * 1 + 4 * 0.5 + 20 * 2
"""Micro-dollars of an answer of the upstream's, by the prices of the file and the day; `models.toml` has others."""


class Paid(NamedTuple):
    """A gateway, the world it serves and the upstream that fails on request."""

    world: World
    server: Server
    upstream: FaultyUpstream

    def ask(self, question: str, timeout: float = GIVE_UP_S, **more: Any) -> tuple[int, str]:
        """Status and exchange id; 0 where the answer broke off or was not waited for."""
        person = self.world.of("eligible")[0]
        body = {"model": CLOSED, "messages": [{"role": "user", "content": question}], "max_tokens": 100} | more
        headers = person.headers() | {"Authorization": f"Bearer {person.key}", "Content-Type": "application/json"}
        asked = urllib.request.Request(f"{self.server.address}/v1/chat/completions", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(asked, timeout=timeout) as answer:
                while answer.read1(1 << 16):
                    if question.startswith("slow"):
                        break  # and so hang up
                return answer.status, answer.headers["x-tiergate-exchange-id"]
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["x-tiergate-exchange-id"]
        except (OSError, http.client.HTTPException):
            return 0, ""

    def balance(self) -> Balance:
        """The line's, once nothing is set aside any more."""
        give_up = time.monotonic() + GIVE_UP_S
        while (balance := Credits(self.world.engine).balance(self.world.line_id)).reserved:
            assert time.monotonic() < give_up, balance
            time.sleep(0.05)
        return balance

    def rows(self) -> list[dict[str, Any]]:
        rows = [row for batch in read_log(self.world.data / "log") for row in batch.to_pylist()]
        return sorted(rows, key=lambda row: row["exchange_id"])


@pytest.fixture(scope="module")
def paid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paid]:
    folder = tmp_path_factory.mktemp("paid")
    world = build(folder / "data", {"eligible": 1}, line_micro_usd=10_000_000)
    settings = {"TIERGATE_TRUSTED_PROXIES": "127.0.0.0/8", "TIERGATE_PACKS": str(folder / "data" / "packs")}
    with faulty_upstream() as upstream:
        (world.data / FILE).write_text(ROUTES.format(upstream=upstream.address))
        arguments = ["-m", "tiergate", "serve", "--data", str(world.data), "--port", "0"]
        with serving(arguments, folder / "gateway.out", settings) as server:
            yield Paid(world, server, upstream)
    world.engine.dispose()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("question", ["tin", "busy-once", "uncounted"])
def test_an_answer_costs_its_line_what_it_costs_in_the_log_by_the_prices_of_the_day(
    paid: Paid, question: str, stream: bool
) -> None:
    before = paid.balance().spent
    status, exchange_id = paid.ask(f"{question} {stream}", stream=stream)
    assert status == 200
    (row,) = [row for row in paid.rows() if row["exchange_id"] == exchange_id]
    assert paid.balance().spent - before == row["cost_micro_usd"] > 0
    assert row["attempts"] == (2 if question == "busy-once" else 1)
    if question == "uncounted":
        assert row["usage_source"] == "estimate"
    else:
        assert row["cost_micro_usd"] == COST


@pytest.mark.parametrize(
    ("question", "status"),
    [("busy", 503), ("broken", 500), ("moved", 302), ("hang", 504), ("reset", 502), ("half", 502)],
)
def test_what_was_not_answered_costs_nothing(paid: Paid, question: str, status: int) -> None:
    for _ in range(8):
        assert paid.ask("tin")[0] == 200  # the breaker stays closed
    before, asked = paid.balance().spent, len(paid.upstream.asked)
    told, exchange_id = paid.ask(question)
    (row,) = [row for row in paid.rows() if row["exchange_id"] == exchange_id]
    assert (told, row["status"], row["cost_micro_usd"]) == (status, status, None)
    assert paid.balance().spent == before
    assert len(paid.upstream.asked) - asked == (3 if question == "busy" else 1)


def test_whoever_hangs_up_pays_for_what_came_and_for_nothing_else(paid: Paid) -> None:
    before, rows = paid.balance().spent, len(paid.rows())
    paid.ask("hang and leave", timeout=0.3)
    paid.ask("slow", stream=True)
    give_up = time.monotonic() + GIVE_UP_S
    while [row["finish_reason"] for row in paid.rows()[rows:]] != ["client_disconnected"] * 2:
        assert time.monotonic() < give_up, paid.rows()[rows:]
        time.sleep(0.05)
    spent = paid.balance().spent - before
    left, cut = paid.rows()[rows:]
    assert (left["status"], left["cost_micro_usd"]) == (499, None)
    assert cut["usage_source"] == "estimate"
    assert spent == cut["cost_micro_usd"] > 0


def test_many_at_once_of_every_kind_leave_line_and_log_the_same(paid: Paid) -> None:
    before, rows = paid.balance().spent, len(paid.rows())
    kinds = ["tin", "busy-once", "uncounted", "tin", "broken", "tin", "reset", "half", "tin", "cut", "slow", "busy"]
    questions = [(f"{kind} {number}", number % 2 == 1) for number in range(4) for kind in kinds]
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda one: paid.ask(one[0], stream=one[1] or one[0].startswith("slow")), questions))
    assert 200 in {status for status, _ in done}
    give_up = time.monotonic() + GIVE_UP_S
    while len(paid.rows()) < rows + len(questions):
        assert time.monotonic() < give_up
        time.sleep(0.05)
    spent = paid.balance().spent - before
    assert spent == sum(row["cost_micro_usd"] or 0 for row in paid.rows()[rows:])

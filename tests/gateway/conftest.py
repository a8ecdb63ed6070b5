"""A real mock upstream and real gateways, as processes on loopback."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import pytest
from benchmarks.gateway_crash import Server, gateway, issue_keys, mock_upstream, serving

from tiergate.admission.models import FILE as MODELS
from tiergate.clock import HOUR, SystemClock
from tiergate.database import open_database
from tiergate.gateway.routing.reload import FILE as ROUTES
from tiergate.ledger.log import read_log
from tiergate.ledger.verdicts import Action, Verdict, VerdictStore, new_verdict_id
from tiergate.parties.registry import Registry
from tiergate.parties.tokens import load_or_create_pepper

UPSTREAM_KEY = "sk-upstream-must-stay-inside"
ACCOUNTS = 300
GIVE_UP_S = 30.0
"""When a test stops waiting for what must come. How soon it comes is measured in `benchmarks/`, on a quiet machine."""


Row = dict[str, Any]


def rows_of(data: Path, account_id: str) -> list[Row]:
    """What the log of a data folder holds of an account, oldest first."""
    rows = [row for batch in read_log(data / "log") for row in batch.to_pylist()]
    return sorted((row for row in rows if row["account_id"] == account_id), key=lambda row: row["exchange_id"])


def row_where(data: Path, account_id: str, fits: Callable[[Row], bool]) -> Row:
    """The one row of an account that fits, waiting for it."""
    give_up = time.monotonic() + GIVE_UP_S
    while not (found := [row for row in rows_of(data, account_id) if fits(row)]):
        assert time.monotonic() < give_up, rows_of(data, account_id)
        time.sleep(0.05)
    (row,) = found
    return row


def now_us() -> int:
    return SystemClock().now_us()


@dataclass
class Customer:
    """An account with its key."""

    account_id: str
    key: str
    client: openai.OpenAI

    def ask(self, question: str = "What is tin?", **more: Any) -> Any:
        return self.client.chat.completions.create(
            model="model-small", messages=[{"role": "user", "content": question}], **more
        )

    def exchange_id(self, question: str = "What is tin?") -> str:
        raw = self.client.chat.completions.with_raw_response.create(
            model="model-small", messages=[{"role": "user", "content": question}]
        )
        return str(raw.headers["x-tiergate-exchange-id"])


@dataclass
class Deployed:
    """A running gateway with customers who have not asked anything yet."""

    server: Server
    data: Path
    output: Path
    registry: Registry
    verdicts: VerdictStore
    keys: list[str]
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def address(self) -> str:
        return self.server.address

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def customer(self) -> Customer:
        number = next(self._numbers)
        client = openai.OpenAI(base_url=f"{self.address}/v1", api_key=self.keys[number], max_retries=0, timeout=20)
        return Customer(f"acct-{number}", self.keys[number], client)

    def put(self, case_id: str, action: Action, *customers: Customer, **more: Any) -> list[Verdict]:
        """Verdicts, and the second that a gateway may take to obey."""
        made = [
            Verdict(
                verdict_id=new_verdict_id(),
                account_id=customer.account_id,
                case_id=case_id,
                action=action,
                reason="a <b>reason</b> in one sentence",
                author="ann",
                decided_at=now_us(),
                evidence=[f"shares a template with {other.account_id}" for other in customers],
                **({"expires_at": now_us() + HOUR} | more),
            )
            for customer in customers
        ]
        self.verdicts.put(made)
        time.sleep(1.2)
        return made

    def rows(self, account_id: str) -> list[Row]:
        """What the log holds of an account, oldest first."""
        return rows_of(self.data, account_id)

    def row_where(self, account_id: str, fits: Callable[[Row], bool]) -> Row:
        """The one row that fits, waiting for it: a caller who hung up is recorded when that is noticed."""
        return row_where(self.data, account_id, fits)


@contextmanager
def deployed(folder: Path, upstream: str, **settings: str) -> Iterator[Deployed]:
    data, output = folder / "data", folder / "gateway.out"
    keys = issue_keys(data, ACCOUNTS)
    engine = open_database(data / "control.sqlite")
    environment = {f"TIERGATE_{name.upper()}": value for name, value in settings.items()}
    with serving(gateway(data, upstream), output, {"TIERGATE_UPSTREAM_API_KEY": UPSTREAM_KEY} | environment) as server:
        yield Deployed(
            server, data, output, Registry(engine, load_or_create_pepper(data / "pepper")), VerdictStore(engine), keys
        )
    engine.dispose()


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(mock_upstream(), tmp_path_factory.mktemp("mock") / "out") as server:
        yield server.address


@pytest.fixture(scope="session")
def slow_upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A mock that takes 100 ms before an answer and before each event."""
    with serving(mock_upstream(delay_ms=100), tmp_path_factory.mktemp("slow") / "out") as server:
        yield server.address


@pytest.fixture(scope="session")
def plain(upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """The gateway as it is by default; it seals while the tests run."""
    with deployed(tmp_path_factory.mktemp("plain"), upstream, seal_every_s="1.5") as gateway:
        yield gateway


@pytest.fixture(scope="session")
def slow(slow_upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with deployed(tmp_path_factory.mktemp("slow"), slow_upstream) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def proxied(upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """A gateway that trusts a proxy on loopback, replays its clock, and takes bodies of 5,000 bytes."""
    settings = {"trusted_proxies": '["127.0.0.0/8"]', "replay_clock": "true", "max_body_bytes": "5000"}
    with deployed(tmp_path_factory.mktemp("proxied"), upstream, **settings) as gateway:
        yield gateway


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Deployed]]:
    """Starts a gateway of the test's own: `start(upstream, **settings)`."""
    with ExitStack() as stack:
        yield lambda upstream, **settings: stack.enter_context(deployed(tmp_path, upstream, **settings))


Start = Callable[..., Deployed]


@pytest.fixture(scope="module")
def start_routed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts a gateway by a file of routes, without an upstream in its settings: `start(routes, models.toml)`."""
    with ExitStack() as stack:

        def start(text: str, models: str = "", accounts: int = 40) -> Deployed:
            folder = tmp_path_factory.mktemp("routed")
            data, output = folder / "data", folder / "gateway.out"
            keys = issue_keys(data, accounts)
            (data / ROUTES).write_text(text)
            if models:
                (data / MODELS).write_text(models)
            engine = open_database(data / "control.sqlite")
            stack.callback(engine.dispose)
            arguments = ["-m", "tiergate", "serve", "--data", str(data), "--port", "0"]
            server = stack.enter_context(serving(arguments, output, {"SOUND_KEY": "sk-inside"}))
            registry = Registry(engine, load_or_create_pepper(data / "pepper"))
            return Deployed(server, data, output, registry, VerdictStore(engine), keys)

        yield start

"""A researcher who has everything gets through a running gateway; without any one fact its code is told."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from benchmarks.gateway_crash import Server, gateway, serving
from benchmarks.june_world import CLOSED, CLOSED_COMMODITY, COMMODITY, HEADERS, Person, World, build

from tests.gateway.conftest import GIVE_UP_S
from tiergate.admission.credits import Credits
from tiergate.admission.grants import Grants
from tiergate.admission.holders import Holders
from tiergate.admission.memberships import Memberships
from tiergate.clock import SystemClock
from tiergate.gateway.dialects.surfaces import SURFACES
from tiergate.ledger.checkpoints import load_private_key
from tiergate.ledger.decision_reader import DecisionReader, scan, verify_log
from tiergate.ledger.log import read_log

now_us = SystemClock().now_us
LINE = 1_000_000


class Running:
    """Gateways on one data folder."""

    def __init__(self, world: World, servers: list[Server]) -> None:
        self.world, self.servers = world, servers

    def ask(
        self, person: Person, model: str = CLOSED, worker: int = 0, headers: dict[str, str] | None = None, **more: Any
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        body = {"model": model, "messages": [{"role": "user", "content": "hm"}], "max_tokens": 100} | more
        given = person.headers() if headers is None else headers
        given = given | {"Authorization": f"Bearer {person.key}", "Content-Type": "application/json"}
        address = f"{self.servers[worker].address}/v1/chat/completions"
        asked = urllib.request.Request(address, json.dumps(body).encode(), given)
        try:
            with urllib.request.urlopen(asked, timeout=20) as answer:
                return answer.status, json.loads(answer.read()), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read()), dict(error.headers)

    def codes(self, person: Person, model: str = CLOSED, **more: Any) -> list[str]:
        status, body, _ = self.ask(person, model, **more)
        return [] if status == 200 else [one["code"] for one in body["error"]["tiergate"]["reasons"]]

    def until(self, codes: list[str], person: Person, model: str = CLOSED, worker: int = 0) -> None:
        """Wait until a request is refused with ``codes``."""
        changed = time.monotonic()
        while True:
            if self.codes(person, model, worker=worker) == codes:
                return
            assert time.monotonic() - changed < GIVE_UP_S


@contextmanager
def running(folder: Path, upstream: str, workers: int, **sizes: int) -> Iterator[Running]:
    world = build(folder / "data", sizes, line_micro_usd=LINE)
    settings = {"TIERGATE_TRUSTED_PROXIES": "127.0.0.0/8", "TIERGATE_PACKS": str(folder / "data" / "packs")}
    with ExitStack() as stack:
        servers = [
            stack.enter_context(serving(gateway(world.data, upstream), folder / f"gateway-{number}", settings))
            for number in range(workers)
        ]
        yield Running(world, servers)
    world.engine.dispose()


@pytest.fixture(scope="module")
def open_tier(upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("admitted"), upstream, 1, eligible=12, commodity=1) as started:
        yield started


@pytest.fixture
def someone(open_tier: Running) -> Callable[[], Person]:
    return lambda: next(_people(open_tier))


_taken: dict[int, Iterator[Person]] = {}


def _people(started: Running) -> Iterator[Person]:
    return _taken.setdefault(id(started), iter(started.world.of("eligible")))


def test_who_has_everything_gets_through_and_pays_what_was_used(
    open_tier: Running, someone: Callable[[], Person]
) -> None:
    person, lines = someone(), Credits(open_tier.world.engine)
    before = lines.balance(open_tier.world.line_id).spent
    status, answer, headers = open_tier.ask(person)
    assert status == 200, answer
    used = answer["usage"]
    due = -(-(used["prompt_tokens"] * 3_000_000 + used["completion_tokens"] * 15_000_000) // 1_000_000)
    balance = lines.balance(open_tier.world.line_id)
    assert (balance.spent - before, balance.reserved) == (due, 0)
    index = int(headers["x-tiergate-decision-id"])
    with closing(DecisionReader(open_tier.world.data / "decisions")) as log:
        record = log.record(index)
        assert (record.outcome, record.reasons) == ("ALLOW", [])
        openings = {one.field: msgspec.json.decode(one.value) for one in log.openings(index)}
    assert openings["person"] == person.person_id
    assert openings["exchange"] == headers["x-tiergate-exchange-id"]


MESSAGES = [{"role": "user", "content": "hm"}]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": MESSAGES, "max_tokens": 10},
    "/v1/responses": {"input": "hm", "max_output_tokens": 10},
    "/v1/embeddings": {"input": "hm"},
    "/v1/messages": {"messages": MESSAGES, "max_tokens": 10},
}


def test_every_surface_is_tried_here() -> None:
    assert set(BODIES) == {path for path, surface in SURFACES.items() if surface.recorded}


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("stream", [False, True])
def test_every_surface_is_gated_and_paid_for_by_what_was_used(open_tier: Running, path: str, stream: bool) -> None:
    person, lines = open_tier.world.of("eligible")[-1], Credits(open_tier.world.engine)
    before = lines.balance(open_tier.world.line_id).spent
    body = {"model": CLOSED} | BODIES[path] | ({"stream": True} if stream else {})
    key = {"Authorization": f"Bearer {person.key}", "Content-Type": "application/json"}

    def post(headers: dict[str, str]) -> Any:
        asked = urllib.request.Request(open_tier.servers[0].address + path, json.dumps(body).encode(), headers | key)
        return urllib.request.urlopen(asked, timeout=20)

    with pytest.raises(urllib.error.HTTPError) as refused:
        post(HEADERS)
    with refused.value as error:
        told = json.loads(error.read())["error"]["tiergate"]
    assert (error.code, [reason["code"] for reason in told["reasons"]]) == (403, ["second_proof_missing"])
    with post(person.headers()) as answer:
        answer.read()
        exchange = answer.headers["x-tiergate-exchange-id"]
    rows = [row for batch in read_log(open_tier.world.data / "log") for row in batch.to_pylist()]
    (row,) = [row for row in rows if row["exchange_id"] == exchange]
    assert row["input_tokens"] > 0
    due = -(-(row["input_tokens"] * 3_000_000 + row["output_tokens"] * 15_000_000) // 1_000_000)
    balance = lines.balance(open_tier.world.line_id)
    assert (balance.spent - before, balance.reserved) == (due, 0)


@pytest.mark.parametrize(
    ("without", "code"),
    [
        ("x-tiergate-project", "project_missing"),
        ("x-tiergate-purpose", "purpose_missing"),
        ("x-tiergate-asset", "asset_missing"),
        ("x-tiergate-client-cert", "second_proof_missing"),
    ],
)
def test_each_header_that_is_missing_has_its_code(open_tier: Running, without: str, code: str) -> None:
    person = open_tier.world.of("eligible")[-1]
    headers = {name: value for name, value in person.headers().items() if name != without}
    assert open_tier.codes(person, headers=headers) == [code]


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("x-tiergate-project", "blue", "grant_other_project"),
        ("x-tiergate-purpose", "attack", "purpose_not_allowed"),
        ("x-tiergate-asset", "www.example.com", "asset_not_authorised"),
        ("x-tiergate-client-cert", "ab" * 32, "second_proof_other"),
    ],
)
def test_each_header_that_is_wrong_has_its_code(open_tier: Running, name: str, value: str, code: str) -> None:
    person = open_tier.world.of("eligible")[-1]
    assert open_tier.codes(person, headers=person.headers() | {name: value})[0] == code


def test_who_is_not_known_is_refused_and_uses_the_lower_tier(open_tier: Running) -> None:
    (customer,) = open_tier.world.of("commodity")
    assert "caller_not_known" in open_tier.codes(customer)
    assert open_tier.ask(customer, COMMODITY)[0] == 200


def test_an_answer_that_costs_more_than_is_left_is_refused(open_tier: Running) -> None:
    person, lines = open_tier.world.of("eligible")[-1], Credits(open_tier.world.engine)
    assert open_tier.codes(person, max_tokens=1_000_000) == ["credit_exhausted"]
    assert lines.balance(open_tier.world.line_id).reserved == 0


def test_a_revoked_grant_is_soon_refused(open_tier: Running, someone: Callable[[], Person]) -> None:
    person = someone()
    assert open_tier.codes(person) == []
    grant = open_tier.world.grants[person.person_id]
    Grants(open_tier.world.engine).revoke(grant, author="op", reason="left", now_us=now_us())
    open_tier.until(["grant_revoked"], person)


def test_a_changed_holder_is_soon_another_one(open_tier: Running, someone: Callable[[], Person]) -> None:
    person, holders = someone(), Holders(open_tier.world.engine)
    held = holders.get("account", person.account_id)
    assert open_tier.codes(person) == []
    holders.set(msgspec.structs.replace(held, proof=None), author="ann", now_us=now_us())
    open_tier.until(["credential_not_bound"], person)
    holders.set(msgspec.structs.replace(held, retention=None), author="ann", now_us=now_us())
    open_tier.until([], person)
    holders.set(msgspec.structs.replace(held, person_id="per_" + "0" * 32), author="ann", now_us=now_us())
    open_tier.until(["no_grant"], person)


def test_the_order_closes_the_models_it_names_for_all_who_are_not_attested(upstream: str, tmp_path: Path) -> None:
    sizes = {"eligible": 3, "ineligible": 3, "not_attested": 3, "commodity": 1}
    with running(tmp_path, upstream, 2, **sizes) as started:
        world = started.world
        (eligible, *_), (ineligible, *_), (missing, *_), (customer,) = map(world.of, sizes)
        for worker in (0, 1):
            for person in (eligible, ineligible, missing):
                assert started.codes(person, worker=worker) == []
            assert started.codes(customer, CLOSED_COMMODITY, worker=worker) == []
        world.activate()
        for worker in (0, 1):
            started.until(["person_ineligible"], ineligible, worker=worker)
            assert started.codes(missing, worker=worker) == ["person_class_missing"]
            assert started.codes(customer, CLOSED_COMMODITY, worker=worker) == ["person_class_missing"]
            assert started.codes(eligible, worker=worker) == []
            assert started.codes(eligible, CLOSED_COMMODITY, worker=worker) == []
            assert started.codes(customer, COMMODITY, worker=worker) == []
        Memberships(world.engine).suspend(
            world.membership_id, author="rob", code="late", reason="late", now_us=now_us()
        )
        started.until(["membership_not_active"], eligible)
        asked = 2 * 3 + 2 * 3
    found = 0
    for folder in (world.data / "decisions", world.data / "decisions" / "worker-2"):
        with closing(DecisionReader(folder)) as log:
            key = load_private_key(world.data / "decisions.key", log.origin).public
            verified = verify_log(log, key=key)
            assert verified.signed == verified.records
            outcomes = [record.outcome for _, record in scan(log, key=key)]
        found += len(outcomes)
        assert outcomes.count("ALLOW") >= 4
        assert outcomes.count("DENY") >= 1
    assert found >= asked


def test_decisions_of_two_gateways_are_explained_and_made_again(upstream: str, tmp_path: Path) -> None:
    with running(tmp_path, upstream, 2, eligible=2, ineligible=1, not_attested=1) as started:
        world = started.world
        (eligible, left), (ineligible,), (missing,) = map(world.of, ("eligible", "ineligible", "not_attested"))
        people = (eligible, ineligible, missing)
        for worker in (0, 1):
            assert [started.ask(person, worker=worker)[0] for person in people] == [200] * 3
        world.activate()
        ids = []
        for worker in (0, 1):
            started.until(["person_ineligible"], ineligible, worker=worker)
            status, _, headers = started.ask(missing, worker=worker)
            assert status == 403
            ids.append(headers["x-tiergate-decision-id"])
            headers = {name: value for name, value in missing.headers().items() if "purpose" not in name}
            started.ask(missing, worker=worker, headers=headers)
            started.ask(eligible, worker=worker, max_tokens=10**6)
        Grants(world.engine).revoke(world.grants[left.person_id], author="op", reason="left", now_us=now_us())
        started.until(["grant_revoked"], left)
        # While gateways run: readers need no lock.
        told = tiergate(world.data, "replay", "--all", "--afresh-every", "1", "--json")
        assert told["complete"]
    assert ids[1].startswith("worker-2/")
    for decision_id in ids:
        assert tiergate(world.data, "replay", decision_id, "--json")["state"] == "same"
        (reason,) = tiergate(world.data, "explain", decision_id, "--json")["reasons"]
        assert (reason["code"], reason["about"]) == ("person_class_missing", ["june_order@2"])
    told = tiergate(world.data, "replay", "--all", "--json")
    assert told["states"] == {"same": told["decisions"]}
    assert told["decisions"] >= 2 * 6 + 1
    assert told["evaluations"] < told["decisions"]
    assert (told["policy_today"], told["flips"]["decisions"]) == (*told["policies"], 0)


def tiergate(data: Path, *arguments: str) -> Any:
    command = [sys.executable, "-m", "tiergate", "decisions", *arguments, "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_log_that_cannot_be_written_refuses(upstream: str, tmp_path: Path) -> None:
    with running(tmp_path, upstream, 1, eligible=1) as started:
        (person,) = started.world.of("eligible")
        (started.world.data / "decisions").write_text("in the way")
        status, body, _ = started.ask(person)
        assert (status, body["error"]["code"]) == (503, "decision_not_recorded")
        balance = Credits(started.world.engine).balance(started.world.line_id)
        assert (balance.reserved, balance.spent) == (0, 0)
        assert started.ask(person, COMMODITY, headers=HEADERS)[0] == 200

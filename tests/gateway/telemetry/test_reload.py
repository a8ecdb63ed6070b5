"""Files that change under a running gateway: a wrong one never takes effect, and operators can see that it has not."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import openai
import pytest
from benchmarks.june_drill import build

from tests.gateway.conftest import Deployed, deployed
from tests.gateway.telemetry.conftest import MODELS, admin_of, get, scrape, until
from tiergate.admission.models import FILE
from tiergate.admission.standings import Standings
from tiergate.clock import SystemClock
from tiergate.errors import InputError
from tiergate.gateway.routing.reload import FILE as ROUTES
from tiergate.gateway.snapshot import Snapshot, load
from tiergate.ledger.verdicts import VerdictStore


def warned(gateway: Deployed) -> list[dict[str, Any]]:
    return list(json.loads(get(f"{admin_of(gateway)}/readyz")[1])["warnings"])


def rejected(gateway: Deployed, file: str) -> float:
    return scrape(gateway).value("tiergate_file_rejected", file=file)


@pytest.fixture(scope="module")
def running(upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("reloaded")
    (folder / "data").mkdir()
    (folder / "data" / FILE).write_text(MODELS)
    with deployed(folder, upstream, metrics_port="0") as gateway:
        yield gateway


@pytest.fixture
def priced(running: Deployed) -> Deployed:
    """A gateway whose files are those that it began with."""
    path = running.data / FILE
    if path.read_text() != MODELS:
        path.write_text(MODELS)
        customer = running.customer()

        def as_before() -> bool:
            customer.ask()
            row = running.rows(customer.account_id)[-1]
            return bool(row["cost_micro_usd"] == row["input_tokens"] + 2 * row["output_tokens"])

        until(as_before)
    return running


def test_a_wrong_file_of_models_is_told_once_and_the_old_prices_stay(priced: Deployed) -> None:
    customer, path = priced.customer(), priced.data / FILE
    path.write_text(MODELS.replace("input_price", "inptu_price"))
    (warning,) = until(lambda: warned(priced))
    assert warning["code"] == "file_not_in_force"
    assert "inptu_price" in warning["detail"]
    status, body = get(f"{priced.address}/readyz")
    # It answers as before, and what is in the file is nobody else's business.
    assert (status, "inptu_price" in body, "file_not_in_force" in body) == (200, False, True)
    assert rejected(priced, FILE) == 1
    customer.ask()
    assert priced.rows(customer.account_id)[0]["cost_micro_usd"] > 0
    # Others of the same second are obeyed.
    key_id = priced.registry.issue_key("acct-299", "more", 1)
    until(lambda: get(f"{priced.address}/v1/models", key_id)[0] == 200)
    path.write_text(MODELS.replace("1_000_000", "9_000_000"))
    until(lambda: not warned(priced))
    assert rejected(priced, FILE) == 0
    before = priced.rows(customer.account_id)[0]
    customer.ask()
    after = priced.rows(customer.account_id)[1]
    assert after["cost_micro_usd"] == before["cost_micro_usd"] + 8 * before["input_tokens"]
    assert priced.output.read_text().count("inptu_price") == 1


def test_a_file_that_is_empty_while_it_is_written_unprices_nothing(priced: Deployed) -> None:
    customer = priced.customer()
    (priced.data / FILE).write_text("")
    (warning,) = until(lambda: warned(priced))
    assert "lists no model any more" in warning["detail"]
    customer.ask()
    assert priced.rows(customer.account_id)[0]["cost_micro_usd"] > 0


def test_a_wrong_file_of_routes_is_told_too(priced: Deployed) -> None:
    (priced.data / ROUTES).write_text("upstreams: [")
    until(lambda: rejected(priced, ROUTES) == 1)
    (warning,) = warned(priced)
    assert warning["detail"].startswith(f"{ROUTES}: ")
    priced.customer().ask()
    (priced.data / ROUTES).unlink()
    until(lambda: rejected(priced, ROUTES) == 0)


def test_a_hang_up_makes_it_look_at_a_file_that_seems_the_same(priced: Deployed) -> None:
    path, customer = priced.data / FILE, priced.customer()
    customer.ask()
    stat = path.stat()
    with path.open("r+") as file:
        file.write(MODELS.replace("1_000_000", "3_000_000"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (before,) = priced.rows(customer.account_id)

    def dearer() -> bool:
        priced.server.process.send_signal(signal.SIGHUP)
        customer.ask()
        row = priced.rows(customer.account_id)[-1]
        return bool(row["cost_micro_usd"] == before["cost_micro_usd"] + 2 * before["input_tokens"])

    until(dearer)


def test_a_wrong_pack_leaves_the_old_ones_in_force_and_a_revocation_is_obeyed(tmp_path: Path) -> None:
    world = build(tmp_path, {"commodity": 1})
    (tmp_path / FILE).write_text('[models."fable-5"]\ntier = "commodity"\n[models.small]\ntier = "commodity"\n')
    store, facts = VerdictStore(world.engine), Standings(world.engine, tmp_path, tmp_path / "packs")

    def loaded(current: Snapshot | None) -> Snapshot:
        return load(world.registry, store, SystemClock().now_us(), current, tmp_path, facts)

    world.activate()
    first = loaded(None)
    assert (first.models.asking, first.packs_complaint) == ({"fable-5"}, None)
    (pack,) = (tmp_path / "packs").glob("*.toml")
    kept = pack.read_text()
    # A pack that is gone is the one that its activation kept: nothing to complain of.
    for spoil, wrong in ((lambda: pack.write_text("wrong ="), True), (pack.unlink, False)):
        spoil()
        # The folder alone changed, and that is noticed.
        second = loaded(first)
        assert second is not first
        assert bool(second.packs_complaint) == wrong
        assert second.models.asking == {"fable-5"}
        assert loaded(second) is second
    credential = next(iter(second.credentials.values()))
    world.registry.revoke_key(credential.credential_id, 1)
    third = loaded(second)
    assert next(iter(third.credentials.values())).revoked_at is not None
    pack.write_text(kept)
    fourth = loaded(third)
    assert (fourth.models.asking, fourth.packs_complaint) == ({"fable-5"}, None)
    world.engine.dispose()


def test_a_gateway_does_not_begin_with_a_wrong_pack(tmp_path: Path) -> None:
    world = build(tmp_path, {"commodity": 1})
    (tmp_path / FILE).write_text('[models."fable-5"]\ntier = "commodity"\n')
    (tmp_path / "packs" / "other.toml").write_text("wrong =")
    facts = Standings(world.engine, tmp_path, tmp_path / "packs")
    with pytest.raises(InputError):
        load(world.registry, VerdictStore(world.engine), SystemClock().now_us(), None, tmp_path, facts)
    world.engine.dispose()


def test_names_that_a_file_has_are_labels_from_the_start(priced: Deployed) -> None:
    customer = priced.customer()
    (priced.data / FILE).write_text(MODELS + '[models.second]\ntier = "open"\ninput_price = 1\noutput_price = 1\n')

    def asked() -> bool:
        with suppress(openai.APIStatusError):
            customer.client.chat.completions.create(model="second", messages=[])
        return scrape(priced).value("tiergate_exchanges_total", model="second") > 0

    until(asked)

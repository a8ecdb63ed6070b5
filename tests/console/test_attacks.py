"""What outsiders, other sites, customers, thieves of a session and colleagues try on the console."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx2
import pytest

from tests.api.authenticator import Authenticator
from tests.api.conftest import NOW
from tests.console.conftest import PASSWORD, Console
from tests.gateway.conftest import GIVE_UP_S
from tiergate.api import passwords
from tiergate.api.first_run import ROLES
from tiergate.api.operators import Role
from tiergate.api.passwords import FREE
from tiergate.api.problems import ProblemError
from tiergate.clock import HOUR
from tiergate.console.readings import Readings
from tiergate.console.rendering import cell
from tiergate.console.tables import Column, Table, csv_lines

WRONG = "wrong horse battery"


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords that take no time, where no attack is about the time."""
    monkeypatch.setattr(passwords, "_N", 1 << 4)


@pytest.fixture
def outside(console: Console) -> Iterator[httpx2.Client]:
    """Somebody on the network who is not signed in."""
    with httpx2.Client(base_url=console.address, timeout=GIVE_UP_S, trust_env=False) as client:
        yield client


class Person:
    """Somebody with an open session, without a browser."""

    def __init__(self, console: Console, operator_id: str) -> None:
        self.operator_id = operator_id
        cookies = {console.services.session_cookie: console.session(operator_id)}
        self.client = httpx2.Client(base_url=console.address, cookies=cookies, trust_env=False, timeout=60)
        self.csrf: str = self.client.get("/v1/session").json()["csrf"]

    def send(self, path: str, **fields: str) -> httpx2.Response:
        return self.client.post(path, data={"csrf": self.csrf} | fields)


@pytest.fixture
def ana(cheap: None, console: Console) -> Iterator[Person]:
    one = Person(console, console.person("ana@example.com", *ROLES))
    yield one
    one.client.close()


def test_many_guesses_at_once_are_no_more_than_one_after_another(console: Console, outside: httpx2.Client) -> None:
    console.person("ana@example.com", Role.AUDITOR)
    form = {"name": "ana@example.com", "password": WRONG}
    with ThreadPoolExecutor(20) as pool:
        told = list(pool.map(lambda _: outside.post("/sign-in", data=form).status_code, range(20)))
    assert told.count(401) <= FREE
    assert set(told) <= {401, 429, 503}


def test_whoever_signs_in_all_the_time_takes_no_thread_from_others(console: Console, outside: httpx2.Client) -> None:
    def guess(number: int) -> int:
        return outside.post("/sign-in", data={"name": f"n{number}", "password": WRONG}).status_code

    with ThreadPoolExecutor(32) as pool:
        told = list(pool.map(guess, range(32)))
    assert 503 in told
    assert set(told) <= {401, 503}


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("name", ["x" * 257, "", " "])
def test_tries_that_cost_us_nothing_fill_no_audit(console: Console, outside: httpx2.Client, name: str) -> None:
    assert outside.post("/sign-in", data={"name": name, "password": WRONG}).status_code == 401
    for _ in range(FREE + 3):
        outside.post("/sign-in", data={"name": "somebody", "password": WRONG})
    assert len(console.services.audit.newest()) == FREE


def test_guesses_from_outside_do_not_keep_from_consenting_who_is_signed_in(
    console: Console, outside: httpx2.Client, ana: Person
) -> None:
    for _ in range(FREE + 1):
        outside.post("/sign-in", data={"name": "ana@example.com", "password": WRONG})
    fields = {"password": "a quite new password", "again": "a quite new password"}
    assert ana.send("/account/password", current=PASSWORD, **fields).status_code == 303


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("password", ["short", "x" * 257])
def test_a_password_that_does_not_fit_does_not_shut_the_first_administrator_out(
    console: Console, outside: httpx2.Client, password: str
) -> None:
    form = {"token": console.services.first_run.token, "name": "ana", "password": password, "again": password}
    assert outside.post("/first-run", data=form).status_code == 422
    assert outside.post("/first-run", data=form | {"password": PASSWORD, "again": PASSWORD}).status_code == 303


def test_an_open_session_registers_no_passkey_of_its_own(console: Console, ana: Person) -> None:
    done = ana.client.post("/v1/passkeys/registration", headers={"x-csrf-token": ana.csrf})
    assert (done.status_code, done.json()["code"]) == (403, "password_needed")
    assert ana.send("/account/passkeys/options", current=WRONG).status_code == 401


def test_a_password_that_was_found_out_replaces_no_passkey(console: Console, ana: Person) -> None:
    assert register(ana, Authenticator(console.address)).status_code == 303
    assert ana.send("/account/passkeys/options", current=PASSWORD).status_code == 403
    consent = {"path.pack": "ofac_50", "action": "activate", "day": "2026-12-01", "reason": "x", "confirmed": "1"}
    assert ana.send("/act/propose_pack", password=PASSWORD, **consent).status_code == 200
    assert console.services.proposals.every(console.clock.now_us()) == []
    assert len(console.services.passkeys.of(ana.operator_id)) == 1


@pytest.mark.parametrize(
    "address",
    [
        "/audit?before=999999999999999999999999", "/admission/grants?before=99999999999999999999",
        "/sharing/told?before=9999999999999999999", "/market/attack?exchanges=nan", "/market/attack?delay=nan",
        "/market/bound?worth=1e308&slowed=1e308", "/v1/market/attack-cost?exchanges=nan", "/cases/%00",
        "/gateway/keys?before=9999999999999999999",
        "/admission/decisions/..%2f..%2f..%2fetc%2fpasswd", "/admission/packs/..%2f..%2fx", "/cases/x/export/..%2fpdf",
        "/admission/organisations?q=%ff%00", f"/admission/parties/{'x' * 9_000}",
    ],
)  # fmt: skip
def test_no_address_makes_us_go_wrong(ana: Person, address: str) -> None:
    assert ana.client.get(address).status_code < 500


@pytest.mark.parametrize("value", ["=1+1", " =1+1", "\n@sum(1)", "\t-1", "\uff1d1+1", "+1", "\r=1"])
def test_no_name_that_a_customer_chose_is_computed_by_a_spreadsheet(value: str) -> None:
    table = Table(name="t", columns=[Column("name", "Name")], rows=[{"name": value}])
    _, cell = csv.reader(io.StringIO("".join(csv_lines(table)), newline=""))
    assert cell == [f"'{value}"]


def test_asking_for_ever_other_works_begins_no_more_threads() -> None:
    working, readings, going = Readings(under_way=8, at_once=2), Readings(), threading.Event()

    def work() -> bool:
        return going.wait(GIVE_UP_S)

    def asked(number: int) -> None:
        working.get(number, None, work, wait_s=0)

    def read(number: int) -> None:
        readings.get(number, 1, work, wait_s=0)

    try:
        for ask, most in ((asked, 8), (read, 16)):
            for number in range(most):
                ask(number)
            with pytest.raises(ProblemError, match="too much is being worked out"):
                ask(most)
            ask(0)
    finally:
        going.set()
    assert working.get(0, None, work, wait_s=GIVE_UP_S) == (True, True)
    assert readings.get(15, 1, work, wait_s=GIVE_UP_S) == (True, True)


def test_a_session_that_somebody_left_open_makes_no_first_password_or_passkey(console: Console) -> None:
    """Of somebody who signs in at a provider, and has neither."""
    person = Person(console, console.services.operators.add("ben", [Role.REVIEWER], None, NOW).operator_id)
    console.clock.time_us += HOUR
    client = person.client
    with closing(client):
        fields = {"password": "a quite new password", "again": "a quite new password"}
        assert person.send("/account/password", **fields).status_code == 403
        assert person.send("/account/passkeys/options").status_code == 403
        done = client.post("/v1/passkeys/registration", headers={"x-csrf-token": person.csrf})
        assert (done.status_code, done.json()["code"]) == (403, "sign_in_again")


@pytest.mark.parametrize("value", [10**20, -(10**20), 253_402_300_799_999_999])
def test_a_time_that_is_none_takes_no_page_away(value: int) -> None:
    assert "<time" in cell(value, "time")
    table = Table(name="t", columns=[Column("at", "At", "time")], rows=[{"at": value}])
    assert len(list(csv_lines(table))) == 2


def register(person: Person, one: Authenticator) -> httpx2.Response:
    options: dict[str, Any] = person.send("/account/passkeys/options", current=PASSWORD).json()
    return person.send("/account/passkeys", credential=json.dumps(one.make(options)["credential"]))

"""Signing in, and what keeps others out, in a real browser."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.console.conftest import PASSWORD, Console, picture
from tiergate.api.operators import Role
from tiergate.clock import HOUR

Open = Callable[..., Page]


def test_the_first_administrator_comes_by_the_terminals_link_once(console: Console, open_page: Open) -> None:
    page, token = open_page(console), console.services.first_run.token
    page.goto(console.address)
    expect(page.get_by_role("status")).to_contain_text("Nobody can sign in yet")
    page.goto(f"{console.address}/first-run?token={token}")
    page.get_by_label("Name or e-mail").fill("ana@example.com")
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("The same once more").fill(PASSWORD)
    picture(page, "first-run")
    page.get_by_role("button", name="Begin").click()
    expect(page).to_have_url(f"{console.address}/")
    operator = console.services.operators.named("ana@example.com")
    assert operator is not None
    assert Role.ADMINISTRATOR in operator.roles
    assert console.services.first_run.token is None
    form = {"token": token, "name": "eve", "password": PASSWORD, "again": PASSWORD}
    again = httpx2.post(f"{console.address}/first-run", data=form, trust_env=False, timeout=60)
    assert again.status_code == 409


def test_one_signs_in_goes_on_and_out(console: Console, open_page: Open) -> None:
    console.person("ana@example.com", Role.AUDITOR)
    page = open_page(console)
    page.goto(f"{console.address}/audit")
    page.get_by_label("Name or e-mail").fill("ana@example.com")
    page.get_by_label("Password").fill("wrong horse battery")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("do not go together")
    page.get_by_label("Name or e-mail").fill("Ana@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("row")).to_have_count(3)
    expect(page.get_by_text("sign_in_refused")).to_be_visible()
    picture(page, "audit")
    page.get_by_role("button", name="Sign out").click()
    page.goto(f"{console.address}/audit")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_session_that_is_over_leads_back_to_where_one_was(console: Console, open_page: Open) -> None:
    page = open_page(console, console.person("ana@example.com", Role.AUDITOR))
    page.goto(f"{console.address}/audit")
    console.clock.time_us += 9 * HOUR
    page.reload()
    expect(page.get_by_role("status")).to_contain_text("Your session has ended")
    page.get_by_label("Name or e-mail").fill("ana@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{console.address}/audit")


def test_roles_bound_what_is_seen(console: Console, open_page: Open) -> None:
    page = open_page(console, console.person("eve@example.com", Role.ENGINEER))
    page.goto(f"{console.address}/audit")
    expect(page.get_by_text("403 role_does_not_allow")).to_be_visible()
    expect(page.get_by_role("link", name="Gateway")).to_be_visible()
    expect(page.get_by_role("link", name="Audit")).to_have_count(0)


def test_bad_addresses_get_a_page_that_helps(console: Console, open_page: Open) -> None:
    page = open_page(console, console.person("ana@example.com", Role.AUDITOR))
    answer = page.goto(f"{console.address}/no/such/page")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("link", name="First page")).to_be_visible()
    picture(page, "not-found")
    # And the way on is there: the sections that they may see.
    page.get_by_role("link", name="Audit").click()
    expect(page).to_have_url(f"{console.address}/audit")


@pytest.mark.parametrize("header", [{"sec-fetch-site": "cross-site"}, {"origin": "https://elsewhere.example"}, {}])
def test_forms_of_other_sites_do_nothing(console: Console, header: dict[str, str]) -> None:
    operator_id = console.person("ana@example.com", Role.ANALYST)
    cookies = {console.services.session_cookie: console.session(operator_id)}
    with httpx2.Client(cookies=cookies, headers=header, trust_env=False, timeout=60) as client:
        answer = client.post(f"{console.address}/act/note_case", data={"path.case_id": "case_1", "reason": "x"})
    assert answer.status_code == 403
    assert console.services.audit.newest() == []


def test_guesses_wait_ever_longer(console: Console) -> None:
    console.person("ana@example.com", Role.AUDITOR)
    form = {"name": "ana@example.com", "password": "wrong horse battery"}
    with httpx2.Client(base_url=console.address, trust_env=False, timeout=60) as client:
        statuses = [client.post("/sign-in", data=form).status_code for _ in range(6)]
        assert statuses == [401] * 5 + [429]
        right = client.post("/sign-in", data=form | {"password": PASSWORD})
        assert right.status_code == 429
        console.clock.time_us += 2_000_000
        assert client.post("/sign-in", data=form | {"password": PASSWORD}).status_code == 303


@pytest.mark.parametrize("target", ["//evil.example", "/\\evil.example", "https://evil.example", "/a\nb", "\\\\evil"])
def test_signing_in_leads_nowhere_else(console: Console, target: str) -> None:
    console.person("ana@example.com", Role.AUDITOR)
    form = {"name": "ana@example.com", "password": PASSWORD, "next": target}
    answer = httpx2.post(f"{console.address}/sign-in", data=form, trust_env=False, timeout=60)
    assert answer.headers["location"] == "/"


def test_another_name_of_this_machine_leads_to_the_one_that_cookies_have(console: Console) -> None:
    port = console.address.rpartition(":")[2]
    answer = httpx2.get(f"http://127.0.0.1:{port}/cases?x=1", trust_env=False, timeout=60)
    assert (answer.status_code, answer.headers["location"]) == (307, f"{console.address}/cases?x=1")

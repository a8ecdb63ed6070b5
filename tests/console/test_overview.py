"""The first page: what waits for whoever looks, what changed since they looked, and that it answers at once."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
from playwright.sync_api import Page, expect

from tests.console.conftest import Console, picture
from tiergate.admission.credits import Credits
from tiergate.admission.programmes import read_programme, templates
from tiergate.api.operators import Role
from tiergate.ledger.verdicts import Action
from tiergate.response.case_files import CaseFile, Found, Proposal

Open = Callable[..., Page]


def case(console: Console, number: int, proposed_by: str | None = None) -> CaseFile:
    """A case file as the desk appends it."""
    now_us = console.clock.now_us()
    found = Found(
        look=1, digest="0" * 64, case_id=f"c{number}", first_seen_us=now_us, last_seen_us=now_us, accounts=3,
        exchanges=10, output_tokens=10, value_usd=None, capability="", confidence=0.9, q_value=0.01, e_value=9.0,
        recommended=(Action.SUSPEND, Action.LIMIT, Action.VERIFY)[number % 3], summary="three accounts",
    )  # fmt: skip
    proposal = None
    if proposed_by is not None:
        proposal = Proposal(
            action=Action.SUSPEND, by=proposed_by, reason="r", at_us=now_us, needed=2, approved_by=(proposed_by,)
        )
    return CaseFile(case_id=f"case_{number:08x}", opened_at_us=now_us, found=found, proposal=proposal)


def put(console: Console, *files: CaseFile) -> None:
    changes = console.services.cases.desk.changes
    with changes.writing("tiergate watch", console.clock.now_us()) as writing:
        writing.put_all([(one.case_id, one) for one in files], "open")


def test_what_waits_and_what_changed(console: Console, open_page: Open) -> None:
    ana, ben = "ana@example.com", "ben@example.com"
    console.person(ana, Role.ANALYST, Role.APPROVER)
    put(console, case(console, 0, ana), case(console, 1), case(console, 2))
    page = open_page(console, console.person(ben, Role.ANALYST, Role.APPROVER, Role.REVIEWER))
    page.goto(console.address)
    expect(page.locator(".tile", has_text="Critical")).to_contain_text("1")
    expect(page.locator("#table-waiting").get_by_role("row")).to_have_count(2)
    expect(page.locator("#table-waiting")).to_contain_text("suspend")
    expect(page.locator("#table-changes").get_by_role("row")).to_have_count(4)
    page.get_by_role("button", name="Mark all as seen").click()
    expect(page.locator("#table-changes")).to_contain_text("Nothing changed")
    put(console, case(console, 5))
    programme = read_programme(templates()[0])
    console.services.programmes.create(programme, author=ana, now_us=console.clock.now_us())
    line = Credits(console.services.engine).open_line(
        programme.programme_id, "acme", 5_000_000, author=ana, now_us=console.clock.now_us()
    )
    page.reload()
    expect(page.get_by_text("1 Case", exact=True)).to_be_visible()
    expect(page.get_by_text("1 Credit line", exact=True)).to_be_visible()
    expect(page.locator("#table-credits")).to_contain_text(line.line_id)
    picture(page, "overview-news")
    # Who proposed it does not decide on it, and has a mark of their own.
    mine = open_page(console, console.services.operators.named(ana).operator_id)  # type: ignore[union-attr]
    mine.goto(console.address)
    expect(mine.locator("#table-waiting")).to_contain_text("Nothing waits")
    expect(mine.get_by_text("Mark them as seen")).to_be_visible()


def test_an_empty_installation_shows_the_first_steps(console: Console, open_page: Open) -> None:
    page = open_page(console, console.person("ana@example.com", Role.ADMINISTRATOR))
    page.goto(console.address)
    expect(page.get_by_text("tiergate keys create ACCOUNT")).to_be_visible()
    picture(page, "overview-empty")


def test_people_of_an_organisation_see_its_own_changes_alone(console: Console) -> None:
    put(console, case(console, 0))
    services, now_us = console.services, console.clock.now_us()
    programme = read_programme(templates()[0])
    services.programmes.create(programme, author="x", now_us=now_us)
    for organisation in ("acme", "other"):
        Credits(services.engine).open_line(programme.programme_id, organisation, 5_000_000, author="x", now_us=now_us)
    operator = services.operators.add("app@example.com", [Role.APPLICANT], "acme", now_us)
    cookies = {services.session_cookie: console.session(operator.operator_id)}
    page = httpx2.get(console.address, cookies=cookies, trust_env=False, timeout=60).text
    assert "acme" in page
    assert "other" not in page.replace("another", "")
    assert "case_" not in page

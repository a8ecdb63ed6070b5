"""Who may, and under which rules: what the programme administrator does, in a real browser, over a real gateway."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import httpx2
import pytest
from benchmarks.gateway_crash import gateway, mock_upstream, serving
from benchmarks.june_world import CLOSED, World, build
from playwright.sync_api import Page, expect

from tests.console.conftest import PASSWORD, Console, picture, running, unfit
from tests.gateway.test_admitted import Running
from tiergate.admission.appeals import Against, Appeals
from tiergate.admission.credits import Credits
from tiergate.admission.memberships import Memberships
from tiergate.api.operators import Role
from tiergate.clock import SystemClock
from tiergate.database import open_database
from tiergate.parties.facts import FactStore
from tiergate.parties.sources.taking import take_in
from tiergate.records.refused import RefusedRows

Open = Callable[..., Page]
SIZES = {"eligible": 2, "ineligible": 2, "not_attested": 1, "commodity": 1}
FACTS = """\
record,id,name,headquarters,incorporated_in,identifiers,owner,owned,percent,percent_min,percent_max,party,list,reason
party,a,Applicant Labs Ltd,SG,SG,lei:A,,,,,,,,
party,h,Harbour Holding BV,NL,NL,,,,,,,,,
party,n,Northern Star Trading,CY,CY,,,,,,,,,
party,f,Founders Trust,JE,JE,,,,,,,,,
party,x,Example State Works,RU,RU,,,,,,,,,
party,q,Quiet Capital LP,KY,KY,,,,,,,,,
stake,s1,,,,,h,a,50,,,,,
stake,s2,,,,,f,a,30,,,,,
stake,s3,,,,,q,a,,10,20,,,
stake,s4,,,,,n,h,60,,,,,
stake,s5,,,,,x,n,75,,,,,
stake,s6,,,,,a,f,10,,,,,
listing,,,,,,,,,,,x,SDN,
undisclosed,,,,,,,,,,,q,,asked and not told
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = build(tmp_path_factory.mktemp("admission") / "data", SIZES)
    yield made
    made.engine.dispose()


@pytest.fixture(scope="module")
def console(world: World) -> Iterator[Console]:
    with running(world.data, SystemClock(), packs=world.data / "packs") as one:
        one.person("ana@example.com", Role.ADMINISTRATOR, Role.AUDITOR)
        one.person("ben@example.com", Role.ADMINISTRATOR)
        one.person("rob@example.com", Role.REVIEWER)
        yield one


def as_(console: Console, open_page: Open, name: str, **more: object) -> Page:
    operator = console.services.operators.named(name)
    assert operator is not None
    return open_page(console, operator.operator_id, **more)


def consent(page: Page) -> None:
    """Agree to what is asked, with the password."""
    page.get_by_label("Your password again").fill(PASSWORD)
    page.get_by_role("button", name="Yes, do it").click()
    expect(page.get_by_role("status")).to_contain_text("Done")


def settled(page: Page) -> None:
    """Wait until nothing is being worked out any more."""
    expect(page.get_by_role("heading", name="One moment")).to_have_count(0)


def contents(path: Path) -> str:
    """A digest of every row of every table."""
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("select name from sqlite_master where type = 'table' order by 1").fetchall()
        rows = [(name, list(connection.execute(f'select * from "{name}"'))) for (name,) in tables]
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def test_an_order_is_previewed_activated_by_two_obeyed_found_replayed_and_lifted(
    world: World, console: Console, open_page: Open, tmp_path: Path
) -> None:
    person = world.of("ineligible")[0]
    settings = {"TIERGATE_TRUSTED_PROXIES": "127.0.0.0/8", "TIERGATE_PACKS": str(world.data / "packs")}
    with ExitStack() as stack:
        upstream = stack.enter_context(serving(mock_upstream(), tmp_path / "upstream"))
        door = stack.enter_context(serving(gateway(world.data, upstream.address), tmp_path / "gateway", settings))
        asking = Running(world, [door])
        assert asking.codes(person) == []

        ana = as_(console, open_page, "ana@example.com")
        ana.goto(f"{console.address}/admission/packs/june_order@2")
        picture(ana, "pack")
        ana.get_by_role("button", name="Who flips").click()
        settled(ana)
        rows = ana.locator("#table-rows tbody tr")
        expect(rows.filter(has_text=person.person_id)).to_contain_text("ineligible")
        picture(ana, "preview")
        ana.get_by_label("Reason").fill("the order of today")
        ana.get_by_role("button", name="Propose").click()
        expect(ana.get_by_text("nothing changes until a second administrator")).to_be_visible()
        expect(ana.get_by_text(f"on these models here: {CLOSED}")).to_be_visible()
        picture(ana, "propose")
        consent(ana)
        expect(ana.get_by_text("You proposed this")).to_be_visible()
        assert asking.codes(person) == []

        ben = as_(console, open_page, "ben@example.com")
        ben.goto(f"{console.address}/admission")
        picture(ben, "now")
        ben.get_by_role("button", name="Confirm").click()
        expect(ben.get_by_text("ana@example.com proposed this: the order of today")).to_be_visible()
        picture(ben, "confirm-pack")
        consent(ben)
        asking.until(["person_ineligible"], person)
        assert asking.codes(world.of("eligible")[0]) == []

        ana.goto(f"{console.address}/admission/decisions")
        ana.get_by_label("Code").fill("person_ineligible")
        ana.get_by_role("button", name="Find").click()
        found = ana.locator("#table-decisions tbody tr").first
        expect(found).to_contain_text(person.person_id)
        picture(ana, "decisions")
        found.get_by_role("link").first.click()
        expect(ana.locator("#table-gates")).to_contain_text("june_order@2")
        expect(ana.get_by_role("heading", name="Made again")).to_contain_text("the same")
        picture(ana, "decision")

        ana.goto(f"{console.address}/admission/packs/june_order@2")
        ana.locator("form[data-operation=propose_pack]").get_by_label("Reason").fill("the order was lifted")
        ana.get_by_role("button", name="Propose").click()
        consent(ana)
        ben.goto(f"{console.address}/admission/packs")
        ben.get_by_role("button", name="Confirm").click()
        consent(ben)
        asking.until([], person)
        picture(ben, "packs")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_june_drill_says_who_loses_what_and_changes_nothing(
    world: World, console: Console, open_page: Open, theme: str
) -> None:
    page = as_(console, open_page, "ana@example.com", color_scheme=theme)
    page.goto(f"{console.address}/admission/drill")
    before = contents(world.data / "control.sqlite")
    page.get_by_role("button", name="Run the drill").click()
    expect(page.get_by_role("status")).to_contain_text("exactly as before", timeout=60_000)
    assert contents(world.data / "control.sqlite") == before
    groups = page.locator("#table-groups tbody tr")
    expect(groups.filter(has_text=CLOSED).filter(has_text="person_ineligible")).to_contain_text("2")
    expect(groups.filter(has_text=CLOSED).filter(has_text="person_class_missing").first).to_contain_text("none")
    for one in world.of("ineligible"):
        lost = page.locator("#table-holders tbody tr").filter(has_text=one.person_id).filter(has_text=CLOSED)
        expect(lost).to_contain_text("deny")
    picture(page, f"drill-{theme}")


def test_an_application_is_reviewed_by_two_and_a_member_suspended_and_heard(
    world: World, console: Console, open_page: Open
) -> None:
    now_us = console.clock.now_us()
    held = Memberships(world.engine).apply("circle", "org_new", applicant="una", now_us=now_us, statement="we test")
    Memberships(world.engine).approve(held.membership_id, reviewer="rita", now_us=now_us)
    rob = as_(console, open_page, "rob@example.com")
    rob.goto(f"{console.address}/admission/members?state=waiting")
    picture(rob, "members")
    rob.get_by_role("link", name=held.membership_id).click()
    expect(rob.get_by_text("One reviewer approved")).to_be_visible()
    picture(rob, "member")
    rob.get_by_role("button", name="Approve").click()
    consent(rob)
    assert Memberships(world.engine).standing(held.membership_id, now_us).may_use
    suspend = rob.locator("form[data-operation=suspend]")
    suspend.get_by_label("Code").fill("review_expired")
    suspend.get_by_label("Reason").fill("the review is 13 months old")
    suspend.get_by_role("button").click()
    expect(rob.get_by_text("0 grants that are live rest on it")).to_be_visible()
    rob.get_by_role("button", name="Yes, do it").click()
    expect(rob.locator("#table-history")).to_contain_text("review_expired: the review is 13 months old")

    appeal = Appeals(world.engine).file(
        Against.MEMBERSHIP, held.membership_id, filed_by="una", grounds="a new one is in", now_us=console.clock.now_us()
    )
    ben = as_(console, open_page, "ben@example.com")
    ben.goto(f"{console.address}/admission/appeals/{appeal.appeal_id}")
    expect(ben.get_by_text("rob@example.com")).to_be_visible()
    rob.goto(f"{console.address}/admission/appeals")
    picture(rob, "appeals")
    rob.get_by_role("link", name=appeal.appeal_id).click()
    rob.get_by_label("Reason").fill("it is not")
    rob.get_by_role("button", name="Vote").click()
    rob.get_by_label("Your password again").fill(PASSWORD)
    rob.get_by_role("button", name="Yes, do it").click()
    expect(rob.get_by_text("reviewer_not_independent")).to_be_visible()


def test_credit_is_carved_and_what_was_spent_is_stated(world: World, console: Console, open_page: Open) -> None:
    store, now_us = Credits(world.engine), console.clock.now_us()
    made = store.reserve(world.line_id, 3_000_000, member_id="per_1", purpose_id="pur_1", now_us=now_us)
    store.settle(made.reservation_id, 2_500_000, now_us=now_us)
    page = as_(console, open_page, "ben@example.com")
    page.goto(f"{console.address}/admission/credits/{world.line_id}")
    expect(page.locator("#table-statement")).to_contain_text("$2.50")
    picture(page, "credit")
    form = page.locator("form[data-operation=resize_credit_line]")
    form.get_by_label("Micro-dollars").fill("500000000000")
    form.get_by_label("Reason").fill("half is enough")
    form.get_by_role("button").click()
    expect(page.get_by_role("status")).to_contain_text("Done")
    page.goto(f"{console.address}/admission/credits")
    form = page.locator("form[data-operation=open_credit_line]")
    form.get_by_label("Organisation").fill("org_new")
    form.get_by_label("Micro-dollars").fill("25000000")
    form.get_by_role("button").click()
    expect(page.get_by_text("$25.00 for org_new out of the pool of circle")).to_be_visible()
    page.get_by_role("button", name="Yes, do it").click()
    expect(page.locator("#table-lines tbody tr")).to_have_count(2)
    picture(page, "credits")
    held = {one.organisation_id: one.committed_micro_usd for one in store.lines()}
    assert held == {"org_a": 500_000_000_000, "org_new": 25_000_000}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_owners_are_drawn_proved_and_what_is_missing_is_asked_for(tmp_path: Path, open_page: Open, theme: str) -> None:
    (tmp_path / "facts.csv").write_text(FACTS)
    with running(tmp_path / "data", SystemClock()) as console:
        engine = open_database(tmp_path / "data" / "parties.sqlite")
        with RefusedRows(tmp_path / "refused.jsonl") as refused:
            take_in(FactStore(engine), "csv", [tmp_path / "facts.csv"], refused=refused,
                    now_us=console.clock.now_us(), source="register extracts")  # fmt: skip
        engine.dispose()
        assert refused.count == 0
        page = open_page(console, console.person("ana@example.com", Role.ADMINISTRATOR), color_scheme=theme)
        page.goto(f"{console.address}/admission/organisations?q=applicant+labs+ltd")
        settled(page)
        page.locator("#table-organisations a").first.click()
        settled(page)
        page.get_by_label("Also under").select_option("ofac_50@1")
        page.get_by_role("button", name="Look").click()
        settled(page)
        expect(page.locator("ul.proof")).to_contain_text("Example State Works")
        drawn = page.locator(".owners svg")
        expect(drawn.get_by_text("60%", exact=True)).to_be_visible()
        expect(page.locator("#table-stakes tbody tr")).to_have_count(6)
        picture(page, f"organisation-{theme}")
        page.get_by_label("Also under").select_option("provider_supported_regions@1")
        page.get_by_role("button", name="Look").click()
        settled(page)
        expect(page.get_by_text("that no stake explains")).to_be_visible()
        picture(page, f"organisation-provider-{theme}")
        drawn.get_by_role("link", name="Example State Works").click()
        settled(page)
        expect(page.locator("#table-records")).to_contain_text("SDN")
        picture(page, f"party-{theme}")


def test_an_applicant_sees_their_organisations_things_alone(world: World, console: Console) -> None:
    services, now_us = console.services, console.clock.now_us()
    operator = services.operators.add("una@example.org", [Role.APPLICANT], "org_una", now_us)
    held = Memberships(world.engine).apply("circle", "org_una", applicant="una@example.org", now_us=now_us)
    cookies = {services.session_cookie: console.session(operator.operator_id)}
    with httpx2.Client(base_url=console.address, cookies=cookies, trust_env=False, timeout=60) as client:
        for path in ("", "/programmes", "/members", "/organisations", "/packs", "/grants", "/credits", "/purposes",
                     "/decisions", "/appeals", "/programmes/circle"):  # fmt: skip
            answer = client.get(f"/admission{path}")
            assert answer.status_code == 200, path
            assert "org_a<" not in answer.text
            assert world.line_id not in answer.text
        assert held.membership_id in client.get("/admission/members").text
        assert client.get(f"/admission/members/{held.membership_id}").status_code == 200
        assert client.get("/admission/organisations/org_una").status_code == 200
        grant = next(iter(world.grants.values()))
        for path in (f"members/{world.membership_id}", "organisations/org_a", f"credits/{world.line_id}",
                     f"grants/{grant}"):  # fmt: skip
            assert client.get(f"/admission/{path}").status_code == 404, path
        said = client.get("/admission/packs/june_order@2").text + client.get("/admission/packs").text
        assert "ana@example.com" not in said
        for path in ("drill", "packs/ofac_50/preview", "parties/pty_" + "0" * 32):
            assert client.get(f"/admission/{path}").status_code == 403, path


def test_pages_about_one_thing_are_accessible(world: World, console: Console, open_page: Open, axe: str) -> None:
    purpose = next(iter(console.services.purposes.every())).purpose_id
    grant = next(iter(world.grants.values()))
    page = as_(console, open_page, "ana@example.com", color_scheme="dark", bypass_csp=True)
    found = {}
    for path in ("programmes/circle", f"members/{world.membership_id}", "organisations/org_a", f"grants/{grant}",
                 f"purposes/{purpose}", f"credits/{world.line_id}", "packs/bis_affiliates",
                 "packs/june_order@2/preview", "drill?run=1"):  # fmt: skip
        page.goto(f"{console.address}/admission/{path}")
        settled(page)
        picture(page, f"one-{path.split('/')[0].partition('?')[0]}")
        if faults := unfit(page, axe):
            found[path] = faults
    assert found == {}

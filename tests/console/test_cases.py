"""The section of cases: an analyst reads a case that the watch found, and people decide it together."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from benchmarks.gateway_crash import gateway, mock_upstream, serving
from playwright.sync_api import Page, expect

from tests.console.conftest import PASSWORD, Console, picture, running, unfit
from tests.gateway.conftest import GIVE_UP_S
from tests.response.test_watch import exchanges_of, quietly, record
from tiergate.admission.appeals import Against
from tiergate.api.operators import Role
from tiergate.clock import FixedClock, SystemClock
from tiergate.database import open_database
from tiergate.detection.run import Parameters
from tiergate.parties.registry import Registry
from tiergate.parties.tokens import load_or_create_pepper
from tiergate.response.case_files import CaseFile
from tiergate.response.ladder import load_policy
from tiergate.response.watch import Watch
from tiergate.simulation.prompts import GrammarPrompts
from tiergate.simulation.spec import CampaignSpec, WorldSpec
from tiergate.simulation.world import simulate

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A console over a small world's log, at which the watch looked once."""
    spec = WorldSpec(days=4, people=90, campaigns=(CampaignSpec(accounts=30, payment_sharing=0.6),))
    world = simulate(spec, 1, GrammarPrompts())
    data = tmp_path_factory.mktemp("cases") / "data"
    data.mkdir()
    (data / "key").write_bytes(b"k" * 32)
    asked = exchanges_of(world)
    record(data, asked)
    engine = open_database(data / "control.sqlite")
    registry = Registry(engine, load_or_create_pepper(data / "pepper"))
    registry.add_accounts(world.accounts.to_pylist())
    clock = FixedClock(asked[-1].started_at)
    Watch(data, engine, registry, load_policy(), clock).look(Parameters(decoys=2), quietly)
    engine.dispose()
    # People decide now: a gateway, which has its own clock, must find their verdicts in force.
    with running(data, FixedClock(SystemClock().now_us())) as one:
        one.person("ana@example.com", Role.ANALYST)
        one.person("bea@example.com", Role.APPROVER)
        yield one


def case_of(console: Console) -> CaseFile:
    (file,) = console.services.cases.every()
    return file


def who(console: Console, name: str) -> str:
    operator = console.services.operators.named(name)
    assert operator is not None
    return operator.operator_id


def under(console: Console) -> set[str]:
    """What the case's accounts are under now."""
    held = console.services.cases.desk.verdicts.of_case(case_of(console).case_id, console.clock.now_us())
    return {one.action.value for one in held.values()}


@pytest.fixture
def becomes(deployed: Console, tmp_path: Path) -> Iterator[Callable[[int], httpx2.Response]]:
    """What a real gateway over the same data answers to a member of the case, once it has a status."""
    member = deployed.services.cases.members(case_of(deployed).case_id)[0].account_id
    key = deployed.services.registry.issue_keys([member], "test", deployed.clock.now_us())[member]
    with (
        serving(mock_upstream(), tmp_path / "upstream.out") as upstream,
        serving(gateway(deployed.data, upstream.address), tmp_path / "gateway.out") as server,
    ):

        def asked(status: int) -> httpx2.Response:
            give_up = time.monotonic() + GIVE_UP_S
            while True:
                answer = httpx2.post(
                    f"{server.address}/v1/chat/completions",
                    headers={"authorization": f"Bearer {key}"},
                    json={"model": "m", "messages": [{"role": "user", "content": "What is tin?"}]},
                    trust_env=False,
                )
                if answer.status_code == status:
                    return answer
                assert time.monotonic() < give_up, answer.text
                time.sleep(0.2)

        yield asked


def test_people_read_a_case_suspend_it_together_and_undo_it(
    deployed: Console, open_page: Open, becomes: Callable[[int], httpx2.Response]
) -> None:
    case_id = case_of(deployed).case_id
    becomes(200)
    ana, bea = (open_page(deployed, who(deployed, f"{name}@example.com")) for name in ("ana", "bea"))
    ana.goto(f"{deployed.address}/cases")
    picture(ana, "cases-worklist")
    ana.get_by_role("link", name=case_id).click()
    expect(ana.get_by_role("heading", name="What speaks for it, and what against it")).to_be_visible()
    expect(ana.locator("svg.waterfall rect.against").first).to_be_attached()
    expect(ana.get_by_role("region", name="Steps, mildest first")).to_contain_text("suspend")
    picture(ana, "case-evidence")
    form = ana.locator("form[data-operation=propose_step]")
    form.get_by_label("Step").select_option("suspend")
    form.get_by_label("Reason").fill("one stolen card")
    form.get_by_role("button", name="Propose").click()
    expect(ana.get_by_text("nothing happens to anybody until the others do")).to_be_visible()
    picture(ana, "case-proposing")
    # Whoever proposes agrees, so it must be they who do.
    ana.get_by_label("Your password again").fill(PASSWORD)
    ana.get_by_role("button", name="Yes, do it").click()
    expect(ana.get_by_text("suspend is proposed by ana@example.com: one stolen card.")).to_be_visible()
    assert "suspend" not in under(deployed)

    bea.goto(f"{deployed.address}/cases/{case_id}")
    bea.get_by_role("link", name="Decide it").click()
    bea.get_by_role("button", name="Agree").click()
    expect(bea.get_by_text("suspend is in force at once")).to_be_visible()
    bea.get_by_label("Your password again").fill("wrong horse battery")
    bea.get_by_role("button", name="Yes, do it").click()
    expect(bea.get_by_role("alert")).to_be_visible()
    bea.get_by_label("Your password again").fill(PASSWORD)
    picture(bea, "case-approving")
    bea.get_by_role("button", name="Yes, do it").click()
    expect(bea.get_by_role("heading", level=1)).to_contain_text("suspend")
    picture(bea, "case-suspended")
    assert under(deployed) == {"suspend"}
    assert "suspend" in becomes(403).text

    ana.goto(f"{deployed.address}/cases/{case_id}")
    form = ana.locator("form[data-operation=take_step]")
    form.get_by_label("Step").select_option("watch")
    form.get_by_label("Reason").fill("an office after all")
    form.get_by_role("button", name="Take it").click()
    expect(ana.get_by_text("Every verdict of the case is lifted")).to_be_visible()
    ana.get_by_role("button", name="Yes, do it").click()
    expect(ana.get_by_role("heading", level=1)).to_contain_text("watch")
    assert under(deployed) == set()
    becomes(200)
    ana.get_by_role("link", name="History and appeals").click()
    expect(ana.get_by_role("region", name="Changes, the newest first")).to_contain_text("agreed to by ana@example.com")
    expect(ana.get_by_role("region", name="All of one author and moment together")).to_contain_text("suspend lifted")
    picture(ana, "case-history")


def test_the_graph_says_why_an_account_is_there(deployed: Console, open_page: Open) -> None:
    case = case_of(deployed)
    page = open_page(deployed, who(deployed, "ana@example.com"))
    page.goto(f"{deployed.address}/cases/{case.case_id}/accounts")
    members = deployed.services.cases.members(case.case_id)
    expect(page.locator("#graph")).to_have_attribute("data-drawn", str(len(members)))
    one = page.evaluate(
        """() => {
            const graph = document.getElementById("graph");
            for (const cell of document.querySelectorAll("#table-accounts tbody tr")) {
                if (Number(cell.children[4].textContent) > 1) return cell.querySelector("a").textContent;
            }
        }"""
    )
    place = page.evaluate("(name) => window.tiergateGraph.where(name)", one)
    box = page.locator("#graph").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + place["x"], box["y"] + place["y"])
    panel = page.locator("#why-panel")
    expect(panel.get_by_role("heading", name="Why this account is in the case")).to_be_visible()
    panel.get_by_role("region", name="Its strongest links").get_by_role("link").first.click()
    expect(panel.get_by_role("heading", name="How it hangs together with")).to_be_visible()
    expect(panel.get_by_role("region", name="The fewest links").get_by_role("row")).to_have_count(2)
    picture(page, "case-accounts")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_of_a_case_are_accessible(deployed: Console, open_page: Open, axe: str, theme: str) -> None:
    case = case_of(deployed)
    page = open_page(deployed, who(deployed, "ana@example.com"), color_scheme=theme, bypass_csp=True)
    member = deployed.services.cases.members(case.case_id)[0].account_id
    found = {}
    for one in ("", "/accounts", f"/why?a={member}", "/traffic", "/history"):
        page.goto(f"{deployed.address}/cases/{case.case_id}{one}")
        expect(page.get_by_text("is being counted")).to_have_count(0)
        picture(page, f"case-{theme}{one.partition('?')[0].replace('/', '-')}")
        faults = unfit(page, axe)
        if faults:
            found[one] = faults
    assert found == {}


@pytest.fixture
def client(deployed: Console) -> Iterator[httpx2.Client]:
    cookies = {deployed.services.session_cookie: deployed.session(who(deployed, "ana@example.com"))}
    with httpx2.Client(base_url=deployed.address, cookies=cookies, trust_env=False, timeout=60) as one:
        yield one


def test_a_case_has_its_numbers_as_csv_and_its_pages_are_small(deployed: Console, client: httpx2.Client) -> None:
    case_id = case_of(deployed).case_id
    client.get(f"/cases/{case_id}/traffic")
    deployed.services.sheets.wait()
    for page in ("", "/accounts", "/traffic", "/history"):
        answer = client.get(f"/cases/{case_id}{page}")
        assert answer.status_code == 200
        assert len(answer.content) < 200_000
        names = set(re.findall(r"[?&]csv=([\w.-]+)", answer.text))
        assert names
        for name in names:
            rows = list(csv.reader(io.StringIO(client.get(f"/cases/{case_id}{page}", params={"csv": name}).text)))
            assert len({len(row) for row in rows}) == 1, name
    accounts = list(csv.DictReader(io.StringIO(client.get(f"/cases/{case_id}/accounts?csv=accounts").text)))
    assert len(accounts) == len(deployed.services.cases.members(case_id))
    strips = list(csv.DictReader(io.StringIO(client.get(f"/cases/{case_id}/traffic?csv=strips").text)))
    assert sum(int(row["exchanges"]) for row in strips) == sum(int(row["charged"]) for row in accounts)


def test_assumptions_change_what_a_case_is_worth(deployed: Console, client: httpx2.Client) -> None:
    path = f"/cases/{case_of(deployed).case_id}/traffic"
    client.get(path)
    deployed.services.sheets.wait()

    def worth(**assumed: float) -> dict[str, str]:
        rows = csv.DictReader(io.StringIO(client.get(path, params={"csv": "value", **assumed}).text))
        return {row["what"]: row["mid"] for row in rows}

    accounts = len(deployed.services.cases.members(case_of(deployed).case_id))
    assert float(worth(account_price=3)["The accounts, to whoever opened them"]) == 3_000_000 * accounts
    assert worth(output_price=1) != worth(output_price=2)
    assert client.get(path, params={"output_price": "dear"}).status_code == 422


def test_the_worklist_is_filtered_and_searched(deployed: Console, client: httpx2.Client) -> None:
    case = case_of(deployed)
    member = deployed.services.cases.members(case.case_id)[0].account_id
    asked = [
        ({"search": case.case_id[:9]}, True), ({"search": member}, True), ({"search": "nobody-has-this"}, False),
        ({"assignee": "nobody"}, True), ({"assignee": "ana"}, False), ({"status": "closed"}, False),
        ({"after": "rubbish"}, True), ({"overdue": "1"}, True),
    ]  # fmt: skip
    for query, there in asked:
        answer = client.get("/cases", params=query)
        assert answer.status_code == 200
        assert (case.case_id in answer.text) is there, query
    assert client.get("/cases", params={"status": "odd"}).status_code == 200


def test_what_there_is_not_gets_a_page_that_helps(deployed: Console, client: httpx2.Client) -> None:
    case_id = case_of(deployed).case_id
    for path in (
        "/cases/none",
        f"/cases/{case_id}/why?a=nobody",
        f"/cases/{case_id}/export/docx",
        "/cases/none/graph.json",
    ):
        answer = client.get(path)
        assert answer.status_code == 404, path
        assert "What to do" in answer.text


def test_a_case_is_taken_away_as_the_command_line_writes_it(deployed: Console, client: httpx2.Client) -> None:
    case_id = case_of(deployed).case_id
    page = client.get(f"/cases/{case_id}/export/html")
    assert page.status_code == 200, page.text
    assert f'filename="{case_id}.html"' in page.headers["content-disposition"]
    assert "Case dossier" in page.text
    last = deployed.services.audit.newest(limit=1)[0]
    assert (last.operation, last.operator_name) == ("export_case", "ana@example.com")


def act(client: httpx2.Client, console: Console, operation: str, case_id: str, **fields: str) -> str:
    """Ask for an operation, read what would come of it, and do it; returns the page that foretold it."""
    cookie = client.cookies[console.services.session_cookie]
    session = console.services.sessions.find(cookie, console.clock.now_us())
    assert session is not None
    form = {"csrf": session.csrf, "path.case_id": case_id, "next": f"/cases/{case_id}", "reason": "seen"} | fields
    told = client.post(f"/act/{operation}", data=form)
    assert told.status_code == 200, told.text
    done = client.post(f"/act/{operation}", data=form | {"confirmed": "1"})
    assert done.status_code == 303, done.text
    return re.sub(r"<[^>]+>", " ", told.text)


def test_an_appeal_is_read_and_decided_beside_its_case(
    deployed: Console, open_page: Open, client: httpx2.Client
) -> None:
    case_id = case_of(deployed).case_id
    act(client, deployed, "take_step", case_id, action="verify")
    now_us = deployed.clock.now_us()
    verdict = next(iter(deployed.services.cases.desk.verdicts.of_case(case_id, now_us).values()))
    filed = {"filed_by": "customer@example.com", "grounds": "we are <b>one</b> office", "now_us": now_us}
    appeal = deployed.services.appeals.file(Against.VERDICT, verdict.verdict_id, **filed)
    page = open_page(deployed, deployed.person("rea@example.com", Role.REVIEWER, Role.AUDITOR))
    page.goto(f"{deployed.address}/cases/{case_id}/history")
    thread = page.locator(f"#{appeal.appeal_id}")
    expect(thread).to_contain_text("we are <b>one</b> office")
    thread.get_by_label("Your vote").select_option("overturned")
    thread.get_by_label("Reason, which the appellant reads").fill("one office")
    thread.get_by_role("button", name="Vote").click()
    page.get_by_label("Your password again").fill(PASSWORD)
    page.get_by_role("button", name="Yes, do it").click()
    expect(page.locator(f"#{appeal.appeal_id}")).to_contain_text("overturned: the account is let go")
    picture(page, "case-appeal")
    assert verdict.account_id not in deployed.services.cases.desk.verdicts.of_case(case_id, now_us)


def test_what_a_decision_would_do_is_said_before_it_is_made(deployed: Console, client: httpx2.Client) -> None:
    case_id, cases = case_of(deployed).case_id, deployed.services.cases
    members = [one.account_id for one in cases.members(case_id)]
    some = members[:3]
    assert "The clearing has no end" in act(
        client, deployed, "clear_account", case_id, account_id=members[5], up_to="suspend", until_us=""
    )
    told = act(client, deployed, "split_case", case_id, accounts="\n".join(some))
    assert f"3 of {len(members)} accounts get a case of their own" in told
    (part,) = (one.case_id for one in cases.every() if one.split_from == case_id)
    assert {one.account_id for one in cases.members(part)} == set(some)
    assert f"3 accounts become those of {case_id}, which has {len(members) - 3}." in act(
        client, deployed, "merge_case", part, into=case_id
    )
    assert len(cases.members(case_id)) == len(members)
    assert "are let go at once" in act(client, deployed, "close_case", case_id, outcome="mistaken")
    assert cases.desk.verdicts.of_case(case_id, deployed.clock.now_us()) == {}
    page = client.get(f"/cases/{case_id}").text
    assert "closed: mistaken" in page
    assert 'action="/act/reopen_case"' in page

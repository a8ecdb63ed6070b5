"""Sharing in a real browser, with a second deployment that runs: its finding is read, an opinion goes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path

import httpx2
import msgspec
import pytest
from playwright.sync_api import Page, expect

from tests.api.conftest import NOW, Control
from tests.api.conftest import running as other_lab
from tests.console.conftest import Console, picture, running
from tests.response.test_watch import record
from tests.sharing.test_taxii import FOUND, OURS, THEIRS, numbered
from tiergate.api.operators import Role
from tiergate.api.shared_leads import lead_id
from tiergate.api.taxii import ROOT
from tiergate.clock import DAY, FixedClock
from tiergate.console.sharing import received
from tiergate.records.schema import Exchange
from tiergate.response.ladder import FILE
from tiergate.response.leads import Lead, Leads, Signal
from tiergate.sharing.feedback import said_by_peers
from tiergate.sharing.finding import Opinion, View, keyed_token
from tiergate.sharing.marking import Tlp
from tiergate.sharing.stix import to_bytes
from tiergate.sharing.tokens.files import Answer, keep, keep_answer
from tiergate.sharing.tokens.hub import Told
from tiergate.sharing.tokens.items import Cause
from tiergate.sharing.tokens.lab import JointCluster, Prepared, Sent

Open = Callable[..., Page]


@pytest.fixture
def labs(tmp_path: Path) -> Iterator[tuple[Control, Console]]:
    """Lab A by its control API, and lab B, whose console is looked at. Each is a peer of the other, and B has A's
    address."""
    data = tmp_path / "b"
    data.mkdir()
    policy = files("tiergate.response").joinpath(FILE).read_text("utf-8")
    (data / FILE).write_text(policy.replace("[sharing]", f'[sharing]\nlab = "{THEIRS.name}"'), "utf-8")
    with ExitStack() as stack:
        ours = stack.enter_context(other_lab(tmp_path / "a"))
        theirs = stack.enter_context(running(data, FixedClock(NOW)))
        _, token = ours.services.peers.add(THEIRS.name, NOW)
        (data / "a.token").write_text(token or "")
        theirs.services.peers.add(OURS.name, NOW, url=f"{ours.address}{ROOT}", token_file="a.token", private=True)
        yield ours, theirs


def test_a_finding_comes_an_opinion_goes_and_is_withdrawn(labs: tuple[Control, Console], open_page: Open) -> None:
    ours, theirs = labs
    finding = msgspec.structs.replace(FOUND, tlp=Tlp.AMBER)
    ours.services.shared.tell(finding, NOW)
    page = open_page(theirs, theirs.person("ana@example.com", Role.ANALYST))
    page.goto(f"{theirs.address}/sharing/received")
    expect(page.get_by_text("No peer told a finding yet")).to_be_visible()
    page.goto(f"{theirs.address}/sharing")
    page.get_by_role("button", name="Send to all and read from all now").click()
    expect(page.get_by_role("status")).to_contain_text("Send to peers and read from them now")
    picture(page, "sharing-peers")
    page.get_by_role("link", name="Received").click()
    row = page.get_by_role("row", name=finding.finding_id[:13])
    expect(row).to_contain_text("TLP:AMBER")
    picture(page, "sharing-received")

    # What it did here is let go of where we disagree.
    leads = Leads(theirs.services.cases.desk)
    signal = Signal(
        lead_id=lead_id(theirs.data, finding.finding_id),
        source="s",
        maker=OURS.name,
        named=None,
        accounts={"acct-7": "client_asn"},
    )
    assert leads.raised(signal, author="watch", now_us=NOW) == 1
    row.get_by_role("link").click()
    expect(page.get_by_role("cell", name="acct-7")).to_be_visible()
    page.get_by_label("We").select_option("disagree")
    page.get_by_label("Why; stays here").first.fill("a class of students")
    page.get_by_role("button", name="Tell peers", exact=True).click()
    expect(page.locator("#table-said").get_by_role("row", name=THEIRS.name)).to_contain_text("disagree")
    expect(page.locator(".tile", has_text="Corroboration")).to_contain_text("0 agree, 1 disagree")
    expect(page.get_by_text("we disagree with it")).to_be_visible()
    expect(page.get_by_text("told peers: disagree; a class of students")).to_be_visible()
    picture(page, "sharing-finding")
    lead = theirs.services.cases.desk.changes.current(Lead, signal.lead_id)
    assert lead is not None
    assert lead.lifted

    page.goto(f"{theirs.address}/sharing")
    page.get_by_role("button", name="Send to all and read from all now").click()
    expect(page.get_by_role("status")).to_be_visible()
    (said,) = said_by_peers(ours.services.shared, ours.services.peers)
    assert isinstance(said, Opinion)
    assert (said.view, said.about, said.tlp) == (View.DISAGREE, finding.finding_id, Tlp.AMBER)

    page.get_by_role("link", name="Told").click()
    page.get_by_role("link", name=said.opinion_id[:13]).click()
    expect(page.locator("dd", has_text=OURS.name)).to_be_visible()
    page.get_by_label("Why").fill("we were wrong")
    page.get_by_role("button", name="Withdraw").click()
    expect(page.get_by_text(f"Told of the withdrawal: {OURS.name}")).to_be_visible()
    page.get_by_role("button", name="Yes, do it").click()
    expect(page.locator("dl .badge", has_text="withdrawn")).to_be_visible()
    picture(page, "sharing-told")
    outcomes = {one.operation: one.outcome for one in theirs.services.audit.newest()}
    assert outcomes == {"exchange": "done", "give_opinion": "done", "withdraw_told": "done"}


def test_accounts_of_ours_are_compared_when_somebody_asks(labs: tuple[Control, Console], open_page: Open) -> None:
    _, theirs = labs
    peer, key = theirs.services.peers.named(OURS.name), b"e" * 32
    assert peer is not None
    (theirs.data / "epochs").mkdir()
    (theirs.data / "epochs" / "2026-11.key").write_bytes(key)
    (theirs.data / "key").write_bytes(b"k" * 32)
    clients = {"heir": (64500, "puller/1"), "neighbour": (64500, "curl/8"), "stranger": (64999, "curl/8")}
    asked = [
        Exchange(exchange_id=f"ex-{account}", started_at=NOW - DAY, account_id=account, operation="chat", status=200,
                 request_model="m", prompt_text="hello", client_asn=asn, user_agent=agent)
        for account, (asn, agent) in clients.items()
    ]  # fmt: skip
    record(theirs.data, asked)
    tokens = (keyed_token(key, "2026-11", "user_agent", "puller/1"),)
    theirs.services.receiving.receive(to_bytes([msgspec.structs.replace(FOUND, tokens=tokens)]), peer, NOW)
    page = open_page(theirs, theirs.person("ana@example.com", Role.ANALYST))
    page.goto(f"{theirs.address}/sharing/received/{FOUND.finding_id}")
    page.get_by_role("link", name="Compare with all of them").click()
    matches = page.locator("#table-matches")
    expect(matches.get_by_role("row", name="heir")).to_contain_text("client_asn, user_agenttouched")
    expect(matches.get_by_role("row", name="neighbour")).to_contain_text("too little to act upon")
    expect(matches.get_by_role("row")).to_have_count(3)
    picture(page, "sharing-matches")


def test_pages_of_findings_go_on_where_they_stopped(
    labs: tuple[Control, Console], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = labs
    monkeypatch.setattr(received, "SIZE", 4)
    told = [numbered(number, created_us=NOW - DAY, modified_us=NOW - number * 1_000) for number in range(10)]
    for one in told:
        ours.services.shared.tell(one, NOW)
    with signed_in(theirs, Role.ANALYST) as client:
        csrf = client.get("/sharing").text.partition('name="csrf" value="')[2].partition('"')[0]
        done = client.post("/act/exchange", data={"csrf": csrf, "next": "/sharing"})
        assert done.status_code == 303
        # A CSV file waits for what pages show when it is ready.
        assert client.get("/sharing/received", params={"csv": "received"}).text.count(OURS.name) == len(told)
        seen, path = [], "/sharing/received"
        while path:
            text = client.get(path).text
            seen += [one for one in told if f'/sharing/received/{one.finding_id}"' in text]
            path = text.partition('class="next" href="')[2].partition('"')[0].replace("&amp;", "&")
        assert seen == told


def test_what_is_refused_is_counted_with_its_reason(labs: tuple[Control, Console]) -> None:
    ours, theirs = labs
    with signed_in(theirs, Role.AUDITOR) as client:
        assert "Nothing that peers sent was refused" in client.get("/sharing/refused").text
        peer = theirs.services.peers.named(OURS.name)
        assert peer is not None
        theirs.services.receiving.receive(b'{"objects":[{"type":"malware"}]}', peer, NOW)
        page = client.get("/sharing/refused").text
        (code,) = theirs.services.receiving.refused(peer)
        assert f"<code>{code}</code>" in page
    assert ours.services.receiving.recent() == []


def test_joint_runs_show_own_customers_alone(labs: tuple[Control, Console]) -> None:
    _, theirs = labs
    folder = theirs.data / "joint"
    keep(folder, Prepared(Sent(7, {1: "org-one", 2: "org-two"}, {"ab": ["org-one"]}), "k", b"rows"))
    cluster = JointCluster("c1", 3, 9, [Cause.PLACE, Cause.CUSTOMER], ["org-one"])
    with signed_in(theirs, Role.ANALYST) as client:
        assert "org-one" not in client.get("/sharing/joint").text
        told = Told(epoch=7, threshold=3, labs=4, keys_agree=False, unfit=0, items=[], clusters=[])
        keep_answer(folder, Answer(7, told, [cluster]))
        page = client.get("/sharing/joint").text
        assert "org-one" in page
        assert "labs differ" in page
        (folder / "read" / "7.json").write_text("{")
        assert client.get("/sharing/joint").status_code == 422


def test_without_a_name_nothing_is_said_and_the_page_tells_how_to_get_one(console: Console) -> None:
    services = console.services
    peer, _ = services.peers.add(OURS.name, NOW)
    services.receiving.receive(to_bytes([FOUND]), peer, NOW)
    with signed_in(console, Role.ANALYST) as client:
        assert client.get(f"/sharing/received/{FOUND.finding_id}", params={"csv": "said"}).status_code == 200
        page = client.get(f"/sharing/received/{FOUND.finding_id}").text
        assert "response.toml" in page
        csrf = page.partition('name="csrf" value="')[2].partition('"')[0]
        form = {"csrf": csrf, "path.finding_id": FOUND.finding_id, "view": "agree", "reason": "seen here too"}
        refused = client.post("/act/give_opinion", data=form)
        assert refused.status_code == 409
        assert "response.toml" in refused.text
        for path in ("/sharing/received/6f1c8c0e", "/sharing/told/nothing"):
            assert client.get(path).status_code == 404


def test_the_api_tells_what_it_told(labs: tuple[Control, Console]) -> None:
    ours, theirs = labs
    ours.services.shared.tell(FOUND, NOW)
    operator_id = theirs.person("bo@example.com", Role.ANALYST)
    _, token = theirs.services.operators.issue_token(operator_id, NOW)
    given = {"authorization": f"Bearer {token}"}
    with httpx2.Client(base_url=theirs.address, headers=given, trust_env=False, timeout=60) as api:
        assert api.post("/v1/sharing/exchange", json={"peer": "lab-z.example"}).status_code == 404
        rounds = api.post("/v1/sharing/exchange", json={"peer": OURS.name}).json()
        assert (rounds["faults"], rounds["pulled"][OURS.name]["refused"]) == ({}, [])
        path = f"/v1/sharing/findings/{FOUND.finding_id}"
        met = api.post(f"{path}/sighting", json={"accounts": 12})
        assert met.json()["sighting"]["accounts"] == 4  # 8 to 15
        assert met.json()["corroboration"]["score"] == 2
        (peer,) = api.get("/v1/sharing/peers").json()["peers"]
        assert (peer["name"], peer["heard_us"] is None, "token_hash" in peer) == (OURS.name, False, False)
        (told,) = api.get("/v1/sharing/told").json()["items"]
        assert (told["sent"], told["may_read"], told["sighting"]["accounts"]) == ([], [OURS.name], 4)
        before = api.get("/v1/sharing/told", params={"before_us": told["added_us"]}).json()
        assert before["items"] == []
        api.post("/v1/sharing/exchange", json={})
        (told,) = api.get("/v1/sharing/told").json()["items"]
        assert told["sent"] == [OURS.name]
        gone = [api.post(f"/v1/sharing/told/{told['subject']}/withdrawal", json={"reason": "r"}) for _ in range(2)]
        assert [one.status_code for one in gone] == [204, 422]
        # Who cannot be reached is said, and keeps nobody else waiting.
        theirs.services.peers.add("lab-d.example", NOW, url="http://127.0.0.1:9/", token_file="a.token", private=True)
        rounds = api.post("/v1/sharing/exchange", json={}).json()
        assert list(rounds["faults"]) == ["lab-d.example"]
        assert rounds["pushed"][OURS.name]["objects"] > 0


def signed_in(console: Console, *roles: Role) -> httpx2.Client:
    operator_id = console.person(f"{roles[0]}@example.com", *roles)
    cookies = {console.services.session_cookie: console.session(operator_id)}
    return httpx2.Client(base_url=console.address, cookies=cookies, trust_env=False, timeout=60)

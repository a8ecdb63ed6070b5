"""The market in a real browser: tiers on two days, a claim overridden and withdrawn again, an attack's cost moved."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.console.conftest import Console, picture
from tiergate.api.operators import Role
from tiergate.catalog.claims import load_claims
from tiergate.catalog.models import load_catalog
from tiergate.catalog.tiers import Tier, changes, standing

Open = Callable[..., Page]


@pytest.fixture
def client(console: Console) -> Iterator[httpx2.Client]:
    operator_id = console.person("ana@example.com", Role.ANALYST)
    cookies = {console.services.session_cookie: console.session(operator_id)}
    with httpx2.Client(base_url=console.address, cookies=cookies, trust_env=False, timeout=60) as one:
        yield one


def rows(client: httpx2.Client, path: str, table: str, **query: str) -> list[dict[str, str]]:
    given = client.get(path, params=query | {"csv": table})
    assert given.status_code == 200, given.text
    return list(csv.DictReader(io.StringIO(given.text)))


def test_a_claim_is_overridden_the_chart_moves_and_the_sources_count_again(console: Console, open_page: Open) -> None:
    page = open_page(console, console.person("ana@example.com", Role.ANALYST, Role.AUDITOR))
    page.goto(f"{console.address}/market/claims")
    page.get_by_role("link", name="extraction_cost").click()
    form = page.locator("form[data-operation=override_claim]")
    form.get_by_label("Value").fill("1e6,2e6,3e6")
    form.get_by_label("Why").fill("what three teams of ours were quoted")
    form.get_by_role("button", name="Override").click()
    expect(page.get_by_role("heading", name="Is this what you want?")).to_be_visible()
    expect(page.get_by_role("cell", name="The bar of Extraction")).to_be_visible()
    picture(page, "override-confirm")
    page.get_by_role("button", name="Yes, do it").click()
    expect(page.locator(".tile", has_text="Ours")).to_contain_text("2M (1M to 3M) USD")
    expect(page.get_by_role("cell", name="what three teams of ours were quoted")).to_be_visible()
    picture(page, "claim")

    page.goto(f"{console.address}/market/charts")
    expect(page.locator(".banner")).to_contain_text("extraction_cost: 1e6,2e6,3e6, by ana@example.com")
    bars = page.locator("#table-extraction-bars")
    expect(bars.get_by_role("row", name="Extraction as claimed 48,000")).to_be_visible()
    expect(bars.get_by_role("row", name="Extraction as sources have it 500,100")).to_be_visible()
    expect(bars.get_by_role("row", name="Extraction ours 2M (1M to 3M) USD people here")).to_be_visible()
    page.locator("figure[data-chart=extraction] summary", has_text="The numbers").click()
    # A chart has micro-dollars, and its table below the same in dollars.
    expect(page.locator("#table-extraction").get_by_role("row", name="Extraction")).to_contain_text("$3,000,000")
    picture(page, "charts-overridden")
    assert console.services.claim_overrides.ledger().find("extraction_cost").claimed == (
        load_claims().find("extraction_cost").claimed
    )

    page.goto(f"{console.address}/market/claims/extraction_cost")
    form = page.locator("form[data-operation=withdraw_override]")
    form.get_by_label("Why").fill("the quotes were for something else")
    form.get_by_role("button").click()
    page.get_by_role("button", name="Yes, do it").click()
    expect(page.locator(".tile", has_text="Ours")).to_contain_text("not overridden")
    page.goto(f"{console.address}/audit")
    expect(page.get_by_role("row", name="withdraw_override")).to_contain_text("claims/extraction_cost/withdrawal")
    expect(page.get_by_role("row", name="override_claim")).to_contain_text("done")
    assert console.services.claim_overrides.standing() == {}


def test_tiers_on_a_day_against_another(console: Console, open_page: Open, client: httpx2.Client) -> None:
    then, now = "2026-06-20", "2026-11-28"
    page = open_page(console, console.person("bo@example.com", Role.EXECUTIVE))
    page.goto(f"{console.address}/market?on={then}&against={now}")
    days = [load_catalog().newest_fact.fromisoformat(day) for day in (then, now)]
    moved = [one for one in changes(load_catalog(), *days) if one.before is not Tier.UNRELEASED]
    assert moved
    for one in moved:
        row = page.locator("#table-changes").get_by_role("row", name=f"{one.day} {one.model.name} {one.before}")
        expect(row).to_be_visible()
    picture(page, "tiers-june")
    # The page says what the catalog says, of every model.
    shown = {row["model"]: row["tier"] for row in rows(client, "/market", "tiers", on=then)}
    for model in load_catalog().by_id.values():
        if model.released <= days[0]:
            assert shown[model.name] == standing(model, days[0]).tier.value
    assert all(row["source"] and row["licence"] and row["as_of"] for row in rows(client, "/market", "tiers", on=then))
    page.locator("#table-tiers").get_by_role("link", name=moved[0].model.name, exact=True).click()
    expect(page.get_by_role("heading", name=moved[0].model.name)).to_be_visible()
    picture(page, "model")


def test_sliders_change_what_an_attack_costs(console: Console, open_page: Open) -> None:
    page = open_page(console, console.person("bo@example.com", Role.EXECUTIVE))
    page.goto(f"{console.address}/market/attack")
    total = page.locator("#figures .tile", has_text="Total").locator(".value")
    before = total.inner_text()
    slider = page.get_by_role("slider", name="Share of its accounts")
    slider.focus()
    page.keyboard.press("End")
    expect(page.get_by_label("Share of its accounts").first).to_have_value("1")
    expect(total).not_to_have_text(before)
    assert dollars(total.inner_text()) > dollars(before)
    picture(page, "attack")
    page.get_by_label("Exchanges it is after").first.fill("0")
    expect(page.get_by_role("alert")).to_contain_text("exchanges")


def test_what_takes_long_appears_by_itself(console: Console, open_page: Open) -> None:
    page = open_page(console, console.person("bo@example.com", Role.EXECUTIVE))
    page.goto(f"{console.address}/market/forecasts")
    expect(page.locator("#record").get_by_role("row", name="known then open closed pace")).to_be_visible()
    expect(page.locator("#questions").get_by_role("row")).to_have_count(9)
    picture(page, "forecasts")


def test_without_scripts_the_forms_say_the_same(client: httpx2.Client) -> None:
    plain = client.get("/market/attack")
    moved = client.get("/market/attack", params={"limit": "100", "recall": ".9", "delay": "1", "set": "labour_time=0"})
    assert "--limit 100" in moved.text
    assert "--set labour_time=0" in moved.text
    assert plain.text != moved.text
    for wrong in ({"recall": "2"}, {"accounts": "5", "channel": "reseller"}, {"set": "no=1"}, {"exchanges": "x"}):
        assert 'role="alert"' in client.get("/market/attack", params=wrong).text
    assert 'role="alert"' in client.get("/market/lag", params={"follower": "nobody at all"}).text
    assert 'role="alert"' in client.get("/market/prices", params={"until": "1999-01-01"}).text
    assert client.get("/market", params={"on": "tomorrow"}).status_code == 422
    assert client.get("/market/claims/no_such_claim").status_code == 404
    assert client.get("/market/models/no-such-model").status_code == 404


def test_the_api_and_the_pages_agree(console: Console, client: httpx2.Client) -> None:
    operator = console.services.operators.named("ana@example.com")
    assert operator is not None
    _, token = console.services.operators.issue_token(operator.operator_id, console.clock.now_us())
    given = {"authorization": f"Bearer {token}"}
    with httpx2.Client(base_url=console.address, headers=given, trust_env=False, timeout=60) as api:
        body = {"value": "2e6", "reason": "quoted"}
        done = api.post("/v1/market/claims/extraction_cost/override", json=body)
        assert (done.status_code, done.json()["here"]["evidence"]["mode"]) == (200, 2e6)
        assert [one["here"]["id"] for one in api.get("/v1/market/claims").json()["claims"] if one["override"]] == [
            "extraction_cost"
        ]
        assert {row["claim"]: row["ours"] for row in rows(client, "/market/claims", "claims")}[
            "extraction_cost"
        ] == "2e6"
        for value in ("-1", "likely", "3,2,1", "1e99"):
            refused = api.post("/v1/market/claims/extraction_cost/override", json=body | {"value": value})
            assert refused.status_code == 422
        assert api.post("/v1/market/claims/nothing/override", json=body).status_code == 404
        again = [api.post("/v1/market/claims/extraction_cost/withdrawal", json={"reason": "r"}) for _ in range(2)]
        assert [one.status_code for one in again] == [200, 409]
        cost = api.get("/v1/market/attack-cost", params={"exchanges": 1e6}).json()
        total = next(one for one in cost["figures"] if one["figure"] == "total")
        shown = {row["figure"]: row["median"] for row in rows(client, "/market/attack", "cost", exchanges="1e6")}
        assert float(shown["total"]) == pytest.approx(total["median"] * 1e6)
        tiers = api.get("/v1/market/tiers", params={"on": "2026-06-20"}).json()["models"]
        assert len(tiers) == len(rows(client, "/market", "tiers", on="2026-06-20"))


def test_who_may_only_look_changes_no_claim(console: Console) -> None:
    operator_id = console.person("eve@example.com", Role.ENGINEER)
    cookies = {console.services.session_cookie: console.session(operator_id)}
    with httpx2.Client(base_url=console.address, cookies=cookies, trust_env=False, timeout=60) as eve:
        page = eve.get("/market/claims/extraction_cost")
        assert "override_claim" not in page.text
        csrf = page.text.partition('name="csrf" value="')[2].partition('"')[0]
        form = {"csrf": csrf, "path.claim_id": "extraction_cost", "value": "1", "reason": "r", "confirmed": "1"}
        assert eve.post("/act/override_claim", data=form).status_code == 403
    assert console.services.claim_overrides.standing() == {}


def dollars(text: str) -> float:
    return float(text.strip("$").replace(",", ""))

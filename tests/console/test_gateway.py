"""A key is made and used, a budget is spent, and both are seen: in a real browser, through a real gateway."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from benchmarks.gateway_crash import gateway, mock_upstream, serving
from playwright.sync_api import Page, expect

from tests.console.conftest import Console, picture, running
from tests.gateway.conftest import GIVE_UP_S
from tiergate.api.operators import Role
from tiergate.cli.demo.children import free_port
from tiergate.clock import SystemClock

Open = Callable[..., Page]
ROUTES = """
upstreams:
  one: {{url: "{upstream}/v1", dialect: openai, private: true}}
models:
  m:
    upstream: one
    context_tokens: 100000
    prices: [{{from: 2020-01-01, input: 1_000_000_000, output: 1_000_000_000}}]
groups: {{}}
"""


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[tuple[Console, str]]:
    """A console over a gateway that runs; and the gateway's address."""
    data, metrics = tmp_path / "data", free_port()
    data.mkdir()
    settings = {"TIERGATE_METRICS_PORT": str(metrics), "TIERGATE_SEAL_EVERY_S": "1.5"}
    with serving(mock_upstream(), tmp_path / "upstream.out") as upstream:
        (data / "gateway.yaml").write_text(ROUTES.format(upstream=upstream.address))
        (data / "models.toml").write_text('[models.m]\ntier = "commodity"\n')
        with (
            serving(gateway(data, upstream.address), tmp_path / "gateway.out", settings) as server,
            running(data, SystemClock(), metrics_url=f"http://127.0.0.1:{metrics}") as console,
            console.services.traffic.kept_up(),
        ):
            yield console, server.address


def ask(address: str, key: str) -> httpx2.Response:
    return httpx2.post(
        f"{address}/v1/chat/completions",
        headers={"authorization": f"Bearer {key}"},
        json={"model": "m", "messages": [{"role": "user", "content": "What is tin?"}], "max_tokens": 5},
        trust_env=False,
    )


def becomes(status: int, address: str, key: str) -> httpx2.Response:
    """The answer, once it has that status."""
    give_up = time.monotonic() + GIVE_UP_S
    while (answer := ask(address, key)).status_code != status:
        assert time.monotonic() < give_up, answer.text
        time.sleep(0.2)
    return answer


def test_a_key_a_budget_and_what_came_of_them(deployment: tuple[Console, str], open_page: Open) -> None:
    console, address = deployment
    eve = console.person("eve@example.com", Role.ENGINEER, Role.AUDITOR)
    page = open_page(console, eve)

    page.goto(f"{console.address}/gateway/keys")
    page.get_by_label("Account", exact=True).last.fill("alice")
    page.get_by_label("Label").fill("laptop")
    page.get_by_role("button", name="Create it").click()
    expect(page.get_by_role("heading", name="Keep this now")).to_be_visible()
    key = page.locator("code.secret", has_text="tg_live").inner_text()
    page.get_by_role("link", name="I have it").click()
    expect(page.get_by_role("cell", name="laptop")).to_be_visible()
    assert key not in page.content()
    becomes(200, address, key)

    page.goto(f"{console.address}/gateway")
    expect(page.get_by_text("From the gateway's own counters")).to_be_visible()
    expect(page.get_by_role("cell", name="closed")).to_be_visible()
    expect(page.locator("#live")).to_contain_text("over ")
    give_up = time.monotonic() + GIVE_UP_S
    while page.locator("#table-models").count() == 0 or "commodity" not in page.locator("#table-models").inner_text():
        assert time.monotonic() < give_up
        page.reload()

    page.goto(f"{console.address}/gateway/budgets")
    page.get_by_label("Of a").select_option("account")
    page.get_by_role("textbox", name="Whose An id").fill("alice")
    page.get_by_label("Measure").select_option("usd/day")
    page.get_by_label("Amount").fill("0.01")
    page.get_by_role("button", name="Set it").click()
    expect(page.get_by_role("cell", name="$0.0100")).to_be_visible()
    picture(page, "budgets")
    refused = becomes(429, address, key)
    code = refused.json()["error"]["code"]

    page.goto(f"{console.address}/gateway")
    give_up = time.monotonic() + GIVE_UP_S
    while code not in (page.locator("#table-reasons").inner_text()):
        assert time.monotonic() < give_up
        page.reload()
    ask(address, key)
    expect(page.locator("#live").get_by_text(f"429 {code}")).to_be_visible()
    picture(page, "gateway")
    page.emulate_media(color_scheme="dark")
    picture(page, "gateway-dark")

    page.goto(console.address)
    expect(page.locator(".tile", has_text="Commodity tier")).to_be_visible()
    picture(page, "overview")

    page.goto(f"{console.address}/gateway/keys")
    picture(page, "keys")
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("cannot be undone")).to_be_visible()
    page.get_by_role("button", name="Yes, do it").click()
    expect(page.get_by_role("cell", name="revoked")).to_be_visible()
    assert becomes(401, address, key).status_code == 401
    page.goto(f"{console.address}/gateway/routes")
    expect(page.get_by_text("can be used as it is")).to_be_visible()
    picture(page, "routes")
    done = [entry.operation for entry in console.services.audit.newest()]
    assert done == ["revoke_key", "set_budget", "create_key"]


def test_a_gateway_that_is_down_is_said_with_what_to_do(tmp_path: Path) -> None:
    with running(tmp_path / "data", metrics_url=f"http://127.0.0.1:{free_port()}") as console:
        cookies = {console.services.session_cookie: console.session(console.person("eve@example.com", Role.ENGINEER))}
        page = httpx2.get(f"{console.address}/gateway", cookies=cookies, trust_env=False, timeout=60)
    assert page.status_code == 200
    assert "The gateway cannot be asked" in page.text
    assert "tiergate serve --data" in page.text


def test_a_wrong_file_of_routes_is_shown_with_its_faults(console: Console) -> None:
    (console.data / "gateway.yaml").write_text("upstreams: {}\nmodels: {}\ngroups:\n  g: {candidates: [x]}\n")
    cookies = {console.services.session_cookie: console.session(console.person("eve@example.com", Role.ENGINEER))}
    page = httpx2.get(f"{console.address}/gateway/routes", cookies=cookies, trust_env=False, timeout=60)
    assert "line 4" in page.text
    assert "cannot be used" in page.text


def test_sums_are_for_the_executive_and_names_of_accounts_are_not(console: Console) -> None:
    cookies = {console.services.session_cookie: console.session(console.person("max@example.com", Role.EXECUTIVE))}
    with httpx2.Client(base_url=console.address, cookies=cookies, trust_env=False, timeout=60) as client:
        assert [client.get(path).status_code for path in ("/gateway", "/gateway/keys", "/gateway/budgets")] == [
            200, 403, 403,
        ]  # fmt: skip
        assert "/gateway/keys" not in client.get("/gateway").text

"""What holds on every page that needs no name in its address: shown to nobody who is not signed in, in an empty
installation too; accessible in light and dark; small; and every table it has is there as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator

import httpx2
import pytest
from playwright.sync_api import Browser, Page

from tests.console.conftest import Console, picture, running, unfit
from tiergate.api.first_run import ROLES
from tiergate.console import account
from tiergate.console.sections import PAGES

PLAIN = [page for page in (*PAGES, *account.PAGES) if "{" not in page.path]
MOST_BYTES = 200_000
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with running(tmp_path_factory.mktemp("console") / "data") as one:
        one.person("ana@example.com", *ROLES)
        yield one


@pytest.fixture(scope="module")
def ana(empty: Console) -> Iterator[httpx2.Client]:
    operator = empty.services.operators.named("ana@example.com")
    assert operator is not None
    cookies = {empty.services.session_cookie: empty.session(operator.operator_id)}
    with httpx2.Client(base_url=empty.address, cookies=cookies, trust_env=False, timeout=60) as client:
        yield client


@pytest.mark.parametrize("page", PLAIN, ids=lambda page: page.name)
def test_an_empty_installation_has_every_page(ana: httpx2.Client, page: object) -> None:
    answer = ana.get(page.path)  # type: ignore[attr-defined]
    assert answer.status_code == 200, answer.text
    assert len(answer.content) < MOST_BYTES
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert re.search(r"<script(?![^>]*(?:src=|application/json))|\sstyle=|\son\w+=", answer.text) is None
    for name in re.findall(r"[?&]csv=([\w.-]+)", answer.text):
        given = ana.get(page.path, params={"csv": name})  # type: ignore[attr-defined]
        assert given.headers["content-type"].startswith("text/csv"), name
        widths = {len(row) for row in csv.reader(io.StringIO(given.text))}
        assert len(widths) == 1, name


@pytest.mark.parametrize("page", PLAIN, ids=lambda page: page.name)
def test_nobody_sees_a_page_without_signing_in(empty: Console, page: object) -> None:
    answer = httpx2.get(f"{empty.address}{page.path}", trust_env=False, timeout=60)  # type: ignore[attr-defined]
    assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/sign-in")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_accessible(empty: Console, open_page: Open, chromium: Browser, axe: str, theme: str) -> None:
    operator = empty.services.operators.named("ana@example.com")
    assert operator is not None
    page = open_page(empty, operator.operator_id, color_scheme=theme, bypass_csp=True)
    found = {}
    for one in [*[page.path for page in PLAIN], "/sign-in", "/first-run", "/no/such/page"]:
        page.goto(f"{empty.address}{one}")
        picture(page, f"empty-{theme}-{one.strip('/').replace('/', '-') or 'overview'}")
        faults = unfit(page, axe)
        if faults:
            found[one] = faults
    assert found == {}

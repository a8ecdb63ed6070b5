"""A real console on loopback, people who can sign in, and a real Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.api.conftest import NOW, listening, loopback
from tests.npm import node_with_packages
from tiergate.api.operators import Role
from tiergate.api.services import Services, open_services
from tiergate.api.settings import ControlSettings
from tiergate.clock import Clock, FixedClock
from tiergate.console.app import console_app

NODE = Path(__file__).parent / "node"
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}
PASSWORD = "correct horse battery"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--enable-unsafe-swiftshader",
]  # fmt: skip
expect.set_options(timeout=30_000)  # busy machines
SCREENSHOTS = os.environ.get("TIERGATE_SCREENSHOTS")
"""A folder for pictures of pages, looked at by people; none are made where it is not set."""


@dataclass
class Console:
    """A running console over ``data``. ``clock`` is its time."""

    address: str
    data: Path
    services: Services
    clock: Any

    def person(self, name: str, *roles: Role) -> str:
        """Somebody who can sign in with `PASSWORD`; their id."""
        now_us = self.clock.now_us()
        operator = self.services.operators.add(name, list(roles), None, now_us)
        self.services.passwords.set(operator.operator_id, PASSWORD, now_us)
        return operator.operator_id

    def session(self, operator_id: str) -> str:
        """A session of somebody, without the page where one signs in; the cookie's value."""
        now_us = self.clock.now_us()
        return self.services.sessions.begin(operator_id, now_us, 8 * 3600 * 1_000_000)


@contextmanager
def running(data: Path, clock: Clock | None = None, **settings: Any) -> Iterator[Console]:
    listener, address = loopback()
    clock = clock or FixedClock(NOW)
    with (
        open_services(ControlSettings(data=data, **settings), clock, address) as services,
        listening(console_app(services), listener),
    ):
        yield Console(address, data, services, clock)


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    with running(tmp_path / "data") as one:
        yield one


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium: run tools/install-chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a page of a browser of its own; complaints of its pages fail the test."""
    complaints: list[str] = []
    with ExitStack() as stack:

        def opened(console: Console, operator_id: str | None = None, **more: Any) -> Page:
            context = chromium.new_context(viewport={"width": 1280, "height": 900}, **more)
            stack.callback(context.close)
            if operator_id is not None:
                cookie = {"name": console.services.session_cookie, "value": console.session(operator_id)}
                context.add_cookies([cookie | {"url": console.address, "httpOnly": True, "sameSite": "Strict"}])
            page = context.new_page()
            page.set_default_timeout(30_000)
            page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
            page.on("console", lambda said: complaints.append(said.text) if "Content Security" in said.text else None)
            return page

        yield opened
    assert complaints == []


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core, to be run within a page."""
    node_with_packages(NODE)
    return (NODE / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")


def unfit(page: Page, axe: str) -> list[tuple[str, list[str]]]:
    """Rules of WCAG AA that a page breaks, with where."""
    page.evaluate(axe)
    faults = page.evaluate("async (rules) => (await axe.run(document, rules)).violations", RULES)
    return [(fault["id"], [node["html"][:200] for node in fault["nodes"][:3]]) for fault in faults]


def picture(page: Page, name: str) -> None:
    """Keep a picture of the whole page, where `TIERGATE_SCREENSHOTS` says."""
    if SCREENSHOTS:
        Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{SCREENSHOTS}/{name}.png", full_page=True)

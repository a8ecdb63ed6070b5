"""The section of cases: an analyst reads a case that the watch found, and people decide it together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.console.conftest import PASSWORD, Console, picture, running
from tests.response.test_watch import exchanges_of, quietly, record
from tiergate.api.operators import Role
from tiergate.clock import HOUR, FixedClock
from tiergate.database import open_database
from tiergate.detection.run import Parameters
from tiergate.ledger.verdicts import Action
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
    with running(data, FixedClock(clock.time_us + HOUR)) as one:
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


def test_pages(deployed: Console, open_page: Open) -> None:
    page = open_page(deployed, who(deployed, "ana@example.com"))
    page.goto(f"{deployed.address}/cases")
    picture(page, "cases-worklist")
    page.get_by_role("link", name=case_of(deployed).case_id).click()
    picture(page, "case-evidence")
    page.get_by_role("link", name="Accounts").first.click()
    page.wait_for_selector("#graph[data-drawn]")
    page.wait_for_timeout(500)
    picture(page, "case-accounts")
    page.get_by_role("link", name="Traffic and value").click()
    picture(page, "case-traffic")
    page.get_by_role("link", name="History").click()
    picture(page, "case-history")

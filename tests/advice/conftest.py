"""The market of one day, as it is shipped, and requirements that differ from ordinary ones by what a test says."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import yaml

from tiergate.advice.advising import Advice, advise
from tiergate.advice.candidates import Market, market_on
from tiergate.advice.requirements import Asked, parse_requirements
from tiergate.catalog.models import load_catalog
from tiergate.catalog.scores import shipped

DAY = dt.date(2026, 11, 28)
ORDINARY: dict[str, Any] = {
    "organisation": {"name": "Example", "country": "DE", "sector": "business"},
    "tasks": ["coding"],
    "load": {"requests_per_month": 100_000, "input_tokens": 2_000, "output_tokens": 500},
}


@pytest.fixture(scope="session")
def market() -> Market:
    return market_on(load_catalog(), DAY, shipped())


def asked(day: dt.date = DAY, **fields: Any) -> Asked:
    """Ordinary requirements with these fields in place of theirs, through the file that people write."""
    return parse_requirements(yaml.safe_dump(ORDINARY | fields, sort_keys=False).encode(), load_catalog(), day)


def advice(market: Market, **fields: Any) -> Advice:
    """Advice on `asked` requirements, with few draws."""
    return advise(asked(market.day, **fields), market, draws=2_000)

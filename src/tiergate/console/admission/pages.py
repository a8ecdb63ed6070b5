"""The section's pages, and what is said before somebody does something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tiergate.console.acting import Foretold
from tiergate.console.admission import (
    appeals,
    credit,
    decisions,
    drills,
    grants,
    members,
    ownership,
    packs,
    purposes,
    start,
    stopping,
)
from tiergate.console.visits import Page

PAGES: Final[tuple[Page, ...]] = (
    *start.PAGES, *members.PAGES, *ownership.PAGES, *packs.PAGES, *grants.PAGES, *credit.PAGES, *purposes.PAGES,
    *decisions.PAGES, *appeals.PAGES, *drills.PAGES,
)  # fmt: skip
FORETOLD: Final[Mapping[str, Foretold]] = {**packs.FORETOLD, **credit.FORETOLD, **stopping.FORETOLD}

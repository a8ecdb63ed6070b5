"""Every page, in the order of the navigation, and what is said before somebody does something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tiergate.console.acting import Foretold
from tiergate.console.admission import pages as admission
from tiergate.console.audit import pages as audit
from tiergate.console.cases import pages as cases
from tiergate.console.gateway import pages as gateway
from tiergate.console.market import pages as market
from tiergate.console.overview import pages as overview
from tiergate.console.sharing import pages as sharing
from tiergate.console.visits import Page

PAGES: Final[tuple[Page, ...]] = (
    *overview.PAGES, *cases.PAGES, *admission.PAGES, *gateway.PAGES, *sharing.PAGES, *market.PAGES, *audit.PAGES,
)  # fmt: skip
"""The first page of each section is where its name in the navigation leads."""
FORETOLD: Final[Mapping[str, Foretold]] = {
    **cases.FORETOLD, **admission.FORETOLD, **gateway.FORETOLD, **sharing.FORETOLD, **market.FORETOLD,
}  # fmt: skip

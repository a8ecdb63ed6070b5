"""The first page."""

from __future__ import annotations

from typing import Final

from tiergate.console.visits import Page, View, Visit


def overview(_visit: Visit) -> View:
    return {"tables": []}


PAGES: Final = (Page(path="/", name="overview", section="overview", template="overview/overview", handler=overview),)

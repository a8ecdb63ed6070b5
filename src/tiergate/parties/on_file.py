"""Which organisations the facts of parties know."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tiergate.database import open_database
from tiergate.parties.fact_rows import read_id
from tiergate.parties.facts import FactStore

DATABASE: Final = "parties.sqlite"
"""In the data folder."""


def not_on_file(data: Path, organisations: Iterable[str]) -> list[str] | None:
    """Ids that name no party, so that rule packs of ownership would refuse them; None where there are no facts."""
    path = data / DATABASE
    if not path.is_file():
        return None
    named = {one: read_id(one) for one in dict.fromkeys(organisations)}
    engine = open_database(path)
    try:
        told = FactStore(engine).described([party for party in named.values() if party is not None])
    finally:
        engine.dispose()
    return [one for one, party in named.items() if party not in told]

"""A gateway's data folder, opened for commands that change what the running gateway obeys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tiergate.errors import InputError

if TYPE_CHECKING:
    import sqlalchemy as sa

    from tiergate.ledger.verdicts import VerdictStore
    from tiergate.parties.registry import Registry


@dataclass(frozen=True)
class Deployment:
    """Accounts, keys and verdicts of one gateway, and the database for what else is kept there."""

    engine: sa.Engine
    registry: Registry
    verdicts: VerdictStore


@contextmanager
def open_deployment(data: Path, *, create: bool = False) -> Iterator[Deployment]:
    """Open ``data``. Raises `InputError` when it is not a gateway's data folder and ``create`` is not set."""
    if create:
        data.mkdir(parents=True, exist_ok=True)
    elif not (data / "control.sqlite").is_file():
        raise InputError(f"`{data}` is not a gateway's data folder: make one with `tiergate keys create`")
    from tiergate.database import open_database
    from tiergate.ledger.verdicts import VerdictStore
    from tiergate.parties.registry import Registry
    from tiergate.parties.tokens import load_or_create_pepper

    pepper = load_or_create_pepper(data / "pepper")
    engine = open_database(data / "control.sqlite")
    try:
        yield Deployment(engine, Registry(engine, pepper), VerdictStore(engine))
    finally:
        engine.dispose()

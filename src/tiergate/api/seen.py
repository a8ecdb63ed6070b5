"""Up to which change each operator has looked."""

from __future__ import annotations

from typing import Final

import msgspec
import sqlalchemy as sa

from tiergate.database import make_tables

METADATA: Final = sa.MetaData()
_SEEN: Final = sa.Table(
    "operator_seen",
    METADATA,
    sa.Column("operator_id", sa.String(64), primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
)


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """The number of the last change that was seen, and when that was said (microseconds since the epoch, UTC)."""

    number: int
    at_us: int


class Seen:
    """Marks in a database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        make_tables(engine, METADATA)

    def of(self, operator_id: str) -> Mark | None:
        """An operator's mark, None before the first."""
        query = sa.select(_SEEN.c.number, _SEEN.c.at_us).where(_SEEN.c.operator_id == operator_id)
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else Mark(**row)

    def put(self, operator_id: str, number: int, now_us: int) -> Mark:
        """Set an operator's mark."""
        with self._engine.begin() as connection:
            connection.execute(sa.delete(_SEEN).where(_SEEN.c.operator_id == operator_id))
            row = {"operator_id": operator_id, "number": number, "at_us": now_us}
            connection.execute(sa.insert(_SEEN).values(row))
        return Mark(number=number, at_us=now_us)

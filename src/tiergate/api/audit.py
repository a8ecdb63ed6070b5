"""What operators did, or tried: a row for every request that would change something, refused ones included.

Beside it stands what was changed, with author and reason, in `admission.changes` and the case files. This log also has
what changed nothing: wrong passwords, refusals, and secrets that were shown.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
import sqlalchemy as sa

from tiergate.database import make_tables

METADATA: Final = sa.MetaData()
Way = Literal["api", "console"]
DONE: Final = "done"

_AUDIT: Final = sa.Table(
    "operator_audit",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at_us", sa.BigInteger, nullable=False, index=True),
    sa.Column("operator_id", sa.String(64), index=True),
    sa.Column("operator_name", sa.String(256), nullable=False),
    sa.Column("way", sa.String(16), nullable=False),
    sa.Column("operation", sa.String(64), nullable=False),
    sa.Column("path", sa.String(1024), nullable=False),
    sa.Column("outcome", sa.String(64), nullable=False),
)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One request. ``outcome`` is `done`, or the code of the refusal; ``operator_id`` None where nobody is known."""

    number: int
    at_us: int
    operator_id: str | None
    operator_name: str
    way: Way
    operation: str
    path: str
    outcome: str


class Audit:
    """The log, in a database. Rows are appended and never changed."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        make_tables(engine, METADATA)

    def note(
        self,
        at_us: int,
        operator_id: str | None,
        operator_name: str,
        *,
        way: Way,
        operation: str,
        path: str,
        outcome: str = DONE,
    ) -> None:
        """Append a row."""
        row = {
            "at_us": at_us, "operator_id": operator_id, "operator_name": operator_name[:256], "way": way,
            "operation": operation, "path": path[:1024], "outcome": outcome[:64],
        }  # fmt: skip
        with self._engine.begin() as connection:
            connection.execute(sa.insert(_AUDIT), row)

    def newest(self, *, before: int | None = None, limit: int = 50, operator_id: str | None = None) -> list[Entry]:
        """Rows, the newest first; ``before`` is the number of the last one that was read."""
        query = sa.select(_AUDIT).order_by(_AUDIT.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(_AUDIT.c.number < before)
        if operator_id is not None:
            query = query.where(_AUDIT.c.operator_id == operator_id)
        with self._engine.connect() as connection:
            return [Entry(**row) for row in connection.execute(query).mappings()]

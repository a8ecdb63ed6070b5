"""Which objects of ours a peer gets: what it may have, and what of that it asks for, in TAXII 2.1's terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tiergate.sharing.marking import Tlp
from tiergate.sharing.store import AUDIENCE, OBJECTS
from tiergate.sharing.versions import OURS

MOST: Final = 1_000
"""Objects of a page."""
FIRST, LAST, ALL = "first", "last", "all"


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """Who reads: a peer, and how strict a marking it may have without being named."""

    peer_id: str
    clearance: Tlp


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for, all of it together. ``after_us``: only what was added later; ``ids``, ``kinds``: only these,
    none for all; ``versions``: `first`, `last`, `all` or times in microseconds; ``limit``: objects of a page;
    ``withdrawn_of_us``: only withdrawals of what was added by then."""

    after_us: int = 0
    ids: Sequence[str] = ()
    kinds: Sequence[str] = ()
    versions: Sequence[str | int] = (LAST,)
    limit: int = MOST
    withdrawn_of_us: int | None = None


class Row(msgspec.Struct, frozen=True, array_like=True):
    """An object without its content. ``version_us``: its version, which is when it was added for what has none."""

    added_us: int
    stix_id: str
    version_us: int


def pages(engine: sa.Engine, reader: Reader, wanted: Wanted) -> tuple[list[tuple[int, bytes]], bool]:
    """A page: when each object was added, and its bytes; and whether there are more."""
    query = _query(reader, wanted, OBJECTS.c.added_us, OBJECTS.c.raw)
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    return [(row[0], row[1]) for row in rows[: wanted.limit]], len(rows) > wanted.limit


def manifest(engine: sa.Engine, reader: Reader, wanted: Wanted) -> tuple[list[Row], bool]:
    """The same page without the content."""
    query = _query(reader, wanted, OBJECTS.c.added_us, OBJECTS.c.stix_id, OBJECTS.c.version_us)
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    return [Row(row[0], row[1], row[2] or row[0]) for row in rows[: wanted.limit]], len(rows) > wanted.limit


def _query(reader: Reader, wanted: Wanted, *columns: sa.Column[Any]) -> sa.Select[Any]:
    named = sa.exists().where(AUDIENCE.c.stix_id == OBJECTS.c.stix_id, AUDIENCE.c.peer_id == reader.peer_id)
    free = OBJECTS.c.tlp <= min(reader.clearance.strictness, Tlp.AMBER_STRICT.strictness)
    ours = OBJECTS.c.origin == OURS
    if wanted.ids:
        # By their keys alone: SQLite would look for few ids among all objects in their order.
        held = OBJECTS.alias("held")
        keys = sa.select(held.c.added_us).where(held.c.origin == OURS, held.c.stix_id.in_(wanted.ids))
        ours = OBJECTS.c.added_us.in_(keys)
    where: list[sa.ColumnElement[bool]] = [
        ours,
        OBJECTS.c.added_us > wanted.after_us,
        free | ((OBJECTS.c.tlp == Tlp.RED.strictness) & named),
    ]
    if wanted.withdrawn_of_us is not None:
        told = OBJECTS.alias("told")
        before = (told.c.origin == OURS, told.c.stix_id == OBJECTS.c.stix_id)
        where += [OBJECTS.c.revoked, sa.exists().where(*before, told.c.added_us <= wanted.withdrawn_of_us)]
    if wanted.kinds:
        where.append(OBJECTS.c.kind.in_(wanted.kinds))
    if ALL not in wanted.versions:
        times = [one for one in wanted.versions if isinstance(one, int)]
        either: list[sa.ColumnElement[bool]] = [OBJECTS.c.newest] if LAST in wanted.versions else []
        either += [OBJECTS.c.oldest] if FIRST in wanted.versions else []
        if times:
            unversioned = (OBJECTS.c.version_us == 0) & OBJECTS.c.added_us.in_(times)
            either += [OBJECTS.c.version_us.in_(times), unversioned]
        where.append(sa.or_(*either))
    return sa.select(*columns).where(*where).order_by(OBJECTS.c.added_us).limit(wanted.limit + 1)

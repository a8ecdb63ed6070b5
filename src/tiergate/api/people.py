"""People of organisations as their directories tell of them (SCIM): who they are called, and whether they are there.

No more is kept than that: what a person is eligible for is a signed statement, and what they may use is a grant.
"""

from __future__ import annotations

import secrets
from typing import Final

import msgspec
import sqlalchemy as sa

from tiergate.database import make_tables
from tiergate.errors import InputError

METADATA: Final = sa.MetaData()

_PEOPLE: Final = sa.Table(
    "people",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("person_id", sa.String(64), nullable=False, unique=True),
    sa.Column("organisation_id", sa.String(512), nullable=False),
    sa.Column("user_name", sa.String(256), nullable=False),
    sa.Column("external_id", sa.String(256)),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("changed_at", sa.BigInteger, nullable=False),
    sa.Column("deleted_at", sa.BigInteger),
    sa.Index(
        "people_name",
        "organisation_id",
        "user_name",
        unique=True,
        sqlite_where=sa.text("deleted_at is null"),
        postgresql_where=sa.text("deleted_at is null"),
    ),
)


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody in an organisation's directory. ``user_name`` is lower case: SCIM compares it so. Times are
    microseconds since the epoch, UTC."""

    person_id: str
    organisation_id: str
    user_name: str
    external_id: str | None
    active: bool
    created_at: int
    changed_at: int


class People:
    """People in a database. Every method is one transaction, and sees one organisation alone."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        make_tables(engine, METADATA)

    def add(
        self, organisation_id: str, user_name: str, external_id: str | None, now_us: int, *, active: bool = True
    ) -> Person:
        """Add somebody. Raises `InputError` for a name that is taken in this organisation."""
        person = Person(
            person_id=f"per_{secrets.token_hex(8)}",
            organisation_id=organisation_id,
            user_name=user_name.strip().lower(),
            external_id=external_id,
            active=active,
            created_at=now_us,
            changed_at=now_us,
        )
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(_PEOPLE), msgspec.structs.asdict(person))
        except sa.exc.IntegrityError as error:
            raise InputError(f"`{person.user_name}` is in the directory already") from error
        return person

    def get(self, organisation_id: str, person_id: str) -> Person | None:
        """Somebody by id, None for an unknown or deleted one."""
        found = self._select(organisation_id, _PEOPLE.c.person_id == person_id)
        return found[0] if found else None

    def every(self, organisation_id: str, user_name: str | None = None) -> list[Person]:
        """All people of an organisation, or those of one name, in the order in which they came."""
        return self._select(
            organisation_id, sa.true() if user_name is None else _PEOPLE.c.user_name == user_name.strip().lower()
        )

    def set_active(self, person: Person, active: bool, now_us: int) -> Person:
        """Say that somebody is there, or not."""
        mine = _PEOPLE.c.person_id == person.person_id
        with self._engine.begin() as connection:
            connection.execute(sa.update(_PEOPLE).where(mine).values(active=active, changed_at=now_us))
        return msgspec.structs.replace(person, active=active, changed_at=now_us)

    def delete(self, person: Person, now_us: int) -> None:
        """Take somebody out of the directory; the name may come again, as somebody else."""
        mine = _PEOPLE.c.person_id == person.person_id
        with self._engine.begin() as connection:
            connection.execute(sa.update(_PEOPLE).where(mine).values(active=False, deleted_at=now_us))

    def _select(self, organisation_id: str, which: sa.ColumnElement[bool]) -> list[Person]:
        query = sa.select(_PEOPLE).where(
            _PEOPLE.c.organisation_id == organisation_id, _PEOPLE.c.deleted_at.is_(None), which
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(_PEOPLE.c.number)).mappings()
            return [Person(**{name: row[name] for name in Person.__struct_fields__}) for row in rows]

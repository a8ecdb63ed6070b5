"""Who may ask: registered accounts and the API keys that belong to them.

A key is a token of the kind `tg_live` (`tiergate.parties.tokens`). It is shown once, when it is issued; what is stored
is its hash under the deployment's pepper. Keys of the form before, `tg_` and 43 characters, work until they are
revoked: of them an unkeyed BLAKE2b hash is stored, and nobody has the key to hash it anew.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import pyarrow as pa
import sqlalchemy as sa

from tiergate.database import make_tables
from tiergate.errors import InputError, SettingsError
from tiergate.parties.tokens import is_token, keyed_hash, new_token
from tiergate.records.schema import ACCOUNT_SCHEMA

METADATA: Final = sa.MetaData()
KIND: Final = "tg_live"
_MOST_TOUCHED: Final = 500
_OLD_FORM: Final = re.compile(r"tg_[A-Za-z0-9_-]{43}")


def _account_column(field: pa.Field) -> sa.Column[Any]:
    kind = sa.BigInteger() if pa.types.is_timestamp(field.type) else sa.String(512)
    return sa.Column(field.name, kind, primary_key=field.name == "account_id", nullable=field.nullable)


_ACCOUNTS: Final = sa.Table("accounts", METADATA, *(_account_column(field) for field in ACCOUNT_SCHEMA))
_CREDENTIALS: Final = sa.Table(
    "credentials",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("credential_id", sa.String(64), nullable=False, unique=True),
    sa.Column("key_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("account_id", sa.ForeignKey("accounts.account_id"), nullable=False, index=True),
    sa.Column("label", sa.String(256), nullable=False),
    sa.Column("issued_at", sa.BigInteger, nullable=False),
    sa.Column("revoked_at", sa.BigInteger),
)
_OF_ACCOUNTS: Final = _CREDENTIALS.join(_ACCOUNTS, _CREDENTIALS.c.account_id == _ACCOUNTS.c.account_id)
_CHANGES: Final = sa.Table("registry_changes", METADATA, sa.Column("count", sa.Integer, nullable=False))
_LOG: Final = sa.Table(
    "registry_log",
    METADATA,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("account_id", sa.String(512)),
    sa.Column("last_number", sa.Integer, nullable=False),
)
"""What each change touched: an account's keys, or none but those that are numbered above the row before."""


_PEPPER: Final = sa.Table("registry_pepper", METADATA, sa.Column("told_by", sa.String(64), primary_key=True))
"""What a fixed word hashes to under the pepper: tells a lost pepper from the right one, and nothing of it."""


class Credential(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An API key without its secret. ``account_status`` is the account's (`active`, `suspended`, `closed`)."""

    credential_id: str
    account_id: str
    organization_id: str | None
    account_status: str
    label: str
    issued_at: int
    revoked_at: int | None


def key_hash(key: str, pepper: bytes) -> str | None:
    """What is stored of a key, in hexadecimal; None for a text that cannot be one, such as one with a typing error."""
    if is_token(key, KIND):
        return keyed_hash(pepper, key)
    if _OLD_FORM.fullmatch(key):
        return hashlib.blake2b(key.encode(), digest_size=32, person=b"tiergate-key").hexdigest()
    return None


class Registry:
    """Accounts and credentials in a database. Every method is one transaction. ``pepper``: see `tokens`.

    Raises `SettingsError` for another pepper than the database's hashes were made under.
    """

    def __init__(self, engine: sa.Engine, pepper: bytes) -> None:
        self.pepper = pepper
        self._engine = engine
        told_by = keyed_hash(pepper, "pepper")

        def first(connection: sa.Connection) -> None:
            if connection.execute(sa.select(_CHANGES.c.count)).first() is None:
                connection.execute(sa.insert(_CHANGES).values(count=0))
            if connection.execute(sa.select(_PEPPER.c.told_by)).first() is None:
                connection.execute(sa.insert(_PEPPER).values(told_by=told_by))

        make_tables(engine, METADATA, first)
        with engine.connect() as connection:
            known = connection.execute(sa.select(_PEPPER.c.told_by)).scalar_one()
        if not hmac.compare_digest(known, told_by):
            raise SettingsError(
                "the file `pepper` is not the one that this database's keys are stored under: restore it from a backup"
            )

    def add_account(self, account: dict[str, Any]) -> None:
        """Register one account; see `add_accounts`."""
        self.add_accounts([account])

    def add_accounts(self, accounts: Sequence[dict[str, Any]]) -> None:
        """Register accounts: columns of `ACCOUNT_SCHEMA`, times as datetimes or microseconds.

        A status that is not given is `active`. Raises `InputError` when an id is taken or missing.
        """
        rows = [_account_row(account) for account in accounts]
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(_ACCOUNTS), rows)
                _changed(connection)
        except sa.exc.IntegrityError as error:
            raise InputError(
                "an account with this id is registered already, or a required column is missing"
            ) from error

    def accounts_table(self) -> pa.Table:
        """All accounts as a table of `ACCOUNT_SCHEMA`, in order of their ids."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(_ACCOUNTS).order_by(_ACCOUNTS.c.account_id)).mappings().all()
        return pa.Table.from_pylist([dict(row) for row in rows], ACCOUNT_SCHEMA)

    def has_account(self, account_id: str) -> bool:
        """Whether an account with this id is registered."""
        query = sa.select(_ACCOUNTS.c.account_id).where(_ACCOUNTS.c.account_id == account_id)
        with self._engine.connect() as connection:
            return connection.execute(query).first() is not None

    def newest_keys(
        self, *, before: int | None = None, account_id: str | None = None, limit: int = 50
    ) -> list[tuple[int, Credential]]:
        """Keys with their numbers, the newest first, of an account or of all; ``before`` is the number of the last one
        that was read."""
        query = sa.select(_CREDENTIALS, _ACCOUNTS.c.organization_id, _ACCOUNTS.c.status).select_from(_OF_ACCOUNTS)
        query = query.order_by(_CREDENTIALS.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(_CREDENTIALS.c.number < before)
        if account_id is not None:
            query = query.where(_CREDENTIALS.c.account_id == account_id)
        with self._engine.connect() as connection:
            return [(row.number, _credential(row)) for row in connection.execute(query)]

    def accounts_of(self, organisation_id: str) -> list[str]:
        """Ids of an organisation's accounts."""
        query = sa.select(_ACCOUNTS.c.account_id).where(_ACCOUNTS.c.organization_id == organisation_id)
        with self._engine.connect() as connection:
            return list(connection.execute(query.order_by(_ACCOUNTS.c.account_id)).scalars())

    def join(self, account_id: str, organisation_id: str) -> None:
        """Put an account of no organisation into one. Raises `InputError` for an unknown account, or another's."""
        with self._engine.begin() as connection:
            mine = _ACCOUNTS.c.account_id == account_id
            free = sa.update(_ACCOUNTS).where(mine, _ACCOUNTS.c.organization_id.is_(None))
            if connection.execute(free.values(organization_id=organisation_id)).rowcount:
                _changed(connection, account_id)
                return
            row = connection.execute(sa.select(_ACCOUNTS.c.organization_id).where(mine)).first()
        if row is None:
            raise InputError(f"no account is called `{account_id}`")
        if row.organization_id != organisation_id:
            raise InputError(
                f"`{account_id}` belongs to `{row.organization_id}` and stays there: "
                f"register another account for `{organisation_id}`"
            )

    def close_account(self, account_id: str, now_us: int) -> None:
        """Close an account: its keys stop working. Raises `InputError` for an unknown one."""
        with self._engine.begin() as connection:
            change = sa.update(_ACCOUNTS).where(_ACCOUNTS.c.account_id == account_id)
            if not connection.execute(change.values(status="closed", closed_at=now_us)).rowcount:
                raise InputError(f"no account is called `{account_id}`")
            _changed(connection, account_id)

    def issue_key(self, account_id: str, label: str, now_us: int) -> str:
        """Make a key for an account and return it, for the only time. Raises `InputError` for an unknown account."""
        return self.issue_keys([account_id], label, now_us)[account_id]

    def issue_keys(self, account_ids: Sequence[str], label: str, now_us: int) -> dict[str, str]:
        """Make one key for each account; see `issue_key`."""
        keys = {account_id: new_token(KIND) for account_id in account_ids}
        rows = [
            {
                "credential_id": f"key_{secrets.token_hex(8)}",
                "key_hash": keyed_hash(self.pepper, key),
                "account_id": account_id,
                "label": label,
                "issued_at": now_us,
            }
            for account_id, key in keys.items()
        ]
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(_CREDENTIALS), rows)
                _changed(connection)
        except sa.exc.IntegrityError as error:
            raise InputError(
                f"no account is called `{account_ids[0] if len(account_ids) == 1 else 'one of these'}`"
            ) from error
        return keys

    def revoke_key(self, credential_id: str, now_us: int) -> None:
        """Revoke a key for good. Raises `InputError` for an unknown or already revoked one."""
        with self._engine.begin() as connection:
            live = sa.and_(_CREDENTIALS.c.credential_id == credential_id, _CREDENTIALS.c.revoked_at.is_(None))
            change = sa.update(_CREDENTIALS).where(live).values(revoked_at=now_us).returning(_CREDENTIALS.c.account_id)
            account_id = connection.execute(change).scalar()
            if account_id is None:
                raise InputError(f"no live key has the id `{credential_id}`")
            _changed(connection, account_id)

    def revoke_keys(self, account_id: str, now_us: int, *, but: Collection[str] = ()) -> list[str]:
        """Revoke all keys of an account, ``but`` those with these ids; returns the ids of those that were live, none
        for an unknown account."""
        mine = sa.and_(_CREDENTIALS.c.account_id == account_id, _CREDENTIALS.c.credential_id.not_in(but))
        live = sa.and_(mine, _CREDENTIALS.c.revoked_at.is_(None))
        with self._engine.begin() as connection:
            change = sa.update(_CREDENTIALS).where(live).values(revoked_at=now_us)
            revoked = list(connection.execute(change.returning(_CREDENTIALS.c.credential_id)).scalars())
            if revoked:
                _changed(connection, account_id)
        return revoked

    def credentials(self) -> dict[str, Credential]:
        """All credentials, revoked ones too, by the hash of their key."""
        with self._engine.connect() as connection:
            return _credentials(connection, None)

    def credentials_since(self, version: int) -> dict[str, Credential] | None:
        """Credentials that changed or came after ``version``; None where that is not known, and all must be read."""
        log = sa.select(_LOG).where(_LOG.c.version >= version).order_by(_LOG.c.version)
        with self._engine.connect() as connection:
            rows = connection.execute(log).all()
            now = int(connection.execute(sa.select(_CHANGES.c.count)).scalar_one())
            # Whatever another release changed without telling shows as a gap.
            if [row.version for row in rows] != list(range(version, now + 1)):
                return None
            touched = {row.account_id for row in rows[1:] if row.account_id is not None}
            if len(touched) > _MOST_TOUCHED:
                return None
            new = _CREDENTIALS.c.number > rows[0].last_number
            return _credentials(connection, sa.or_(new, _CREDENTIALS.c.account_id.in_(touched)))

    def version(self) -> int:
        """A number that grows with every change: cheap to ask whether anything changed."""
        with self._engine.connect() as connection:
            return int(connection.execute(sa.select(_CHANGES.c.count)).scalar_one())


def read_credentials(engine: sa.Engine) -> dict[str, Credential]:
    """All credentials of a database by the hash of their key, for whoever has no pepper and checks no key."""
    make_tables(engine, METADATA)
    with engine.connect() as connection:
        return _credentials(connection, None)


def _credentials(connection: sa.Connection, which: sa.ColumnElement[bool] | None) -> dict[str, Credential]:
    query = sa.select(_CREDENTIALS, _ACCOUNTS.c.organization_id, _ACCOUNTS.c.status).select_from(_OF_ACCOUNTS)
    rows = connection.execute(query if which is None else query.where(which))
    return {row.key_hash: _credential(row) for row in rows}


def _credential(row: sa.Row[Any]) -> Credential:
    return Credential(
        credential_id=row.credential_id,
        account_id=row.account_id,
        organization_id=row.organization_id,
        account_status=row.status,
        label=row.label,
        issued_at=row.issued_at,
        revoked_at=row.revoked_at,
    )


def _changed(connection: sa.Connection, account_id: str | None = None) -> None:
    count = connection.execute(
        sa.update(_CHANGES).values(count=_CHANGES.c.count + 1).returning(_CHANGES.c.count)
    ).scalar_one()
    last = connection.execute(sa.select(sa.func.max(_CREDENTIALS.c.number))).scalar() or 0
    connection.execute(sa.insert(_LOG).values(version=count, account_id=account_id, last_number=last))


def _account_row(account: dict[str, Any]) -> dict[str, Any]:
    unknown = account.keys() - set(ACCOUNT_SCHEMA.names)
    if unknown:
        raise InputError(f"an account has no column `{', '.join(sorted(unknown))}`")
    row: dict[str, Any] = dict.fromkeys(ACCOUNT_SCHEMA.names) | account
    row["status"] = row["status"] or "active"
    for name in ("created_at", "closed_at"):
        if isinstance(row[name], datetime):
            row[name] = int((row[name] - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)
    return row

"""Operators: the people and programs that may use the control API, and what each may do.

A role allows what its row of `ALLOWS` names, and nothing else. An operator of an organisation sees that
organisation alone; the roles that see all belong to nobody's organisation. Tokens are of the kind `tgo`
(`tiergate.parties.tokens`): shown once, stored as keyed hashes, revocable, and never without an end.
"""

from __future__ import annotations

import enum
import hmac
import json
import secrets
from typing import Final

import msgspec
import sqlalchemy as sa

from tiergate.clock import DAY
from tiergate.database import make_tables
from tiergate.errors import InputError
from tiergate.parties.tokens import is_token, keyed_hash, new_token

METADATA: Final = sa.MetaData()
KIND: Final = "tgo"
LONGEST: Final = 256
"""Characters of a name."""
LONGEST_US: Final = 366 * DAY
"""No token lives longer."""


class Role(enum.StrEnum):
    """What somebody is here for."""

    APPLICANT = "applicant"
    SPONSOR = "sponsor"
    REVIEWER = "reviewer"
    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"
    PROVISIONER = "provisioner"
    ANALYST = "analyst"
    APPROVER = "approver"
    ENGINEER = "engineer"
    EXECUTIVE = "executive"


class Permission(enum.StrEnum):
    """What an operation of the API needs."""

    READ = "read"
    APPLY = "apply"
    SPONSOR = "sponsor"
    REVIEW = "review"
    GRANT = "grant"
    REVOKE = "revoke"
    EXPLAIN = "explain"
    APPEAL = "appeal"
    DECIDE_APPEAL = "decide_appeal"
    PREVIEW_PACK = "preview_pack"
    ACTIVATE_PACK = "activate_pack"
    RUN_PROGRAMME = "run_programme"
    PROVISION = "provision"
    LIST_OPERATORS = "list_operators"
    SEE_CASES = "see_cases"
    WORK_CASES = "work_cases"
    APPROVE_STEP = "approve_step"
    SEE_GATEWAY = "see_gateway"
    SEE_KEYS = "see_keys"
    MANAGE_KEYS = "manage_keys"
    SEE_SHARING = "see_sharing"
    SHARE = "share"
    SEE_MARKET = "see_market"
    OVERRIDE_CLAIM = "override_claim"
    SEE_AUDIT = "see_audit"


ALLOWS: Final[dict[Role, frozenset[Permission]]] = {
    Role.APPLICANT: frozenset({Permission.READ, Permission.APPLY, Permission.EXPLAIN, Permission.APPEAL}),
    Role.SPONSOR: frozenset({Permission.READ, Permission.SPONSOR}),
    Role.REVIEWER: frozenset(
        {
            Permission.READ,
            Permission.REVIEW,
            Permission.GRANT,
            Permission.REVOKE,
            Permission.EXPLAIN,
            Permission.DECIDE_APPEAL,
            # Whoever judges an appeal against a verdict must see the case.
            Permission.SEE_CASES,
        }
    ),
    Role.ADMINISTRATOR: frozenset(
        {
            Permission.READ,
            Permission.REVOKE,
            Permission.EXPLAIN,
            Permission.PREVIEW_PACK,
            Permission.ACTIVATE_PACK,
            Permission.RUN_PROGRAMME,
            Permission.LIST_OPERATORS,
            Permission.SEE_GATEWAY,
            Permission.SEE_KEYS,
            Permission.SEE_SHARING,
            Permission.SEE_MARKET,
            Permission.OVERRIDE_CLAIM,
            Permission.SEE_AUDIT,
        }
    ),
    Role.AUDITOR: frozenset(
        {
            Permission.READ,
            Permission.EXPLAIN,
            Permission.PREVIEW_PACK,
            Permission.LIST_OPERATORS,
            Permission.SEE_CASES,
            Permission.SEE_GATEWAY,
            Permission.SEE_KEYS,
            Permission.SEE_SHARING,
            Permission.SEE_MARKET,
            Permission.SEE_AUDIT,
        }
    ),
    Role.ANALYST: frozenset(
        {
            Permission.SEE_CASES,
            Permission.WORK_CASES,
            Permission.SEE_GATEWAY,
            Permission.SEE_KEYS,
            Permission.SEE_SHARING,
            Permission.SHARE,
            Permission.SEE_MARKET,
            Permission.OVERRIDE_CLAIM,
        }
    ),
    Role.APPROVER: frozenset({Permission.SEE_CASES, Permission.APPROVE_STEP, Permission.SEE_MARKET}),
    Role.ENGINEER: frozenset(
        {Permission.SEE_GATEWAY, Permission.SEE_KEYS, Permission.MANAGE_KEYS, Permission.SEE_MARKET}
    ),
    # Sums and facts of the market; no account, no case by name.
    Role.EXECUTIVE: frozenset({Permission.SEE_GATEWAY, Permission.SEE_MARKET, Permission.OVERRIDE_CLAIM}),
    # What a directory needs to say that somebody left, and no more: its token lies on a machine of the customer's.
    Role.PROVISIONER: frozenset({Permission.PROVISION}),
}
_OF_AN_ORGANISATION: Final = {Role.APPLICANT, Role.PROVISIONER}
_OF_THE_HOUSE: Final = set(Role) - _OF_AN_ORGANISATION - {Role.SPONSOR}

_OPERATORS: Final = sa.Table(
    "operators",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("operator_id", sa.String(64), nullable=False, unique=True),
    sa.Column("name", sa.String(256), nullable=False),
    sa.Column("organisation_id", sa.String(512), index=True),
    sa.Column("roles", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("ended_at", sa.BigInteger),
    # Somebody who left may come back, as another operator with nothing of what they had.
    sa.Index(
        "operators_name",
        "name",
        unique=True,
        sqlite_where=sa.text("ended_at is null"),
        postgresql_where=sa.text("ended_at is null"),
    ),
)
_TOKENS: Final = sa.Table(
    "operator_tokens",
    METADATA,
    sa.Column("token_id", sa.String(64), primary_key=True),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("operator_id", sa.ForeignKey("operators.operator_id"), nullable=False, index=True),
    sa.Column("issued_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("revoked_at", sa.BigInteger),
)


class Operator(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may use the API. ``name`` is their address or user name, lower case; ``organisation_id`` is None
    for the house's own people. Times are microseconds since the epoch, UTC."""

    operator_id: str
    name: str
    organisation_id: str | None
    roles: tuple[Role, ...]
    created_at: int
    ended_at: int | None = None

    def may(self, permission: Permission) -> bool:
        """Whether a role of theirs allows it."""
        return self.ended_at is None and any(permission in ALLOWS[role] for role in self.roles)

    def sees(self, organisation_id: str | None) -> bool:
        """Whether what belongs to an organisation is theirs to see."""
        return self.organisation_id is None or self.organisation_id == organisation_id


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token without its secret."""

    token_id: str
    operator_id: str
    issued_at: int
    expires_at: int
    revoked_at: int | None


class Operators:
    """Operators and their tokens in a database. Every method is one transaction."""

    def __init__(self, engine: sa.Engine, pepper: bytes) -> None:
        self._engine = engine
        self._pepper = pepper
        make_tables(engine, METADATA)

    def add(self, name: str, roles: list[Role], organisation_id: str | None, now_us: int) -> Operator:
        """Add somebody. Raises `InputError` for a name that is taken, or roles that do not go with the organisation."""
        _check(roles, organisation_id)
        operator = Operator(
            operator_id=f"op_{secrets.token_hex(8)}",
            name=name_of(name),
            organisation_id=organisation_id,
            roles=tuple(sorted(set(roles))),
            created_at=now_us,
        )
        row = msgspec.structs.asdict(operator) | {"roles": json.dumps(operator.roles)}
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(_OPERATORS), row)
        except sa.exc.IntegrityError as error:
            raise InputError(f"an operator is called `{operator.name}` already: take another name") from error
        return operator

    def get(self, operator_id: str) -> Operator | None:
        """An operator by id, None for an unknown one."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_OPERATORS).where(_OPERATORS.c.operator_id == operator_id)).first()
        return None if row is None else _operator(row)

    def named(self, name: str) -> Operator | None:
        """The operator at work of this name, None when there is none."""
        mine = sa.and_(_OPERATORS.c.name == name_of(name), _OPERATORS.c.ended_at.is_(None))
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_OPERATORS).where(mine)).first()
        return None if row is None else _operator(row)

    def every(self) -> list[Operator]:
        """All operators, in the order in which they were added."""
        with self._engine.connect() as connection:
            return [_operator(row) for row in connection.execute(sa.select(_OPERATORS).order_by(_OPERATORS.c.number))]

    def issue_token(self, operator_id: str, now_us: int, *, lasts_us: int = 90 * DAY) -> tuple[Token, str]:
        """A token for an operator, and its secret for the only time.

        Raises `InputError` for an operator who is unknown or ended, or a life over `LONGEST_US`.
        """
        if not 0 < lasts_us <= LONGEST_US:
            raise InputError(f"a token lives {LONGEST_US // DAY} days at most")
        operator = self.get(operator_id)
        if operator is None or operator.ended_at is not None:
            raise InputError(f"no operator at work has the id `{operator_id}`")
        secret = new_token(KIND)
        token = Token(
            token_id=f"tok_{secrets.token_hex(8)}",
            operator_id=operator_id,
            issued_at=now_us,
            expires_at=now_us + lasts_us,
            revoked_at=None,
        )
        row = msgspec.structs.asdict(token) | {"token_hash": keyed_hash(self._pepper, secret)}
        with self._engine.begin() as connection:
            connection.execute(sa.insert(_TOKENS), row)
        return token, secret

    def tokens(self, operator_id: str) -> list[Token]:
        """Tokens of an operator, oldest first, without their secrets."""
        query = sa.select(_TOKENS).where(_TOKENS.c.operator_id == operator_id).order_by(_TOKENS.c.issued_at)
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings()
            return [Token(**{name: row[name] for name in Token.__struct_fields__}) for row in rows]

    def authenticate(self, secret: str, now_us: int) -> Operator | None:
        """Who presents a token: None when it is malformed, unknown, expired or revoked, or its operator ended."""
        if not is_token(secret, KIND):
            return None
        hashed = keyed_hash(self._pepper, secret)
        query = (
            sa.select(_OPERATORS, _TOKENS.c.token_hash)
            .join(_TOKENS)
            .where(
                _TOKENS.c.token_hash == hashed,
                _TOKENS.c.revoked_at.is_(None),
                _TOKENS.c.expires_at > now_us,
                _OPERATORS.c.ended_at.is_(None),
            )
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        # The look-up is by a keyed hash, so its time tells nothing; the comparison holds whatever the collation is.
        if row is None or not hmac.compare_digest(row.token_hash, hashed):
            return None
        return _operator(row)

    def revoke_token(self, token_id: str, now_us: int) -> None:
        """Revoke a token for good. Raises `InputError` for an unknown or already revoked one."""
        live = sa.and_(_TOKENS.c.token_id == token_id, _TOKENS.c.revoked_at.is_(None))
        with self._engine.begin() as connection:
            if not connection.execute(sa.update(_TOKENS).where(live).values(revoked_at=now_us)).rowcount:
                raise InputError(f"no live token has the id `{token_id}`")

    def end(self, operator_id: str, now_us: int) -> bool:
        """End an operator: tokens are revoked and nothing of theirs works any more. False when that was so already."""
        mine = sa.and_(_OPERATORS.c.operator_id == operator_id, _OPERATORS.c.ended_at.is_(None))
        live = sa.and_(_TOKENS.c.operator_id == operator_id, _TOKENS.c.revoked_at.is_(None))
        with self._engine.begin() as connection:
            connection.execute(sa.update(_TOKENS).where(live).values(revoked_at=now_us))
            return bool(connection.execute(sa.update(_OPERATORS).where(mine).values(ended_at=now_us)).rowcount)


def name_of(name: str) -> str:
    """A name as it is compared and kept. Raises `InputError` for an empty or overlong one."""
    kept = name.strip().lower()
    if not 0 < len(kept) <= LONGEST:
        raise InputError("an operator needs a name of 1 to 256 characters, such as an e-mail address")
    return kept


def _check(roles: list[Role], organisation_id: str | None) -> None:
    if not roles:
        raise InputError("an operator without a role can do nothing: give one at least")
    wrong = _OF_THE_HOUSE if organisation_id is not None else _OF_AN_ORGANISATION
    for role in sorted(wrong & set(roles)):
        which = "cannot belong to an organisation" if organisation_id is not None else "must belong to an organisation"
        raise InputError(f"an operator with the role `{role}` {which}")


def _operator(row: sa.Row[tuple[object, ...]]) -> Operator:
    fields = {name: getattr(row, name) for name in Operator.__struct_fields__}
    return Operator(**(fields | {"roles": tuple(Role(role) for role in json.loads(row.roles))}))

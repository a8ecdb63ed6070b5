"""Passwords of operators who sign in here and not at an OpenID provider.

A password is kept as scrypt (RFC 7914) of its HMAC under the deployment's pepper, so a copy of the database alone lets
nobody try guesses. N = 2^15, r = 8, p = 3 takes 32 MiB and some 0.3 s, as OWASP's cheat sheet on password storage
advises. After `FREE` wrong ones a name waits, twice as long each time; so does a name that nobody has, since both must
look alike from outside. A try counts before it is looked at, so that many at once are no more than one after another.
Whoever is signed in and consents waits for their own wrong ones alone: others must not be able to hold them up.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from typing import Final, Literal, get_args

import sqlalchemy as sa

from tiergate.api.operators import Operator, Operators, name_of
from tiergate.api.problems import ProblemError
from tiergate.clock import HOUR, SECOND
from tiergate.database import make_tables
from tiergate.errors import InputError
from tiergate.parties.tokens import keyed_hash

METADATA: Final = sa.MetaData()
SHORTEST: Final = 12
"""Characters of a password (NIST SP 800-63B-4 asks for 15 where nothing else is needed, 8 beside another factor)."""
LONGEST: Final = 256
FREE: Final = 5
"""Wrong passwords of one name before it waits."""
LONGEST_WAIT_US: Final = HOUR
NOT_LOOKED_AT: Final = frozenset({"unfit_name", "too_many_tries", "busy"})
"""Refusals that cost us nothing, and of which anybody can therefore cause any number."""
MOST_AT_ONCE: Final = 8
"""Tries under way, by their use; each holds a thread of those that answer all requests."""
Use = Literal["sign-in", "consent"]
_N, _R, _P, _MEMORY = 1 << 15, 8, 3, 64 << 20

_PASSWORDS: Final = sa.Table(
    "operator_passwords",
    METADATA,
    sa.Column("operator_id", sa.String(64), primary_key=True),
    sa.Column("salt", sa.LargeBinary, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sa.Column("set_at", sa.BigInteger, nullable=False),
)
_FAILURES: Final = sa.Table(
    "sign_in_failures",
    METADATA,
    sa.Column("name_hash", sa.String(64), primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last_at", sa.BigInteger, nullable=False),
)


class Passwords:
    """Passwords in a database. Every method is one or two transactions."""

    def __init__(self, engine: sa.Engine, pepper: bytes) -> None:
        self._engine, self._pepper = engine, pepper
        # Each try takes 32 MiB and a processor: many at once would be an attack on us.
        self._turns = threading.BoundedSemaphore(2)
        self._room = {use: threading.BoundedSemaphore(MOST_AT_ONCE) for use in get_args(Use)}
        make_tables(engine, METADATA)

    def set(self, operator_id: str, password: str, now_us: int) -> None:
        """Give an operator a password, in place of the one before. Raises `InputError` for one that is too short."""
        fitting(password)
        salt = secrets.token_bytes(16)
        row = {"operator_id": operator_id, "salt": salt, "hash": self._hash(password, salt), "set_at": now_us}
        with self._engine.begin() as connection:
            connection.execute(sa.delete(_PASSWORDS).where(_PASSWORDS.c.operator_id == operator_id))
            connection.execute(sa.insert(_PASSWORDS), row)

    def has(self, operator_id: str) -> bool:
        """Whether an operator has one."""
        query = sa.select(_PASSWORDS.c.operator_id).where(_PASSWORDS.c.operator_id == operator_id)
        with self._engine.connect() as connection:
            return connection.execute(query).first() is not None

    def check(self, operators: Operators, name: str, password: str, now_us: int, *, use: Use = "sign-in") -> Operator:
        """Who has this name and password. Raises `ProblemError` for anybody else, while a name waits, and where too
        many are looked at."""
        try:
            known = name_of(name)
        except InputError:
            raise _refused("unfit_name") from None
        room = self._room[use]
        if not room.acquire(blocking=False):
            raise ProblemError(503, "busy", "too many sign in at once", "try again shortly", retry_after="2")
        try:
            return self._checked(operators, known, password, now_us, use)
        finally:
            room.release()

    def _checked(self, operators: Operators, known: str, password: str, now_us: int, use: Use) -> Operator:
        hashed = keyed_hash(self._pepper, f"{use}:{known}")
        self._count(hashed, now_us)
        operator = operators.named(known)
        query = sa.select(_PASSWORDS).where(_PASSWORDS.c.operator_id == (operator.operator_id if operator else ""))
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        # A name that nobody has takes as long as one that somebody has.
        given = self._hash(password[:LONGEST], row.salt if row is not None else b"\0" * 16)
        if row is None or operator is None or not hmac.compare_digest(given, row.hash):
            raise _refused()
        with self._engine.begin() as connection:
            connection.execute(sa.delete(_FAILURES).where(_FAILURES.c.name_hash == hashed))
        return operator

    def _count(self, hashed: str, now_us: int) -> None:
        """Count a try as a wrong one until it proves right. Raises `ProblemError` while the name waits."""
        mine = _FAILURES.c.name_hash == hashed
        with self._engine.begin() as connection:
            # Long ago is forgotten; names are guessed, so the table must not grow for ever. To write first also keeps
            # out whoever counts at the same time.
            connection.execute(sa.delete(_FAILURES).where(_FAILURES.c.last_at < now_us - 24 * HOUR))
            row = connection.execute(sa.select(_FAILURES).where(mine)).first()
            if row is None:
                connection.execute(sa.insert(_FAILURES), {"name_hash": hashed, "failures": 1, "last_at": now_us})
                return
            over = row.failures - FREE
            wait_us = 0 if over < 0 else min(SECOND << min(over, 20), LONGEST_WAIT_US)
            if now_us >= row.last_at + wait_us:
                counted = sa.update(_FAILURES).where(mine)
                connection.execute(counted.values(failures=row.failures + 1, last_at=now_us))
                return
        rest_s = -(-(row.last_at + wait_us - now_us) // SECOND)
        raise ProblemError(
            429, "too_many_tries", "too many wrong passwords", f"wait {rest_s} s", retry_after=str(rest_s)
        )

    def _hash(self, password: str, salt: bytes) -> bytes:
        peppered = bytes.fromhex(keyed_hash(self._pepper, f"password:{password}"))
        with self._turns:
            return hashlib.scrypt(peppered, salt=salt, n=_N, r=_R, p=_P, maxmem=_MEMORY, dklen=32)


def fitting(password: str) -> None:
    """Raise `InputError` for a password that is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise InputError(f"a password has {SHORTEST} to {LONGEST} characters")


def _refused(code: str = "sign_in_refused") -> ProblemError:
    return ProblemError(401, code, "this name and password do not go together", "try again")

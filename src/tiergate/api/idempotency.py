"""A request that is sent twice counts once: `Idempotency-Key` on POST (draft-ietf-httpapi-idempotency-key-header).

A key belongs to its operator. Only what was done is kept: a refusal changed nothing, so the request may come again.
An answer that shows a secret is not kept either; the second time says that it was shown.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec
import sqlalchemy as sa

from tiergate.api.problems import ProblemError
from tiergate.clock import DAY
from tiergate.database import make_tables

METADATA: Final = sa.MetaData()
KEPT_US: Final = DAY

_REQUESTS: Final = sa.Table(
    "control_requests",
    METADATA,
    sa.Column("operator_id", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("body", sa.LargeBinary),
)


class Kept(msgspec.Struct, frozen=True):
    """An answer that was given before."""

    status: int
    body: bytes


def fingerprint(method: str, path: str, body: bytes) -> str:
    """What tells one request from another: SHA-256 in hexadecimal."""
    return hashlib.sha256(b"\n".join((method.encode(), path.encode(), body))).hexdigest()


class KeptAnswers:
    """Answers by operator and key, in a database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        make_tables(engine, METADATA)

    def begin(self, operator_id: str, key: str, print_: str, now_us: int) -> Kept | None:
        """Take a key, or give the answer that it had. Raises `ProblemError` when it serves another request, or its
        outcome is not known: still under way, or broken off."""
        mine = sa.and_(_REQUESTS.c.operator_id == operator_id, _REQUESTS.c.key == key)
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.delete(_REQUESTS).where(_REQUESTS.c.at <= now_us - KEPT_US))
                row = {"operator_id": operator_id, "key": key, "fingerprint": print_, "at": now_us}
                connection.execute(sa.insert(_REQUESTS), row)
        except sa.exc.IntegrityError:
            with self._engine.connect() as connection:
                held = connection.execute(sa.select(_REQUESTS).where(mine)).first()
        else:
            return None
        if held is not None and held.fingerprint != print_:
            raise ProblemError(
                422, "idempotency_key_reused", "this key came with another request before", "take a fresh key"
            )
        if held is None or held.status is None:
            raise ProblemError(
                409,
                "outcome_not_known",
                "the request with this key is under way, or was broken off",
                "look whether it was done before you send it under another key",
            )
        if held.body is None:
            raise ProblemError(
                409,
                "shown_once",
                "this was done, and its secret was shown then",
                "make another one",
            )
        return Kept(held.status, held.body)

    def done(self, operator_id: str, key: str, status: int, body: bytes | None) -> None:
        """Keep an answer; ``body`` is None for one that shows a secret."""
        mine = sa.and_(_REQUESTS.c.operator_id == operator_id, _REQUESTS.c.key == key)
        with self._engine.begin() as connection:
            connection.execute(sa.update(_REQUESTS).where(mine).values(status=status, body=body))

    def release(self, operator_id: str, key: str) -> None:
        """Give a key back: nothing was done."""
        mine = sa.and_(_REQUESTS.c.operator_id == operator_id, _REQUESTS.c.key == key, _REQUESTS.c.status.is_(None))
        with self._engine.begin() as connection:
            connection.execute(sa.delete(_REQUESTS).where(mine))

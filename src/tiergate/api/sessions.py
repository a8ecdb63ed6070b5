"""Sessions of people who signed in with a browser.

The cookie holds a random token and its signature; the database holds the token's keyed hash, so that a session can be
ended here and now, and a copy of the database opens none. A request that changes something must also show a value
that another site's page cannot read (the CSRF token), beside `SameSite`.
"""

from __future__ import annotations

import hmac
from typing import Final

import msgspec
import sqlalchemy as sa

from tiergate.api.problems import ProblemError
from tiergate.clock import MINUTE
from tiergate.database import make_tables
from tiergate.parties.tokens import is_token, keyed_hash, new_token

METADATA: Final = sa.MetaData()
KIND: Final = "tgs"
FRESH_US: Final = 10 * MINUTE

_SESSIONS: Final = sa.Table(
    "operator_sessions",
    METADATA,
    sa.Column("session_hash", sa.String(64), primary_key=True),
    sa.Column("operator_id", sa.String(64), nullable=False, index=True),
    sa.Column("begun_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("ended_at", sa.BigInteger),
)


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session in force. ``csrf`` is what a browser sends back as `X-CSRF-Token`. Times are microseconds, UTC."""

    operator_id: str
    csrf: str
    begun_at: int
    expires_at: int

    def require_fresh(self, now_us: int) -> None:
        """Raise `ProblemError` where somebody signed in too long ago to be sure that it is still them."""
        if now_us - self.begun_at > FRESH_US:
            raise ProblemError(
                403, "sign_in_again", "the first passkey or password needs a session that has just begun",
                f"sign out and in again, and do it within {FRESH_US // MINUTE} minutes",
            )  # fmt: skip


class Sessions:
    """Sessions in a database. Every method is one transaction."""

    def __init__(self, engine: sa.Engine, pepper: bytes) -> None:
        self._engine = engine
        self._pepper = pepper
        make_tables(engine, METADATA)

    def begin(self, operator_id: str, now_us: int, lasts_us: int) -> str:
        """Begin a session; returns the value of its cookie."""
        token = new_token(KIND)
        row = {
            "session_hash": keyed_hash(self._pepper, token),
            "operator_id": operator_id,
            "begun_at": now_us,
            "expires_at": now_us + lasts_us,
        }
        with self._engine.begin() as connection:
            connection.execute(sa.insert(_SESSIONS), row)
        return f"{token}.{self._derived('cookie', token)}"

    def find(self, cookie: str, now_us: int) -> Session | None:
        """The session behind a cookie: None when it is forged, ended or expired."""
        token = self._token(cookie)
        if token is None:
            return None
        query = sa.select(_SESSIONS).where(
            _SESSIONS.c.session_hash == keyed_hash(self._pepper, token),
            _SESSIONS.c.ended_at.is_(None),
            _SESSIONS.c.expires_at > now_us,
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        return Session(
            operator_id=row.operator_id,
            csrf=self._derived("csrf", token),
            begun_at=row.begun_at,
            expires_at=row.expires_at,
        )

    def end(self, cookie: str, now_us: int) -> None:
        """End the session behind a cookie, if there is one."""
        token = self._token(cookie)
        if token is not None:
            self._end(_SESSIONS.c.session_hash == keyed_hash(self._pepper, token), now_us)

    def end_all(self, operator_id: str, now_us: int) -> int:
        """End every session of an operator; returns how many."""
        return self._end(_SESSIONS.c.operator_id == operator_id, now_us)

    def _end(self, which: sa.ColumnElement[bool], now_us: int) -> int:
        change = sa.update(_SESSIONS).where(which, _SESSIONS.c.ended_at.is_(None)).values(ended_at=now_us)
        with self._engine.begin() as connection:
            return connection.execute(change).rowcount

    def _token(self, cookie: str) -> str | None:
        token, _, signature = cookie.partition(".")
        if not is_token(token, KIND) or not signature.isascii():
            return None
        return token if hmac.compare_digest(signature, self._derived("cookie", token)) else None

    def _derived(self, use: str, token: str) -> str:
        # The use is part of what is hashed: the CSRF token that scripts may read must not sign a cookie.
        return keyed_hash(self._pepper, f"{use}:{token}")

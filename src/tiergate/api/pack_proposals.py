"""Changes of rule packs that one person proposed and another has not confirmed yet."""

from __future__ import annotations

import secrets
from datetime import date
from typing import Final, Literal

import msgspec
import sqlalchemy as sa

from tiergate.clock import DAY
from tiergate.database import make_tables

METADATA: Final = sa.MetaData()
LASTS_US: Final = 7 * DAY

_PROPOSALS: Final = sa.Table(
    "pack_proposals",
    METADATA,
    sa.Column("proposal_id", sa.String(64), primary_key=True),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("proposal", sa.LargeBinary, nullable=False),
)


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A change that waits for a second person. ``fingerprint``: of the pack as the first one saw it. ``expires_at``:
    microseconds since the epoch, UTC."""

    proposal_id: str
    pack: str
    fingerprint: str
    action: Literal["activate", "deactivate"]
    day: date
    reason: str
    confirmation: str | None
    proposed_by: str
    operator_id: str
    expires_at: int


class Proposals:
    """Proposals in a database. Every method is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        make_tables(engine, METADATA)

    def put(self, proposal: Proposal) -> None:
        """Keep a proposal."""
        row = {
            "proposal_id": proposal.proposal_id,
            "expires_at": proposal.expires_at,
            "proposal": msgspec.json.encode(proposal),
        }
        with self._engine.begin() as connection:
            connection.execute(sa.insert(_PROPOSALS), row)

    def every(self, now_us: int) -> list[Proposal]:
        """Those that can still be confirmed."""
        query = sa.select(_PROPOSALS.c.proposal).where(_PROPOSALS.c.expires_at > now_us)
        with self._engine.connect() as connection:
            return [msgspec.json.decode(row, type=Proposal) for row in connection.execute(query).scalars()]

    def take(self, proposal_id: str, now_us: int) -> bool:
        """Use a proposal up; False when somebody else did, or it is too old."""
        mine = sa.and_(_PROPOSALS.c.proposal_id == proposal_id, _PROPOSALS.c.expires_at > now_us)
        with self._engine.begin() as connection:
            return bool(connection.execute(sa.delete(_PROPOSALS).where(mine)).rowcount)


def new_proposal_id() -> str:
    """A fresh id."""
    return f"prop_{secrets.token_hex(8)}"

"""Peers: other labs, what each may have of ours, and where theirs is.

A peer reads and writes here with a token that we gave it, kept as a keyed hash; we read and write there with one that
it gave us, which lies in a file and never in the database.
"""

from __future__ import annotations

import hmac
import secrets
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tiergate.clock import DAY
from tiergate.database import make_tables
from tiergate.errors import InputError
from tiergate.gateway.routing.urls import url_fault
from tiergate.parties.tokens import is_token, keyed_hash, new_token
from tiergate.sharing.finding import Lab
from tiergate.sharing.marking import Tlp

KIND: Final = "tgl"
LONGEST_US: Final = 366 * DAY

METADATA: Final = sa.MetaData()
_PEERS: Final = sa.Table(
    "sharing_peers",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("peer_id", sa.String(64), nullable=False, unique=True),
    sa.Column("name", sa.String(253), nullable=False),
    sa.Column("clearance", sa.String(16), nullable=False),
    sa.Column("url", sa.String(2048)),
    sa.Column("token_file", sa.Text),
    sa.Column("private", sa.Boolean, nullable=False),
    sa.Column("ca_file", sa.Text),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("token_until_us", sa.BigInteger, nullable=False),
    sa.Column("added_at_us", sa.BigInteger, nullable=False),
    sa.Column("ended_at_us", sa.BigInteger),
    sa.Column("sent_us", sa.BigInteger, nullable=False),
    sa.Index(
        "sharing_peers_name",
        "name",
        unique=True,
        sqlite_where=sa.text("ended_at_us is null"),
        postgresql_where=sa.text("ended_at_us is null"),
    ),
)
_READ: Final = sa.Table(
    "sharing_read",
    METADATA,
    sa.Column("peer_id", sa.String(64), primary_key=True),
    sa.Column("collection", sa.String(64), primary_key=True),
    sa.Column("added", sa.String(64), nullable=False),
)


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A lab that we share with. Times are microseconds since the epoch, UTC.

    ``name``: its domain; ``clearance``: the strictest marking that it may have without being named, never RED; ``url``:
    its API root of TAXII 2.1, None where we neither ask nor tell it; ``token_file``: what we show there; ``private``:
    it is in a network of ours; ``sent_us``: what was added until then was sent.
    """

    peer_id: str
    name: str
    clearance: Tlp
    url: str | None
    token_file: str | None
    private: bool
    ca_file: str | None
    token_until_us: int
    added_at_us: int
    ended_at_us: int | None
    sent_us: int

    @property
    def lab(self) -> Lab:
        """The lab whose findings it may tell."""
        return Lab.named(self.name)


class Peers:
    """The peers of a deployment. Every method is one transaction."""

    def __init__(self, engine: sa.Engine, pepper: bytes) -> None:
        self._engine, self._pepper = engine, pepper
        make_tables(engine, METADATA)

    def add(
        self,
        name: str,
        now_us: int,
        *,
        clearance: Tlp = Tlp.AMBER_STRICT,
        url: str | None = None,
        token_file: str | None = None,
        private: bool = False,
        ca_file: str | None = None,
        lasts_us: int = 90 * DAY,
    ) -> tuple[Peer, str | None]:
        """A peer, and its token for the only time. One that is there gets another token, and the old one ends; with a
        life of 0 it keeps what it has. So it does with an address, where none is given.

        Raises `InputError` for a name that is no domain, an address that may not be asked, RED as clearance, or a
        narrower clearance than it has: what it was told could not be withdrawn any more.
        """
        lab = Lab.named(name)
        if clearance is Tlp.RED:
            raise InputError("what is TLP:RED is for those named alone: a peer's clearance is amber+strict at most")
        if not 0 <= lasts_us <= LONGEST_US:
            raise InputError(f"a token lives {LONGEST_US // DAY} days at most")
        fault = None if url is None else url_fault(url, private=private)
        if fault is not None:
            raise InputError(f"the address of `{lab.name}`: {_of_peers(fault)}")
        if (url is None) is not (token_file is None):
            raise InputError(f"give both the address of `{lab.name}` and the file of the token that it gave you")
        held = self.named(lab.name)
        if held is not None and clearance.strictness < held.clearance.strictness:
            raise InputError(f"`{lab.name}` has more already: end it, and add it anew with less")
        token = new_token(KIND)
        # What it may have now and could not before is sent too; what it has counts there as known.
        values: dict[str, Any] = {"clearance": clearance.value, "sent_us": 0}
        if held is None or lasts_us:
            values |= {"token_hash": keyed_hash(self._pepper, token), "token_until_us": now_us + lasts_us}
        if held is None or url is not None:
            where = url if url is None or url.endswith("/") else f"{url}/"
            values |= {"url": where, "token_file": token_file, "private": private, "ca_file": ca_file}
        new = {"peer_id": f"peer_{secrets.token_hex(8)}", "name": lab.name, "added_at_us": now_us}
        with self._engine.begin() as connection:
            if held is None:
                connection.execute(sa.insert(_PEERS).values(**new, **values))
            else:
                connection.execute(sa.update(_PEERS).where(_PEERS.c.peer_id == held.peer_id).values(**values))
        peer = self.named(lab.name)
        assert peer is not None
        return peer, token if lasts_us else None

    def named(self, name: str) -> Peer | None:
        """The peer that is called so, None when there is none or it was ended."""
        return next(iter(self._select(_PEERS.c.name == name.lower(), _PEERS.c.ended_at_us.is_(None))), None)

    def every(self) -> list[Peer]:
        """All peers, ended ones too, in the order in which they were added."""
        return self._select()

    def authenticate(self, token: str, now_us: int) -> Peer | None:
        """Whose token it is: None when it is malformed, unknown or over, or its peer ended."""
        if not is_token(token, KIND):
            return None
        hashed = keyed_hash(self._pepper, token)
        live = (_PEERS.c.token_until_us > now_us, _PEERS.c.ended_at_us.is_(None))
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_PEERS).where(_PEERS.c.token_hash == hashed, *live)).mappings().first()
        return None if row is None or not hmac.compare_digest(row["token_hash"], hashed) else _peer(row)

    def end(self, name: str, now_us: int) -> None:
        """Share nothing more: its token ends at once. Raises `InputError` when it is not there."""
        mine = sa.and_(_PEERS.c.name == name.lower(), _PEERS.c.ended_at_us.is_(None))
        with self._engine.begin() as connection:
            if not connection.execute(sa.update(_PEERS).where(mine).values(ended_at_us=now_us)).rowcount:
                raise InputError(f"no peer is called `{name}`: see `tiergate share peers list`")

    def sent(self, peer: Peer, until_us: int) -> None:
        """All that was added until then was taken by the peer."""
        with self._engine.begin() as connection:
            mine = sa.update(_PEERS).where(_PEERS.c.peer_id == peer.peer_id, _PEERS.c.sent_us < until_us)
            connection.execute(mine.values(sent_us=until_us))

    def read_until(self, peer: Peer, collection: str) -> str | None:
        """The time of the last object read of a collection of a peer's, as the peer wrote it."""
        mine = (_READ.c.peer_id == peer.peer_id, _READ.c.collection == collection)
        with self._engine.connect() as connection:
            return connection.execute(sa.select(_READ.c.added).where(*mine)).scalar()

    def was_read(self, peer: Peer, collection: str, added: str) -> None:
        """Remember that."""
        mine = (_READ.c.peer_id == peer.peer_id, _READ.c.collection == collection)
        with self._engine.begin() as connection:
            if not connection.execute(sa.update(_READ).where(*mine).values(added=added)).rowcount:
                connection.execute(sa.insert(_READ).values(peer_id=peer.peer_id, collection=collection, added=added))

    def _select(self, *where: sa.ColumnElement[bool]) -> list[Peer]:
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(_PEERS).where(*where).order_by(_PEERS.c.number)).mappings()
            return [_peer(row) for row in rows]


def _peer(row: sa.RowMapping) -> Peer:
    fields: dict[str, Any] = {name: row[name] for name in Peer.__struct_fields__}
    return Peer(**(fields | {"clearance": Tlp(row["clearance"])}))


def _of_peers(fault: str) -> str:
    return fault.replace("`private: true`", "--private").replace("an upstream", "a peer").replace("the upstream", "it")

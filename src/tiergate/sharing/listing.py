"""What was told and heard, for people who look: a page at a time, the newest first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from tiergate.sharing.finding import Finding, Opinion, Sighting, Told
from tiergate.sharing.marking import Tlp
from tiergate.sharing.objects import AnyObject
from tiergate.sharing.peers import Peer
from tiergate.sharing.reading import from_objects
from tiergate.sharing.store import AUDIENCE, OBJECTS
from tiergate.sharing.versions import OURS

KINDS: Final = ("campaign", "sighting", "opinion")
"""Objects that stand for a finding, a sighting or an opinion as a whole."""
_DECODER: Final = msgspec.json.Decoder(AnyObject)


class ToldRow(msgspec.Struct, frozen=True, kw_only=True):
    """Something of ours as it was told last. ``subject``: by which it is withdrawn; ``added_us``: when it was told,
    microseconds since the epoch; ``sent``: peers that took it; ``may_read``: others that may have it, and may have read
    it already."""

    subject: str
    kind: str
    added_us: int
    tlp: Tlp
    revoked: bool
    told: Told
    sent: tuple[str, ...]
    may_read: tuple[str, ...]


def told(
    engine: sa.Engine,
    peers: Sequence[Peer],
    *,
    before_us: int | None = None,
    subject: str | None = None,
    limit: int = 50,
) -> list[ToldRow]:
    """What we told, a finding without its networks and tokens. ``before_us``: only what was told earlier; ``subject``:
    only that one."""
    query = sa.select(OBJECTS).where(OBJECTS.c.origin == OURS, OBJECTS.c.newest, OBJECTS.c.kind.in_(KINDS))
    if before_us is not None:
        query = query.where(OBJECTS.c.added_us < before_us)
    if subject is not None:
        query = query.where(OBJECTS.c.subject == subject)
    with engine.connect() as connection:
        rows = connection.execute(query.order_by(OBJECTS.c.added_us.desc()).limit(limit)).all()
        named: dict[str, set[str]] = {}
        for one in connection.execute(sa.select(AUDIENCE).where(AUDIENCE.c.stix_id.in_([row.stix_id for row in rows]))):
            named.setdefault(one.stix_id, set()).add(one.peer_id)
    found = []
    for row in rows:
        (said,) = from_objects([_DECODER.decode(row.raw)])
        tlp, revoked = tuple(Tlp)[row.tlp], bool(row.revoked)
        allowed = [
            peer
            for peer in peers
            if peer.peer_id in named.get(row.stix_id, ())
            or (tlp is not Tlp.RED and tlp.strictness <= peer.clearance.strictness and peer.ended_at_us is None)
        ]
        sent = tuple(one.name for one in allowed if one.sent_us >= row.added_us)
        found.append(
            ToldRow(
                subject=row.subject, kind=row.kind, added_us=row.added_us, tlp=tlp, revoked=revoked, told=said,
                sent=sent, may_read=tuple(one.name for one in allowed if one.name not in sent),
            )
        )  # fmt: skip
    return found


def said(engine: sa.Engine, peers: Iterable[Peer]) -> list[Sighting | Opinion]:
    """What we and labs that are peers now said of findings, read without the findings themselves."""
    origins = [OURS, *(one.peer_id for one in peers if one.ended_at_us is None)]
    query = sa.select(OBJECTS.c.raw).where(OBJECTS.c.newest, OBJECTS.c.kind.in_(("identity", "opinion", "sighting")))
    found: list[Sighting | Opinion] = []
    with engine.connect() as connection:
        for origin in origins:
            rows = connection.execute(query.where(OBJECTS.c.origin == origin).order_by(OBJECTS.c.added_us)).scalars()
            told = from_objects([_DECODER.decode(raw) for raw in rows])
            found += [one for one in told if not isinstance(one, Finding)]
    return found


def objects_of(engine: sa.Engine, subject: str) -> list[bytes]:
    """What peers have of something of ours: its objects of STIX 2.1, each as it is served."""
    mine = (OBJECTS.c.subject == subject, OBJECTS.c.origin == OURS, OBJECTS.c.newest)
    with engine.connect() as connection:
        return list(connection.execute(sa.select(OBJECTS.c.raw).where(*mine).order_by(OBJECTS.c.added_us)).scalars())


def last_heard(engine: sa.Engine, origins: Iterable[str]) -> dict[str, int]:
    """When each of ``origins``, peers' ids, told something new the last time: microseconds since the epoch."""
    found = {}
    with engine.connect() as connection:
        for origin in origins:
            mine = (OBJECTS.c.origin == origin, OBJECTS.c.newest)
            at_us = connection.execute(sa.select(sa.func.max(OBJECTS.c.added_us)).where(*mine)).scalar()
            if at_us is not None:
                found[origin] = int(at_us)
    return found


def last_added(engine: sa.Engine) -> int:
    """When the last object was added, told or heard; 0 before the first. Another number after every addition."""
    with engine.connect() as connection:
        return int(connection.execute(sa.select(sa.func.max(OBJECTS.c.added_us))).scalar() or 0)

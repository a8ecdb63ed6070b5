"""What a peer sends, or is asked for: checked, kept, and counted where it is refused."""

from __future__ import annotations

import uuid
from typing import Final

import msgspec
import sqlalchemy as sa

from tiergate.clock import DAY
from tiergate.database import make_tables
from tiergate.sharing.check import Fault, Taken, Verdict, check
from tiergate.sharing.objects import AttackPattern, ExtensionDefinition, Identity, Versioned
from tiergate.sharing.peers import Peer
from tiergate.sharing.store import SharedStore

MOST_A_DAY: Final = 200_000
"""What one peer may bring within a day: objects that are new or refused, or KiB, whichever is more; a request counts
as one at least."""
MOST_HELD: Final = 500_000
"""Objects that are held of one peer: all of them are read at every look. Beyond that, those are let go that are older
than `KEPT_HELD_US` and not withdrawn."""
KEPT_HELD_US: Final = 90 * DAY
MOST_DETAILS: Final = 100
"""Objects that are told one by one to whoever asks later what came of a request; of more the numbers alone are kept."""
KEPT_US: Final = DAY
"""For how long what came of a request can be asked."""

METADATA: Final = sa.MetaData()
_REFUSED: Final = sa.Table(
    "sharing_refused",
    METADATA,
    sa.Column("peer_id", sa.String(64), primary_key=True),
    sa.Column("code", sa.String(32), primary_key=True),
    sa.Column("times", sa.BigInteger, nullable=False),
)
_ARRIVALS: Final = sa.Table(
    "sharing_arrivals",
    METADATA,
    sa.Column("arrival_id", sa.String(36), primary_key=True),
    sa.Column("peer_id", sa.String(64), nullable=False),
    sa.Column("at_us", sa.BigInteger, nullable=False, index=True),
    sa.Column("new", sa.BigInteger, nullable=False),
    sa.Column("arrival", sa.LargeBinary, nullable=False),
)


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What came of what a peer sent. ``accepted``: ids and versions (microseconds, 0 for none) of what is kept now;
    ``faults``: why the rest is not; where one is of the whole, nothing is kept. ``taken`` and ``refused``: how many
    they are, also where they are not told one by one."""

    arrival_id: str
    at_us: int
    accepted: list[tuple[str, int]]
    faults: list[Fault]
    taken: int
    refused: int
    new: int = 0

    @property
    def refused_whole(self) -> Fault | None:
        """Why nothing of it could be looked at."""
        return next((one for one in self.faults if one.index is None), None)


class Receiving:
    """What peers send to a deployment."""

    def __init__(self, store: SharedStore) -> None:
        self._store = store
        make_tables(store.engine, METADATA)

    def receive(self, body: bytes, peer: Peer, now_us: int) -> Arrival:
        """Keep what a peer says of its own. A peer speaks for itself alone: what another lab made is refused."""
        brought = self._brought(peer, now_us)
        verdict = check(body, now_us)
        held = self._store.held(peer.peer_id, MOST_HELD, now_us - KEPT_HELD_US)
        if (brought >= MOST_A_DAY or held >= MOST_HELD) and not self._withdraws(verdict, peer):
            reason = f"{brought:,} objects or KiB within a day are enough: send more tomorrow"
            if held >= MOST_HELD:
                reason = f"{held:,} objects of one peer are enough: they make room after {KEPT_HELD_US // DAY} days"
            verdict = Verdict(taken=[], faults=[Fault(code="quota", reason=reason)])
        speaker = f"identity--{peer.lab.lab_id}"
        taken, faults = [], list(verdict.faults)
        for index, one in enumerate(verdict.taken):
            if _may_say(one, speaker):
                taken.append(one)
            else:
                reason = f"it is not by `{peer.name}`, and nobody tells what another lab found"
                faults.append(Fault(code="not_theirs", reason=reason, index=index, stix_id=one.object.id))
        added = self._store.add(taken, origin=peer.peer_id, now_us=now_us)
        refused = {(one.stix_id, one.index) for one in added.faults}
        accepted = [
            (one.object.id, one.version_us) for index, one in enumerate(taken) if (one.object.id, index) not in refused
        ]
        faults += added.faults
        arrival = Arrival(
            arrival_id=str(uuid.uuid4()),
            at_us=now_us,
            accepted=accepted,
            faults=faults,
            taken=len(accepted),
            refused=len(faults),
            new=added.new,
        )
        self._count(peer, arrival, len(body) // 1_024 if added.new or faults else 0)
        return arrival

    def arrival(self, arrival_id: str, peer: Peer) -> Arrival | None:
        """What came of something that this peer sent within the last day."""
        mine = (_ARRIVALS.c.arrival_id == arrival_id, _ARRIVALS.c.peer_id == peer.peer_id)
        with self._store.engine.connect() as connection:
            held = connection.execute(sa.select(_ARRIVALS.c.arrival).where(*mine)).scalar()
        return None if held is None else msgspec.json.decode(held, type=Arrival)

    def recent(self, limit: int = 100) -> list[tuple[str, Arrival]]:
        """What came of what peers sent within the last day, with the peer's id, the newest first."""
        query = sa.select(_ARRIVALS.c.peer_id, _ARRIVALS.c.arrival).order_by(_ARRIVALS.c.at_us.desc()).limit(limit)
        with self._store.engine.connect() as connection:
            rows = connection.execute(query).all()
        return [(row.peer_id, msgspec.json.decode(row.arrival, type=Arrival)) for row in rows]

    def refused(self, peer: Peer) -> dict[str, int]:
        """How often what a peer sent was refused, by code."""
        query = sa.select(_REFUSED).where(_REFUSED.c.peer_id == peer.peer_id).order_by(_REFUSED.c.code)
        with self._store.engine.connect() as connection:
            return {row.code: row.times for row in connection.execute(query)}

    def _withdraws(self, verdict: Verdict, peer: Peer) -> bool:
        """Whether it takes back what the peer told, and says nothing else: that is heard however much it told."""
        said = [one.object for one in verdict.taken]
        gone = {one.id for one in said if isinstance(one, Versioned) and one.revoked is True}
        return not verdict.faults and len(gone) == len(said) == len(self._store.standing(peer.peer_id, gone))

    def _brought(self, peer: Peer, now_us: int) -> int:
        mine = (_ARRIVALS.c.peer_id == peer.peer_id, _ARRIVALS.c.at_us > now_us - DAY)
        with self._store.engine.connect() as connection:
            return int(connection.execute(sa.select(sa.func.sum(_ARRIVALS.c.new)).where(*mine)).scalar() or 0)

    def _count(self, peer: Peer, arrival: Arrival, kib: int) -> None:
        kept = arrival
        if arrival.taken + arrival.refused > MOST_DETAILS:
            kept = msgspec.structs.replace(arrival, accepted=[], faults=[])
        with self._store.engine.begin() as connection:
            connection.execute(sa.delete(_ARRIVALS).where(_ARRIVALS.c.at_us < arrival.at_us - KEPT_US))
            row = {
                "arrival_id": arrival.arrival_id,
                "peer_id": peer.peer_id,
                "at_us": arrival.at_us,
                "new": max(1, arrival.new + arrival.refused, kib),
            }
            connection.execute(sa.insert(_ARRIVALS).values(**row, arrival=msgspec.json.encode(kept)))
            for code in sorted({one.code for one in arrival.faults}):
                times = sum(one.code == code for one in arrival.faults)
                mine = (_REFUSED.c.peer_id == peer.peer_id, _REFUSED.c.code == code)
                again = sa.update(_REFUSED).where(*mine).values(times=_REFUSED.c.times + times)
                if not connection.execute(again).rowcount:
                    connection.execute(sa.insert(_REFUSED).values(peer_id=peer.peer_id, code=code, times=times))


def _may_say(one: Taken, speaker: str) -> bool:
    # Those that are the same for everybody, and networks and accounts, which are made by nobody.
    if isinstance(one.object, Identity | ExtensionDefinition | AttackPattern) or not isinstance(one.object, Versioned):
        return True
    return one.made_by == speaker

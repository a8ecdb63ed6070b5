"""Objects that we tell and that we were told, as bytes, in a database: `sharing.sqlite` in the data folder.

An object is checked when it is written (`check`), and read as the bytes that were stored. Its key is when it was added:
microseconds that never repeat and only grow. So "all after the last that I have" misses nothing, and is the order of a
collection of TAXII 2.1, of its pages and of its polls alike.

What is RED goes to peers that were named when it was told. A newer version of an object of ours never goes less far
than the one before, so that a withdrawal reaches everybody who could have the object.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tiergate.database import make_tables
from tiergate.errors import InputError
from tiergate.sharing.check import Fault, Taken, check
from tiergate.sharing.finding import Finding, Opinion, Told
from tiergate.sharing.marking import Tlp
from tiergate.sharing.objects import ENCODER, AnyObject, Versioned
from tiergate.sharing.renewing import renewed
from tiergate.sharing.stix import revoked, to_objects, us_of
from tiergate.sharing.versions import OURS, Row, is_own, placed

DATABASE: Final = "sharing.sqlite"
AT_ONCE: Final = 400
_MS: Final = 1_000

METADATA: Final = sa.MetaData()
_KEY: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""In SQLite the number of a row itself, so that a page is read in one go."""
OBJECTS: Final = sa.Table(
    "shared_objects",
    METADATA,
    sa.Column("added_us", _KEY, primary_key=True, autoincrement=False),
    sa.Column("origin", sa.String(64), nullable=False),
    sa.Column("stix_id", sa.String(100), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    # When it was modified; 0 for what has no versions.
    sa.Column("version_us", sa.BigInteger, nullable=False),
    sa.Column("oldest", sa.Boolean, nullable=False),
    sa.Column("newest", sa.Boolean, nullable=False),
    sa.Column("revoked", sa.Boolean, nullable=False),
    sa.Column("tlp", sa.SmallInteger, nullable=False),
    # What of ours it belongs to: the id of a finding, a sighting or an opinion.
    sa.Column("subject", sa.String(36), index=True),
    sa.Column("raw", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("origin", "stix_id", "version_us"),
    sa.Index("shared_objects_page", "origin", "newest", "added_us"),
)
AUDIENCE: Final = sa.Table(
    "shared_audience",
    METADATA,
    sa.Column("stix_id", sa.String(100), primary_key=True),
    sa.Column("peer_id", sa.String(64), primary_key=True),
)
_PLACE: Final = sa.Table(
    "shared_place",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("added_us", sa.BigInteger, nullable=False),
)
_DECODER: Final = msgspec.json.Decoder(AnyObject)


class Added(msgspec.Struct, kw_only=True):
    """What came of objects: how many were ``new``, how many were there already (``known``), and why others were not
    taken."""

    new: int = 0
    known: int = 0
    faults: list[Fault] = msgspec.field(default_factory=list)


class SharedStore:
    """The objects of a deployment. Every method is one transaction; writers wait for each other."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

        def first(connection: sa.Connection) -> None:
            if connection.execute(sa.select(_PLACE.c.id)).first() is None:
                connection.execute(sa.insert(_PLACE).values(id=1, added_us=0))

        make_tables(engine, METADATA, first)

    def tell(self, told: Told, now_us: int, *, named: Iterable[str] = ()) -> Added:
        """Let peers have something, or its newer version; what of the version before is no longer said is withdrawn.

        :param named: ids of the peers that may have it, where it is RED.
        Raises `InputError` when peers would refuse it, or it is RED and for nobody.
        """
        # Whoever was named for it before is told what is new in it too.
        audience = {*named, *self.audience(subject_of(told))} if told.tlp is Tlp.RED else set(named)
        if told.tlp is Tlp.RED and not audience:
            raise InputError("what is TLP:RED goes to those that are named alone: name a peer")
        with self.engine.begin() as connection:
            held = self._main(connection, told)
            if held is not None and held.revoked and told.revoked:
                return Added(known=1)
            if held is not None and held.revoked:
                raise InputError("it was withdrawn, and that is for good")
            again = held is not None and held.version_us >= told.modified_us
            if held is not None and again:
                told = msgspec.structs.replace(told, modified_us=held.version_us)
            taken = self._checked(connection, told, now_us)
            if again and self._differs(connection, told, taken):
                # What is told last counts, such as the same look under another key: it is a version of its own.
                later_us = max(now_us, told.modified_us + _MS) // _MS * _MS
                taken = self._checked(connection, msgspec.structs.replace(told, modified_us=later_us), now_us)
            added = self._add(connection, taken, OURS, now_us, audience, subject_of(told))
            narrowed = next((one for one in added.faults if one.code == "narrowed"), None)
            if narrowed is not None:
                raise InputError(narrowed.reason)
            said = {one.object.id for one in taken}
            gone = [one for one in self._standing(connection, subject_of(told)) if one.id not in said]
            self._withdraw(connection, gone, now_us, subject_of(told), added)
        return added

    def withdraw(self, subject: str, now_us: int) -> Added:
        """Withdraw what was told, for good: its last version says so to everybody who could have one before.

        :param subject: id of the finding, sighting or opinion. Raises `InputError` when nothing of it stands.
        """
        with self.engine.begin() as connection:
            standing = self._standing(connection, subject)
            if not standing:
                raise InputError(f"nothing of `{subject}` was told that could be withdrawn")
            added = Added()
            self._withdraw(connection, standing, now_us, subject, added)
        return added

    def add(self, taken: Sequence[Taken], *, origin: str, now_us: int) -> Added:
        """Keep what ``origin``, a peer, told. What is there already counts as known, however often it comes."""
        with self.engine.begin() as connection:
            return self._add(connection, taken, origin, now_us, set(), None)

    def standing(self, origin: str, ids: Iterable[str]) -> set[str]:
        """Which of some ids ``origin`` told and did not withdraw."""
        asked, found = sorted(ids), set[str]()
        with self.engine.connect() as connection:
            for start in range(0, len(asked), AT_ONCE):
                some = OBJECTS.c.stix_id.in_(asked[start : start + AT_ONCE])
                stands = (OBJECTS.c.origin == origin, some, OBJECTS.c.newest, ~OBJECTS.c.revoked)
                found |= set(connection.execute(sa.select(OBJECTS.c.stix_id).where(*stands)).scalars())
        return found

    def held(self, origin: str, most: int, before_us: int) -> int:
        """How many objects of a peer's are held. From ``most`` on, those that are older and stand are let go."""
        count = sa.select(sa.func.count()).select_from(OBJECTS).where(OBJECTS.c.origin == origin)
        with self.engine.begin() as connection:
            held = int(connection.execute(count).scalar_one())
            if held >= most:
                old = (OBJECTS.c.origin == origin, OBJECTS.c.added_us < before_us, ~OBJECTS.c.revoked)
                held -= connection.execute(sa.delete(OBJECTS).where(*old)).rowcount
        return held

    def place(self) -> int:
        """When the last object was added; another number after every addition, whoever made it."""
        with self.engine.connect() as connection:
            return int(connection.execute(sa.select(_PLACE.c.added_us)).scalar_one())

    def withdrawn(self, after_us: int) -> list[tuple[str, str]]:
        """What peers withdrew since: the peer, and the id of the finding."""
        query = sa.select(OBJECTS.c.origin, OBJECTS.c.stix_id).where(
            OBJECTS.c.added_us > after_us, OBJECTS.c.origin != OURS, OBJECTS.c.kind == "campaign", OBJECTS.c.revoked
        )
        with self.engine.connect() as connection:
            rows = connection.execute(query.order_by(OBJECTS.c.added_us)).all()
        return [(origin, stix_id.partition("--")[2]) for origin, stix_id in rows]

    def audience(self, subject: str) -> set[str]:
        """Ids of the peers that may have what is RED of a subject of ours."""
        mine = sa.select(OBJECTS.c.stix_id).where(OBJECTS.c.subject == subject)
        with self.engine.connect() as connection:
            query = sa.select(AUDIENCE.c.peer_id).where(AUDIENCE.c.stix_id.in_(mine))
            return set(connection.execute(query).scalars())

    def objects(self, origin: str) -> list[AnyObject]:
        """The newest version of all that ``origin`` told."""
        query = sa.select(OBJECTS.c.raw).where(OBJECTS.c.origin == origin, OBJECTS.c.newest)
        with self.engine.connect() as connection:
            return [_DECODER.decode(raw) for raw in connection.execute(query.order_by(OBJECTS.c.added_us)).scalars()]

    def _checked(self, connection: sa.Connection, told: Told, now_us: int) -> list[Taken]:
        """Its objects as peers take them. Raises `InputError` when they would not."""

        def withdrawn(ids: set[str]) -> set[str]:
            mine = (OBJECTS.c.origin == OURS, OBJECTS.c.stix_id.in_(ids), OBJECTS.c.newest, OBJECTS.c.revoked)
            return set(connection.execute(sa.select(OBJECTS.c.stix_id).where(*mine)).scalars())

        objects = to_objects(told) if told.revoked else renewed(to_objects(told), withdrawn)
        verdict = check(b'{"objects":[' + b",".join(map(ENCODER.encode, objects)) + b"]}", now_us)
        if verdict.faults:
            raise InputError(f"peers would refuse it: {verdict.faults[0]}; is this machine's clock right?")
        return verdict.taken

    def _differs(self, connection: sa.Connection, told: Told, taken: Sequence[Taken]) -> bool:
        """Whether it says anything else than what stands."""
        standing = {ENCODER.encode(one) for one in self._standing(connection, subject_of(told))}
        return standing != {one.raw for one in taken if is_own(one)}

    def _main(self, connection: sa.Connection, told: Told) -> sa.Row[int, bool] | None:
        """The newest version of a finding's campaign, of a sighting or of an opinion."""
        kind = "campaign" if isinstance(told, Finding) else "opinion" if isinstance(told, Opinion) else "sighting"
        mine = (OBJECTS.c.origin == OURS, OBJECTS.c.stix_id == f"{kind}--{subject_of(told)}", OBJECTS.c.newest)
        return connection.execute(sa.select(OBJECTS.c.version_us, OBJECTS.c.revoked).where(*mine)).first()

    def _standing(self, connection: sa.Connection, subject: str) -> list[Versioned]:
        query = sa.select(OBJECTS.c.raw).where(
            OBJECTS.c.subject == subject, OBJECTS.c.origin == OURS, OBJECTS.c.newest, ~OBJECTS.c.revoked
        )
        found = (_DECODER.decode(raw) for raw in connection.execute(query.order_by(OBJECTS.c.added_us)).scalars())
        return [one for one in found if isinstance(one, Versioned)]

    def _withdraw(
        self, connection: sa.Connection, standing: Sequence[Versioned], now_us: int, subject: str, added: Added
    ) -> None:
        if not standing:
            return
        after_us = max(now_us, *(us_of(one.modified) + _MS for one in standing)) // _MS * _MS
        bundle = b",".join(ENCODER.encode(revoked(one, after_us)) for one in standing)
        verdict = check(b'{"objects":[' + bundle + b"]}", after_us)
        more = self._add(connection, verdict.taken, OURS, now_us, set(), subject)
        added.new += more.new
        added.faults += [*verdict.faults, *more.faults]

    def _add(
        self,
        connection: sa.Connection,
        taken: Sequence[Taken],
        origin: str,
        now_us: int,
        named: set[str],
        subject: str | None,
    ) -> Added:
        # Written first, so that one writer at a time goes on: keys then appear in the order of their time.
        connection.execute(sa.update(_PLACE).values(added_us=_PLACE.c.added_us))
        place = max(int(connection.execute(sa.select(_PLACE.c.added_us)).scalar_one()), now_us)
        added = Added()
        for start in range(0, len(taken), AT_ONCE):
            some = taken[start : start + AT_ONCE]
            held = self._held(connection, origin, {one.object.id for one in some})
            heard = self._heard(connection, held, named)
            rows = {one.object.id: held.get(one.object.id, []) for one in some}
            for index, one in enumerate(some, start):
                fault = placed(rows[one.object.id], one, origin, subject, heard.get(one.object.id, False))
                if fault is not None:
                    code, reason = fault
                    added.faults.append(Fault(code=code, reason=reason, index=index, stix_id=one.object.id))
            place = self._write(connection, [row for versions in rows.values() for row in versions], place, added)
            self._name(connection, [one for one in some if origin == OURS and one.tlp is Tlp.RED], named)
        added.known = len(taken) - added.new - len(added.faults)
        connection.execute(sa.update(_PLACE).values(added_us=place))
        return added

    def _held(self, connection: sa.Connection, origin: str, ids: set[str]) -> dict[str, list[Row]]:
        rows: dict[str, list[Row]] = {}
        query = sa.select(OBJECTS).where(OBJECTS.c.origin == origin, OBJECTS.c.stix_id.in_(ids))
        for row in connection.execute(query).mappings():
            rows.setdefault(row["stix_id"], []).append(Row(**row, was=row["added_us"]))
        return rows

    def _heard(self, connection: sa.Connection, rows: dict[str, list[Row]], named: set[str]) -> dict[str, bool]:
        """Which of the ids that are there must be told anew, since somebody named may have had them never."""
        if not named or not rows:
            return {}
        query = sa.select(AUDIENCE).where(AUDIENCE.c.stix_id.in_(list(rows)))
        known: dict[str, set[str]] = {}
        for row in connection.execute(query):
            known.setdefault(row.stix_id, set()).add(row.peer_id)
        return {stix_id: bool(named - known.get(stix_id, set())) for stix_id in rows}

    def _write(self, connection: sa.Connection, rows: list[Row], place: int, added: Added) -> int:
        new: list[dict[str, Any]] = []
        for row in rows:
            if row.added_us == 0:
                place += 1
                row.added_us = place
            values = {name: getattr(row, name) for name in OBJECTS.c.keys()}  # noqa: SIM118 - not a dict
            if row.was is None:
                new.append(values)
            elif row.touched:
                connection.execute(sa.update(OBJECTS).where(OBJECTS.c.added_us == row.was).values(**values))
        if new:
            connection.execute(sa.insert(OBJECTS), new)
        added.new += len(new)
        return place

    def _name(self, connection: sa.Connection, red: Sequence[Taken], named: set[str]) -> None:
        pairs = {(one.object.id, peer) for one in red for peer in named}
        if pairs:
            query = sa.select(AUDIENCE).where(AUDIENCE.c.stix_id.in_({one.object.id for one in red}))
            pairs -= {(row.stix_id, row.peer_id) for row in connection.execute(query)}
        if pairs:
            connection.execute(sa.insert(AUDIENCE), [{"stix_id": one, "peer_id": peer} for one, peer in sorted(pairs)])


def subject_of(told: Told) -> str:
    """The id by which something told is withdrawn."""
    if isinstance(told, Finding):
        return told.finding_id
    return told.opinion_id if isinstance(told, Opinion) else told.sighting_id

"""What is still to be told, in the control database.

Every change of a case, a lead or an appeal is a row appended in the transaction that makes it (`admission.changes`).
Those rows are the outbox: `gather` reads the ones after the last it read and puts, in one transaction with its place,
an alert into the queue of each sink that wants it. So nothing that was committed goes untold, whoever committed it and
whatever died afterwards, and nothing is queued twice.

An alert is sent until its sink takes it: with waits as Standard Webhooks recommends, and not for ever.

| state | when |
| --- | --- |
| `waiting` | not taken yet |
| `sent` | taken; forgotten after a month |
| `dead` | given up; `tiergate alerts retry` tries again |
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tiergate.admission.appeals import Appeal, Appeals
from tiergate.admission.changes import Changes
from tiergate.clock import DAY, HOUR
from tiergate.database import make_tables
from tiergate.ledger.verdicts import VerdictStore
from tiergate.response.alerts import events
from tiergate.response.alerts.events import Alert
from tiergate.response.alerts.sinks import Sink
from tiergate.response.case_files import CaseFile
from tiergate.response.leads import Lead

SECOND: Final = 1_000_000
WAITS_US: Final = (
    5 * SECOND, 300 * SECOND, HOUR // 2, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR,
)  # fmt: skip
"""After each failure; after one more an alert is dead, some three days later."""
KEPT_US: Final = 30 * DAY
AT_ONCE: Final = 500
"""Changes that are read in one transaction."""
MOST_ACCOUNTS: Final = 1_000
AUTHOR: Final = "tiergate alerts"

METADATA: Final = sa.MetaData()
_PLACE: Final = sa.Table(
    "alert_place",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, nullable=False),
)
_QUEUE: Final = sa.Table(
    "alert_queue",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("alert_id", sa.String(64), nullable=False),
    sa.Column("sink", sa.String(32), nullable=False),
    sa.Column("alert", sa.Text, nullable=False),
    sa.Column("state", sa.String(8), nullable=False, index=True),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_at", sa.BigInteger, nullable=False),
    sa.Column("fault", sa.Text),
    sa.UniqueConstraint("alert_id", "sink"),
)


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    """An alert for one sink. ``next_at``: when it is sent next, or was settled; microseconds, UTC. ``fault``: what the
    sink said last."""

    number: int
    sink: str
    state: str
    attempts: int
    next_at: int
    fault: str | None
    alert: Alert


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts that sinks did not take: given up, and still tried. ``fault``: what a sink said of the newest of them."""

    dead: int = 0
    failing: int = 0
    fault: str | None = None


def trouble(engine: sa.Engine) -> Trouble:
    """What does not arrive, of a deployment that may have no outbox yet."""
    if not sa.inspect(engine).has_table(_QUEUE.name):
        return Trouble()
    failing = sa.and_(_QUEUE.c.state == "waiting", _QUEUE.c.attempts > 0)
    counts = sa.select(sa.func.count().filter(_QUEUE.c.state == "dead"), sa.func.count().filter(failing)).where(
        _QUEUE.c.state.in_(["dead", "waiting"])
    )
    newest = sa.select(_QUEUE.c.fault).where(sa.or_(failing, _QUEUE.c.state == "dead"))
    with engine.connect() as connection:
        dead, waiting = connection.execute(counts).one()
        fault = connection.execute(newest.order_by(_QUEUE.c.number.desc()).limit(1)).scalar()
    return Trouble(dead=dead, failing=waiting, fault=fault)


class Outbox:
    """The outbox of a deployment. One process at a time sends (`response.watch_lock`); any number may look.

    What happened before there was an outbox is not told.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._changes, self._appeals, self._verdicts = Changes(engine), Appeals(engine), VerdictStore(engine)

        def first(connection: sa.Connection) -> None:
            if connection.execute(sa.select(_PLACE.c.number)).first() is None:
                connection.execute(sa.insert(_PLACE).values(id=1, number=self._changes.version()))

        make_tables(engine, METADATA, first)

    def gather(self, sinks: Sequence[Sink], now_us: int) -> None:
        """Queue what happened since the last call, for those of ``sinks`` that want it."""
        late = [events.overdue(one) for one in self._appeals.overdue(now_us)]
        with self._engine.connect() as connection:
            place = int(connection.execute(sa.select(_PLACE.c.number)).scalar_one())
            late = self._new(connection, late, sinks)
        while place < self._changes.version() or late:
            with self._changes.writing(AUTHOR, now_us) as writing:
                place = int(writing.connection.execute(sa.select(_PLACE.c.number)).scalar_one())
                changed = writing.appended(place, (CaseFile, Appeal, Lead), AT_ONCE)
                told = list(late)
                for change, before, after in changed:
                    if isinstance(after, CaseFile):
                        assert before is None or isinstance(before, CaseFile)
                        told += events.about_case(
                            before, after, number=change.number, at_us=change.at_us, by=change.author
                        )
                    elif isinstance(after, Lead):
                        assert before is None or isinstance(before, Lead)
                        told += events.about_lead(
                            before, after, number=change.number, at_us=change.at_us, by=change.author
                        )
                    elif isinstance(after, Appeal):
                        assert before is None or isinstance(before, Appeal)
                        told += events.about_appeal(before, after, number=change.number, at_us=change.at_us)
                self._put(writing.connection, told, sinks, now_us)
                place = changed[-1][0].number if len(changed) == AT_ONCE else writing.number
                writing.connection.execute(sa.update(_PLACE).values(number=place))
            late = []

    def add(self, alert: Alert, sinks: Sequence[Sink], now_us: int) -> None:
        """Queue an alert that no change stands for; one that is queued already counts once."""
        with self._engine.begin() as connection:
            self._put(connection, self._new(connection, [alert], sinks), sinks, now_us)

    def due(self, sink: str, now_us: int, most: int) -> list[Queued]:
        """Alerts that a sink should be sent now, oldest first."""
        return self._select(_QUEUE.c.sink == sink, _QUEUE.c.state == "waiting", _QUEUE.c.next_at <= now_us, most=most)

    def listed(self, states: Iterable[str], most: int = 1000) -> list[Queued]:
        """Alerts in any of ``states``, the newest first."""
        return self._select(_QUEUE.c.state.in_(list(states)), most=most, newest=True)

    def sent(self, queued: Queued, now_us: int) -> None:
        """A sink took an alert."""
        self._settle(queued, state="sent", next_at=now_us, fault=None)

    def failed(self, queued: Queued, now_us: int, fault: str, *, final: bool) -> None:
        """A sink did not take an alert, because of ``fault``; ``final``: it never will."""
        if final or queued.attempts >= len(WAITS_US):
            self._settle(queued, state="dead", next_at=now_us, fault=fault[:500])
        else:
            self._settle(queued, state="waiting", next_at=now_us + WAITS_US[queued.attempts], fault=fault[:500])

    def retry(self, alert_ids: Sequence[str], now_us: int) -> int:
        """Try dead alerts again from the start and waiting ones at once, all of them if none is named; how many."""
        again = sa.update(_QUEUE).where(_QUEUE.c.state.in_(["dead", "waiting"]))
        if alert_ids:
            again = again.where(_QUEUE.c.alert_id.in_(list(alert_ids)))
        with self._engine.begin() as connection:
            return connection.execute(again.values(state="waiting", attempts=0, next_at=now_us)).rowcount

    def forget(self, now_us: int) -> None:
        """Drop what was settled long ago."""
        old = sa.delete(_QUEUE).where(_QUEUE.c.state != "waiting", _QUEUE.c.next_at < now_us - KEPT_US)
        with self._engine.begin() as connection:
            connection.execute(old)

    def _put(self, connection: sa.Connection, alerts: Sequence[Alert], sinks: Sequence[Sink], now_us: int) -> None:
        rows: list[dict[str, Any]] = []
        for alert in alerts:
            for sink in sinks:
                if sink.wants(alert):
                    told = self._with_accounts(connection, alert, now_us) if sink.account_ids else alert
                    text = msgspec.json.encode(told).decode()
                    rows.append({"alert_id": alert.alert_id, "sink": sink.name, "alert": text})
        if rows:
            same = {"state": "waiting", "attempts": 0, "next_at": now_us}
            connection.execute(sa.insert(_QUEUE), [row | same for row in rows])

    def _with_accounts(self, connection: sa.Connection, alert: Alert, now_us: int) -> Alert:
        subject = alert.data.get("case_id") or alert.data.get("lead_id")
        if subject is None:
            return alert
        reached = sorted(self._verdicts.of_case(subject, now_us, connection))[:MOST_ACCOUNTS]
        return msgspec.structs.replace(alert, data=alert.data | {"account_ids": reached})

    def _new(self, connection: sa.Connection, alerts: list[Alert], sinks: Sequence[Sink]) -> list[Alert]:
        """Those of ``alerts`` that some sink wants and nobody was told of."""
        wanted = [one for one in alerts if any(sink.wants(one) for sink in sinks)]
        if not wanted:
            return []
        ids = sa.select(_QUEUE.c.alert_id).where(_QUEUE.c.alert_id.in_([one.alert_id for one in wanted]))
        held = set(connection.execute(ids).scalars())
        return [one for one in wanted if one.alert_id not in held]

    def _settle(self, queued: Queued, **values: Any) -> None:
        settled = sa.update(_QUEUE).where(_QUEUE.c.number == queued.number)
        with self._engine.begin() as connection:
            connection.execute(settled.values(attempts=queued.attempts + 1, **values))

    def _select(self, *where: sa.ColumnElement[bool], most: int, newest: bool = False) -> list[Queued]:
        order = _QUEUE.c.number.desc() if newest else _QUEUE.c.number
        query = sa.select(_QUEUE).where(*where).order_by(order).limit(most)
        names = [name for name in Queued.__struct_fields__ if name != "alert"]
        with self._engine.connect() as connection:
            return [
                Queued(**{name: row[name] for name in names}, alert=msgspec.json.decode(row["alert"], type=Alert))
                for row in connection.execute(query).mappings()
            ]

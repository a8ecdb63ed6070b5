"""Which packs bind, from when, and who decided so: rows that are only ever appended.

A row takes effect on a day, never one that is past when it is recorded: decisions already made stay as they were. Of
the rows of one pack the one with the latest effective day up to the day asked for governs, of equals the newest, so
that a planned activation is called off by a deactivation on the same day. The number of the newest row is the
**epoch**: a decision that keeps it can be replayed, whatever is recorded later. The pack itself is kept with its
activation, so that every gateway of the deployment has it, whatever folder it was given.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, Literal

import msgspec
import sqlalchemy as sa

from tiergate.admission.rule_packs import RulePack, Standing, standing
from tiergate.database import make_tables
from tiergate.errors import InputError, SettingsError

Action = Literal["activate", "deactivate"]
METADATA: Final = sa.MetaData()
_ACTIVATIONS: Final = sa.Table(
    "pack_activations",
    METADATA,
    sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("pack", sa.String(64), nullable=False, index=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("action", sa.String(16), nullable=False),
    sa.Column("effective_day", sa.Date, nullable=False),
    sa.Column("recorded_at", sa.BigInteger, nullable=False),
    sa.Column("first_name", sa.String(256), nullable=False),
    sa.Column("second_name", sa.String(256), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("confirmation", sa.Text),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sqlite_autoincrement=True,  # an epoch is never given twice
)
_TEXTS: Final = sa.Table(
    "pack_texts",
    METADATA,
    sa.Column("fingerprint", sa.String(64), primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
)
"""Packs as they were when they were activated, as JSON."""


class Activation(msgspec.Struct, frozen=True, kw_only=True):
    """One row. ``recorded_at`` in microseconds since the epoch, UTC. ``confirmation``: the source by which the two
    confirm that the rule is in force where its text leaves that open. ``fingerprint``: of the pack as it was."""

    epoch: int
    pack: str
    version: int
    action: Action
    effective_day: date
    recorded_at: int
    first_name: str
    second_name: str
    reason: str
    confirmation: str | None
    fingerprint: str


@dataclass(frozen=True, slots=True)
class ActivePack:
    """A pack that binds. ``confirmed``: an unconfirmed period of it counts as in force."""

    pack: RulePack
    confirmed: bool = False

    def standing(self, day: date) -> Standing:
        """What counts on ``day``, confirmation included."""
        said = standing(self.pack, day)
        return Standing.IN_FORCE if said is Standing.UNCONFIRMED and self.confirmed else said


def day_of(time_us: int) -> date:
    """The day, UTC, of a time in microseconds since the epoch."""
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).date()


class ActivationStore:
    """Activations in a database. Every method is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        make_tables(engine, METADATA)

    def record(
        self,
        pack: RulePack,
        action: Action,
        *,
        day: date,
        names: tuple[str, str],
        reason: str,
        now_us: int,
        confirmation: str | None = None,
    ) -> Activation:
        """Append that ``pack`` binds, or no longer binds, from ``day`` on.

        Raises InputError where the names are not of two people, the reason is empty, the day is past, the pack's text
        leaves it open whether it is in force then and ``confirmation`` does not name a source, a pack that is not
        active is deactivated, or the version was activated with another text before.
        """
        first, second = (name.strip() for name in names)
        if not first or not second or _same(first, second):
            raise InputError("a pack is activated or deactivated by two people: give two different names")
        if not reason.strip():
            raise InputError("say why: the reason is kept with the names")
        if day < day_of(now_us):
            raise InputError(f"`{day}` is past: what was decided then stays; choose today or later")
        if action == "activate" and standing(pack, day) is Standing.UNCONFIRMED and not (confirmation or "").strip():
            raise InputError(
                f"whether `{pack.name}` is in force on {day} is not known: confirm it with the source that says so"
            )
        row = {
            "pack": pack.id,
            "version": pack.version,
            "action": action,
            "effective_day": day,
            "recorded_at": now_us,
            "first_name": first,
            "second_name": second,
            "reason": reason.strip(),
            "confirmation": (confirmation or "").strip() or None,
            "fingerprint": pack.fingerprint(),
        }
        text = {"fingerprint": pack.fingerprint(), "text": msgspec.json.encode(pack).decode()}
        with self.engine.begin() as connection:
            rows = _rows(connection, None)
            said = {one.fingerprint for one in rows if (one.pack, one.version) == (pack.id, pack.version)}
            if action == "activate" and said - {text["fingerprint"]}:
                raise InputError(
                    f"`{pack.name}` was activated with another text before: give the change a new `version`"
                )
            governing = _governing(rows, day).get(pack.id)
            stands = governing is not None and governing.action == "activate" and governing.version == pack.version
            if action == "deactivate" and not stands:
                raise InputError(f"`{pack.name}` is not active on {day}: see `tiergate packs list`")
            epoch = connection.execute(sa.insert(_ACTIVATIONS).values(row)).inserted_primary_key
            held = sa.select(_TEXTS.c.fingerprint).where(_TEXTS.c.fingerprint == text["fingerprint"])
            if connection.execute(held).first() is None:
                connection.execute(sa.insert(_TEXTS).values(text))
        assert epoch is not None
        return msgspec.convert({**row, "epoch": epoch[0]}, Activation)

    def with_kept(self, packs: Mapping[tuple[str, int], RulePack]) -> dict[tuple[str, int], RulePack]:
        """``packs``, and those of other versions that were activated here, in order of id and version.

        Raises SettingsError where what was kept is not what was activated.
        """
        query = sa.select(_ACTIVATIONS.c.pack, _ACTIVATIONS.c.version, _TEXTS).join_from(
            _ACTIVATIONS, _TEXTS, _ACTIVATIONS.c.fingerprint == _TEXTS.c.fingerprint
        )
        with self.engine.connect() as connection:
            rows = connection.execute(query.order_by(_ACTIVATIONS.c.epoch)).all()
        kept = {}
        for row in rows:
            if (row.pack, row.version) not in packs:
                pack = msgspec.json.decode(row.text, type=RulePack)
                if pack.fingerprint() != row.fingerprint:
                    raise SettingsError(f"rule pack `{pack.name}` was changed in the database after it was activated")
                kept[row.pack, row.version] = pack
        return dict(sorted({**kept, **packs}.items()))

    def history(self) -> list[Activation]:
        """Every row, oldest first."""
        with self.engine.connect() as connection:
            return _rows(connection, None)

    def epoch(self) -> int:
        """A number that grows with every row: cheap to ask whether anything changed. 0 when there is none."""
        with self.engine.connect() as connection:
            return connection.execute(sa.select(sa.func.max(_ACTIVATIONS.c.epoch))).scalar() or 0

    def governing(self, day: date, epoch: int | None = None) -> dict[str, Activation]:
        """The row that governs each pack on ``day``, as of ``epoch`` (the newest when None), deactivations too."""
        with self.engine.connect() as connection:
            return _governing(_rows(connection, epoch), day)

    def active(
        self, packs: Mapping[tuple[str, int], RulePack], day: date, epoch: int | None = None
    ) -> list[ActivePack]:
        """Packs that bind on ``day``, in order of their ids.

        A pack that ``packs`` has not is the one that was kept. Raises SettingsError where a file says something else
        than it did when it was activated: a rule that two people signed must neither vanish nor change unnoticed.
        """
        active, packs = [], self.with_kept(packs)
        for pack_id, row in sorted(self.governing(day, epoch).items()):
            if row.action == "deactivate":
                continue
            pack = packs.get((pack_id, row.version))
            if pack is None:
                raise SettingsError(
                    f"the file of rule pack `{pack_id}@{row.version}`, which is active, is missing: give its folder "
                    "with --packs or TIERGATE_PACKS"
                )
            if pack.fingerprint() != row.fingerprint:
                raise SettingsError(
                    f"rule pack `{pack.name}` was changed after it was activated: restore it, and put the change "
                    "into a new `version`"
                )
            active.append(ActivePack(pack, row.confirmation is not None))
        return active


def _rows(connection: sa.Connection, epoch: int | None) -> list[Activation]:
    query = sa.select(_ACTIVATIONS).order_by(_ACTIVATIONS.c.epoch)
    if epoch is not None:
        query = query.where(_ACTIVATIONS.c.epoch <= epoch)
    rows = connection.execute(query).mappings()
    return [Activation(**{name: row[name] for name in Activation.__struct_fields__}) for row in rows]


def _governing(rows: list[Activation], day: date) -> dict[str, Activation]:
    governing: dict[str, Activation] = {}
    for row in sorted(rows, key=lambda row: (row.effective_day, row.epoch)):
        if row.effective_day <= day:
            governing[row.pack] = row
    return governing


def _same(one: str, other: str) -> bool:
    """Whether two names are one, however they are written."""
    plain = ("".join(unicodedata.normalize("NFKC", name).casefold().split()) for name in (one, other))
    return len(set(plain)) == 1

"""The world around an attack: honest customers, made once for a seed and sketched once; and the attack's own pools."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tiergate.clock import DAY
from tiergate.errors import InputError
from tiergate.ledger.sketches import PUBLIC_KEY, Sketcher
from tiergate.records.schema import LOG_SCHEMA, SKETCH_SCHEMA, TEXT_COLUMNS
from tiergate.simulation.prompts import GrammarPrompts
from tiergate.simulation.spec import LOOK_ALIKES, CampaignSpec, WorldSpec
from tiergate.simulation.world import START_US, World, simulate

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

LOOK_ALIKE_SHARE: Final = 0.2
RELEASE_AFTER: Final = 0.4
"""Part of the attack's window that is over when a new model comes out."""
HEAVY_QUANTILE: Final = 0.99
FEWEST_NEWCOMERS: Final = 20
"""Honest newcomers from which their own days say what a newcomer may ask; with fewer they may ask what others may."""
LOOKS_DAILY: Final = 7
KEPT_POOLS: Final = 2


def usual_looks(days: float) -> tuple[float, ...]:
    """Days of an attack's window of ``days`` on which a provider looks: daily in the first week, then every other."""
    daily = [float(day) for day in range(1, LOOKS_DAILY + 1)]
    later = [float(day) for day in range(LOOKS_DAILY + 2, int(days) + 1, 2)]
    return tuple(day for day in daily + later if day <= days)


@dataclass(frozen=True, slots=True)
class Limits:
    """Exchanges that the gateway lets one account ask in a day: ``account``, and ``newcomer`` for an account younger
    than ``newcomer_days``."""

    account: int
    newcomer: int
    newcomer_days: float


@dataclass(frozen=True, slots=True)
class Setting:
    """The world of every trial. Honest ``accounts``, a fifth of them in populations that look guilty; ``warm_up`` days
    before the attack's window of ``days``; detection looks ``looks`` days into the window, with ``decoys``, None for
    as many as detection takes by itself; one account may ask ``account_a_day`` exchanges a day, in its first
    ``newcomer_days`` ``newcomer_a_day``: None for what 99 of 100 honest ones, or honest newcomers, never exceed."""

    accounts: int = 1_500
    days: float = 14.0
    warm_up: float = 7.0
    looks: tuple[float, ...] = usual_looks(14.0)
    decoys: int | None = None
    account_a_day: int | None = None
    newcomer_a_day: int | None = None
    newcomer_days: float = 7.0

    def __post_init__(self) -> None:
        if self.accounts < 100:
            raise InputError(f"`{self.accounts}` honest accounts are too few to hide among: give 100 or more")
        if not self.days >= 1:
            raise InputError(f"`{self.days}` days: give the attack a window of 1 day or more")
        for limit in (self.account_a_day, self.newcomer_a_day):
            if limit is not None and limit < 1:
                raise InputError(f"`{limit}` exchanges a day: give an account 1 or more")
        if self.newcomer_days < 0:
            raise InputError(f"`{self.newcomer_days}` days: nobody is new for less than 0")
        if not self.looks or any(not 0 < look <= self.days for look in self.looks):
            raise InputError(f"detection looks within the window only: give days above 0 and up to {self.days:g}")

    @property
    def release_day(self) -> float:
        """Days from the window's start to the release of a new model."""
        return self.days * RELEASE_AFTER


@dataclass(frozen=True, slots=True)
class Days:
    """What honest accounts asked day by day: the ``account``, its ``age`` in days when the day began, and the
    ``count`` of exchanges (days on which somebody asked,)."""

    account: I64
    age: F64
    count: I64

    @classmethod
    def of(cls, exchanges: pa.Table, accounts: pa.Table) -> Days:
        """Of every account that asked."""
        names = exchanges["account_id"].combine_chunks().dictionary_encode()
        account = np.asarray(names.indices).astype(np.int64)
        cell, count = np.unique(account * (1 << 20) + times_us(exchanges) // DAY, return_counts=True)
        row = np.asarray(pc.index_in(names.dictionary, accounts["account_id"].combine_chunks()))
        created = created_us(accounts)[row][cell >> 20]
        return cls(cell >> 20, ((cell & ((1 << 20) - 1)) * DAY - created) / DAY, count)

    def busiest(self, some: npt.NDArray[np.bool_]) -> I64:
        """Exchanges of each account on its busiest day among ``some`` (days on which somebody asked,)."""
        most = np.zeros(int(self.account.max(initial=0)) + 1, np.int64)
        np.maximum.at(most, self.account[some], self.count[some])
        return most[most > 0]


@dataclass(frozen=True, slots=True)
class Background:
    """Honest customers. ``log``: their exchanges in order of time, sketched, without text; ``accounts`` and
    ``releases``: the public tables; ``days``: what each asked day by day."""

    log: pa.Table
    accounts: pa.Table
    releases: pa.Table
    days: Days

    @classmethod
    def make(cls, setting: Setting, seed: int) -> Background:
        """Simulate and sketch; some seconds for 1,500 accounts."""
        each = max(1, round(setting.accounts * LOOK_ALIKE_SHARE / len(LOOK_ALIKES)))
        world = _simulated(
            setting, people=setting.accounts - each * len(LOOK_ALIKES), look_alikes=each, campaigns=(), seed=seed
        )
        days = Days.of(world.exchanges, world.accounts)
        return cls(sketched(world.exchanges), world.accounts, world.model_releases, days)

    def limits(self, setting: Setting) -> Limits:
        """Exchanges that the gateway lets one account ask in a day, where it limits that."""
        account = setting.account_a_day or _usual(self.days.busiest(np.ones(len(self.days.age), bool)))
        young = self.days.busiest(self.days.age < setting.newcomer_days)
        newcomer = setting.newcomer_a_day or (_usual(young) if len(young) >= FEWEST_NEWCOMERS else account)
        return Limits(account, min(newcomer, account), setting.newcomer_days)

    def share_above(self, limits: Limits) -> float:
        """Share of honest accounts that such limits would have stopped on some day."""
        allowed = np.where(self.days.age < limits.newcomer_days, limits.newcomer, limits.account)
        stopped = np.unique(self.days.account[self.days.count > allowed])
        return len(stopped) / len(np.unique(self.days.account))

    def until(self, time_us: int) -> pa.Table:
        """Exchanges before ``time_us`` (microseconds since the epoch)."""
        return self.log.slice(0, int(np.searchsorted(times_us(self.log), time_us)))


@dataclass(frozen=True)
class Pool:
    """Accounts of an attack with all that they would ask if nobody stopped them.

    ``exchanges`` in order of time, with their text; by their rows (rows,): ``owner``, index into ``accounts``;
    ``purpose``, whether it serves the campaign. The few that the simulator refuses for no reason, as everybody's, count
    as asked again at once.
    """

    exchanges: pa.Table
    accounts: pa.Table
    owner: I64
    purpose: npt.NDArray[np.bool_]

    @classmethod
    def make(cls, spec: CampaignSpec, setting: Setting, seed: int, number: int, start: float, days: float) -> Pool:
        """Pool ``number`` of an attack: ``spec`` from ``start`` days into the window for ``days``.

        Pools of one attack share their purpose and the wording that it has at first, and no account, card or address.
        """
        one = replace(
            spec, name=f"attack-{number}", starts_on_day=setting.warm_up + start, days=days,
            banned_on_day=None, replaced_after_h=None,
        )  # fmt: skip
        # A seed of its own, as ids are drawn from it: equal ids would be taken for repeated rows.
        own = int(np.random.default_rng([seed, 1 + number]).integers(1 << 31, 1 << 32))
        world = _simulated(setting, people=0, look_alikes=0, campaigns=(one,), seed=own)
        names = world.accounts["account_id"]
        return cls(
            world.exchanges,
            world.accounts,
            np.asarray(pc.index_in(world.exchanges["account_id"], names)).astype(np.int64),
            np.asarray(pc.is_in(world.exchanges["exchange_id"], world.exchange_truth["exchange_id"])),
        )

    @cached_property
    def log(self) -> pa.Table:
        """The exchanges as in `Background`; sketched when somebody looks at them."""
        return sketched(self.exchanges)


# An attack is tried against the cheap controls first, then with detection: its first pool is the same.
pool = lru_cache(KEPT_POOLS)(Pool.make)


class _OnePurpose(GrammarPrompts):
    """Campaigns of one world ask for the same thing."""

    campaign_templates = GrammarPrompts.campaign_templates[:1]


def _simulated(
    setting: Setting, *, people: int, look_alikes: int, campaigns: tuple[CampaignSpec, ...], seed: int
) -> World:
    spec = WorldSpec(
        days=setting.warm_up + setting.days,
        people=people,
        hard_negatives=dict.fromkeys(LOOK_ALIKES, look_alikes) if look_alikes else {},
        campaigns=campaigns,
        release_day=setting.warm_up + setting.release_day,
    )
    return simulate(spec, seed, _OnePurpose())


def sketched(exchanges: pa.Table) -> pa.Table:
    """The exchange log's columns of ``exchanges``: text replaced by its sketches."""
    made = Sketcher(PUBLIC_KEY).sketch(exchanges)
    rows = exchanges.num_rows
    columns = {
        field.name: made.column(field.name)
        if field.name in SKETCH_SCHEMA.names
        else pa.nulls(rows, field.type)
        if field.name in TEXT_COLUMNS
        else exchanges[field.name]
        for field in LOG_SCHEMA
    }
    return pa.table(columns, schema=LOG_SCHEMA)


def batches(tables: Iterable[pa.Table]) -> Iterable[pa.RecordBatch]:
    """Record batches of several tables, as `tiergate.detection.intake.take_in` reads them."""
    for table in tables:
        yield from table.combine_chunks().to_batches()


def times_us(log: pa.Table) -> I64:
    """When each exchange started (rows,), microseconds since the epoch."""
    return np.asarray(log["started_at"].cast(pa.int64()))


def at_us(setting: Setting, day: float) -> int:
    """The moment ``day`` days into the attack's window, microseconds since the epoch."""
    return START_US + int((setting.warm_up + day) * DAY)


def created_us(accounts: pa.Table) -> I64:
    """When each account signed up (accounts,), microseconds since the epoch."""
    return np.asarray(accounts["created_at"].cast(pa.int64()))


def _usual(busiest: I64) -> int:
    return int(np.ceil(np.quantile(busiest, HEAVY_QUANTILE)))

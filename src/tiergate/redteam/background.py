"""The world around an attack: honest customers, made once for a seed and sketched once; and the attack's own pools."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
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

LOOK_ALIKE_SHARE: Final = 0.2
RELEASE_AFTER: Final = 0.4
"""Part of the attack's window that is over when a new model comes out."""
HEAVY_QUANTILE: Final = 0.99


@dataclass(frozen=True, slots=True)
class Setting:
    """The world of every trial. Honest ``accounts``, a fifth of them in populations that look guilty; ``warm_up`` days
    before the attack's window of ``days``; detection looks ``looks`` days into the window, with ``decoys``; one account
    may ask ``account_a_day`` exchanges a day, None for what 99 of 100 honest ones never exceed."""

    accounts: int = 1_500
    days: float = 14.0
    warm_up: float = 7.0
    looks: tuple[float, ...] = (1.0, 4.0, 10.0)
    decoys: int = 12
    account_a_day: int | None = None

    def __post_init__(self) -> None:
        if self.accounts < 100:
            raise InputError(f"`{self.accounts}` honest accounts are too few to hide among: give 100 or more")
        if not self.days >= 1:
            raise InputError(f"`{self.days}` days: give the attack a window of 1 day or more")
        if self.account_a_day is not None and self.account_a_day < 1:
            raise InputError(f"`{self.account_a_day}` exchanges a day: give an account 1 or more")
        if not self.looks or any(not 0 < look <= self.days for look in self.looks):
            raise InputError(f"detection looks within the window only: give days above 0 and up to {self.days:g}")

    @property
    def release_day(self) -> float:
        """Days from the window's start to the release of a new model."""
        return self.days * RELEASE_AFTER


@dataclass(frozen=True, slots=True)
class Background:
    """Honest customers. ``log``: their exchanges in order of time, sketched, without text; ``accounts`` and
    ``releases``: the public tables; ``busiest`` (accounts that asked,): exchanges of each on its busiest day."""

    log: pa.Table
    accounts: pa.Table
    releases: pa.Table
    busiest: I64

    @classmethod
    def make(cls, setting: Setting, seed: int) -> Background:
        """Simulate and sketch; some seconds for 1,500 accounts."""
        each = max(1, round(setting.accounts * LOOK_ALIKE_SHARE / len(LOOK_ALIKES)))
        world = _simulated(
            setting, people=setting.accounts - each * len(LOOK_ALIKES), look_alikes=each, campaigns=(), seed=seed
        )
        return cls(sketched(world.exchanges), world.accounts, world.model_releases, _busiest(world.exchanges))

    def cap(self, setting: Setting) -> int:
        """Exchanges that the gateway lets one account ask in a day, where it limits that."""
        return setting.account_a_day or int(np.ceil(np.quantile(self.busiest, HEAVY_QUANTILE)))

    def share_above(self, cap: int) -> float:
        """Share of honest accounts that such a limit would have stopped on some day."""
        return float((self.busiest > cap).mean())

    def until(self, time_us: int) -> pa.Table:
        """Exchanges before ``time_us`` (microseconds since the epoch)."""
        return self.log.slice(0, int(np.searchsorted(times_us(self.log), time_us)))


@dataclass(frozen=True, slots=True)
class Pool:
    """Accounts of an attack with all that they would ask if nobody stopped them.

    ``log`` as in `Background`; by its rows (rows,): ``owner``, index into ``accounts``; ``purpose``, whether it serves
    the campaign. The few that the simulator refuses for no reason, as everybody's, count as asked again at once.
    """

    log: pa.Table
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
            sketched(world.exchanges),
            world.accounts,
            np.asarray(pc.index_in(world.exchanges["account_id"], names)).astype(np.int64),
            np.asarray(pc.is_in(world.exchanges["exchange_id"], world.exchange_truth["exchange_id"])),
        )


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


def _busiest(exchanges: pa.Table) -> I64:
    account = np.asarray(exchanges["account_id"].combine_chunks().dictionary_encode().indices).astype(np.int64)
    days = times_us(exchanges) // DAY
    cell, count = np.unique(account * (1 << 20) + days, return_counts=True)
    busiest = np.zeros(int(account.max()) + 1, np.int64)
    np.maximum.at(busiest, cell >> 20, count)
    return busiest

"""A recorded world: its exchanges, and, where it was simulated, who was at work in it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tiergate.clock import DAY
from tiergate.errors import InputError
from tiergate.records.read import find_world, read_accounts, read_exchanges, read_model_releases
from tiergate.records.refused import RefusedRows
from tiergate.records.schema import LOG_SCHEMA
from tiergate.redteam.background import sketched
from tiergate.simulation.prompts import GrammarPrompts
from tiergate.simulation.spec import CampaignSpec, WorldSpec
from tiergate.simulation.surroundings import Surroundings
from tiergate.simulation.world import START_US, simulate

USUAL: Final = 0.99
"""Share of honest accounts that a limit for every account must never stop."""

IDENTITY = (
    "account_id", "organization_id", "credential_id", "client_address", "client_asn", "client_country", "user_agent",
    "tls_fingerprint",
)  # fmt: skip
"""Columns of an exchange by which another account's differ, whatever is asked."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A world as it was recorded. ``log``: exchanges in order of time, sketched; ``purpose`` (exchanges,): whether each
    serves a campaign; ``campaign``: accounts that serve one; ``spec``: the
    campaign as it was simulated, None where it was not, or there was none; ``surroundings``: places and clients of the
    world, made up where None."""

    log: pa.Table
    accounts: pa.Table | None
    releases: pa.Table | None
    purpose: npt.NDArray[np.bool_]
    campaign: frozenset[str]
    spec: CampaignSpec | None
    surroundings: Surroundings | None = None

    @classmethod
    def read(cls, folder: Path) -> Recorded:
        """Read a folder of tables. Raises `InputError` when it holds no exchanges."""
        found, refused = find_world(folder), RefusedRows(None)
        batches = [batch for batch in read_exchanges(found.exchanges, refused=refused) if batch.num_rows]
        if not batches:
            raise InputError(f"`{folder}` holds no exchange that can be read: {refused.told}")
        log = pa.Table.from_batches(batches).sort_by([("started_at", "ascending"), ("exchange_id", "ascending")])
        if log["sketch_key_id"].null_count:
            log = sketched(log.select([name for name in log.schema.names if name in LOG_SCHEMA.names]))
        purpose = np.zeros(log.num_rows, bool)
        truth = folder / "exchange_truth.parquet"
        if truth.exists():
            purpose = np.asarray(pc.is_in(log["exchange_id"], pq.read_table(truth)["exchange_id"].combine_chunks()))
        serving = log.filter(pa.array(purpose))["account_id"]
        return cls(
            log,
            read_accounts(found.accounts, refused=refused) if found.accounts else None,
            read_model_releases(found.model_releases, refused=refused) if found.model_releases else None,
            purpose,
            frozenset(pc.unique(serving).to_pylist()),
            _campaign(folder),
        )

    @property
    def others(self) -> npt.NDArray[np.bool_]:
        """Which exchanges (exchanges,) are honest customers': a reseller's other customers are, camouflage is not."""
        mine = pc.is_in(self.log["account_id"], pa.array(sorted(self.campaign), pa.string()))
        carried = self.spec is not None and self.spec.innocent_share > 0
        honest: npt.NDArray[np.bool_] = ~self.purpose & (carried | ~np.asarray(mine))
        return honest

    @property
    def digest(self) -> str:
        """Of the exchanges and accounts, by their ids."""
        told = hashlib.blake2b(digest_size=16)
        for table, name in ((self.log, "exchange_id"), (self.accounts, "account_id")):
            told.update("\n".join([] if table is None else table[name].to_pylist()).encode() + b"\0")
        return told.hexdigest()

    @property
    def usual_most(self) -> int:
        """Exchanges that `USUAL` of the honest accounts never exceed in a day."""
        honest = self.log.filter(pc.invert(pa.array(self.purpose)))
        day = pa.array(np.asarray(honest["started_at"].cast(pa.int64())) // DAY)
        counts = pa.table({"account": honest["account_id"], "day": day, "one": day}).group_by(["account", "day"])
        most = counts.aggregate([("one", "count")]).group_by("account").aggregate([("one_count", "max")])
        return int(np.ceil(np.quantile(np.asarray(most["one_count_max"]), USUAL)))

    @property
    def times(self) -> npt.NDArray[np.int64]:
        """When each exchange started (exchanges,), microseconds since the epoch."""
        return np.asarray(self.log["started_at"].cast(pa.int64()))


def newcomers(
    world: Recorded, spec: CampaignSpec, count: int, start_us: int, days: float, seed: int
) -> tuple[pa.Table, pa.Table]:
    """``count`` fresh accounts of a campaign in ``world``, and for each the `IDENTITY` that its exchanges have."""
    one = replace(
        spec, name=f"again-{seed}", accounts=count, exchanges_per_account=4, starts_on_day=(start_us - START_US) / DAY,
        days=days, banned_on_day=None, replaced_after_h=None, innocent_share=0.0, camouflage=0.0,
    )  # fmt: skip
    whole = WorldSpec(days=one.starts_on_day + days + 1, people=0, hard_negatives={}, campaigns=(one,))
    made = simulate(whole, seed, GrammarPrompts(), world.surroundings)
    shown = made.exchanges.select(list(IDENTITY)).group_by("account_id", use_threads=False)
    first = shown.aggregate([(name, "first") for name in IDENTITY if name != "account_id"])
    first = first.rename_columns([name.removesuffix("_first") for name in first.schema.names])
    # An account that was dealt nothing shows nothing: it is not one that work can be moved to.
    return made.accounts.filter(pc.is_in(made.accounts["account_id"], first["account_id"].combine_chunks())), first


def _campaign(folder: Path) -> CampaignSpec | None:
    try:
        campaigns = json.loads((folder / "world.json").read_text())["spec"]["campaigns"]
        return CampaignSpec(**campaigns[0]) if campaigns else None
    except (OSError, ValueError, KeyError, TypeError):
        return None

"""Worlds: seeded exchanges and accounts with a truth to compare with, in the public table formats.

Every figure that such a world yields is simulated. The same spec, seed and prompts give byte-identical files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from tiergate.clock import DAY
from tiergate.errors import InputError
from tiergate.records.schema import ACCOUNT_SCHEMA, EXCHANGE_SCHEMA, MODEL_RELEASE_SCHEMA
from tiergate.records.write import open_writer
from tiergate.simulation.campaigns import campaign
from tiergate.simulation.hard_negatives import HARD_NEGATIVES
from tiergate.simulation.maker import F64, Maker, Member
from tiergate.simulation.people import people
from tiergate.simulation.prompts import PromptSource
from tiergate.simulation.spec import WorldSpec
from tiergate.simulation.surroundings import MadeUpSurroundings, Surroundings

START_US: Final = 1_788_739_200_000_000  # 2026-09-07, a Monday, 00:00 UTC
MODELS: Final = ("model-large", "model-medium", "model-small")
NEW_MODEL: Final = "model-large-next"
USD_PER_MILLION: Final = {"model-large": 10.0, "model-medium": 3.0, "model-small": 0.6, NEW_MODEL: 12.0}
"""Made-up list prices of output tokens; input costs a fifth."""

TRUTH_SCHEMA: Final = pa.schema(
    [("account_id", pa.string()), ("population", pa.string()), ("campaign_id", pa.string())]
)


EXCHANGE_TRUTH_SCHEMA: Final = pa.schema([("exchange_id", pa.string()), ("campaign_id", pa.string())])


@dataclass(frozen=True, slots=True)
class World:
    """Tables of the public formats, the truth by account (`TRUTH_SCHEMA`) and by exchange (`EXCHANGE_TRUTH_SCHEMA`: the
    exchanges that serve a campaign), and every parameter."""

    exchanges: pa.Table
    accounts: pa.Table
    model_releases: pa.Table
    truth: pa.Table
    exchange_truth: pa.Table
    parameters: dict[str, Any]


def simulate(
    spec: WorldSpec,
    seed: int,
    prompts: PromptSource,
    surroundings: Surroundings | None = None,
    loads: Sequence[F64] = (),
) -> World:
    """Make a world. Each population has its own random stream, so that changing one leaves the others alone.

    :param loads: measured loads, requests by ten-minute window, that half of the scripts follow instead of a person's
        day; none when empty.
    """
    rows: dict[str, list[Any]] = {name: [] for name in EXCHANGE_SCHEMA.names}
    accounts: list[dict[str, Any]] = []
    truth: list[dict[str, Any]] = []
    around = surroundings or MadeUpSurroundings()
    purposes: list[str | None] = []
    for name, make in _populations(spec).items():
        # Streams are keyed by name, so that leaving a population out changes no other.
        rng = np.random.default_rng([seed, *name.encode()])
        for member in make(Maker(spec, rng, prompts, around, loads)):
            accounts.append(_absolute(member.account))
            served = sorted({one.campaign for one in member.requests if one.campaign})
            truth.append(
                {
                    "account_id": member.account["account_id"],
                    "population": member.population,
                    "campaign_id": served[0] if served else None,
                }
            )
            _exchanges(rows, member, rng)
            purposes += [one.campaign for one in member.requests]
    rng = np.random.default_rng(seed)
    order = np.lexsort((rows["account_id"], rows["started_at"]))
    rows["exchange_id"] = [f"{number:016x}" for number in rng.integers(1 << 62, size=len(order)).tolist()]
    serving = [i for i in order.tolist() if purposes[i]]
    table = pa.table([pa.array(rows[f.name], f.type) for f in EXCHANGE_SCHEMA], schema=EXCHANGE_SCHEMA)
    shuffled = rng.permutation(len(accounts)).tolist()
    releases = [(name, START_US - (120 + 30 * age) * DAY) for age, name in enumerate(MODELS)]
    releases.append((NEW_MODEL, START_US + int(spec.release_day * DAY)))
    return World(
        exchanges=table.take(pa.array(order)),
        accounts=pa.Table.from_pylist([accounts[i] for i in shuffled], ACCOUNT_SCHEMA),
        model_releases=pa.Table.from_pylist(
            [{"model": model, "released_at": time} for model, time in releases], MODEL_RELEASE_SCHEMA
        ),
        truth=pa.Table.from_pylist([truth[i] for i in shuffled], TRUTH_SCHEMA),
        exchange_truth=pa.table(
            {"exchange_id": [rows["exchange_id"][i] for i in serving], "campaign_id": [purposes[i] for i in serving]},
            EXCHANGE_TRUTH_SCHEMA,
        ),
        parameters={"simulated": True, "seed": seed, "prompts": type(prompts).__name__, "start_us": START_US}
        | {"surroundings": type(around).__name__, "loads": len(loads), "spec": asdict(spec)},
    )


def write_world(world: World, folder: Path) -> None:
    """Write exchanges, accounts, model_releases and truth as Parquet, and world.json with every parameter."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("exchanges", "accounts", "model_releases", "truth", "exchange_truth"):
        table: pa.Table = getattr(world, name)
        with open_writer(folder / f"{name}.parquet", table.schema) as writer:
            writer.write(table)
    (folder / "world.json").write_text(json.dumps(world.parameters, indent=2, sort_keys=True) + "\n")


def _exchanges(rows: dict[str, list[Any]], member: Member, rng: np.random.Generator) -> None:
    """Append a member's exchanges, column by column."""
    count = len(member.requests)
    account = member.account
    said = rng.lognormal(5.6, 0.8, count).astype(np.int64) + 1
    waited = rng.lognormal(7.2, 0.6, count)
    refused = rng.random(count) < 0.01
    keyed = f"key_{int(account['account_id'][5:], 16) % 10**12}"
    for number, one in enumerate(member.requests):
        model = MODELS[member.model]
        if member.pivots_at is not None and one.time > member.pivots_at:
            model = NEW_MODEL
        client = one.client or member.client
        asked = (len(one.text) + len(one.system or "")) // 4 + 8
        answered = 0 if refused[number] else min(int(said[number]), one.max_tokens or int(said[number]))
        values = {
            "started_at": START_US + one.time,
            "account_id": account["account_id"],
            "organization_id": account.get("organization_id"),
            "credential_id": keyed,
            "end_user_id": one.end_user,
            "session_id": one.session,
            "provider": "mock",
            "operation": "chat",
            "request_model": model,
            "response_model": model,
            "stream": member.streams,
            "temperature": member.temperature,
            "max_tokens": one.max_tokens or member.max_tokens,
            "tool_names": list(one.tools) if one.tools else None,
            "message_count": 2 if one.system else 1,
            "system_text": one.system,
            "prompt_text": one.text,
            "input_tokens": asked,
            "output_tokens": answered,
            "status": 429 if refused[number] else 200,
            "finish_reason": None if refused[number] else "stop",
            "latency_ms": round(float(waited[number]), 1),
            "cost_usd": round((answered + asked / 5) * USD_PER_MILLION[model] / 1e6, 8),
            "client_address": one.place.address,
            "client_asn": one.place.asn,
            "client_country": one.place.country,
            "user_agent": client.user_agent,
            "tls_fingerprint": client.tls_fingerprint,
        }
        for name in _FILLED:
            rows[name].append(values.get(name))


def _absolute(account: dict[str, Any]) -> dict[str, Any]:
    """The account's row with its times counted from the epoch."""
    times = {name: START_US + account[name] for name in ("created_at", "closed_at") if account.get(name) is not None}
    return account | times


def _populations(spec: WorldSpec) -> dict[str, Callable[[Maker], Iterator[Member]]]:
    """Makers of the world's populations by a name that seeds them."""
    made: dict[str, Callable[[Maker], Iterator[Member]]] = {"people": people}
    for name, count in spec.hard_negatives.items():
        if name not in HARD_NEGATIVES:
            raise InputError(f"no population is called `{name}`: there are {', '.join(HARD_NEGATIVES)}")
        made[name] = partial(_counted, HARD_NEGATIVES[name].make, count)
    for one in spec.campaigns:
        made[f"campaign {one.name}"] = partial(campaign, one)
    return made


def _counted(make: Callable[[Maker, int], Iterator[Member]], count: int, maker: Maker) -> Iterator[Member]:
    return make(maker, count)


_FILLED: Final = [name for name in EXCHANGE_SCHEMA.names if name != "exchange_id"]

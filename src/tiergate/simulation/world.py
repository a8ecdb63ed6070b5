"""Worlds: seeded exchanges and accounts with a truth to compare with, in the public table formats.

Every figure that such a world yields is simulated. The same spec, seed and prompts give byte-identical files.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from tiergate.clock import DAY
from tiergate.records.schema import ACCOUNT_SCHEMA, EXCHANGE_SCHEMA, MODEL_RELEASE_SCHEMA
from tiergate.records.write import open_writer
from tiergate.simulation.populations import F64, POPULATIONS, Maker, Member
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


@dataclass(frozen=True, slots=True)
class World:
    """Tables of the public formats, the truth (`TRUTH_SCHEMA`), and every parameter."""

    exchanges: pa.Table
    accounts: pa.Table
    model_releases: pa.Table
    truth: pa.Table
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
    streams = np.random.SeedSequence(seed).spawn(len(POPULATIONS) + 1)
    for (name, population), stream in zip(POPULATIONS.items(), streams, strict=False):
        rng = np.random.default_rng(stream)
        for member in population(Maker(spec, rng, prompts, around, loads)):
            accounts.append(member.account | {"created_at": START_US + member.account["created_at"]})
            campaign = "campaign-1" if name == "campaign" else None
            truth.append({"account_id": member.account["account_id"], "population": name, "campaign_id": campaign})
            _exchanges(rows, member, rng)
    rng = np.random.default_rng(streams[-1])
    order = np.lexsort((rows["account_id"], rows["started_at"]))
    rows["exchange_id"] = [f"{number:016x}" for number in rng.integers(1 << 62, size=len(order)).tolist()]
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
        parameters={"simulated": True, "seed": seed, "prompts": type(prompts).__name__, "start_us": START_US}
        | {"surroundings": type(around).__name__, "loads": len(loads), "spec": asdict(spec)},
    )


def write_world(world: World, folder: Path) -> None:
    """Write exchanges, accounts, model_releases and truth as Parquet, and world.json with every parameter."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("exchanges", "accounts", "model_releases", "truth"):
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
    for number, (time, text, system, place, tools) in enumerate(member.requests):
        model = MODELS[member.model]
        if member.pivots_at is not None and time > member.pivots_at:
            model = NEW_MODEL
        asked = (len(text) + len(system or "")) // 4 + 8
        answered = 0 if refused[number] else int(said[number])
        values = {
            "started_at": START_US + time,
            "account_id": account["account_id"],
            "organization_id": account.get("organization_id"),
            "credential_id": keyed,
            "provider": "mock",
            "operation": "chat",
            "request_model": model,
            "response_model": model,
            "stream": member.streams,
            "temperature": member.temperature,
            "max_tokens": member.max_tokens,
            "tool_names": list(tools) if tools else None,
            "message_count": 2 if system else 1,
            "system_text": system,
            "prompt_text": text,
            "input_tokens": asked,
            "output_tokens": answered,
            "status": 429 if refused[number] else 200,
            "finish_reason": None if refused[number] else "stop",
            "latency_ms": round(float(waited[number]), 1),
            "cost_usd": round((answered + asked / 5) * USD_PER_MILLION[model] / 1e6, 8),
            "client_address": place.address,
            "client_asn": place.asn,
            "client_country": place.country,
            "user_agent": member.client.user_agent,
            "tls_fingerprint": member.client.tls_fingerprint,
        }
        for name in _FILLED:
            rows[name].append(values.get(name))


_FILLED: Final = [name for name in EXCHANGE_SCHEMA.names if name != "exchange_id"]

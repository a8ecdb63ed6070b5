"""Large sketched exchange logs, written segment by segment: what a platform keeps that retains no text.

Sketch columns have the form that `tiergate.ledger.sketches` gives them, with hashes of numbers in place of hashes of
words: most shingles occur once, words have Zipf heads, people ask in sittings about a few subjects of their own, and
campaigns deal one queue out evenly under one template. All of it is simulated.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks.detection.scale_cast import (
    CAMPAIGN,
    CLIENTS,
    DAYS,
    MACHINE,
    POPULATIONS,
    SHARED_EGRESS,
    START_US,
    TEMPLATE,
    TOOL,
    Cast,
    Ints,
    account_table,
    below,
    drawn,
    hexed,
    make_cast,
    uniform,
    zipf,
)

from tiergate.clock import DAY, HOUR, MINUTE, SECOND
from tiergate.records.schema import LOG_SCHEMA

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

SEGMENT_ROWS: Final = 1_000_000
KEY_ID: Final = "5ca1ab1e0000"
SITTING: Final = 6
"""Exchanges of a sitting."""
TOPICS: Final = 50_000
VOCABULARY: Final = 400_000
CAMOUFLAGE: Final = 0.1
"""Share of a campaign's exchanges that look like anybody's."""
MODELS: Final = ("large-2", "large-1", "small-2", "small-1", "code-1", "vision-1")
COLUMNS: Final = (
    *("exchange_id", "started_at", "account_id", "operation", "request_model", "stream", "temperature", "max_tokens"),
    *("input_tokens", "output_tokens", "status", "cost_usd", "client_address", "client_asn", "user_agent"),
    *("tls_fingerprint", "sketch_key_id", "sketch_system", "sketch_template", "sketch_words", "sketch_prompt"),
    "sketch_intent",
)
SCHEMA: Final = pa.schema([LOG_SCHEMA.field(name) for name in COLUMNS])
# Random hashes do not repeat enough for a dictionary to pay.
REPEATING: Final = [name for name in COLUMNS if SCHEMA.field(name).type == pa.string() and name != "exchange_id"]


def write_scale_world(folder: Path, *, accounts: int, exchanges: int, seed: int) -> None:
    """Write ``exchanges/``, ``accounts.parquet`` and ``truth.parquet`` into ``folder``."""
    cast = make_cast(accounts, exchanges, seed)
    agents = pa.array([f"client-{number // 7}/{number % 7}.{number % 3}" for number in range(CLIENTS)])
    prints = pa.array([f"t13d{number // 5:04x}" for number in range(CLIENTS)])
    (folder / "exchanges").mkdir(parents=True, exist_ok=True)
    pq.write_table(account_table(cast, agents, prints), folder / "accounts.parquet", compression="zstd")
    account = np.repeat(np.arange(accounts, dtype=np.int32), cast.volume)
    start = np.cumsum(cast.volume, dtype=np.int64) - cast.volume
    time = _times(cast, account, start)
    order = np.argsort(time)
    for number, begin in enumerate(range(0, len(order), SEGMENT_ROWS)):
        rows = order[begin : begin + SEGMENT_ROWS]
        segment = _segment(cast, account[rows], rows, time[rows], agents, prints)
        path = folder / "exchanges" / f"part-{number:04d}.parquet"
        pq.write_table(segment, path, compression="zstd", use_dictionary=REPEATING)
    population = pa.array(POPULATIONS).take(pa.array(cast.population))
    group = pa.array(cast.group, mask=cast.population != CAMPAIGN)
    # Last: its presence says that the world is whole.
    pq.write_table(
        pa.table({"account_id": cast.names, "population": population, "campaign": group}), folder / "truth.parquet"
    )


def _times(cast: Cast, account: I32, start: I64) -> I64:
    """Microseconds of every exchange, account by account."""
    time = np.empty(len(account), np.int64)
    for begin in range(0, len(account), SEGMENT_ROWS):
        rows = np.arange(begin, min(begin + SEGMENT_ROWS, len(account)))
        who = account[rows]
        rank = rows - start[who]
        time[rows] = np.where(np.isin(cast.population[who], (CAMPAIGN, MACHINE)), *_two_rhythms(cast, who, rank, rows))
    return START_US + np.clip(time, 0, DAYS * DAY - 1)


def _two_rhythms(cast: Cast, who: I32, rank: I64, rows: I64) -> tuple[I64, I64]:
    # Machines go evenly through all days, a campaign through fourteen of them.
    campaign = cast.population[who] == CAMPAIGN
    span, begin = np.where(campaign, 14 * DAY, DAYS * DAY), np.where(campaign, 3 * DAY, 0)
    even = begin + (rank + 0.15 + 0.7 * uniform(61, rows)) / cast.volume[who] * span
    sitting, position = np.divmod(rank, SITTING)
    hour = uniform(62, who) * 24 + 2 * (uniform(63, who, sitting) + uniform(64, who, sitting) - 1)
    day = below(DAYS, 65, who, sitting)
    sat = day * DAY + hour * HOUR + position * 2 * MINUTE + uniform(66, rows) * 100 * SECOND
    return even.astype(np.int64), sat.astype(np.int64)


def _segment(cast: Cast, who: I32, rows: I64, time: I64, agents: pa.StringArray, prints: pa.StringArray) -> pa.Table:
    population, group = cast.population[who], cast.group[who]
    harvest = (population == CAMPAIGN) & (uniform(71, rows) >= CAMOUFLAGE)
    public = (population == TEMPLATE) & (uniform(72, rows) < 0.6)
    model = np.where(harvest, 0, np.where(uniform(73, rows) < 0.85, zipf(6, 74, who), zipf(6, 75, rows)))
    prompted, answered = (np.exp(mean + uniform(salt, rows) * 3) for mean, salt in ((4.0, 76), (4.5, 77)))
    prompted = np.where(harvest, 300 + below(200, 78, rows), prompted).astype(np.int64)
    answered = answered.astype(np.int64)
    away = (uniform(79, rows) < 0.2) & ~harvest
    # Phones go through a neighbourhood's shared egress, some of which are very large.
    egress = len(cast.volume) + zipf(SHARED_EGRESS, 80, who)
    place = np.where(away, egress, cast.place[who])
    steps = zipf(5, 81, np.where(population == TOOL, group, who + 1_000))
    client = pa.array(cast.client[who])
    # A few customers want one thing most of the time, such as a grader; a campaign wants reasoning.
    focused = uniform(86, who) < 0.05
    wanted = np.where(focused, 1 << below(5, 87, who), 1 << below(5, 83, rows))
    asks = uniform(82, rows) < np.where(focused | harvest, 0.8, 0.15)
    bits = np.where(asks, np.where(harvest, 1, wanted), 0)
    columns = [
        hexed(drawn(84, rows)),
        pa.array(time).cast(pa.timestamp("us", "UTC")),
        cast.names.take(pa.array(who)),
        pa.array(np.full(len(rows), "chat", object), pa.string()),
        pa.array(MODELS).take(pa.array(model)),
        pa.array(steps % 2 == 0),
        pa.array(steps / 4, mask=steps == 1),
        pa.array(512 << steps, mask=steps == 2),
        pa.array(prompted),
        pa.array(answered),
        pa.array(np.full(len(rows), 200, np.int32)),
        pa.array(answered * 1.5e-5 + prompted * 3e-6),
        cast.addresses.take(pa.array(place)),
        pa.array(zipf(5_000, 85, place) + 1_000),
        agents.take(client),
        prints.take(client),
        pa.array(np.full(len(rows), KEY_ID, object), pa.string()),
        _system(population, group, who, harvest),
        _template(population, group, who, rows, harvest=harvest, public=public),
        _words(group, who, rows, harvest),
        pa.array(_prompt(rows, harvest)),
        pa.array(bits),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _system(population: Ints, group: Ints, who: I32, harvest: npt.NDArray[np.bool_]) -> pa.Array:
    """Up to four nested blocks; versions of one tool part ways after the second."""
    owner = np.where(population == TOOL, group, np.where(harvest, 1_000 + group, 10_000 + who))
    # Of the others a fifth have a system prompt of their own.
    has = (population == TOOL) | harvest | (uniform(91, who) < 0.2)
    version = np.where(population == TOOL, zipf(8, 92, who), 0)
    blocks = np.stack([drawn(93 + at, owner, version if at > 1 else 0) for at in range(4)], axis=1)
    length = 1 + below(4, 97, owner)
    return _lists(blocks, (np.arange(4) < length[:, None]) & has[:, None], null=~has)


def _template(
    population: Ints, group: Ints, who: I32, rows: I64, *, harvest: npt.NDArray[np.bool_], public: npt.NDArray[np.bool_]
) -> pa.Array:
    """Eight shingles and two edges: a template's own in front, those of what was filled in behind."""
    table = np.empty((len(rows), 10), np.uint64)
    form = np.where(harvest, 1_000_000 + group, np.where(public, 2_000_000 + group, 3_000_000 + who))
    formed = harvest | public | (population == MACHINE)
    for at in range(10):
        table[:, at] = drawn(101 + at, rows)
        if at < 8:
            common = uniform(111 + at, rows) < 0.04
            table[common, at] = drawn(119, zipf(200_000, 120 + at, rows[common]))
        if at < 5 or at == 8:
            table[formed, at] = drawn(130 + at, form[formed])
    opening = ~formed & (uniform(140, rows) < 0.1)
    table[opening, 8] = drawn(141, zipf(100_000, 142, rows[opening]))
    kept = uniform(143, rows[:, None] * 16 + np.arange(10)) < np.append(np.full(8, 0.9), [1, 1])
    return _lists(table, kept)


def _words(group: Ints, who: I32, rows: I64, harvest: npt.NDArray[np.bool_]) -> pa.Array:
    """Five words of the subject, two of the account's own, one that is common."""
    favourite = np.minimum(2, (uniform(151, rows) * 1.7).astype(np.int64) + (uniform(152, rows) < 0.2))
    subject = np.where(harvest, 500 + 3_000 * group + below(3_000, 153, rows), zipf(TOPICS, 154, who, favourite))
    turn = below(60, 155, rows)
    words = [
        np.float64(VOCABULARY) ** (0.3 + 0.7 * uniform(156, subject * 60 + (turn + 7 * at) % 60)) for at in range(5)
    ]
    own = [VOCABULARY * 2 + (who.astype(np.int64) * 24 + (turn + 11 * at) % 24) % 4_000_000 for at in range(2)]
    queued = [VOCABULARY * 12 + below(200_000, 157 + at, rows) for at in range(2)]
    mine = [np.where(harvest, other, one) for one, other in zip(own, queued, strict=True)]
    table = np.stack([*(word.astype(np.int64) for word in words), *mine, zipf(VOCABULARY, 159, rows)], axis=1)
    kept = uniform(160, rows[:, None] * 8 + np.arange(8)) < 0.85
    return _lists(drawn(161, table), kept)


def _prompt(rows: I64, harvest: npt.NDArray[np.bool_]) -> I64:
    """Hash of the whole message; three in a hundred are a common one, such as a greeting."""
    repeated = ~harvest & (uniform(171, rows) < 0.03)
    return np.where(repeated, drawn(172, zipf(20_000, 173, rows)), drawn(174, rows)).view(np.int64)


def _lists(
    table: npt.NDArray[np.uint64], kept: npt.NDArray[np.bool_], null: npt.NDArray[np.bool_] | None = None
) -> pa.Array:
    offsets = np.append(0, np.cumsum(kept.sum(axis=1))).astype(np.int32)
    mask = pa.array(null) if null is not None else None
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(table[kept].view(np.int64)), mask=mask)

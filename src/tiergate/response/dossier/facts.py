"""Everything that a dossier says, gathered from a case's record, its look and what that look read."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

import tiergate
from tiergate.detection.frozen import Asked
from tiergate.errors import InputError
from tiergate.response.digests import TABLES, case_digests, read_table, rows_of
from tiergate.response.dossier.traffic import COLUMNS, Traffic, count
from tiergate.response.kept import Kept
from tiergate.response.ladder import FILE, Policy, load_policy
from tiergate.response.record import Record

Row = dict[str, Any]


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account of the case; times are microseconds, UTC. ``charged`` of its ``exchanges`` are the case's."""

    account_id: str
    membership: float
    charged: int
    exchanges: int | None
    first_us: int
    last_us: int


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `case_evidence`; ``log_odds`` in nats."""

    family: str
    statistic: str
    value: float
    log_odds: float
    explanation: str
    p_value: float | None


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One case of the look that belongs to the case file; ``expected``: chance clusters, None where not counted."""

    case_id: str
    digest: str
    links_nats: float
    workload_nats: float
    prior_nats: float
    expected: float | None
    looks: int
    evidence: list[Evidence]
    links: list[Row]


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a case. ``accounts`` come with the most charged exchanges first; ``parts`` with the one first
    that the case is called after; ``inputs``: name and BLAKE2b of every file of the exchange log that was read."""

    record: Record
    accounts: list[Account]
    parts: list[Part]
    traffic: Traffic
    asked: Asked
    decoys: int
    platform_accounts: int
    platform_exchanges: int
    refused: int
    lacking: list[str]
    inputs: list[tuple[str, str]]
    policy: Policy
    policy_sha256: str
    policy_is_ours: bool
    version: str
    seed: int
    written_at_us: int


def gather(data: Path, record: Record, kept: Kept, *, seed: int, sample: int, now_us: int) -> Facts:
    """Gather the facts of a case. Raises `InputError` when its look, or what that read, is gone."""
    answer = kept.answer
    tables = {name: read_table(answer, name) for name in TABLES}
    digests = case_digests(answer)
    heads = {row["case_id"]: row for row in tables["cases"].to_pylist()}
    missing = [one for one in kept.cases if one not in heads]
    if missing or not kept.cases:
        raise InputError(f"`{answer}` does not hold the case `{record.file.case_id}`: restore it from a copy")
    members = _members(tables["case_accounts"], kept.cases)
    inside = _of_file(record, members)
    frozen = kept.read()
    charged = tables["case_exchanges"]
    charged = charged.filter(pc.is_in(charged["case_id"], value_set=pa.array(kept.cases, pa.string())))
    traffic = count(frozen.batches(list(COLUMNS)), frozen.accounts(), sorted(inside), charged, seed=seed, sample=sample)
    run = _run(answer)
    path = data / FILE
    text = path.read_bytes() if path.is_file() else b""
    accounts = [
        Account(
            account_id=name,
            membership=row["membership"],
            charged=row["campaign_exchanges"],
            exchanges=row["exchanges"],
            first_us=_us(row["first_linked_at"]),
            last_us=traffic.last_us[name],
        )
        for name, row in inside.items()
    ]
    links = read_table(answer, "links")
    return Facts(
        record=record,
        accounts=sorted(accounts, key=lambda one: (-one.charged, one.account_id)),
        parts=[
            part_of(
                heads[one],
                digests[one],
                rows_of(tables["case_evidence"], one).to_pylist(),
                rows_of(links, one).to_pylist(),
            )
            for one in kept.cases
        ],
        traffic=traffic,
        asked=frozen.asked,
        decoys=run["parameters"]["decoys"],
        platform_accounts=run["accounts"],
        platform_exchanges=run["exchanges"]["used"],
        refused=run["exchanges"]["refused"],
        lacking=run["lacking"],
        inputs=[(one["file"], one["blake2b"]) for one in run["inputs"]],
        policy=load_policy(path),
        policy_sha256=hashlib.sha256(text).hexdigest(),
        policy_is_ours=not text,
        version=tiergate.__version__,
        seed=seed,
        written_at_us=now_us,
    )


def _members(table: Any, cases: list[str]) -> dict[str, Row]:
    """Rows of accounts by account; of one in several cases the surest, with its charged exchanges added up."""
    found: dict[str, Row] = {}
    for case_id in cases:
        for row in rows_of(table, case_id).to_pylist():
            held = found.get(row["account_id"])
            if held is not None:
                row = row | {
                    "membership": max(held["membership"], row["membership"]),
                    "campaign_exchanges": held["campaign_exchanges"] + row["campaign_exchanges"],
                    "first_linked_at": min(held["first_linked_at"], row["first_linked_at"]),
                }
            found[row["account_id"]] = row
    return found


def _of_file(record: Record, members: dict[str, Row]) -> dict[str, Row]:
    """Members without those that were split off, or those alone that were."""
    apart = {account for accounts in record.file.apart.values() for account in accounts}
    only = members if record.only is None else record.only
    return {account: row for account, row in members.items() if account in only and account not in apart}


def part_of(head: Row, digest: str, evidence: list[Row], links: list[Row]) -> Part:
    """A case of an answer: its row of `cases`, and its rows of `case_evidence` and `links`."""
    fields = Evidence.__struct_fields__
    rows = [Evidence(**{name: row[name] for name in fields}) for row in evidence]
    return Part(
        case_id=head["case_id"],
        digest=digest,
        links_nats=head["links_nats"],
        workload_nats=head["workload_nats"],
        prior_nats=head["prior_nats"],
        expected=head["expected"],
        looks=head["looks"],
        evidence=sorted(rows, key=lambda one: -abs(one.log_odds)),
        links=links,
    )


def _run(answer: Path) -> Row:
    try:
        run: Row = msgspec.json.decode((answer / "run.json").read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"cannot read `{answer / 'run.json'}`: {error}") from error
    return run


def _us(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)

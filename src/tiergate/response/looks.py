"""Answers of detection, read: cases by lineage, with their members."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from tiergate.errors import InputError
from tiergate.ledger.verdicts import Action
from tiergate.response.case_files import CaseFile, Found

FILES: Final = ("cases", "case_accounts", "case_evidence", "case_exchanges", "case_ties")


@dataclass(frozen=True, slots=True)
class Member:
    """An account of a case; see `case_accounts` in docs/tables.md."""

    account_id: str
    membership: float
    charged: int
    observed: int | None


@dataclass(frozen=True, slots=True)
class Look:
    """An answer of detection, read: its cases by lineage, with their members."""

    digest: str
    cases: dict[str, tuple[Found, list[Member]]]

    @classmethod
    def read(cls, folder: Path, number: int, digest: str) -> Look:
        """Read the folder that detection wrote. Raises `InputError` when it is not one."""
        heads, rows = _table(folder, "cases"), _table(folder, "case_accounts")
        grouped: dict[str, list[Member]] = {}
        for row in rows:
            member = Member(row["account_id"], row["membership"], row["campaign_exchanges"], row["exchanges"])
            grouped.setdefault(row["case_id"], []).append(member)
        return cls(
            digest,
            {row["lineage_id"]: (_found(row, number, digest), grouped.get(row["case_id"], [])) for row in heads},
        )


def digest_of(folder: Path) -> str:
    """SHA-256 of an answer's tables, which are byte-identical for the same input, parameters and version.

    Raises `InputError` when one is missing.
    """
    digest = hashlib.sha256()
    try:
        for name in FILES:
            digest.update(hashlib.sha256((folder / f"{name}.parquet").read_bytes()).digest())
    except OSError as error:
        raise InputError(f"`{folder}` is no answer of detection: {error.strerror} ({error.filename})") from error
    return digest.hexdigest()


def members_of(look: Look, file: CaseFile, parent: CaseFile | None = None) -> list[Member]:
    """Members of a case in a look, with those of the cases that were merged into it; of an account in several, its
    surest membership. Of a case that was split off, those of ``parent`` that it took along."""
    if parent is not None:
        taken = set(parent.apart[file.case_id])
        return [one for one in members_of(look, parent) if one.account_id in taken]
    surest: dict[str, Member] = {}
    for name in (file.case_id, *file.merged):
        for one in look.cases[name][1] if name in look.cases else ():
            held = surest.get(one.account_id)
            if held is not None:
                charged, membership = held.charged + one.charged, max(held.membership, one.membership)
                one = replace(one, charged=charged, membership=membership)
            surest[one.account_id] = one
    return list(surest.values())


def _table(folder: Path, name: str) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = pq.read_table(folder / f"{name}.parquet").to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"cannot read `{folder / name}.parquet`: {error}") from error
    return rows


def _found(row: dict[str, Any], number: int, digest: str) -> Found:
    return Found(
        look=number,
        digest=digest,
        case_id=row["case_id"],
        first_seen_us=_us(row["first_seen"]),
        last_seen_us=_us(row["last_seen"]),
        accounts=row["accounts"],
        exchanges=row["exchanges"],
        output_tokens=row["output_tokens"],
        value_usd=row["value_usd"],
        capability=row["capability"],
        confidence=row["confidence"],
        q_value=row["q_value"],
        e_value=row["e_value"] or 0.0,
        recommended=Action(row["recommended_action"]),
        summary=row["summary"],
    )


def _us(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)

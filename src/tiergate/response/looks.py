"""Answers of detection, read: cases by lineage, with their members."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tiergate.ledger.verdicts import Action
from tiergate.response.case_files import CaseFile, Found
from tiergate.response.digests import case_digests, digest_of_all, read_table


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
        heads, rows = (read_table(folder, name).to_pylist() for name in ("cases", "case_accounts"))
        grouped: dict[str, list[Member]] = {}
        for row in rows:
            member = Member(row["account_id"], row["membership"], row["campaign_exchanges"], row["exchanges"])
            grouped.setdefault(row["case_id"], []).append(member)
        return cls(
            digest,
            {row["lineage_id"]: (_found(row, number, digest), grouped.get(row["case_id"], [])) for row in heads},
        )


def digest_of(folder: Path) -> str:
    """SHA-256 of an answer: the same for the same input, parameters and version. `digests` says what it covers.

    Raises `InputError` when a table is missing or unreadable.
    """
    return digest_of_all(case_digests(folder).values())


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

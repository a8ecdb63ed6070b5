"""Answers of detection, read: cases by lineage, with their members."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tiergate.errors import InputError
from tiergate.ledger.verdicts import Action, Verdict
from tiergate.response.case_files import Found
from tiergate.response.digests import case_digests, digest_of_all, read_table
from tiergate.response.succession import Tie, ties_of
from tiergate.response.watch_lock import FOLDER


@dataclass(frozen=True, slots=True)
class Member:
    """An account of a case; see `case_accounts` in docs/tables.md.

    ``marks``: those of the case. ``linked_us``: its first exchange that is the case's, microseconds. ``inherits``: of
    an account that may go on where the case was stopped, by what; it is none of the case's own.
    """

    account_id: str
    membership: float
    charged: int
    observed: int | None
    marks: tuple[str, ...] = ()
    inherits: str | None = None
    linked_us: int = 0

    @property
    def share(self) -> float:
        """Share of its exchanges that are the case's; all where that was not counted."""
        return self.charged / self.observed if self.observed else 1.0


@dataclass(frozen=True, slots=True)
class Look:
    """An answer of detection, read: its cases by lineage, with their members and those who may go on where they were
    stopped; and by case what ties it to others."""

    digest: str
    cases: dict[str, tuple[Found, list[Member]]]
    ties: dict[str, list[Tie]]

    @classmethod
    def read(cls, folder: Path, number: int, digest: str) -> Look:
        """Read the folder that detection wrote. Raises `InputError` when it is not one."""
        heads, rows, ties, told, heirs = (
            read_table(folder, name).to_pylist()
            for name in ("cases", "case_accounts", "case_ties", "case_marks", "case_heirs")
        )
        marks: dict[str, tuple[str, ...]] = {}
        for row in told:
            marks[row["case_id"]] = (*marks.get(row["case_id"], ()), row["mark"])
        grouped: dict[str, list[Member]] = {}
        for row in rows:
            case_id, account_id = row["case_id"], row["account_id"]
            charged, observed = row["campaign_exchanges"], row["exchanges"]
            linked_us, told_by = _us(row["first_linked_at"]), marks.get(case_id, ())
            member = Member(account_id, row["membership"], charged, observed, told_by, linked_us=linked_us)
            grouped.setdefault(case_id, []).append(member)
        for row in heirs:
            heir = Member(row["account_id"], 1 - row["q_value"], 0, None, (), row["explanation"])
            grouped.setdefault(row["case_id"], []).append(heir)
        return cls(
            digest,
            {row["lineage_id"]: (_found(row, number, digest), grouped.get(row["case_id"], [])) for row in heads},
            ties_of(ties, {row["case_id"]: row["lineage_id"] for row in heads}),
        )


def member_under(verdict: Verdict) -> Member:
    """The member that a verdict was put on; only heirs have nothing charged to them."""
    heir = verdict.evidence[-1] if verdict.charged == 0 and verdict.evidence else None
    marks = tuple(verdict.marks or ())
    return Member(verdict.account_id, 1.0, verdict.charged or 0, verdict.observed, marks, heir)


def digest_of(folder: Path) -> str:
    """SHA-256 of an answer: the same for the same input, parameters and version. `digests` says what it covers.

    Raises `InputError` when a table is missing or unreadable.
    """
    return digest_of_all(case_digests(folder).values())


def answer_in(data: Path, digest: str) -> Path:
    """Where the answer with that digest lies in a data folder. Raises `InputError` when it is not there."""
    place = kept(data, digest)
    if place.is_dir():
        return place
    # Taken up, and not yet put where it stays.
    pending = data / FOLDER / "pending"
    if pending.is_dir() and digest_of(pending) == digest:
        return pending
    raise InputError(f"`{place}` is gone, and a case rests on it: wait for the next look of `tiergate watch`")


def kept(data: Path, digest: str) -> Path:
    """The folder that keeps the answer with that digest."""
    return data / FOLDER / "looks" / digest[:32]


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

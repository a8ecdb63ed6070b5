"""Answers of detection, read: cases by lineage, with their members."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from tiergate.errors import InputError
from tiergate.ledger.verdicts import Action, Verdict
from tiergate.response.case_files import Found
from tiergate.response.digests import case_digests, digest_of_all, read_table
from tiergate.response.succession import Tie, ties_of
from tiergate.response.watch_lock import FOLDER

Rows = list[dict[str, Any]]
NEARLY_ALL: Final = 0.8
"""Share of a case's exchanges that marks must tell before an account is touched by them alone for its requests' number.
"""


@dataclass(frozen=True, slots=True)
class Member:
    """An account of a case; see `case_accounts` in docs/tables.md.

    ``marks``: those of the case, which tell ``told`` of its exchanges, a share. ``taken``: share of the account's
    output tokens that are the case's. ``inherits``: of an account that may go on where the case was stopped, by what;
    it is none of the case's own, or people have not seen it there.
    """

    account_id: str
    membership: float
    charged: int
    observed: int | None
    marks: tuple[str, ...] = ()
    inherits: str | None = None
    told: float = 0.0
    taken: float = 0.0

    @property
    def share(self) -> float:
        """Share of its exchanges that are the case's; all where that was not counted. Of its output, if that is more,
        unless marks tell nearly all of the case's exchanges: requests that are refused, or answered by a word, cost
        next to nothing and would hide any number of others."""
        share = self.charged / self.observed if self.observed else 1.0
        return share if self.told >= NEARLY_ALL else max(share, self.taken)


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
        heads, members, marks, heirs, ties = (
            read_table(folder, name).to_pylist()
            for name in ("cases", "case_accounts", "case_marks", "case_heirs", "case_ties")
        )
        return cls.of_rows(number, digest, heads, members, marks, heirs, ties)

    @classmethod
    def of_rows(
        cls, number: int, digest: str, heads: Rows, rows: Rows, told: Rows, heirs: Rows, ties: Rows | None = None
    ) -> Look:
        """The look that rows of an answer's tables make: ``heads`` of `cases`, ``rows`` of `case_accounts`, ``told`` of
        `case_marks`, of `case_heirs` and `case_ties`."""
        marks: dict[str, tuple[str, ...]] = {}
        told_share: dict[str, float] = {}
        for row in told:
            case_id = row["case_id"]
            marks[case_id] = (*marks.get(case_id, ()), row["mark"])
            # Answers of earlier versions do not say.
            told_share[case_id] = told_share.get(case_id, 0.0) + row.get("told_share", 0.0)
        grouped: dict[str, list[Member]] = {}
        for row in rows:
            case_id, account_id = row["case_id"], row["account_id"]
            charged, observed = row["campaign_exchanges"], row["exchanges"]
            output = row.get("output_tokens", 0)
            member = Member(
                account_id,
                row["membership"],
                charged,
                observed,
                marks.get(case_id, ()),
                told=told_share.get(case_id, 0.0),
                taken=row["campaign_output_tokens"] / output if output else 0.0,
            )
            grouped.setdefault(case_id, []).append(member)
        for row in heirs:
            heir = Member(row["account_id"], 1 - row["q_value"], 0, None, (), row["explanation"])
            grouped.setdefault(row["case_id"], []).append(heir)
        return cls(
            digest,
            {row["lineage_id"]: (_found(row, number, digest), grouped.get(row["case_id"], [])) for row in heads},
            ties_of(ties or [], {row["case_id"]: row["lineage_id"] for row in heads}),
        )


def member_under(verdict: Verdict) -> Member:
    """The member that a verdict was put on; only heirs have nothing charged to them."""
    heir = verdict.evidence[-1] if verdict.charged == 0 and verdict.evidence else None
    # What reaches the whole account goes on doing so, for whatever reason it did.
    taken = 1.0 if verdict.marks is None else 0.0
    marks = tuple(verdict.marks or ())
    return Member(verdict.account_id, 1.0, verdict.charged or 0, verdict.observed, marks, heir, taken=taken)


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

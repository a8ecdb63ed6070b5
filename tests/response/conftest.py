"""A desk of cases on a new database, and answers of detection written by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from tiergate.clock import DAY
from tiergate.database import open_database
from tiergate.detection.cases import (
    CASE_ACCOUNTS_SCHEMA,
    CASE_EVIDENCE_SCHEMA,
    CASE_EXCHANGES_SCHEMA,
    CASES_SCHEMA,
)
from tiergate.detection.heirs import HEIRS_SCHEMA
from tiergate.detection.marks import MARKS_SCHEMA
from tiergate.detection.ties import TIES_SCHEMA
from tiergate.response.ladder import load_policy

NOW = 1_780_000_000_000_000
AT_ONCE = msgspec.structs.replace(load_policy(), verify_first=False)
"""Our policy, but that accounts of a limited case share its budget before they passed a check."""

Members = Mapping[str, float]
WriteLook = Callable[..., Path]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_database(tmp_path / "control.sqlite")
    yield engine
    engine.dispose()


@pytest.fixture
def write_look(tmp_path: Path) -> WriteLook:
    """Write an answer: by lineage, the figures that differ from a sure case's, and ``members`` with memberships."""
    numbers = count(1)

    def write(at_us: int = NOW, **cases: dict[str, Any]) -> Path:
        number = next(numbers)
        return write_answer(tmp_path / f"look-{number}", number, at_us, cases)

    return write


def write_answer(folder: Path, number: int, at_us: int, cases: Mapping[str, dict[str, Any]]) -> Path:
    """Write look ``number`` into ``folder``; see `write_look`. ``tied``: families that tie a case to another lineage;
    ``marks``: of the case, which tell ``told`` of its exchanges; ``heirs``: accounts; ``charged``: exchanges of 50 that
    are charged to each member; ``taken``: share of its output tokens that are."""
    folder.mkdir()
    heads, members, ties, marks, heirs = [], [], list[dict[str, Any]](), list[dict[str, Any]](), list[dict[str, Any]]()
    for lineage, given in cases.items():
        figures = dict(given)
        belonging: Members = figures.pop("members", {"a": 0.9, "b": 0.8, "c": 0.3})
        case_id, charged = f"{lineage}-as-of-{number}", figures.pop("charged", 40)
        taken, told = figures.pop("taken", charged / 50), figures.pop("told", 1.0)
        ties += [
            {"case_a": case_id, "case_b": f"{other}-as-of-{number}", "log_odds": 5.0, "families": families}
            | {"succession_hours": None, "explanation": "they share a thing"}
            for other, families in figures.pop("tied", {}).items()
        ]
        named = figures.pop("marks", ())
        shares = {"charged_share": 0.9, "other_share": 0.0, "told_share": told / max(len(named), 1)}
        marks += [{"case_id": case_id, "mark": mark} | shares for mark in named]
        heirs += [
            {"case_id": case_id, "account_id": account, "first_seen": at_us, "log_odds": 9.0, "p_value": 0.0001}
            | {"q_value": 0.001, "families": ["network", "template"], "explanation": "it shows what they show"}
            for account in figures.pop("heirs", ())
        ]
        heads.append(
            {
                "case_id": case_id, "opened_at": at_us, "first_seen": at_us - DAY, "last_seen": at_us,
                "accounts": len(belonging), "exchanges": 100, "output_tokens": 1_000, "value_usd": None,
                "capability": "general", "confidence": 0.999, "q_value": 0.001, "recommended_action": "limit",
                "summary": "they act as one", "lineage_id": lineage, "first_opened_at": at_us, "looks": 1,
                "e_value": 10.0, "links_nats": 5.0, "workload_nats": 5.0, "prior_nats": 1.0, "expected": 0.001,
            }
            | figures
        )  # fmt: skip
        members += [
            {
                "case_id": case_id, "account_id": account, "membership": membership, "first_linked_at": at_us,
                "campaign_exchanges": charged, "exchanges": 50,
                "campaign_output_tokens": round(taken * 1_000), "output_tokens": 1_000,
            }
            for account, membership in belonging.items()
        ]  # fmt: skip
    for name, rows, schema in (
        ("cases", heads, CASES_SCHEMA),
        ("case_accounts", members, CASE_ACCOUNTS_SCHEMA),
        ("case_evidence", [], CASE_EVIDENCE_SCHEMA),
        ("case_exchanges", [], CASE_EXCHANGES_SCHEMA),
        ("case_ties", ties, TIES_SCHEMA),
        ("case_marks", marks, MARKS_SCHEMA),
        ("case_heirs", heirs, HEIRS_SCHEMA),
    ):
        pq.write_table(pa.Table.from_pylist(rows, schema), folder / f"{name}.parquet")
    return folder

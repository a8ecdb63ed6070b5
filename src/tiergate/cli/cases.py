"""Reading back what `tiergate detect` wrote: cases, their accounts, evidence, links and decoys."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tiergate.errors import InputError

Row = dict[str, Any]

SHORT_ID = len("case_") + 8
NO_SAY = 0.05
"""Log-odds below this move nothing that anyone would notice: a twentieth."""


@dataclass(frozen=True)
class Case:
    """One case with everything that was found about it.

    ``facts`` is its row of `cases.parquet`; ``accounts`` come with the most campaign exchanges first;
    ``evidence`` with the strongest first, for and against; ``links`` are the strongest pairs of accounts.
    """

    facts: Row
    accounts: list[Row] = field(default_factory=list)
    evidence: list[Row] = field(default_factory=list)
    links: list[Row] = field(default_factory=list)

    @property
    def case_id(self) -> str:
        return str(self.facts["case_id"])

    @property
    def account_ids(self) -> set[str]:
        return {row["account_id"] for row in self.accounts}

    @property
    def short_id(self) -> str:
        """Enough of the id to name the case by; commands take it for the whole."""
        return self.case_id[:SHORT_ID]

    @property
    def score_parts(self) -> str:
        """What the score and the confidence are made of, in nats and groups of chance."""
        links, workload, prior, expected = (
            self.facts[name] for name in ("links_nats", "workload_nats", "prior_nats", "expected")
        )
        chance = "" if expected is None else f"; {expected:.2g} expected by chance"
        return (
            f"score {links + workload:.1f}: links {links:.1f}, workload {workload:+.1f}; prior {0 - prior:+.1f}{chance}"
        ).replace("-", "\N{MINUS SIGN}")

    @property
    def speaking_for(self) -> list[Row]:
        return [row for row in self.evidence if row["log_odds"] >= NO_SAY]

    @property
    def speaking_against(self) -> list[Row]:
        return [row for row in self.evidence if row["log_odds"] <= -NO_SAY]

    @property
    def without_say(self) -> list[Row]:
        """What was looked at and moved next to nothing."""
        return [row for row in self.evidence if abs(row["log_odds"]) < NO_SAY]


@dataclass(frozen=True)
class CasesFolder:
    """All that a run of detection left in its output folder; ``cases`` come most confident first."""

    path: Path
    cases: list[Case]
    decoys: list[Row]
    run: Row


def read_cases(folder: Path) -> CasesFolder:
    """Read a folder that `tiergate detect` wrote.

    Raises `InputError` when the folder is not one; links and decoys may be absent, they only feed pictures.
    """
    if not (folder / "cases.parquet").is_file():
        raise InputError(f"`{folder}` holds no cases.parquet: give the folder that `tiergate detect --out` wrote")
    try:
        facts = _rows(folder / "cases.parquet")
        accounts, evidence = _by_case(folder / "case_accounts.parquet"), _by_case(folder / "case_evidence.parquet")
        links = _by_case(folder / "links.parquet", optional=True)
        decoys = _rows(folder / "decoys.parquet", optional=True)
        run = json.loads((folder / "run.json").read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the cases in `{folder}`: {error}; run `tiergate detect` again") from error
    cases = [
        Case(
            row,
            sorted(accounts.get(row["case_id"], []), key=lambda a: (-a["campaign_exchanges"], a["account_id"])),
            sorted(evidence.get(row["case_id"], []), key=lambda e: -abs(e["log_odds"])),
            links.get(row["case_id"], []),
        )
        for row in sorted(facts, key=lambda row: (-row["confidence"], row["q_value"], -row["accounts"], row["case_id"]))
    ]
    return CasesFolder(folder, cases, decoys, run)


def named_case(found: CasesFolder, name: str) -> Case:
    """The one case whose id is, or starts with, ``name``. Raises `InputError` for none or several."""
    fitting = [case for case in found.cases if case.case_id.startswith(name)] if name else []
    if len(fitting) != 1:
        said = f"{len(fitting)} cases begin with" if fitting else "no case begins with"
        raise InputError(f"{said} `{name}` in `{found.path}`: see `tiergate detect`'s table for the ids")
    return fitting[0]


def day(moment: datetime) -> str:
    """`2026-09-03 14:05` in UTC."""
    return f"{moment:%Y-%m-%d %H:%M}"


def _rows(path: Path, *, optional: bool = False) -> list[Row]:
    if optional and not path.is_file():
        return []
    rows: list[Row] = pq.read_table(path).to_pylist()
    return rows


def _by_case(path: Path, *, optional: bool = False) -> dict[str, list[Row]]:
    grouped: dict[str, list[Row]] = {}
    for row in _rows(path, optional=optional):
        grouped.setdefault(row["case_id"], []).append(row)
    return grouped

"""Writing `report.html` from a cases folder."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from tiergate.cli.cases import Case, CasesFolder, day, read_cases
from tiergate.errors import SettingsError

if TYPE_CHECKING:
    from tiergate.cli.report.traffic import Traffic

TOP_ACCOUNTS: Final = 20
CASES_WITH_FIGURES: Final = 20


@dataclass(frozen=True)
class Answer:
    """What the gateway answered to one request: HTTP status and body, as the client saw them."""

    who: str
    status: int
    body: str


@dataclass(frozen=True)
class Outcome:
    """What was done about a case: the action, who chose it and why, and what clients then got."""

    case_id: str
    action: str
    author: str
    reason: str
    answers: list[Answer] = field(default_factory=list)


@dataclass(frozen=True)
class Truth:
    """How a simulated world's known truth compares with the cases. Rows: population, accounts, those of them in a case
    above `watch`. ``watched``: innocent accounts that are in a case to be watched, of which nothing follows."""

    world: str
    populations: list[tuple[str, int, int]]
    campaigns: frozenset[str]
    watched: int = 0


def write_report(
    out_dir: Path,
    cases_folder: Path,
    *,
    exchanges: Iterable[pa.RecordBatch],
    sources: list[str],
    outcomes: list[Outcome] | None = None,
    truth: Truth | None = None,
) -> Path:
    """Write ``out_dir/report.html``, one file that needs no network, and return its path.

    ``exchanges`` need the columns account_id and started_at; ``sources`` says in the reader's words what was
    read; ``truth`` is for simulated worlds only and makes every page say so. Raises `SettingsError` when the
    extra `report` is not installed.
    """
    try:
        import jinja2

        from tiergate.cli.report import figures
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"the report needs `{error.name}`, which is not installed: run `pip install 'tiergate[report]'`"
        ) from error
    from tiergate.cli.report.traffic import traffic_by_case

    found = read_cases(cases_folder)
    traffic = traffic_by_case(exchanges, {case.case_id: case.account_ids for case in found.cases})
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tiergate.cli.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(day=day, whole=lambda number: f"{number:,}", words=lambda name: name.replace("_", " "))
    page = environment.get_template("report.html.j2").render(
        found=found,
        run_text=json.dumps(found.run, indent=2, ensure_ascii=False),
        sources=sources,
        written_at=day(datetime.now(UTC)),
        truth=truth,
        calibration=figures.calibration(found.decoys, "calibration") if found.decoys else None,
        pages=[
            _page(number, case, traffic.get(case.case_id), [o for o in outcomes or [] if o.case_id == case.case_id])
            for number, case in enumerate(found.cases)
        ],
        totals=_totals(found),
    )
    path = out_dir / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _page(number: int, case: Case, traffic: Traffic | None, outcomes: list[Outcome]) -> dict[str, Any]:
    from tiergate.cli.report import figures

    drawn = number < CASES_WITH_FIGURES
    return {
        "case": case,
        "top": case.accounts[:TOP_ACCOUNTS],
        "outcomes": outcomes,
        "waterfall": figures.waterfall(case, f"w{number}") if drawn and case.evidence else None,
        "timeline": figures.timeline(traffic, f"t{number}") if drawn and traffic else None,
        "rhythm": figures.rhythm(traffic, f"r{number}") if drawn and traffic else None,
        "graph": figures.link_graph(case.links, f"g{number}") if drawn and case.links else None,
        "drawn_accounts": len({row[side] for row in case.links for side in ("account_a", "account_b")}),
    }


def _totals(found: CasesFolder) -> dict[str, int]:
    return {
        "accounts": len(set().union(*(case.account_ids for case in found.cases))),
        "exchanges": sum(case.facts["exchanges"] for case in found.cases),
    }

"""One detection: an exchange log in, cases out.

The same input and parameters give byte-identical tables: there is one seed, no clock, and nothing depends on the
order of files, rows or hash values.
"""

from __future__ import annotations

import hashlib
import json
import resource
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import tiergate
from tiergate.detection.cases import Case, exchange_table, tables
from tiergate.detection.decoys import MOST_ACCOUNTS
from tiergate.detection.evidence import Evidence, gather
from tiergate.detection.heirs import heir_table
from tiergate.detection.intake import TooLittleError, Traffic, take_in
from tiergate.detection.lineage import History, Seen, told
from tiergate.detection.links import Links
from tiergate.detection.looks import LEVEL
from tiergate.detection.marks import mark_table
from tiergate.detection.search import Outcome, Progress, Search
from tiergate.errors import InputError
from tiergate.ledger.sketches import PUBLIC_KEY
from tiergate.records.refused import RefusedRows

__all__ = ["DetectionInputs", "Parameters", "Progress", "RunSummary", "find_cases", "run_detection"]

LINKS_PER_CASE: Final = 400
LEAST_ROUNDS, MOST_ROUNDS, SAMPLED_ROUNDS = 6, 64, 12


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a run may be told. ``decoys``: decoy platforms to score, None for as many as suit the platform's size;
    ``seed``: of every random choice."""

    decoys: int | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        if self.decoys is not None and not 1 <= self.decoys <= 10_000:
            raise InputError(f"`{self.decoys}` decoys: give a number from 1 to 10000")

    def rounds(self, accounts: int) -> int:
        """Decoy platforms to score: as many as one of `MOST_ACCOUNTS` accounts costs, but 6 at least, as the tail of
        what chance reaches wants some dozens of clusters; 12 of a sample, to stand for more."""
        if self.decoys is not None:
            return self.decoys
        fitting = int(np.clip(MOST_ACCOUNTS // accounts, LEAST_ROUNDS, MOST_ROUNDS))
        return SAMPLED_ROUNDS if accounts > MOST_ACCOUNTS else fitting


@dataclass(frozen=True, slots=True)
class DetectionInputs:
    """What to look at. ``exchanges`` yields batches of the exchange log's columns with the sketch columns;
    ``files`` are fingerprinted into run.json."""

    exchanges: Callable[[], Iterable[pa.RecordBatch]]
    accounts: pa.Table | None
    model_releases: pa.Table | None
    refused: RefusedRows
    files: list[Path]
    repeated: int = 0
    """Exchanges left out before as repeats of others."""
    earlier: Sequence[tuple[str, str]] = ()
    """Name and BLAKE2b of files whose exchanges are here though they are not among ``files``."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The tables written, run.json as a dictionary, the history with this look, and the files written."""

    cases: pa.Table
    case_accounts: pa.Table
    evidence: pa.Table
    run: dict[str, Any]
    history: History
    files: list[Path]


def run_detection(
    inputs: DetectionInputs,
    out: Path,
    *,
    parameters: Parameters,
    sketch_key: bytes | None,
    progress: Progress,
    history: History | None = None,
    again: bool = False,
    worth: Callable[[Path], bool] | None = None,
) -> RunSummary:
    """Detect and write cases, case_accounts, case_evidence, case_exchanges, case_ties, case_marks,
    case_heirs, links, decoys (.parquet) and
    run.json into ``out``.

    :param sketch_key: key under which text is sketched; a public one when None, as nothing sketched is kept.
    :param progress: called with the step's name and the share done, 0 to 1.
    :param history: earlier looks at the same platform; None when this one stands alone.
    :param again: the last of them was at the very same data, so that this is no look more.
    :param worth: asked, with ``out``, of the answer before decoys, as it is where chance is as rare as they may ever
        claim (`Search.at_best`): if not, that answer stays, its `decoys` in run.json are 0, and it counts as no look.
    Raises `TooLittleError` when there is nothing to look at.
    """
    started = time.monotonic()
    progress("reading", 0.0)
    traffic = take_in(_counted(inputs.exchanges(), progress), sketch_key or PUBLIC_KEY, inputs.refused)
    if len(traffic.account_ids) < 2:
        raise TooLittleError("detection compares accounts, and the input has only one")
    progress("gathering evidence", 0.0)
    evidence = gather(traffic, inputs.accounts, inputs.model_releases)
    search = Search.of(traffic, evidence, parameters.seed, progress)
    write = partial(_written, out, inputs, parameters, started, search, history=history, again=again)
    if worth is not None:
        least = write(search.at_best())
        if not worth(out):
            progress("done", 1.0)
            return least
    found = search.calibrated(parameters.rounds(len(traffic.account_ids)), progress)
    progress("writing", 0.0)
    summary = write(found)
    progress("done", 1.0)
    return summary


def _written(
    out: Path,
    inputs: DetectionInputs,
    parameters: Parameters,
    started: float,
    search: Search,
    found: Outcome,
    *,
    history: History | None,
    again: bool,
) -> RunSummary:
    """Write an answer's tables and run.json."""
    traffic, cases = search.traffic, found.cases
    heads, members, reasons = tables(cases, traffic, search.evidence)
    history = _seen(cases, traffic, history, again=again)
    heads = told(heads, history)
    out.mkdir(parents=True, exist_ok=True)
    written = {
        "cases": heads,
        "case_accounts": members,
        "case_evidence": reasons,
        "links": _link_table(cases, found.links, traffic),
        "case_exchanges": exchange_table(cases, traffic),
        "case_ties": found.ties,
        "case_marks": mark_table(cases, traffic),
        "case_heirs": heir_table(cases, _opened(heads), found.holdings, traffic),
        "decoys": _score_table(found),
    }
    for name, table in written.items():
        _write(out / f"{name}.parquet", table)
    run = {
        "tiergate": tiergate.__version__,
        "inputs": _inputs(inputs),
        "parameters": asdict(parameters) | {"decoys": found.rounds},
        "exchanges": {
            "read": traffic.rows + traffic.repeated + inputs.repeated + inputs.refused.count,
            "refused": inputs.refused.count,
            "refused_by_reason": inputs.refused.by_reason,
            "repeated": traffic.repeated + inputs.repeated,
            "used": traffic.rows,
        },
        "accounts": len(traffic.account_ids),
        "lacking": list(search.evidence.lacking),
        "weights": found.weights.table().to_pylist(),
        "cases": len(cases),
        "look": {
            "number": history.count,
            "level": LEVEL,
            "standing": [case for case, row in history.latest().items() if row["stands"]],
        },
        "seconds": round(time.monotonic() - started, 3),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    (out / "run.json").write_text(json.dumps(run, indent=2) + "\n")
    files = [*(out / f"{name}.parquet" for name in written), out / "run.json"]
    return RunSummary(heads, members, reasons, run, history, files)


def find_cases(traffic: Traffic, evidence: Evidence, parameters: Parameters, progress: Progress) -> Outcome:
    """Link, cluster, test, calibrate, and tell which exchanges are meant."""
    search = Search.of(traffic, evidence, parameters.seed, progress)
    return search.calibrated(parameters.rounds(len(traffic.account_ids)), progress)


def _seen(cases: list[Case], traffic: Traffic, history: History | None, *, again: bool) -> History:
    names = traffic.account_ids
    seen = [
        Seen(case.case_id, frozenset(names[account] for account in case.accounts), case.finding.score, case.expected)
        for case in cases
    ]
    before = history or History.empty()
    return before.followed(seen, int(traffic.time_us[-1]), alone=history is None, again=again)


def _opened(heads: pa.Table) -> dict[str, int]:
    """By case, when it was first opened: microseconds."""
    moments = heads["first_opened_at"].cast(pa.int64()).to_pylist()
    return dict(zip(heads["case_id"].to_pylist(), moments, strict=True))


def _counted(batches: Iterable[pa.RecordBatch], progress: Progress) -> Iterator[pa.RecordBatch]:
    rows = 0
    for batch in batches:
        yield batch
        rows += batch.num_rows
        progress(f"reading, {rows:,} exchanges", 0.0)


def _link_table(cases: list[Case], links: Links, traffic: Traffic) -> pa.Table:
    """The strongest links inside each case, for pictures and for the path between two accounts."""
    names = traffic.account_ids
    rows: list[dict[str, object]] = []
    for case in cases:
        members = np.zeros(len(names), bool)
        members[case.accounts] = True
        inside = np.flatnonzero(members[links.low] & members[links.high])
        for at in inside[np.argsort(-links.weight[inside], kind="stable")][:LINKS_PER_CASE].tolist():
            shared = [
                cause
                for cause, w in zip(("customer", "place", "tool", "conduct"), links.causes[at], strict=True)
                if w >= 1
            ]
            rows.append(
                {
                    "case_id": case.case_id,
                    "account_a": names[links.low[at]],
                    "account_b": names[links.high[at]],
                    "weight": float(links.weight[at]),
                    "families": shared,
                }
            )
    schema = pa.schema(
        [
            ("case_id", pa.string()),
            ("account_a", pa.string()),
            ("account_b", pa.string()),
            ("weight", pa.float64()),
            ("families", pa.list_(pa.string())),
        ]
    )
    return pa.Table.from_pylist(rows, schema)


def _score_table(found: Outcome) -> pa.Table:
    opened = {case.finding.score: case.case_id for case in found.cases}
    targets, decoys = [one.score for one in found.findings], [one.score for one in found.decoys]
    kinds = ["target"] * len(targets) + ["decoy"] * len(decoys)
    ids = [opened.get(score) for score in targets] + [None] * len(decoys)
    return pa.table(
        {"score": pa.array(targets + decoys, pa.float64()), "kind": kinds, "case_id": pa.array(ids, pa.string())}
    )


def _write(path: Path, table: pa.Table) -> None:
    """Write under a temporary name and rename, so that a reader never sees half a table."""
    half = path.with_name(path.name + ".part")
    pq.write_table(table, half, compression="zstd")
    half.replace(path)


def _inputs(inputs: DetectionInputs) -> list[dict[str, str]]:
    now = [(path.name, _fingerprint(path)) for path in sorted(_plain(inputs.files))]
    before = [one for one in inputs.earlier if one not in set(now)]
    return [{"file": name, "blake2b": digest} for name, digest in before + now]


def _plain(files: list[Path]) -> list[Path]:
    return [f for path in files for f in ([path] if path.is_file() else sorted(path.rglob("*"))) if f.is_file()]


def _fingerprint(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()

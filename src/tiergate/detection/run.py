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
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import tiergate
from tiergate.detection.carrying import Carrying
from tiergate.detection.cases import CHARGED, Case, exchange_table, name_case, opens, tables
from tiergate.detection.decoys import MOST_ACCOUNTS, Decoy, Platform, calibrate, decoy_clusters
from tiergate.detection.evidence import Evidence, gather
from tiergate.detection.exchanges import ExchangeMixture
from tiergate.detection.findings import MOSTLY, Finding, find, find_queues, grown
from tiergate.detection.heirs import heir_table
from tiergate.detection.holdings import Holdings
from tiergate.detection.intake import TooLittleError, Traffic, take_in
from tiergate.detection.lineage import History, Seen, told
from tiergate.detection.links import Links, join, link
from tiergate.detection.looks import LEVEL
from tiergate.detection.marks import mark_table
from tiergate.detection.membership import worded_anew
from tiergate.detection.pivot import synchrony
from tiergate.detection.ties import tie
from tiergate.detection.weights import Weights
from tiergate.detection.workload import WorkloadTest
from tiergate.errors import InputError
from tiergate.ledger.sketches import PUBLIC_KEY
from tiergate.records.refused import RefusedRows

Progress = Callable[[str, float], None]

LINKS_PER_CASE = 400
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
) -> RunSummary:
    """Detect and write cases, case_accounts, case_evidence, case_exchanges, case_ties, case_marks,
    case_heirs, links, decoys (.parquet) and
    run.json into ``out``.

    :param sketch_key: key under which text is sketched; a public one when None, as nothing sketched is kept.
    :param progress: called with the step's name and the share done, 0 to 1.
    :param history: earlier looks at the same platform; None when this one stands alone.
    :param again: the last of them was at the very same data, so that this is no look more.
    Raises `TooLittleError` when there is nothing to look at.
    """
    started = time.monotonic()
    progress("reading", 0.0)
    traffic = take_in(_counted(inputs.exchanges(), progress), sketch_key or PUBLIC_KEY, inputs.refused)
    if len(traffic.account_ids) < 2:
        raise TooLittleError("detection compares accounts, and the input has only one")
    progress("gathering evidence", 0.0)
    evidence = gather(traffic, inputs.accounts, inputs.model_releases)
    found = find_cases(traffic, evidence, parameters, progress)
    cases = found.cases
    progress("writing", 0.0)
    heads, members, reasons = tables(cases, traffic, evidence)
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
        "parameters": asdict(parameters) | {"decoys": parameters.rounds(len(traffic.account_ids))},
        "exchanges": {
            "read": traffic.rows + traffic.repeated + inputs.repeated + inputs.refused.count,
            "refused": inputs.refused.count,
            "refused_by_reason": inputs.refused.by_reason,
            "repeated": traffic.repeated + inputs.repeated,
            "used": traffic.rows,
        },
        "accounts": len(traffic.account_ids),
        "lacking": list(evidence.lacking),
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
    progress("done", 1.0)
    files = [*(out / f"{name}.parquet" for name in written), out / "run.json"]
    return RunSummary(heads, members, reasons, run, history, files)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a detection found: cases, best first; all findings and decoy clusters, for the calibration picture."""

    cases: list[Case]
    findings: list[Finding]
    decoys: list[Decoy]
    links: Links
    ties: pa.Table
    weights: Weights
    holdings: Holdings


def find_cases(traffic: Traffic, evidence: Evidence, parameters: Parameters, progress: Progress) -> Outcome:
    """Link, cluster, test, calibrate, and tell which exchanges are meant."""
    rng = np.random.default_rng(parameters.seed)
    accounts = len(traffic.account_ids)
    rounds = parameters.rounds(accounts)
    progress("linking accounts", 0.0)
    joined = join(evidence, accounts, rng)
    holdings = Holdings.of(evidence, accounts)
    test = WorkloadTest(traffic, evidence.closed_us, rng, evidence.speaks_for_others)
    carrying = Carrying(traffic, evidence)
    links = link(joined)
    findings = find(links, holdings, carrying, traffic, test, parameters.seed)
    findings += find_queues(findings, holdings, carrying, test, parameters.seed)
    findings.sort(key=lambda one: -one.score)
    decoys: list[Decoy] = []
    platform = Platform(joined, holdings, evidence, traffic, test, carrying, np.arange(accounts)).sampled(rng)
    progress("scoring decoys", 0.0)
    for done, some in enumerate(decoy_clusters(platform, parameters.seed, rounds)):
        progress("scoring decoys", done / rounds)
        decoys += some
    progress("describing cases", 0.0)
    mixture = ExchangeMixture(traffic)
    cases: list[Case] = []
    taken = np.zeros(accounts, bool)
    for found, chance in zip(findings, calibrate(findings, decoys, rounds, platform.share), strict=True):
        if not opens(found, chance.confidence):
            continue
        one = grown(found, holdings, carrying, traffic, test)
        if taken[one.cluster.members].mean() >= MOSTLY:
            continue  # a second pool that the first one's case has let in
        rows = test.rows_of(one.cluster.members)
        belief = mixture.membership(rows, one.rows)
        in_workload = np.isin(rows, one.rows)
        charged = belief >= CHARGED
        if not worded_anew(one.cluster, holdings):
            # What does not carry a fixed instruction is somebody's own, however much it resembles the other requests.
            charged &= in_workload | (len(one.rows) == len(rows))
        charged = charged if charged.any() else in_workload
        statistics = test.permuted(one.statistics, one.rows, np.random.default_rng(parameters.seed))
        turning = synchrony(one.cluster.members, evidence.releases, evidence.stratum, np.random.default_rng(1))
        used = np.isin(one.cluster.members, traffic.account[rows[charged]])
        members = one.cluster.members[used]
        taken[members] = True
        cases.append(
            Case(
                name_case(members, traffic),
                one,
                members,
                one.membership[used],
                chance.confidence,
                chance.q_value,
                rows[charged],
                belief[charged],
                statistics,
                chance.expected,
                sum(statistic.log_odds for statistic in found.statistics) - found.queue,
                turning,
            )
        )
    return Outcome(cases, findings, decoys, links, tie(cases, holdings, traffic), joined.weights, holdings)


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

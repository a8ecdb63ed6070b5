"""Detection on the beginning of a log, with nothing known that happened later."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from benchmarks.detection.judge import Verdict
from benchmarks.detection.results import ACTING, UNTIMED, Look
from benchmarks.detection.truth import read_sheet

from tiergate.clock import HOUR
from tiergate.detection.run import DetectionInputs, Parameters, run_detection
from tiergate.records.read import read_exchanges
from tiergate.records.refused import RefusedRows
from tiergate.records.schema import TIME


def look(world: str, until_us: int, campaign_first_us: int, decoys: int | None, cases: str) -> Look:
    """Detect on the log of ``world`` as it was at ``until_us``, the cases into the folder ``cases``."""
    home, out, until = Path(world), Path(cases), pa.scalar(until_us, TIME)
    shutil.rmtree(out, ignore_errors=True)
    releases = pq.read_table(home / "model_releases.parquet")
    with RefusedRows(None) as refused:
        inputs = DetectionInputs(
            exchanges=lambda: _before(home / "exchanges.parquet", until, refused),
            accounts=known_at(pq.read_table(home / "accounts.parquet"), until),
            model_releases=releases.filter(pc.less(releases["released_at"], until)),
            refused=refused,
            files=[],
        )
        parameters = Parameters(decoys=decoys)
        run_detection(inputs, out, parameters=parameters, sketch_key=None, progress=_quiet)
    sent = pq.read_table(
        home / "exchanges.parquet", columns=["exchange_id", "account_id"], filters=pc.field("started_at") < until
    )
    campaign = pq.read_table(home / "exchange_truth.parquet")["exchange_id"]
    sheet = read_sheet(home)
    verdict = Verdict(sheet, out)
    seen = np.isin(sheet.names, sent["account_id"].unique().to_pylist())
    return Look(
        hours=(until_us - campaign_first_us) / HOUR,
        sent=int(pc.sum(pc.is_in(sent["exchange_id"], campaign)).as_py() or 0),
        opened=verdict.found(seen, ("watch", *ACTING)),
        acting=verdict.found(seen, ACTING),
        relinked=verdict.relinked(seen),
        usage=UNTIMED,
    )


def known_at(accounts: pa.Table, until: pa.Scalar) -> pa.Table:
    """Accounts as the registry had them at ``until``: none made later, none closed by what came later."""
    accounts = accounts.filter(pc.less(accounts["created_at"], until))
    later = pc.fill_null(pc.greater_equal(accounts["closed_at"], until), False)
    for name, value in (("closed_at", pa.scalar(None, TIME)), ("status", pa.scalar("active"))):
        at = accounts.schema.get_field_index(name)
        accounts = accounts.set_column(at, accounts.schema.field(name), pc.if_else(later, value, accounts[name]))
    return accounts


def _quiet(step: str, share: float) -> None:
    """A look is one step of the benchmark's own bar."""


def _before(path: Path, until: pa.Scalar, refused: RefusedRows) -> Iterator[pa.RecordBatch]:
    for batch in read_exchanges([path], refused=refused):
        yield batch.filter(pc.less(batch["started_at"], until))

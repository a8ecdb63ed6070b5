"""Figures of a use case, measured from the exchange log and from outcomes, and what they must show.

An exchange is of the use case where its organisation, its project (if the adoption names one) and the model that was
asked for are. Refused exchanges that no key was known for are in no log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tiergate.advice.outcomes import Arm
from tiergate.advice.playbooks.adoption import Adoption
from tiergate.advice.playbooks.playbook import Playbook, Threshold

COLUMNS: Final = (
    "started_at", "organization_id", "project_id", "request_model", "status", "finish_reason", "latency_ms",
    "cost_micro_usd",
)  # fmt: skip
"""Columns of the exchange log that are read."""


class Kpi(msgspec.Struct, frozen=True, kw_only=True):
    """A figure. ``value``: None where it was not measured, and ``why`` then says why; ``met``: None likewise."""

    name: str
    value: float | None
    threshold: Threshold
    met: bool | None
    why: str = ""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """``figures``: by name, those that could be measured; ``refusals``: refused exchanges by code, most first;
    ``usd``: what the exchanges cost together; ``missing``: why figures are not there, by name, ``otherwise`` for all
    others."""

    figures: dict[str, float]
    refusals: dict[str, int]
    usd: float
    missing: dict[str, str]
    otherwise: str = "no exchange of the use case in this time"


def measure(
    batches: Iterable[pa.RecordBatch], adoption: Adoption, *, from_us: int, to_us: int, outcomes: Sequence[Arm] = ()
) -> Measured:
    """Figures of exchanges that began from ``from_us`` until before ``to_us``, microseconds, UTC. ``outcomes``: the
    arms of `tiergate.advice.outcomes`, of this use case alone."""
    latencies: list[np.ndarray] = []
    refusals: Counter[str] = Counter()
    answered = failed = refused = unpriced = micro_usd = 0
    for batch in batches:
        ours = batch.filter(_ours(batch, adoption, from_us, to_us))
        status = ours.column("status").to_numpy(zero_copy_only=False)
        good = status < 400
        answered += int(good.sum())
        failed += int((status >= 500).sum())
        refused += int(((status >= 400) & (status < 500)).sum())
        latencies.append(ours.column("latency_ms").filter(pa.array(good)).drop_null().to_numpy(zero_copy_only=False))
        micro_usd += pc.sum(ours.column("cost_micro_usd")).as_py() or 0
        unpriced += int((ours.column("cost_micro_usd").is_null().to_numpy(zero_copy_only=False) & good).sum())
        refusals.update(code or "no code" for code in ours.column("finish_reason").filter(pa.array(~good)).to_pylist())
    figures: dict[str, float] = {"exchanges": answered}
    asked, took = answered + failed + refused, np.concatenate(latencies) if latencies else np.array([])
    if answered + failed:
        figures["error_share"] = failed / (answered + failed)
    if asked:
        figures["refused_share"] = refused / asked
    if len(took):
        figures["latency_p95_ms"] = float(np.quantile(took, 0.95))
    if answered:
        figures["unpriced_share"] = unpriced / answered
        if unpriced < answered:
            figures["usd_per_exchange"] = micro_usd / 1e6 / (answered - unpriced)
    missing = {"usd_per_exchange": "no exchange has a price"} if answered and unpriced == answered else {}
    _add_outcomes(figures, missing, outcomes)
    return Measured(figures=figures, refusals=dict(refusals.most_common()), usd=micro_usd / 1e6, missing=missing)


def judge(playbook: Playbook, measured: Measured) -> list[Kpi]:
    """Each figure that ``playbook`` has a threshold for, and whether it is met."""
    return [_kpi(name, threshold, measured) for name, threshold in playbook.kpis.items()]


def _kpi(name: str, threshold: Threshold, measured: Measured) -> Kpi:
    value = measured.figures.get(name)
    if value is None:
        why = measured.missing.get(name, measured.otherwise)
        return Kpi(name=name, value=None, threshold=threshold, met=None, why=why)
    return Kpi(name=name, value=value, threshold=threshold, met=threshold.met(value))


def _add_outcomes(figures: dict[str, float], missing: dict[str, str], arms: Sequence[Arm]) -> None:
    """Of several arms the costliest counts: none may hide behind another."""
    names = ("outcomes", "accepted_share", "cost_per_accepted_usd")
    if not arms:
        missing |= dict.fromkeys(names, "no outcomes were given: --outcomes FILE")
        return
    figures["outcomes"] = sum(one.outcomes for one in arms)
    figures["accepted_share"] = sum(one.accepted for one in arms) / sum(one.outcomes for one in arms)
    if all(one.high is not None and not one.missing and not one.unpriced for one in arms):
        figures["cost_per_accepted_usd"] = max(one.high or 0.0 for one in arms)
    else:
        missing["cost_per_accepted_usd"] = "its interval has no upper end, or exchanges are missing or have no price"


def _ours(batch: pa.RecordBatch, adoption: Adoption, from_us: int, to_us: int) -> pa.Array:
    began = batch.column("started_at").cast(pa.int64())
    fits = pc.and_(pc.greater_equal(began, from_us), pc.less(began, to_us))
    same: Mapping[str, Sequence[str]] = {
        "organization_id": [adoption.organisation] if adoption.organisation else [],
        "project_id": [adoption.project] if adoption.project else [],
        "request_model": adoption.models,
    }
    for name, values in same.items():
        if values:
            column = batch.column(name).cast(pa.string())
            fits = pc.and_(fits, pc.is_in(column, value_set=pa.array(list(values), pa.string())))
    return fits

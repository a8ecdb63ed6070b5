"""Go or no-go, from what was checked and measured, with every reason against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from tiergate.advice.playbooks.findings import Finding
from tiergate.advice.playbooks.kpis import Kpi
from tiergate.advice.playbooks.playbook import Threshold

UNITS: Final = {"latency_p95_ms": " ms", "usd_per_exchange": " USD", "cost_per_accepted_usd": " USD"}


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """``go`` only where every control is in force and every figure was measured and meets its threshold; ``against``:
    each reason why not, empty where it is a go."""

    go: bool
    against: tuple[str, ...]


def decide(findings: Sequence[Finding], kpis: Sequence[Kpi], others: Sequence[str] = ()) -> Decision:
    """What follows. A control or a figure that is not known speaks against, as one that fails does, and so do
    ``others``."""
    against = [f"{one.control} is {one.state}: {one.because[0]}" for one in findings if one.state != "in force"]
    for kpi in kpis:
        if kpi.value is None:
            against.append(f"{kpi.name} was not measured: {kpi.why}")
        elif not kpi.met:
            against.append(f"{kpi.name} is {amount(kpi.name, kpi.value)}, {bounds(kpi.name, kpi.threshold)} is asked")
    against += others
    return Decision(go=not against, against=tuple(against))


def bounds(name: str, threshold: Threshold) -> str:
    """What a figure must be, in words."""
    said = [f"{amount(name, threshold.least)} or more"] if threshold.least is not None else []
    said += [f"{amount(name, threshold.most)} or less"] if threshold.most is not None else []
    return " and ".join(said)


def amount(name: str, value: float) -> str:
    """A figure as people read it."""
    if name.endswith("_share"):
        return f"{100 * value:.4g}%"
    return f"{value:,.4g}{UNITS.get(name, '')}" if name in UNITS else f"{value:,.0f}"

"""Every control of a playbook, checked against what a deployment has in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tiergate.admission.activations import day_of
from tiergate.advice.playbooks import gateway_checks, people_checks
from tiergate.advice.playbooks.adoption import FILE, Adoption
from tiergate.advice.playbooks.configuration import Configuration
from tiergate.advice.playbooks.findings import Fault, Finding, Found, Situation, finding
from tiergate.advice.playbooks.playbook import Playbook, wanted

GATES: Final[Mapping[str, Callable[[Situation], Found]]] = {
    "owners": people_checks.owners,
    "applicability": people_checks.applicability,
    "tiers": gateway_checks.tiers,
}
"""What every playbook asks."""
ASKED: Final[Mapping[str, Callable[[Situation, Any], Found]]] = {
    "rule_packs": people_checks.rule_packs,
    "membership": lambda at, _: people_checks.membership(at),
    "grants": lambda at, _: people_checks.grants(at),
    "purposes": lambda at, _: people_checks.purposes(at),
    "second_proof": lambda at, _: people_checks.second_proof(at),
    "regions": gateway_checks.regions,
    "retention_days": gateway_checks.retention_days,
    "capabilities": gateway_checks.capabilities,
    "upstreams": gateway_checks.upstreams,
    "budgets": gateway_checks.limits,
    "rates": gateway_checks.limits,
    "log": gateway_checks.log,
    "approvals": people_checks.approvals,
    "appeals": people_checks.appeals,
    "reasoning": people_checks.reasoning,
    "watch": lambda at, _: people_checks.watch(at),
    "alerts": people_checks.alerts,
    "decision_log": lambda at, _: people_checks.decision_log(at),
}
"""What a playbook's `controls` can ask, by the field that asks it."""


def controls_of(playbook: Playbook) -> list[str]:
    """Names of the controls that ``playbook`` requires, in order."""
    return [*GATES, *wanted(playbook)]


def check(playbook: Playbook, adoption: Adoption | None, here: Configuration, now_us: int) -> list[Finding]:
    """A finding for each control. Without an adoption nobody owns the use case, and all else is judged as if it had
    no model and no organisation of its own."""
    day = day_of(now_us)
    adopted = adoption or Adoption(owners={}, review_by=day, tasks=(), models=(), organisation="")
    at = Situation(playbook, adopted, here, now_us, day)
    found: dict[str, Found] = {name: look(at) for name, look in GATES.items()}
    if adoption is None:
        do = f"write a table `[{playbook.id}]` into {FILE}, as `tiergate playbook show {playbook.id}` has one"
        found["owners"] = Found("", (Fault(f"nobody adopted `{playbook.id}` here", do),))
    for name, asks in wanted(playbook).items():
        found[name] = ASKED[name](at, asks)
    return [finding(name, one) for name, one in found.items()]

"""Honest customers who look guilty: each a named population with the reason.

How they are made is in `shared_tools` (strangers with one tool, template or list) and `shared_places` (people who
share a place, a payer or a moment).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tiergate.simulation import shared_places, shared_tools
from tiergate.simulation.maker import Maker, Member


@dataclass(frozen=True, slots=True)
class HardNegative:
    """A population: how ``count`` accounts of it are made, and why it looks guilty."""

    make: Callable[[Maker, int], Iterator[Member]]
    looks_guilty: str


HARD_NEGATIVES: Final[dict[str, HardNegative]] = {
    "agency": HardNegative(shared_places.agency, "resells: many end users, subjects and clients, day and night"),
    "agent_users": HardNegative(shared_tools.agent_users, "one system prompt, client, tools and parameters for all"),
    "ci_fleet": HardNegative(shared_places.ci_fleet, "one key's worth of work from forty addresses, day and night"),
    "class_assignment": HardNegative(shared_places.class_assignment, "same address, week, hours and questions"),
    "company_egress": HardNegative(shared_places.company_egress, "dozens of accounts behind one address"),
    "corporate_vpn": HardNegative(shared_places.corporate_vpn, "few hosting addresses, and together never asleep"),
    "evaluation_harness": HardNegative(shared_tools.evaluation_harness, "one reasoning template, temperature 0"),
    "failover_clients": HardNegative(shared_tools.failover_clients, "burst at the same minutes with one client"),
    "hackathon": HardNegative(shared_places.hackathon, "fresh accounts, one venue and card, at full use at once"),
    "key_migration": HardNegative(shared_places.key_migration, "one account falls silent, a fresh one takes over"),
    "labelling_contractors": HardNegative(shared_tools.labelling_contractors, "one grading template, one payer"),
    "nightly_batch": HardNegative(shared_tools.nightly_batch, "one template and client, by the clock, from hosting"),
    "office": HardNegative(shared_places.office, "two addresses, the same hours, some on one company card"),
    "popular_template_users": HardNegative(shared_tools.popular_template_users, "one template over many accounts"),
    "reasoning_audit": HardNegative(shared_tools.reasoning_audit, "asks for written-out reasoning in a fixed form"),
    "release_day_benchmarkers": HardNegative(shared_tools.release_day_benchmarkers, "turns to a new model in hours"),
    "saas_tenants": HardNegative(shared_tools.saas_tenants, "one template, client, egress and card"),
    "student_programme": HardNegative(shared_places.student_programme, "free sign-ups of one week on one network"),
    "support_bots": HardNegative(shared_tools.support_bots, "nearly one system prompt, day and night"),
    "translators": HardNegative(shared_tools.translators, "one client, one template, one side of the earth"),
}

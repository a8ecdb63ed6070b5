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
    """A population: how ``count`` accounts of it are made, and a sentence on why it looks guilty."""

    make: Callable[[Maker, int], Iterator[Member]]
    looks_guilty: str


HARD_NEGATIVES: Final[dict[str, HardNegative]] = {
    "agency": HardNegative(
        shared_places.agency,
        "A few accounts ask about everything with many clients, day and night, as a pool that is resold does.",
    ),
    "agent_users": HardNegative(
        shared_tools.agent_users,
        "Many strangers send one system prompt with the same client, tools and parameters.",
    ),
    "ci_fleet": HardNegative(
        shared_places.ci_fleet,
        "Accounts on one card ask from forty short-lived hosting addresses around the clock.",
    ),
    "class_assignment": HardNegative(
        shared_places.class_assignment,
        "Accounts of one week send the same questions from one address in the same hours.",
    ),
    "company_egress": HardNegative(
        shared_places.company_egress,
        "Dozens of accounts that declare no common owner ask from one address.",
    ),
    "corporate_vpn": HardNegative(
        shared_places.corporate_vpn,
        "Accounts of one mail domain share a few hosting addresses and together never sleep.",
    ),
    "evaluation_harness": HardNegative(
        shared_tools.evaluation_harness,
        "Many accounts ask for step-by-step reasoning with one template at temperature 0.",
    ),
    "failover_clients": HardNegative(
        shared_tools.failover_clients,
        "Accounts with one client burst at the same minutes and are silent in between.",
    ),
    "hackathon": HardNegative(
        shared_places.hackathon,
        "Fresh accounts at one address, most on one card, are at full use from their first hour.",
    ),
    "key_migration": HardNegative(
        shared_places.key_migration,
        "One account falls silent as a fresh one takes its work over at once, as after a ban.",
    ),
    "labelling_contractors": HardNegative(
        shared_tools.labelling_contractors,
        "Accounts grade with one rubric template, and more than half of them have one payer.",
    ),
    "nightly_batch": HardNegative(
        shared_tools.nightly_batch,
        "Accounts on hosting addresses send one template with one client by the clock.",
    ),
    "office": HardNegative(
        shared_places.office,
        "Accounts at two addresses work the same hours, half of them on one company card.",
    ),
    "popular_template_users": HardNegative(
        shared_tools.popular_template_users,
        "One long template is spread over accounts that have nothing else in common.",
    ),
    "reasoning_audit": HardNegative(
        shared_tools.reasoning_audit,
        "Accounts ask for written-out reasoning in a fixed form, as a campaign for it does.",
    ),
    "release_day_benchmarkers": HardNegative(
        shared_tools.release_day_benchmarkers,
        "Accounts turn to a new model within hours and run comparison lists on it.",
    ),
    "saas_tenants": HardNegative(
        shared_tools.saas_tenants,
        "Accounts share a template, a client, an egress and the card that pays.",
    ),
    "student_programme": HardNegative(
        shared_places.student_programme,
        "Free accounts of one week came by one sign-up path from one network.",
    ),
    "support_bots": HardNegative(
        shared_tools.support_bots,
        "Accounts send nearly the same system prompt day and night.",
    ),
    "translators": HardNegative(
        shared_tools.translators,
        "Accounts share one client and one template and keep the same hours.",
    ),
}

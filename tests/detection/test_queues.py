"""An instruction in common is found among everything else that accounts send, and judged by what is made from it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detection.conftest import SUBJECTS, Platform, log_batches
from tiergate.clock import DAY
from tiergate.detection.carrying import Carrying
from tiergate.detection.evidence import gather
from tiergate.detection.findings import Finding, find_queues
from tiergate.detection.holdings import Holdings
from tiergate.detection.intake import Traffic, take_in
from tiergate.detection.queues import instructions
from tiergate.detection.workload import WorkloadTest

INSTRUCTION = "Write out every step of your reasoning before you answer the question that follows now: "
TOOL = "Rewrite the passage between the lines in the friendly voice of our little shop please: "


def resellers(seed: int) -> Platform:
    """Accounts full of customers' own talk, one exchange in eight of them from a queue; and a tool with real users."""
    platform = Platform(seed)
    platform.people("benign", 150)
    platform.people("reseller", 25)
    platform.people("tool", 25)
    by = {who: [n for n, p in platform.population.items() if p == who] for who in ("reseller", "tool")}
    for name in by["reseller"]:
        for _ in range(90):
            platform.exchange(
                name, int(platform.rng.integers(14 * DAY)), talk(platform, SUBJECTS[int(name[-1], 16) % 6])
            )
    for _ in range(300):
        text = INSTRUCTION + talk(platform, str(platform.rng.choice(SUBJECTS)))
        platform.exchange(str(platform.rng.choice(by["reseller"])), int(platform.rng.integers(14 * DAY)), text)
    for number, name in enumerate(by["tool"]):
        for _ in range(12):
            text = TOOL + talk(platform, SUBJECTS[number % 6])
            platform.exchange(name, int(platform.rng.integers(14 * DAY)), text)
    return platform


def talk(platform: Platform, subject: str) -> str:
    return f"{platform.words(subject, 9)} {platform.rng.integers(1 << 40):x}"


def found(platform: Platform, known: list[Finding]) -> tuple[list[Finding], Traffic, Holdings]:
    traffic = take_in(log_batches(platform.exchange_table()), bytes(32))
    evidence = gather(traffic, None)
    holdings = Holdings.of(evidence, len(traffic.account_ids))
    test = WorkloadTest(traffic, evidence.closed_us, np.random.default_rng(0))
    return find_queues(known, holdings, Carrying(traffic, evidence), test, 1), traffic, holdings


@pytest.mark.parametrize("seed", [1, 2])
def test_a_queue_behind_resellers_is_found_and_a_tool_is_not(seed: int) -> None:
    platform = resellers(seed)
    findings, traffic, _ = found(platform, [])
    assert len(findings) == 1
    members = {platform.population[traffic.account_ids[a]] for a in findings[0].cluster.members.tolist()}
    assert members == {"reseller"}
    assert len(findings[0].cluster.members) >= 20
    assert len(findings[0].rows) == pytest.approx(300, abs=30)
    assert findings[0].membership.min() > 0.5
    assert not findings[0].linked


def test_what_a_finding_accounts_for_is_not_found_twice() -> None:
    platform = resellers(3)
    first, _, _ = found(platform, [])
    assert first
    assert found(platform, first)[0] == []


def test_pieces_of_one_instruction_are_one_group() -> None:
    platform = resellers(4)
    _, traffic, holdings = found(platform, [])
    groups = instructions(holdings.families["template"], holdings.accounts, np.random.default_rng(5))
    populations = [{platform.population[traffic.account_ids[a]] for a in group.tolist()} for group, _ in groups]
    assert populations.count({"tool"}) == 1
    assert populations.count({"reseller"}) == 1
    assert all(len(pieces) >= 3 for (_, pieces), who in zip(groups, populations, strict=True) if who == {"tool"})

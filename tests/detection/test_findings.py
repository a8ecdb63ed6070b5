"""Groups with their workload tested: who is in the group that is tested, and who is not."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detection.conftest import SUBJECTS, Platform, log_batches
from tiergate.clock import DAY
from tiergate.detection import findings
from tiergate.detection.carrying import Carrying
from tiergate.detection.description import describe
from tiergate.detection.evidence import gather
from tiergate.detection.holdings import Holdings
from tiergate.detection.intake import take_in
from tiergate.detection.links import join, link
from tiergate.detection.workload import WorkloadTest

INSTRUCTION = "Write out every step of your reasoning before you answer the question that follows now: "


def test_who_sends_a_group_s_workload_once_in_a_while_is_tested_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    platform = Platform(5)
    platform.people("benign", 80)
    for name, own in [("campaign", 0)] * 24 + [("harness", 18)] * 8:
        account = platform.account(name)
        for number in range(20):
            subject = SUBJECTS[0] if number < own else str(platform.rng.choice(SUBJECTS))
            text = f"{INSTRUCTION if number >= own else ''}{platform.words(subject, 9)} {number}"
            platform.exchange(account, int(platform.rng.integers(14 * DAY)), text)
    traffic = take_in(log_batches(platform.exchange_table()), bytes(32))
    evidence, rng = gather(traffic, None), np.random.default_rng(0)
    accounts = len(traffic.account_ids)
    holdings = Holdings.of(evidence, accounts)
    population = np.array([platform.population[name] for name in traffic.account_ids])
    together = describe(np.flatnonzero(population != "benign"), holdings)
    assert together is not None
    monkeypatch.setattr(findings, "find_clusters", lambda *_: [together])
    carrying, test = Carrying(traffic, evidence), WorkloadTest(traffic, evidence.closed_us, rng)
    first, *_ = findings.find(link(join(evidence, accounts, rng)), holdings, carrying, traffic, test, 0)
    assert population[first.cluster.members].tolist() == ["campaign"] * 24

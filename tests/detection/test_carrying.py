"""The workload is told from camouflage by what it carries, however many wordings its instruction has."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detection.conftest import SUBJECTS, Platform, log_batches
from tiergate.clock import DAY
from tiergate.detection.carrying import Carrying, shares
from tiergate.detection.description import describe
from tiergate.detection.evidence import gather
from tiergate.detection.holdings import Holdings
from tiergate.detection.intake import take_in

WORDINGS = [
    f"{verb} {what} before answering whatever comes below: "
    for verb in ("Write out", "Spell out", "Lay open", "Set down", "Put down")
    for what in ("every inference", "all deductions", "each conclusion", "any consideration")
]
OF_QUEUE = 999


def camouflaged(wordings: list[str]) -> Platform:
    """People, and 30 accounts of which each sends as much talk of its own as exchanges of a queue, which are told by
    their output tokens."""
    platform = Platform(3)
    platform.people("benign", 120)
    for _ in range(30):
        name = platform.account("campaign")
        own = SUBJECTS[platform.rng.integers(len(SUBJECTS))]
        for number in range(24):
            queue = number % 2 == 0
            wording = str(platform.rng.choice(wordings)) if queue else ""
            subject = str(platform.rng.choice(SUBJECTS)) if queue else own
            # Sketches keep 8 words of a message: among so many, an instruction's are seldom kept.
            passage = " ".join("".join(word) for word in platform.rng.choice(list("etaoinshrdlu"), (40, 7)))
            text = f"{wording}{platform.words(subject, 6)} {passage}"
            at = int(platform.rng.integers(14 * DAY))
            platform.exchange(name, at, text, output_tokens=OF_QUEUE if queue else 100)
    return platform


@pytest.mark.parametrize(("number", "most"), [(1, 0.9), (4, 0.4), (len(WORDINGS), 0.9)])
def test_wordings_are_one_workload_and_camouflage_is_none(number: int, most: float) -> None:
    platform = camouflaged(WORDINGS[:number])
    traffic = take_in(log_batches(platform.exchange_table()), bytes(32))
    evidence = gather(traffic, None)
    holdings = Holdings.of(evidence, len(traffic.account_ids))
    members = np.flatnonzero([platform.population[name] == "campaign" for name in traffic.account_ids])
    rows = np.flatnonzero(np.isin(traffic.account, members))
    cluster = describe(members, holdings)
    assert cluster is not None
    found = Carrying(traffic, evidence).workload(cluster, holdings, rows)
    queue = rows[traffic.output_tokens[rows] == OF_QUEUE]
    assert np.isin(queue, found).mean() > most
    assert np.isin(found, queue).mean() > 0.9


def test_shares_are_by_account_ascending() -> None:
    assert shares(np.array([4, 4, 2]), np.array([2, 2, 4, 4, 7])).tolist() == [0.5, 1.0, 0.0]

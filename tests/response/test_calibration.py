"""What cases turned out to be says how far stated confidence is believed, and never more than was stated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from tiergate.response.calibration import Calibration, Judged

chances = st.floats(0, 1)
judged = st.lists(st.builds(Judged, chances, st.booleans()), max_size=60)


@given(judged, chances, st.integers(0, 30))
def test_confidence_is_never_raised_and_few_judgements_change_nothing(
    rows: list[Judged], stated: float, needed: int
) -> None:
    told = Calibration(rows, needed)
    assert 0 <= told.believed(stated) <= stated
    if len(rows) < needed or not needed:
        assert told.believed(stated) == stated
    assert sum(row.judged for row in told.table) == len(rows)
    assert all(row.low <= row.share <= row.high for row in told.table)
    assert all(row.least - 1e-9 <= row.stated <= row.below + 1e-9 for row in told.table)


@pytest.mark.parametrize(
    ("held", "missed", "believed"),
    [(20, 0, 0.995), (19, 1, 0.995), (17, 3, pytest.approx(0.581, abs=1e-3)), (0, 20, 0.0), (17, 2, 0.995)],
)
def test_outcomes_that_contradict_it_lower_what_is_believed(held: int, missed: int, believed: float) -> None:
    told = Calibration([Judged(0.995, True)] * held + [Judged(0.995, False)] * missed, 20)
    assert told.believed(0.995) == believed
    assert told.believed(0.96) == 0.96  # another row


def test_the_interval_is_jeffreys() -> None:
    (row,) = Calibration([Judged(0.97, True)] * 8 + [Judged(0.97, False)] * 2, 1).table
    assert (row.judged, row.held, row.share) == (10, 8, 0.8)
    assert (row.low, row.high) == pytest.approx(tuple(beta.ppf([0.005, 0.995], 8.5, 2.5)))


def test_the_score_is_briers_and_a_calibrated_detector_is_left_alone() -> None:
    rng = np.random.default_rng(1)
    stated = rng.uniform(0.5, 1.0, 4_000)
    told = Calibration([Judged(float(one), bool(rng.random() < one)) for one in stated], 20)
    assert told.brier == pytest.approx(float(np.mean(stated * (1 - stated))), abs=0.01)
    assert told.believed(0.97) == 0.97
    assert Calibration([], 20).brier is None

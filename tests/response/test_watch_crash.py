"""A watch that is killed at any moment ends where one does that never was; one beside a gateway ends with it."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from benchmarks.watch_crash import crash_both, crash_watch


def test_killed_at_random_the_watch_ends_where_it_would_have(tmp_path: Path) -> None:
    outcome = crash_watch(tmp_path, kills=4, seed=5)
    assert outcome["verdicts"] >= 15
    assert outcome["alerts"] >= 2
    assert all(outcome[name] for name in ("same_cases", "same_verdicts", "same_history", "same_alerts")), outcome
    assert (outcome["alerts_twice"], outcome["ids_with_two_bodies"]) == (0, 0)


# A client whose server is killed under it can leave its socket to the collector, which is called here, or else some
# other test would be blamed.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_killed_under_load_gateway_and_watch_lose_nothing(tmp_path: Path) -> None:
    outcome = crash_both(tmp_path, kills=3, seed=2, load_seconds=3.0)
    gc.collect()
    assert outcome["gateways_killed"]
    assert outcome["watches_killed"]
    assert outcome["answered"] > 20
    assert (outcome["missing"], outcome["doubled"], outcome["watches_that_outlived"]) == (0, 0, 0)
    assert outcome["cases"] == outcome["cases_told"]
    assert outcome["cases"]
    assert (outcome["alerts_not_sent"], outcome["ids_with_two_bodies"]) == (0, 0)

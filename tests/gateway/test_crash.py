"""An answer that a customer has is in the log, once, whatever kills the gateway."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from benchmarks.gateway_crash import crash


# A client whose server is killed under it can leave its socket to the collector, which is called here, or else some
# other test would be blamed.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_killed_under_load_the_gateway_loses_no_finished_answer(tmp_path: Path) -> None:
    outcome = crash(tmp_path, kills=3, load_seconds=2.0, seed=7)
    gc.collect()
    assert outcome["answered"] > 50
    assert (outcome["missing"], outcome["doubled"]) == (0, 0)

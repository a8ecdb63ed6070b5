"""A peer's scores of a world, in a process of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from benchmarks.detection.peers import PEERS


def score(world: str, peer: str, scores: str) -> int:
    """Score the accounts of ``world`` with ``peer`` into the file ``scores`` (.npy). Returns how many there are."""
    exchanges, accounts = (pq.read_table(Path(world) / f"{name}.parquet") for name in ("exchanges", "accounts"))
    made = PEERS[peer].score(exchanges, accounts)
    np.save(scores, made)
    return len(made)

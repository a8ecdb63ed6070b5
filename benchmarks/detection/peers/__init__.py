"""Other published detectors, re-implemented from their papers or rules as baselines.

Each peer turns an exchange log with text and its accounts into one suspicion score per account, in the order of the
sorted distinct account ids of the exchanges; higher is more suspicious. Thresholds are the source's where it
gives any; the others, and those that were chosen on a tuning world, are stated in the peer's file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from benchmarks.detection.peers import aa26_251a, components, fraudar, glasswally, mmd, sybilkit, synchrotrap, volume
from benchmarks.detection.peers.common import F64


@dataclass(frozen=True, slots=True)
class Peer:
    """A baseline: where it comes from, and how it scores accounts from exchanges and accounts."""

    name: str
    source: str
    score: Callable[[pa.Table, pa.Table], F64]


PEERS: Final[dict[str, Peer]] = {
    peer.name: peer
    for peer in (
        Peer("volume", volume.SOURCE, volume.score),
        Peer("aa26_251a", aa26_251a.SOURCE, aa26_251a.score),
        Peer("components", components.SOURCE, components.score),
        Peer("synchrotrap", synchrotrap.SOURCE, synchrotrap.score),
        Peer("fraudar", fraudar.SOURCE, fraudar.score),
        Peer("mmd", mmd.SOURCE, mmd.score),
        Peer("glasswally", glasswally.SOURCE, glasswally.score),
        Peer("sybilkit", sybilkit.SOURCE, sybilkit.score),
    )
}

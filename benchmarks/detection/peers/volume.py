"""Per-account volume threshold: the rate limit that every provider has, as a detector.

The threshold itself is left to the benchmark, which sets it by the false-positive rate; the score is the number of
exchanges in an account's busiest day (UTC). Source: the per-principal limits asked for by OWASP AISVS 1.0, 11.2.2.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa
from benchmarks.detection.peers.common import DAY, F64, account_index, busiest, times

SOURCE: Final = "Per-principal volume limit, OWASP AISVS 1.0 (2026) 11.2.2, https://github.com/OWASP/AISVS"


def score(exchanges: pa.Table, accounts: pa.Table) -> F64:  # noqa: ARG001 - every peer takes both tables
    """Most exchanges in one day (accounts,)."""
    names, account = account_index(exchanges)
    return busiest(len(names), account, times(exchanges) // DAY)

"""Connected components of accounts that share an identifier: the plain "linked accounts" rule.

Accounts are joined when they hold the same payment instrument, phone, mail address, sign-up address or client
address. An identifier held by more than `MOST_HOLDERS` accounts (a carrier's gateway, an office) joins nobody, which
is the usual patch against one giant component; BotGraph (NSDI 2009) raises edge weights instead. Score: accounts in
the component.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from benchmarks.detection.peers.common import (
    F64,
    account_codes,
    account_index,
    codes,
    components,
    distinct_pairs,
    held_by,
    stacked,
)

SOURCE: Final = (
    "Components of shared identifiers; cf. BotGraph, NSDI 2009, "
    "https://www.usenix.org/conference/nsdi-09/botgraph-large-scale-spamming-botnet-detection"
)

MOST_HOLDERS: Final = 50
IDENTIFIERS: Final = ("payment_hash", "phone_hash", "email_hash", "signup_address")


def score(exchanges: pa.Table, accounts: pa.Table) -> F64:
    """Size of each account's component (accounts,); 1 for an account linked to no other."""
    names, account = account_index(exchanges)
    own = np.arange(len(names))
    parts = [distinct_pairs(account, codes(exchanges, "client_address")[0])]
    parts += [distinct_pairs(own, account_codes(accounts, names, column)) for column in IDENTIFIERS]
    left, right = stacked(parts)
    kept = held_by(right, 2, MOST_HOLDERS)
    component = components(len(names), left[kept], right[kept])
    return np.bincount(component)[component].astype(np.float64) if len(names) else np.zeros(0)

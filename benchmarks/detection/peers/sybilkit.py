"""The decision rule of sybilkit 0.1.1 on API accounts: never one family of evidence, never a small group.

sybilkit scores clusters of Ethereum wallets: union-find over behavioural edges draws the components, weaker evidence
may corroborate inside a component but never merge two, a component needs at least 2 families of evidence and 5
members, and its confidence is the noisy-OR of the families' strengths. The rule is kept, its families are replaced:
identity (payment, phone, mail), network (client and sign-up address) and template (an opening or system prompt of at
least 3 of the account's exchanges) draw components; client (user agent with TLS fingerprint) and sign-up (same day
and path) corroborate where 90 % of the members, sybilkit's coverage, agree. Strengths take the place of sybilkit's of
the same kind (0.9 exact, 0.85 and 0.7 corroborating). Simplified: a value held by more than 5 % of all accounts (and
200) draws nothing, standing in for sybilkit's time windows; no discount for aged accounts.

Score: confidence, ties broken by size; 0 outside a kept component.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from benchmarks.detection.peers.common import (
    DAY,
    F64,
    I64,
    account_codes,
    account_index,
    account_values,
    codes,
    components,
    distinct_pairs,
    held_by,
    largest,
    openings,
    stacked,
)

SOURCE: Final = "sybilkit 0.1.1 (2026), https://pypi.org/project/sybilkit/0.1.1/"

LEAST_MEMBERS, LEAST_FAMILIES = 5, 2
COVERAGE: Final = 0.9
HABIT: Final = 3
STRENGTH: Final = {"identity": 0.9, "network": 0.75, "template": 0.8, "client": 0.7, "sign-up": 0.85}


def score(exchanges: pa.Table, accounts: pa.Table) -> F64:
    """Confidence in the account's cluster, then its size (accounts,)."""
    names, account = account_index(exchanges)
    n = len(names)
    if not n:
        return np.zeros(0)
    own = np.arange(n)

    def of_account(column: str) -> tuple[I64, I64]:
        return distinct_pairs(own, account_codes(accounts, names, column))

    system = codes(exchanges, "system_text")[0]
    most = max(200.0, 0.05 * n)
    drawing = {
        "identity": stacked([of_account(column) for column in ("payment_hash", "phone_hash", "email_hash")]),
        "network": stacked(
            [distinct_pairs(account, codes(exchanges, "client_address")[0]), of_account("signup_address")]
        ),
        "template": stacked([_habits(account, thing) for thing in (openings(exchanges), system)]),
    }
    drawing = {name: _capped(pairs, most) for name, pairs in drawing.items()}
    component = components(n, *stacked(list(drawing.values())))
    size = np.bincount(component, minlength=n)
    doubt, families = np.ones(n), np.zeros(n)

    agent = codes(exchanges, "user_agent")[0]
    tls, kinds = codes(exchanges, "tls_fingerprint")
    client = np.where((agent >= 0) & (tls >= 0), agent * (len(kinds) + 1) + tls, -1)
    corroborating = {
        "client": distinct_pairs(account, np.unique(client, return_inverse=True)[1] - int(client.min() < 0)),
        "sign-up": _signups(accounts, names),
    }
    seen = {name: np.bincount(component[left], minlength=n) > 0 for name, (left, _) in drawing.items()}
    seen |= {name: _agreed(component, size, pairs) >= COVERAGE for name, pairs in corroborating.items()}
    for name, has in seen.items():
        doubt = np.where(has, doubt * (1 - STRENGTH[name]), doubt)
        families += has
    kept = (size >= LEAST_MEMBERS) & (families >= LEAST_FAMILIES)
    return np.where(kept, 1 - doubt + 1e-6 * size / n, 0.0)[component]


def _capped(pairs: tuple[I64, I64], most: float) -> tuple[I64, I64]:
    kept = held_by(pairs[1], 2, most)
    return pairs[0][kept], pairs[1][kept]


def _habits(account: I64, thing: I64) -> tuple[I64, I64]:
    """Pairs that come up at least `HABIT` times."""
    known = thing >= 0
    if not known.any():
        return np.empty(0, np.int64), np.empty(0, np.int64)
    width = int(thing.max()) + 1
    key, count = np.unique(account[known] * width + thing[known], return_counts=True)
    key = key[count >= HABIT]
    return key // width, key % width


def _signups(accounts: pa.Table, names: list[str]) -> tuple[I64, I64]:
    created = account_values(accounts, names, "created_at")
    path = account_codes(accounts, names, "signup_path")
    day = np.array([-1 if at is None else int(at) // DAY for at in created], np.int64)
    return distinct_pairs(np.arange(len(names)), np.where(day < 0, -1, day * (int(path.max()) + 2) + path + 1))


def _agreed(component: I64, size: I64, pairs: tuple[I64, I64]) -> F64:
    """Largest share of each component's members that hold one and the same value."""
    left, right = pairs
    if not len(left):
        return np.zeros(len(size))
    width = int(right.max()) + 1
    key, count = np.unique(component[left] * width + right, return_counts=True)
    share = count / size[key // width]
    return largest(len(size), key // width, share)

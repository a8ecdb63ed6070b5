"""Links: pairs of accounts that share surprising tokens.

The weight of a shared token is its surprise against the base rate, ``log(accounts / holders)`` in nats: the
log-odds of Fellegi and Sunter (1969) with the agreement of true pairs taken as sure. What most accounts have in
common weighs next to nothing; nothing is thrown away for being shared by many. Tokens with one cause do not add
up: of those that come from one tool, one place or one customer the most surprising counts. Conduct adds its two
families, timing and lifecycle. A link needs two causes, which is stricter than two families.

Finding pairs costs no more than linear time in the tokens held. A token of up to `FULL_JOIN` accounts contributes
all its pairs. A larger one contributes each account's neighbours in two orders of its holders, by conduct and at
random (the sorted neighbourhood of record linkage, Hernández and Stolfo 1995): enough to keep a group connected,
however many accounts share it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from tiergate.detection.arrays import distinct
from tiergate.detection.evidence import CAUSES, Evidence, Kind

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

FULL_JOIN: Final = 96
NEIGHBOURS: Final = (1, 2, 3, 5)
LEAST_SURPRISE: Final = 1.0
"""Nats below which a token neither proposes pairs nor counts as a cause: it is held by more than a third."""

LEAST_REMAINDER: Final = 2.5
"""Nats that a link needs beyond its strongest cause. That cause proposed the pair; an account is proposed some 8
neighbours in each of two orders, of whom by chance one in twelve agrees to this extent: about one link a token.
Loose on purpose: clusters are judged later by what they share."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Unordered pairs of accounts: ``key`` (pairs,) ascending, ``low * accounts + high``; ``weight`` in nats."""

    key: I64
    weight: F64

    def of(self, key: I64) -> F64:
        """Weights (keys,) of the pairs ``key``, 0 for those that are not here."""
        if not len(self.key):
            return np.zeros(len(key))
        at = np.minimum(np.searchsorted(self.key, key), len(self.key) - 1)
        return np.where(self.key[at] == key, self.weight[at], 0.0)


@dataclass(frozen=True, slots=True)
class Join:
    """Pairs by cause (tool, place, customer) and, for conduct, each account's tokens as columns.

    ``conduct`` has one entry a family: codes (accounts, kinds) with -1 for none, and surprises by kind and code.
    """

    accounts: int
    by_cause: dict[str, Pairs]
    conduct: dict[str, tuple[I64, list[F64]]]

    def permuted(self, places: I64, customers: I64, conducts: I64) -> Join:
        """The same join with the identifiers of each cause dealt to other accounts (a decoy).

        Each argument (accounts,) says which account receives what an account had. Tool evidence stays with the
        traffic, so that users of one tool remain users of one tool.
        """
        moved = {
            "tool": self.by_cause["tool"],
            "place": _relabelled(self.by_cause["place"], places, self.accounts),
            "customer": _relabelled(self.by_cause["customer"], customers, self.accounts),
        }
        source = np.argsort(conducts)
        conduct = {family: (codes[source], surprise) for family, (codes, surprise) in self.conduct.items()}
        return replace(self, by_cause=moved, conduct=conduct)


@dataclass(frozen=True, slots=True)
class Links:
    """Edges of the graph: ``low`` and ``high`` (links,) accounts, ``weight`` (links,) nats, by cause (links, 4)."""

    low: I64
    high: I64
    weight: F64
    causes: F64


def join(evidence: Evidence, accounts: int, rng: np.random.Generator) -> Join:
    """Find the pairs that share tokens, cause by cause."""
    conduct = {family: _columns(evidence.of(family), accounts) for family in CAUSES["conduct"]}
    orders = [_conduct_order(conduct, accounts, rng), rng.permutation(accounts)]
    by_cause = {}
    for cause in ("tool", "place", "customer"):
        kinds = [kind for family in CAUSES[cause] for kind in evidence.of(family)]
        by_cause[cause] = _strongest([_propose(kind, accounts, orders) for kind in kinds])
    return Join(accounts, by_cause, conduct)


def link(joined: Join) -> Links:
    """Edges: pairs with two causes or more, whose weights beyond the strongest cause pass the bar."""
    keys = distinct(np.concatenate([pairs.key for pairs in joined.by_cause.values()]))
    low, high = np.divmod(keys, joined.accounts)
    weights = np.zeros((len(keys), len(CAUSES)))
    for column, cause in enumerate(CAUSES):
        if cause == "conduct":
            weights[:, column] = sum(
                (_agreement(codes, surprise, low, high) for codes, surprise in joined.conduct.values()),
                np.zeros(len(keys)),
            )
        else:
            weights[:, column] = joined.by_cause[cause].of(keys)
    total = weights.sum(axis=1)
    remainder = total - weights.max(axis=1, initial=0.0)
    kept = ((weights >= LEAST_SURPRISE).sum(axis=1) >= 2) & (remainder >= LEAST_REMAINDER)
    return Links(low[kept], high[kept], total[kept], weights[kept])


def surprise(kind: Kind) -> F64:
    """Surprise of each token of a kind, in nats."""
    holders = np.asarray(kind.holds.sum(axis=0)).ravel()
    return np.log(kind.holds.shape[0] / holders)


def _propose(kind: Kind, accounts: int, orders: list[I64]) -> tuple[I64, F64]:
    """Pairs that tokens of one kind propose, with repeats."""
    holds = kind.holds.tocsc()
    weight = surprise(kind)
    holders = np.diff(holds.indptr)
    keys: list[I64] = []
    weights: list[F64] = []
    for size in np.unique(holders[(holders <= FULL_JOIN) & (weight >= LEAST_SURPRISE)]):
        tokens = np.flatnonzero(holders == size)
        members = np.sort(holds.indices[holds.indptr[tokens][:, None] + np.arange(size)].astype(np.int64), axis=1)
        first, second = np.triu_indices(size, 1)
        keys.append((members[:, first] * accounts + members[:, second]).ravel())
        weights.append(np.repeat(weight[tokens], len(first)))
    for token in np.flatnonzero((holders > FULL_JOIN) & (weight >= LEAST_SURPRISE)):
        members = holds.indices[holds.indptr[token] : holds.indptr[token + 1]].astype(np.int64)
        for order in orders:
            line = members[np.argsort(order[members])]
            for step in NEIGHBOURS:
                one, other = line, np.roll(line, -step)
                keys.append(np.minimum(one, other) * accounts + np.maximum(one, other))
                weights.append(np.full(len(line), weight[token]))
    if not keys:
        return np.empty(0, np.int64), np.empty(0)
    return np.concatenate(keys), np.concatenate(weights)


def _strongest(proposals: list[tuple[I64, F64]]) -> Pairs:
    """Each pair once, with its most surprising token."""
    key = np.concatenate([np.empty(0, np.int64), *(keys for keys, _ in proposals)])
    weight = np.concatenate([np.empty(0), *(weights for _, weights in proposals)])
    order = np.lexsort((weight, key))
    key, weight = key[order], weight[order]
    last = np.append(key[1:] != key[:-1], True) if len(key) else np.empty(0, bool)
    return Pairs(key[last], weight[last])


def _relabelled(pairs: Pairs, to: I64, accounts: int) -> Pairs:
    low, high = np.divmod(pairs.key, accounts)
    one, other = to[low], to[high]
    key = np.minimum(one, other) * accounts + np.maximum(one, other)
    order = np.argsort(key, kind="stable")
    return Pairs(key[order], pairs.weight[order])


def _columns(kinds: list[Kind], accounts: int) -> tuple[I64, list[F64]]:
    """Tokens of kinds in which an account has at most one, as a table of codes."""
    codes = np.full((accounts, len(kinds)), -1, np.int64)
    for column, kind in enumerate(kinds):
        rows = kind.holds.tocoo()
        codes[rows.row, column] = rows.col
    return codes, [surprise(kind) for kind in kinds]


def _agreement(codes: I64, surprises: list[F64], low: I64, high: I64) -> F64:
    """Weight of the most surprising token that each pair shares within one family of conduct."""
    best = np.zeros(len(low))
    for column, weight in enumerate(surprises):
        one = codes[low, column]
        same = (one >= 0) & (one == codes[high, column])
        best[same] = np.maximum(best[same], weight[one[same]])
    return best


def _conduct_order(conduct: dict[str, tuple[I64, list[F64]]], accounts: int, rng: np.random.Generator) -> I64:
    """Rank of each account when those of like conduct stand together."""
    columns = [codes for codes, _ in conduct.values()]
    table = np.concatenate([rng.permutation(accounts)[:, None], *columns], axis=1)
    rank = np.empty(accounts, np.int64)
    rank[np.lexsort(table.T)] = np.arange(accounts)
    return rank

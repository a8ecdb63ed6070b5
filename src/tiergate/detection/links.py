"""Links: pairs of accounts that agree by two causes, weighed by what agreement and disagreement were learnt to say.

`join` prepares the platform once: blocks that propose pairs (`blocking`), matrices to compare them by, and weights
learnt without labels (`weights`). `link` then compares the proposed pairs and keeps those with two causes, which is
stricter than two families: of tokens that come from one tool, one place or one customer the most telling counts.
Conduct adds its families.

A pair that agrees by its tool and its conduct alone must reach the bar by either; the conduct of such pairs is looked
at first, as there are most of them. A pair that agrees by place or customer is compared as a whole. Pairs are never
held before they are compared: they come from the blocks in batches, and only those that may become links are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tiergate.detection.arrays import distinct, row_max
from tiergate.detection.blocking import AT_RANDOM, BY_CONDUCT, Blocks
from tiergate.detection.evidence import Evidence, Kind
from tiergate.detection.families import CAUSES, FAMILIES
from tiergate.detection.weights import Weights, learn

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

LEAST_SURPRISE: Final = 1.0
"""Nats below which a token neither proposes pairs nor counts as a cause: it is held by more than a third."""

LEAST_REMAINDER: Final = 2.5
"""Nats of agreement that a link needs beyond its strongest cause. That cause proposed the pair; an account is proposed
some 8 neighbours in each of two orders, of whom by chance one in twelve agrees to this extent: about one link a token.
Loose on purpose: clusters are judged later by what they share."""

SAMPLE: Final = 1 << 16
"""Pairs to learn weights from, of strangers and of the candidates of each cause."""

CHUNK: Final = 1 << 17
"""Pairs compared at a time."""


@dataclass(frozen=True, slots=True)
class Conduct:
    """Tokens of conduct, at most one of a kind: ``codes`` (rows, kinds), -1 for none; ``surprise`` (rows, kinds) of
    each; ``family`` of each kind."""

    codes: I32
    surprise: F32
    family: tuple[str, ...]

    def kinds(self, family: str) -> list[int]:
        return [kind for kind, name in enumerate(self.family) if name == family]


@dataclass(frozen=True, slots=True)
class Join:
    """What pairs are proposed and compared by.

    ``holds`` by family (rows, tokens) CSR of surprises; ``blocks`` by family, but for conduct; ``rows`` by cause
    (accounts,): the row each account has; ``shuffled``: the accounts in random order.
    """

    accounts: int
    holds: dict[str, sp.csr_array]
    blocks: dict[str, Blocks]
    conduct: Conduct
    rows: dict[str, I64]
    shuffled: I64
    weights: Weights

    def permuted(self, places: I64, customers: I64, conducts: I64) -> Join:
        """The same join with the identifiers of each cause dealt to other accounts (a decoy).

        Each argument (accounts,) says which account receives what an account had. Tool evidence stays with the
        traffic, so that users of one tool remain users of one tool.

        Weights stay those of the platform. A decoy asks how far chance gets under the rule that was applied to it;
        learnt anew, a decoy would be judged by another rule: where causes are dealt independently of each other few
        pairs belong together, so the prior on ``m`` would stand and decoys would score by it.
        """
        dealt = {"place": places, "customer": customers, "conduct": conducts}
        return replace(self, rows=self.rows | {cause: self.rows[cause][np.argsort(to)] for cause, to in dealt.items()})

    def orders(self) -> dict[int, I64]:
        """Accounts in the orders that large blocks have neighbours in: those of like conduct together, and shuffled.

        A decoy's order is by its own conduct, so that it has the same chance as the platform to find what is alike.
        """
        codes = self.conduct.codes[self.rows["conduct"][self.shuffled]]
        alike = self.shuffled[np.lexsort(codes.T)] if codes.size else self.shuffled
        return {BY_CONDUCT: alike, AT_RANDOM: self.shuffled}


@dataclass(frozen=True, slots=True)
class Links:
    """Edges of the graph: ``low`` and ``high`` (links,) accounts, ascending; ``weight`` (links,) nats, and ``causes``
    (links, 4) that it is the sum of, in the order of `CAUSES`: below 0 where the accounts disagree."""

    low: I64
    high: I64
    weight: F64
    causes: F32


def join(evidence: Evidence, accounts: int, rng: np.random.Generator) -> Join:
    """Prepare what pairs are proposed and compared by, and learn the weights."""
    holds, blocks, ranges = {}, {}, {}
    for cause, families in CAUSES.items():
        for name in families:
            kinds = evidence.of(name)
            if not kinds:
                continue
            tokens = np.concatenate([surprise(kind) for kind in kinds]).astype(np.float32)
            ranges[name] = (float(tokens.min()), float(tokens.max()))
            if cause != "conduct":
                holds[name] = _side_by_side(kinds, tokens)
                blocks[name] = Blocks.of(holds[name], tokens, LEAST_SURPRISE)
    conduct = _conduct([kind for name in CAUSES["conduct"] for kind in evidence.of(name)], accounts)
    rows = dict.fromkeys(CAUSES, np.arange(accounts))
    joined = Join(accounts, holds, blocks, conduct, rows, rng.permutation(accounts), Weights({}, {}))
    candidates = {cause: _compare(joined, *_sample(joined, cause, rng)) for cause in CAUSES if cause != "conduct"}
    return replace(joined, weights=learn(candidates, _compare(joined, *_strangers(accounts, rng)), ranges))


def link(joined: Join) -> Links:
    """Edges: pairs that agree by two causes or more, and beyond the strongest by enough to pass the bar.

    Disagreement makes a link weigh less; it has no say in the bar, since who evades could then buy a link off with it.
    """
    keys = distinct(np.concatenate([np.empty(0, np.int64), *_candidates(joined)]))
    edges: list[tuple[I64, F32]] = [(np.empty(0, np.int64), np.empty((0, len(CAUSES)), np.float32))]
    for at in range(0, len(keys), CHUNK):
        low, high = keys[at : at + CHUNK] >> 32, keys[at : at + CHUNK] & 0xFFFFFFFF
        agree, against = joined.weights.odds(_compare(joined, low, high))
        remainder = agree.sum(axis=1) - agree.max(axis=1)
        causes = agree + against
        kept = ((agree >= LEAST_SURPRISE).sum(axis=1) >= 2) & (remainder >= LEAST_REMAINDER) & (causes.sum(axis=1) > 0)
        edges.append((keys[at : at + CHUNK][kept], causes[kept].astype(np.float32)))
    del keys
    key = np.concatenate([key for key, _ in edges])
    by_cause = np.concatenate([causes for _, causes in edges])
    weight = np.asarray(by_cause.sum(axis=1, dtype=np.float64))
    return Links(key >> 32, key & 0xFFFFFFFF, weight, by_cause)


def surprise(kind: Kind) -> F64:
    """Surprise of each token of a kind, in nats."""
    # A sample of accounts may hold none of a token.
    holders = np.maximum(np.bincount(kind.holds.indices, minlength=kind.holds.shape[1]), 1)
    return np.asarray(np.log(kind.holds.shape[0] / holders))


def _candidates(joined: Join) -> Iterator[I64]:
    """Keys of proposed pairs that may become links, with repeats."""
    orders = joined.orders()
    for cause, families in CAUSES.items():
        for name in families:
            if name not in joined.blocks:
                continue
            bar = LEAST_REMAINDER if cause == "tool" else LEAST_SURPRISE
            least = bar - float(np.log(joined.weights.families[name].m))
            account = np.argsort(joined.rows[cause])
            for one, other, _ in joined.blocks[name].pairs(account, orders, least):
                if cause == "tool":
                    kept = _behave_alike(joined, one, other)
                    one, other = one[kept], other[kept]
                yield distinct(_key(one, other))


def _key(one: I32 | I64, other: I32 | I64) -> I64:
    return np.minimum(one, other).astype(np.int64) << 32 | np.maximum(one, other).astype(np.int64)


def _compare(joined: Join, low: I64, high: I64) -> F32:
    """Surprises (pairs, families) as `Weights.by_cause` takes them.

    Only conduct can lack data: elsewhere, holding none of the tokens that any two accounts share is itself a fact.
    """
    table = np.full((len(low), len(FAMILIES)), np.nan, np.float32)
    for cause, families in CAUSES.items():
        if cause == "conduct":
            continue
        rows = joined.rows[cause]
        for name in families:
            if name in joined.holds:
                holds = joined.holds[name]
                for at in range(0, len(low), CHUNK):
                    part = slice(at, at + CHUNK)
                    shared = holds[rows[low[part]]].minimum(holds[rows[high[part]]])
                    table[part, FAMILIES.index(name)] = row_max(shared.data, np.diff(shared.indptr))
    conduct = _conduct_of(joined, low, high)
    for column, name in enumerate(CAUSES["conduct"]):
        table[:, FAMILIES.index(name)] = conduct[:, column]
    return table


def _conduct_of(joined: Join, one: I64, other: I64) -> F32:
    """Surprises (pairs, families of conduct) of the most surprising class shared, 0 for none, NaN for no data."""
    rows, conduct = joined.rows["conduct"], joined.conduct
    known = (conduct.codes[rows[one]] >= 0) & (conduct.codes[rows[other]] >= 0)
    shared = np.where(known, _shared_conduct(joined, one, other), np.nan)
    table = np.full((len(one), len(CAUSES["conduct"])), np.nan, np.float32)
    for column, name in enumerate(CAUSES["conduct"]):
        for kind in conduct.kinds(name):
            table[:, column] = np.fmax(table[:, column], shared[:, kind])
    return table


def _shared_conduct(joined: Join, one: I32 | I64, other: I32 | I64) -> F32:
    """Surprises (pairs, kinds of conduct) of the classes shared, 0 for none."""
    rows, conduct = joined.rows["conduct"], joined.conduct
    mine = rows.take(one)
    alike = conduct.codes.take(mine, axis=0) == conduct.codes.take(rows.take(other), axis=0)
    # Those without data have the surprise 0, so that -1 == -1 adds nothing.
    return np.asarray(conduct.surprise.take(mine, axis=0) * alike)


def _behave_alike(joined: Join, one: I32, other: I32) -> npt.NDArray[np.bool_]:
    """Whether pairs agree by conduct to the extent that `link` asks for."""
    agree = np.zeros(len(one), np.float32)
    shared = _shared_conduct(joined, one, other)
    for name in CAUSES["conduct"]:
        kinds = joined.conduct.kinds(name)
        if kinds:
            best = shared[:, kinds[0]]
            for kind in kinds[1:]:
                best = np.maximum(best, shared[:, kind])
            agree += np.where(best > 0, joined.weights.families[name].agreement(best), 0)
    return agree >= LEAST_REMAINDER


def _sample(joined: Join, cause: str, rng: np.random.Generator) -> tuple[I64, I64]:
    """Distinct candidates that ``cause`` proposes, all or about `SAMPLE` of them, but for those chosen by conduct."""
    orders, account = {AT_RANDOM: joined.shuffled}, np.argsort(joined.rows[cause])
    blocks = [joined.blocks[name] for name in CAUSES[cause] if name in joined.blocks]
    share = SAMPLE / max(1, sum(one.count((AT_RANDOM,)) for one in blocks))
    keys = [np.empty(0, np.int64)]
    for some in blocks:
        for one, other, _ in some.pairs(account, orders, LEAST_SURPRISE):
            chosen = rng.random(len(one)) < share if share < 1 else slice(None)
            keys.append(_key(one[chosen], other[chosen]))
    key = distinct(np.concatenate(keys))
    return key >> 32, key & 0xFFFFFFFF


def _strangers(accounts: int, rng: np.random.Generator) -> tuple[I64, I64]:
    """Random pairs; all pairs where that is no more."""
    if accounts * (accounts - 1) // 2 <= SAMPLE:
        first, second = np.triu_indices(accounts, 1)
        return first, second
    one, other = rng.integers(0, accounts, (2, SAMPLE))
    return one[one != other], other[one != other]


def _side_by_side(kinds: list[Kind], surprises: F32) -> sp.csr_array:
    """All tokens of a family, each entry the surprise of its token."""
    holds = sp.csr_array(sp.hstack([kind.holds for kind in kinds], format="csr"))
    holds.sort_indices()
    return sp.csr_array((surprises[holds.indices], holds.indices, holds.indptr), shape=holds.shape)


def _conduct(kinds: list[Kind], accounts: int) -> Conduct:
    codes = np.full((accounts, len(kinds)), -1, np.int32)
    surprises = np.zeros((accounts, len(kinds)), np.float32)
    for column, kind in enumerate(kinds):
        has = np.flatnonzero(np.diff(kind.holds.indptr) > 0)
        codes[has, column] = kind.holds.indices[kind.holds.indptr[has]]
        surprises[has, column] = surprise(kind)[codes[has, column]]
    return Conduct(codes, surprises, tuple(kind.family for kind in kinds))

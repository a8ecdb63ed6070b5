"""Weights of agreement and disagreement, learnt without labels.

A pair of accounts is compared family by family: no data (one of them has none), disagreement (they share nothing), or
agreement on a token. With ``m`` the probability that accounts which belong together agree in a family, and ``u`` that
two strangers do, the log-odds are (Fellegi and Sunter 1969)

    agreement on a token    log(m / u_token)          no data   0
    disagreement            log((1 - m) / (1 - u))

where ``u_token`` is the share of accounts that hold the token: the adjustment for frequency of Winkler (1989), so that
agreement on a rare token says more than on a common one. ``u`` is counted on random pairs. ``m`` and the share of pairs
that belong together are fitted to the candidate pairs by expectation-maximisation (Winkler 1988), on whether a family
agrees, not on which token: of many tokens an account has some rare one in common with nearly anybody, and a fit that
believed each at its own frequency would take strangers for one group. Safeguards:

- *Candidates agree by construction in the cause that proposed them.* That cause is left out when a pair is weighed, so
  the ``m`` of a family is learnt from pairs that other causes proposed, and each proposing cause has a share of its
  own. Callers leave out pairs that were chosen for their conduct.
- *Families of one cause are not independent*: the E-step takes the mean of their log-odds; those of conduct add up.
- *Nobody may belong together.* Then there is nothing to learn from, and a Beta prior on ``m`` (`PRIOR`) stands; the
  prior on the share expects few (`PRIOR_SHARE`). ``m`` stays within `BOUNDS` and at `LEAST_RATIO` times ``u`` or more,
  and the share at `MOST_SHARE` or less, or the fit could explain strangers by a class of strangers.
- *Who evades controls what disagrees.* Disagreement takes at most `MOST_AGAINST` nats, for each cause as a whole: so
  much, no more, is bought by rotating one kind of identifier, however firmly its ``m`` is believed. Where those who
  belong together seldom agree, ``m`` is small and disagreement says next to nothing.

No randomness, a fixed bound on steps, and sums over pairs only: the same comparisons give the same weights. What is
learnt is how accounts agree that belong together for any reason, offices and classes among them; whether a reason is
innocent is judged later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tiergate.detection.families import CAUSES, FAMILIES

F64 = npt.NDArray[np.float64]
Surprises = npt.NDArray[np.floating[Any]]
"""(pairs, families): nats of the most surprising token shared, 0 for disagreement, NaN for no data."""

PRIOR: Final = (16.0, 4.0)
"""Beta prior on ``m``, as pairs that belong together and agree or do not: mean 0.8."""

PRIOR_SHARE: Final = (1.0, 19.0)
"""Beta prior on the share of candidates that belong together: one in twenty."""

BOUNDS: Final = (0.1, 0.98)
LEAST_RATIO: Final = 1.5
MOST_SHARE: Final = 0.5

MOST_AGAINST: Final = 2.0
"""Nats that disagreement by one cause takes at most."""

STEPS: Final = 40
SETTLED: Final = 1e-4
"""Change of the largest parameter below which expectation-maximisation stops."""


@dataclass(frozen=True, slots=True)
class FamilyWeight:
    """Of one family: ``m``, ``u``; ``pairs`` compared to learn ``m``; surprise of its commonest and rarest token."""

    m: float
    u: float
    pairs: int
    commonest: float
    rarest: float

    @property
    def disagreement(self) -> float:
        """Nats, from `MOST_AGAINST` below nothing to nothing."""
        return float(np.clip(np.log((1 - self.m) / (1 - self.u)), -MOST_AGAINST, 0.0))

    def agreement(self, surprise: Surprises) -> Surprises:
        """Nats of agreement on tokens of ``surprise``: ``log(m / u_token)``, never less than nothing."""
        return np.asarray(np.maximum(surprise + np.float32(np.log(self.m)), np.float32(0)))


@dataclass(frozen=True, slots=True)
class Weights:
    """What was learnt, by family (those without data are absent), and by proposing cause the share of its candidates
    that belong together."""

    families: dict[str, FamilyWeight]
    shares: dict[str, float]

    def odds(self, surprises: Surprises) -> tuple[F64, F64]:
        """Log-odds (pairs, causes) for and against, columns in the order of `CAUSES`; ``surprises`` (pairs, families)
        in the order of `FAMILIES`.

        Families of a tool, a place or a customer are one piece of evidence: the strongest agreement counts, or where
        none agrees the firmest disagreement. Those of conduct add up.
        """
        agree, against = np.zeros((2, len(surprises), len(CAUSES)))
        for column, (cause, names) in enumerate(CAUSES.items()):
            for name in names:
                if name not in self.families:
                    continue
                one, surprise = self.families[name], surprises[:, FAMILIES.index(name)]
                weight = np.where(surprise > 0, one.agreement(surprise), 0.0)
                less = np.where(surprise == 0, one.disagreement, 0.0)
                if cause == "conduct":
                    agree[:, column] += weight
                    against[:, column] += less
                else:
                    np.maximum(agree[:, column], weight, out=agree[:, column])
                    np.minimum(against[:, column], less, out=against[:, column])
            if cause != "conduct":
                against[agree[:, column] > 0, column] = 0.0
        return agree, np.maximum(against, -MOST_AGAINST)

    def table(self) -> pa.Table:
        """One row a family (`WEIGHTS_SCHEMA`): what was learnt, and what agreement weighs from the commonest token to
        the rarest."""
        rows = [
            {
                "family": name,
                "m": one.m,
                "u": one.u,
                "pairs": one.pairs,
                "disagreement": one.disagreement,
                "least_agreement": float(one.agreement(np.array(one.commonest))),
                "most_agreement": float(one.agreement(np.array(one.rarest))),
            }
            for name, one in self.families.items()
        ]
        return pa.Table.from_pylist(rows, WEIGHTS_SCHEMA)


WEIGHTS_SCHEMA: Final = pa.schema(
    [
        ("family", pa.string()),
        ("m", pa.float64()),
        ("u", pa.float64()),
        ("pairs", pa.int64()),
        ("disagreement", pa.float64()),
        ("least_agreement", pa.float64()),
        ("most_agreement", pa.float64()),
    ]
)


def learn(candidates: dict[str, Surprises], strangers: Surprises, ranges: dict[str, tuple[float, float]]) -> Weights:
    """Fit the weights.

    :param candidates: by proposing cause, surprises (pairs, families) in the order of `FAMILIES`.
    :param strangers: the same of random pairs.
    :param ranges: surprise of the commonest and of the rarest token, of each family that has data.
    """
    names = list(ranges)
    at = [FAMILIES.index(name) for name in names]
    counted = [_Comparisons.of(cause, some[:, at], names) for cause, some in candidates.items() if len(some)]
    known = ~np.isnan(strangers[:, at])
    u = ((strangers[:, at] > 0).sum(axis=0) + 0.5) / (known.sum(axis=0) + 1)
    least = np.minimum(np.maximum(BOUNDS[0], LEAST_RATIO * u), BOUNDS[1])
    m = np.clip(PRIOR[0] / sum(PRIOR), least, BOUNDS[1])
    shares = np.full(len(counted), PRIOR_SHARE[0] / sum(PRIOR_SHARE))
    for _ in range(STEPS):
        agree, compared = np.full(len(names), PRIOR[0]), np.full(len(names), sum(PRIOR))
        new_shares = np.empty(len(counted))
        for number, (one, share) in enumerate(zip(counted, shares, strict=True)):
            belong = one.number * one.belonging(m, u, share)
            new_shares[number] = (belong.sum() + PRIOR_SHARE[0]) / (one.number.sum() + sum(PRIOR_SHARE))
            agree += np.where(one.outside, belong @ one.agrees, 0.0)
            compared += np.where(one.outside, belong @ one.known, 0.0)
        new_shares = np.minimum(new_shares, MOST_SHARE)
        new_m = np.clip(agree / compared, least, BOUNDS[1])
        change = max(np.abs(new_m - m).max(initial=0.0), np.abs(new_shares - shares).max(initial=0.0))
        m, shares = new_m, new_shares
        if change < SETTLED:
            break
    pairs = sum((np.where(one.outside, one.number @ one.known, 0.0) for one in counted), np.zeros(len(names)))
    families = {
        name: FamilyWeight(float(m[i]), float(u[i]), int(pairs[i]), *ranges[name]) for i, name in enumerate(names)
    }
    return Weights(families, {one.cause: float(share) for one, share in zip(counted, shares, strict=True)})


@dataclass(frozen=True, slots=True)
class _Comparisons:
    """Candidates of one cause by their pattern of comparison: ``number`` (patterns,) of each; ``agrees`` and ``known``
    (patterns, families); ``outside`` (families,): those that the proposing cause does not touch; ``groups``: families
    of the other causes, and whether they add up."""

    cause: str
    number: F64
    agrees: F64
    known: F64
    outside: npt.NDArray[np.bool_]
    groups: tuple[tuple[npt.NDArray[np.int64], bool], ...]

    @classmethod
    def of(cls, proposing: str, surprises: Surprises, names: list[str]) -> _Comparisons:
        level = np.where(np.isnan(surprises), 0, np.where(surprises > 0, 2, 1)) @ 3 ** np.arange(len(names))
        number = np.bincount(level, minlength=1)
        pattern = np.flatnonzero(number)
        levels = pattern[:, None] // 3 ** np.arange(len(names)) % 3
        outside = np.array([name not in CAUSES[proposing] for name in names], bool)
        groups = tuple(_groups(proposing, names))
        return cls(
            proposing,
            number[pattern].astype(float),
            (levels == 2).astype(float),
            (levels > 0).astype(float),
            outside,
            groups,
        )

    def belonging(self, m: F64, u: F64, share: float) -> F64:
        """Probability (patterns,) of belonging together, by all causes but the proposing one."""
        odds = self.agrees * np.log(m / u) + (self.known - self.agrees) * np.log((1 - m) / (1 - u))
        total = np.full(len(self.number), np.log(share / (1 - share)))
        for some, adds_up in self.groups:
            total += odds[:, some].sum(axis=1) / (1 if adds_up else len(some))
        return np.asarray(1 / (1 + np.exp(-np.clip(total, -30, 30))))


def _groups(proposing: str, names: list[str]) -> Iterable[tuple[npt.NDArray[np.int64], bool]]:
    for cause, families in CAUSES.items():
        some = np.array([i for i, name in enumerate(names) if name in families], np.int64)
        if cause != proposing and len(some):
            yield some, cause == "conduct"

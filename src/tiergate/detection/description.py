"""What a group of accounts has in common, and what it is worth to say so.

The worth of a group follows the minimum description length principle: naming ``n`` of ``N`` accounts costs about
``log(N / n) + 1`` nats a member, and what the members share by one cause pays back at most ``log(N / n)``. A group
that shares one thing, however perfectly (the users of one tool, the people behind one address), is therefore never
worth its cost; a second cause, which the first does not explain, is what remains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tiergate.detection.arrays import row_max
from tiergate.detection.families import CAUSES
from tiergate.detection.holdings import Family, Holdings

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

SMALLEST: Final = 3
"""Members a cluster needs: two accounts that share two things are commonly one person."""

COHERENT: Final = ("template",)
"""Families in which members must share the same tokens and not just any: two tools with a prompt each are two groups,
even where their users behave alike. Cards and addresses come in small lots also within one campaign."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What members of a group share of one family. ``gain``: nats a member, averaged; ``best``: the most telling
    token, of ``kind``, with its ``holders`` in the group and base ``rate``; ``sharing``: share of members who have
    some token in common with another member."""

    family: str
    kind: str
    gain: float
    best: int
    holders: int
    rate: float
    sharing: float


@dataclass(frozen=True, slots=True)
class Cluster:
    """A group of accounts, ``members`` (n,) ascending.

    ``shared`` by cause: its families with a gain, best first; ``cost`` of naming the group and ``worth`` beyond it, in
    nats a member; ``same_organization``: share of members who declare the one most of them declare, 0 below half.
    """

    members: I64
    shared: dict[str, list[Shared]]
    cost: float
    same_organization: float
    worth: float

    @property
    def saving(self) -> float:
        """Nats saved in all: what decides between descriptions of overlapping groups."""
        return self.worth * len(self.members)

    @property
    def strength(self) -> float:
        """``worth`` times the square root of the members: how far a mean of that many stands from chance."""
        return self.worth * float(np.sqrt(len(self.members)))


def describe(members: I64, holdings: Holdings) -> Cluster | None:
    """What ``members`` (n,) share and what naming them is worth; None for too few, or most of the platform."""
    n, accounts = len(members), holdings.accounts
    if n < SMALLEST or n > accounts // 2:
        return None
    shared: dict[str, list[Shared]] = {}
    for cause, families in CAUSES.items():
        measured = [_share(holdings.families[name], members) for name in families if name in holdings.families]
        by_family = [one for one in measured if one is not None and one.gain > 0]
        by_family.sort(key=lambda one: -one.gain)
        shared[cause] = by_family
    cost = float(np.log(accounts / n) + 1)
    known = holdings.organization[members]
    declared = np.bincount(known[known >= 0]).max(initial=0) / n if (known >= 0).any() else 0.0
    same = float(declared) if declared >= 0.5 else 0.0
    gains = sum(one.gain for cause in shared for one in counted(cause, shared[cause]))
    # A declared organisation is an open reason to act as one: it explains one cause.
    worth = gains - cost - same * float(np.log(accounts / n))
    return Cluster(members, shared, cost, same, float(worth))


def counted(cause: str, shared: list[Shared]) -> list[Shared]:
    """The families of a cause that count. A tool, a place or a customer explains all its families at once: the
    strongest stands for them. Timing and lifecycle, the families of conduct, both count."""
    return shared if cause == "conduct" else shared[:1]


def _share(family: Family, members: I64) -> Shared | None:
    """Mean gain of describing members' tokens by the group's own frequencies rather than the base rates.

    A member's gain is ``log((1 - s) + s * p / u)`` for its best token: ``s`` the share of members who share any
    token, ``p`` the token's frequency among the *other* members (leave one out, so that a member never counts as
    its own company), ``u`` its base rate. Members without data gain nothing.
    """
    n = len(members)
    token, length = family.tokens(members)
    if not len(token):
        return None
    ratio, count = _ratios(family, token, n)
    if family.name in COHERENT:
        ratio = np.where(
            beside(int(token[np.argmax(count * np.log(np.maximum(ratio, 1.0)))]), token, length), ratio, 0.0
        )
    top = row_max(ratio, length)
    sharing = float((top > 0).sum() + 0.5) / (n + 1)
    gain = np.where(known(family, length), np.log1p(sharing * (top - 1)), 0.0)
    best = int(np.argmax(count * np.log(np.maximum(ratio, 1.0))))
    kind, rate = family.kinds[family.kind[token[best]]], float(family.rate[token[best]])
    share = float((top > 0).mean())
    return Shared(family.name, kind, float(gain.mean()), int(token[best]), int(count[best]), rate, share)


def _ratios(family: Family, token: I64, n: int) -> tuple[F64, I64]:
    """For each token of ``n`` members: its frequency among the other members against its base rate (0 where that is no
    more than chance brings), and how many members have it."""
    count = np.bincount(token)[token]
    ratio = (count - 1) / (n - 1) / family.rate[token]
    return np.where(worth_naming(count, family.rate[token], n, len(family.rate)), ratio, 0.0), count


def beside(best: int, token: I64, length: I64) -> npt.NDArray[np.bool_]:
    """For each token of members, whether at least half of its holders hold the token ``best`` too."""
    has = np.repeat(row_max((token == best).astype(float), length) > 0, length)
    width = int(token.max(initial=0)) + 1
    with_best = np.bincount(token[has], minlength=width)
    return np.asarray((2 * with_best >= np.bincount(token, minlength=width))[token])


def worth_naming(count: I64, rate: F64, n: int, tokens: int) -> npt.NDArray[np.bool_]:
    """Whether ``count`` of ``n`` members holding a token of base ``rate`` is worth naming it among the ``tokens`` of
    its family: its Poisson log-likelihood ratio must pay for the name. Accounts hold many words and phrases, and any
    hundred accounts have some rare one in common by chance."""
    expected = n * rate
    saved = count * np.log(np.maximum(count, 1) / expected) - (count - expected)
    return np.asarray((count >= 2) & (count > expected) & (saved > np.log(max(tokens, 1))))


def known(family: Family, length: I64) -> npt.NDArray[np.bool_]:
    """Whose tokens are known, by how many each has. Too little traffic leaves conduct unknown; elsewhere, holding none
    of the tokens that any two accounts share is itself a fact: the account has its own."""
    return (length > 0) | (family.name not in CAUSES["conduct"])

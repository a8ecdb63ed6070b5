"""Membership: how well accounts fit the description of a group.

An account belongs when the description explains its tokens better than the base rates do by more than the prior odds
against membership; describing and re-drawing in turn is the hard EM of a two-component mixture, group against all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tiergate.detection.arrays import row_max
from tiergate.detection.description import COHERENT, Cluster, Shared, beside, counted, known, worth_naming
from tiergate.detection.families import CAUSES
from tiergate.detection.holdings import Family, Holdings
from tiergate.detection.links import LEAST_SURPRISE

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

LEAST_CORE: Final = 3
"""Tokens that half of the members hold, from which holding few of them makes an account unlike a member."""

LEAST_SPREAD: Final = 0.25
"""Standard deviation of the share of core tokens that members are allowed at least."""

MOST_ODDITY: Final = 5.0
"""Nats that this can take from an account: one with little traffic cannot show the whole instruction."""

LEAST_PIECES: Final = 2
"""Core tokens that a newcomer must hold to be taken for a member who had no time to show more: strangers share one."""

EXCLUSIVE: Final = 0.9
"""Share of earlier holders of so many who are members, from which an instruction is the group's own and no public one:
from then on newcomers are judged by it."""

MOST_BELIEVED: Final = 4.0
"""Nats that an instruction may say for an account's membership."""

LET_IN: Final = 1.4
"""Log-odds, four to one, from which a small account is let into a group whose workload is believed."""


def worded_anew(cluster: Cluster, holdings: Holdings) -> bool:
    """Whether the members' instruction has no pieces in common, only a vocabulary."""
    tokens = telling_tokens(cluster, holdings, "template", 0.5)
    template = holdings.families.get("template")
    return template is not None and not any(template.kinds[k] == "template" for k in template.kind[tokens].tolist())


def telling_tokens(cluster: Cluster, holdings: Holdings, family: str, share: float) -> I64:
    """Tokens of ``family`` that tell the cluster and that at least ``share`` of its members hold, ascending."""
    for some in cluster.shared.values():
        for one in some:
            if one.family == family:
                profile = _profile(one, holdings.families[family], cluster.members)
                return profile.token[profile.count >= max(2, share * len(cluster.members))]
    return np.empty(0, np.int64)


def membership(cluster: Cluster, holdings: Holdings, prior: float = 0.0) -> F64:
    """Probability (n,) that each member belongs, by what it has in common with the others; ``prior``: nats that
    something else speaks for all of them."""
    n = len(cluster.members)
    odds = _log_odds(cluster, holdings, cluster.members).sum(axis=1) + prior - np.log((holdings.accounts - n) / n)
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -30, 30))))


def admitted(cluster: Cluster, holdings: Holdings, recent: npt.NDArray[np.bool_]) -> tuple[I64, F64]:
    """Members (k,) of a group whose workload is believed, and their probabilities (k,): accounts too small to have met
    the bar by themselves are let in.

    What holds the group together, the queue's instruction above all, says as much for a small account as it is true of
    larger ones: of those whose timing is known, the share that are members. The other causes add to that.

    :param recent: accounts (accounts,) that have just come, as a second pool does: they have no conduct yet to be
        unlike in, and had no time to show all of an instruction.
    """
    n, leading = len(cluster.members), _leading(cluster)
    some = np.union1d(_candidates(cluster, holdings, 1), cluster.members)
    seen = (
        holdings.families["timing"].tokens(some)[1] > 0 if "timing" in holdings.families else np.ones(len(some), bool)
    )
    newcomer = ~seen & recent[some]
    odds = _log_odds(cluster, holdings, some, newcomer)
    fits, member = odds >= LEAST_SURPRISE, np.isin(some, cluster.members)
    large = fits[:, leading] & seen
    conduct = list(CAUSES).index("conduct")
    odds[newcomer, conduct] = np.maximum(odds[newcomer, conduct], 0.0)
    share = float(member[large].sum() + 0.5) / float(large.sum() + 1)
    total = odds.sum(axis=1) - odds[:, leading] + min(float(np.log(share / (1 - share))), MOST_BELIEVED)
    let_in = fits[:, leading] & (total > LET_IN)
    total = np.where(member, np.maximum(total, odds.sum(axis=1) - np.log((holdings.accounts - n) / n)), total)
    inside = let_in | member
    return some[inside], np.asarray(1 / (1 + np.exp(-np.clip(total[inside], -30, 30))))


def redrawn(cluster: Cluster, holdings: Holdings) -> I64:
    """Accounts that fit the description by more than the prior odds, by the cause that most holds the group together
    (conduct apart), and by another: as for links, one thing in common, however strong, makes nobody a member, and two
    firms whose machines behave alike are two groups."""
    n = len(cluster.members)
    some = _candidates(cluster, holdings, 2)
    odds = _log_odds(cluster, holdings, some)
    fits = odds >= LEAST_SURPRISE
    enough = odds.sum(axis=1) > np.log((holdings.accounts - n) / n)
    return np.asarray(some[fits[:, _leading(cluster)] & (fits.sum(axis=1) >= 2) & enough])


def _leading(cluster: Cluster) -> int:
    """Column of the cause, conduct apart, that members share most of."""
    gains = [sum(one.gain for one in counted(cause, cluster.shared[cause])) for cause in CAUSES if cause != "conduct"]
    return int(np.argmax(gains))


def _candidates(cluster: Cluster, holdings: Holdings, least: int) -> I64:
    """Accounts (ascending) that hold a telling token of ``least`` causes or more: nobody else can be a member."""
    causes = np.zeros(holdings.accounts, np.int8)
    for shared in cluster.shared.values():
        held = np.zeros(holdings.accounts, bool)
        for one in shared:
            profile = _profile(one, holdings.families[one.family], cluster.members)
            held[holdings.families[one.family].holders(profile.token)] = True
        causes += held
    return np.flatnonzero(causes >= least)


def _log_odds(
    cluster: Cluster, holdings: Holdings, accounts: I64, newcomer: npt.NDArray[np.bool_] | None = None
) -> F64:
    """Log-odds (k, causes) that each of ``accounts`` (k,) fits the cluster's description better than the base rates.

    Families of one cause are averaged by their gains, so that an account which lacks the template that the others
    share is not taken for having their client, but the template stands for itself; those of conduct are summed.
    ``newcomer`` (k,): who has sent too little to show all of an instruction.
    """
    odds = np.zeros((len(accounts), len(CAUSES)))
    fixed = not worded_anew(cluster, holdings)
    for at, (cause, shared) in enumerate(cluster.shared.items()):
        whole = 1.0 if cause == "conduct" else sum(one.gain for one in shared)
        unlike, instruction = np.zeros(len(accounts)), np.full(len(accounts), -np.inf)
        for one in shared:
            weight = 1.0 if cause == "conduct" else one.gain / whole
            fit, oddity = _family_odds(one, holdings.families[one.family], cluster.members, accounts, newcomer)
            odds[:, at] += weight * fit
            # Of conduct an account has one class of each kind at most, and the less traffic the fewer.
            unlike = unlike if cause == "conduct" else np.minimum(unlike, oddity)
            if one.family == "template" and fixed:
                instruction = fit
        # Who holds a fixed instruction needs neither the others' client nor enough traffic to show what is asked for.
        odds[:, at] = np.maximum(odds[:, at], instruction) + unlike
    return odds


@dataclass(frozen=True, slots=True)
class _Profile:
    """Telling tokens of a group in one family: ``token`` (k,) ascending, how many members hold each, the ratio of that
    to the base rate, and whether it is ``core``: held by half of the members."""

    token: I64
    count: I64
    ratio: F64
    core: npt.NDArray[np.bool_]


def _profile(one: Shared, family: Family, members: I64) -> _Profile:
    n = len(members)
    held, length = family.tokens(members)
    token, place, count = np.unique(held, return_inverse=True, return_counts=True)
    telling = worth_naming(count, family.rate[token], n, len(family.rate))
    if family.name in COHERENT:
        telling[place[~beside(int(np.searchsorted(token, one.best)), place, length)]] = False
    token, count = token[telling], count[telling]
    core = 2 * count >= n
    # Kinds stand in order of firmness: whole pieces of a template before words, of which it takes traffic to show many.
    for kind in range(len(family.kinds)):
        if (core & (family.kind[token] == kind)).sum() >= LEAST_CORE:
            core &= family.kind[token] == kind
            break
    return _Profile(token, count, count / n / family.rate[token], core)


def _family_odds(
    one: Shared, family: Family, members: I64, accounts: I64, newcomer: npt.NDArray[np.bool_] | None
) -> tuple[F64, F64]:
    """Log-odds (k,) by the most telling token that each of ``accounts`` shares with the group, and how unlike a member
    it is (k,): at most 0."""
    n = len(members)
    profile = _profile(one, family, members)
    if not len(profile.token):
        return np.zeros(len(accounts)), np.zeros(len(accounts))
    token, length = family.tokens(accounts)
    at = np.minimum(np.searchsorted(profile.token, token), len(profile.token) - 1)
    shared = profile.token[at] == token
    # A member is no company for itself.
    inside = np.repeat(np.isin(accounts, members), length)
    ratio = np.where(inside, (profile.count[at] - 1) / max(n - 1, 1) / family.rate[token], profile.ratio[at])
    top = row_max(np.where(shared, ratio, 0.0), length)
    # Sharing is never taken as certain: one missing token must not exclude an account by itself.
    sharing = min(one.sharing, 0.98)
    fit = np.where(known(family, length), np.log1p(sharing * (top - 1)), 0.0)
    has = np.where(shared & profile.core[at], 1.0, 0.0)
    member = np.isin(accounts, members)
    oddity, pieces = _oddity(profile, has, length, member)
    if newcomer is None:
        return fit, oddity
    # Of the instruction it must show some, if that is the group's own; it may have a client of its own.
    showing = pieces >= LEAST_PIECES
    earlier = member[showing & ~newcomer]
    own = family.name != "template" or (len(earlier) > 0 and earlier.mean() >= EXCLUSIVE)
    excused = newcomer & (showing | (family.name != "template")) if own else np.zeros(len(accounts), bool)
    return fit, np.where(excused, 0.0, oddity)


def _oddity(profile: _Profile, has: F64, length: I64, member: npt.NDArray[np.bool_]) -> tuple[F64, F64]:
    """How much fewer of the group's core tokens an account holds than members do, as a normal log-density (k,); and how
    many it holds (k,).

    Who shares one phrase with a campaign's instruction is explained by the phrase; who works off its queue holds the
    instruction. Median and mean deviation stand for the members, some of whom may not belong.
    """
    core = int(profile.core.sum())
    held = np.bincount(np.repeat(np.arange(len(length)), length), has, len(length)).astype(np.float64)
    if core < LEAST_CORE or not member.any():
        return np.zeros(len(length)), held
    covered = held / core
    usual = float(np.median(covered[member]))
    spread = max(float(np.median(np.abs(covered[member] - usual))) * 1.48, LEAST_SPREAD)
    return -np.minimum(np.maximum(usual - covered, 0) ** 2 / (2 * spread**2), MOST_ODDITY), held

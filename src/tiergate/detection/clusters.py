"""Clusters: groups of accounts that share more than it costs to name them.

Leiden communities of the link graph (Traag, Waltman, van Eck 2019) propose groups. Each is then described by what
its members share, and re-drawn: an account belongs when the description explains its tokens better than the base
rates do by more than the prior odds against membership. A few rounds of this are the hard EM of a two-component
mixture, group against everybody.

The worth of a group follows the minimum description length principle: naming ``n`` of ``N`` accounts costs about
``log(N / n) + 1`` nats a member, and what the members share by one cause pays back at most ``log(N / n)``. A group
that shares one thing, however perfectly (the users of one tool, the people behind one address), is therefore never
worth its cost; a second cause, which the first does not explain, is what remains.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import graspologic_native
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tiergate.detection.arrays import Ints, row_max, runs
from tiergate.detection.evidence import CAUSES, FAMILIES, Evidence
from tiergate.detection.links import LEAST_SURPRISE, Links

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

SMALLEST: Final = 3
"""Members a cluster needs: two accounts that share two things are commonly one person."""

ROUNDS: Final = 5
COHERENT: Final = ("template",)
"""Families in which members must share the same tokens and not just any: two tools with a prompt each are two groups,
even where their users behave alike. Cards and addresses come in small lots also within one campaign."""

LEAST_CORE: Final = 3
"""Tokens that half of the members hold, from which holding few of them makes an account unlike a member."""

LEAST_SPREAD: Final = 0.25
"""Standard deviation of the share of core tokens that members are allowed at least."""

MOST_ODDITY: Final = 5.0
"""Nats that this can take from an account: one with little traffic cannot show the whole instruction."""

MOST_BELIEVED: Final = 4.0
"""Nats that an instruction may say for an account's membership."""

LET_IN: Final = 1.4
"""Log-odds, four to one, from which a small account is let into a group whose workload is believed."""

STRONGEST_LINKS: Final = 12
MANY: Final = 200_000
STRONGEST_LINKS_OF_MANY: Final = 6
"""Links of an account that communities are found in; half on large platforms, whose graph must fit into memory."""

MOST_CLUSTERS: Final = 400
FITTING: Final = 0.8
"""Share of each of two clusters that a joint description must fit for them to be one."""

HOPELESS: Final = -1.0
"""Nats a member below which re-drawing a group has not been seen to rescue it; giving up
there saves most of the time."""


@dataclass(frozen=True, slots=True)
class Family:
    """All tokens of one family side by side. ``holds`` (accounts, tokens) boolean CSR and ``held``, the same as CSC;
    ``rate`` (tokens,): share of accounts that hold each; ``kind`` (tokens,): index into ``kinds``, the names.

    In a decoy account ``a`` holds what ``source[a]`` (accounts,) really holds, and ``to`` is the inverse; None where
    nothing was dealt anew.
    """

    name: str
    holds: sp.csr_array
    held: sp.csc_array
    rate: F64
    kind: I64
    kinds: tuple[str, ...]
    source: I64 | None = None
    to: I64 | None = None

    def tokens(self, accounts: I64) -> tuple[I64, I64]:
        """Tokens of ``accounts`` (k,) end to end, and how many each has (k,)."""
        return _slices(
            self.holds.indptr, self.holds.indices, accounts if self.source is None else self.source[accounts]
        )

    def holders(self, tokens: I64) -> I64:
        """Accounts that hold any of ``tokens`` (k,), with repeats."""
        accounts, _ = _slices(self.held.indptr, self.held.indices, tokens)
        return accounts if self.to is None else self.to[accounts]


def _slices(start: Ints, values: Ints, which: I64) -> tuple[I64, I64]:
    """Runs ``which`` of a compressed matrix end to end, and their lengths. Slicing the matrix itself would check and
    copy far more than this needs."""
    begin = start[which].astype(np.int64)
    length = start[which + 1] - begin
    return values[runs(begin, length)].astype(np.int64), length


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


@dataclass(frozen=True, slots=True)
class Holdings:
    """Evidence in the form that descriptions are computed from. Families without data are absent."""

    accounts: int
    families: dict[str, Family]
    organization: I64

    @classmethod
    def of(cls, evidence: Evidence, accounts: int) -> Holdings:
        families = {}
        for name in FAMILIES:
            kinds = evidence.of(name)
            if kinds:
                holds = sp.csr_array(sp.hstack([kind.holds for kind in kinds], format="csr"))
                rate = np.asarray(holds.sum(axis=0)).ravel() / accounts
                origin = np.repeat(np.arange(len(kinds)), [kind.holds.shape[1] for kind in kinds])
                names = tuple(kind.name for kind in kinds)
                families[name] = Family(name, holds, sp.csc_array(holds), rate, origin, names)
        return cls(accounts, families, evidence.organization)

    def permuted(self, moves: dict[str, I64]) -> Holdings:
        """The same holdings with the families of each cause in ``moves`` dealt to other accounts."""
        families = dict(self.families)
        for cause, to in moves.items():
            source = np.argsort(to)
            for name in CAUSES[cause]:
                if name in families:
                    families[name] = replace(families[name], source=source, to=to)
        organization = self.organization[np.argsort(moves["customer"])] if "customer" in moves else self.organization
        return Holdings(self.accounts, families, organization)


def find_clusters(links: Links, holdings: Holdings, seed: int) -> list[Cluster]:
    """Groups of positive worth, disjoint, the worthiest first."""
    found = []
    for community in _communities(links, holdings.accounts, seed):
        for members in (community, *_cores(community, holdings)):
            cluster = _settle(members, holdings)
            if cluster is not None and cluster.worth > 0:
                found.append(cluster)
    found.sort(key=lambda cluster: (-cluster.saving, cluster.members.tolist()))
    return _merged(_disjoint(found, holdings), holdings)


def _disjoint(found: list[Cluster], holdings: Holdings) -> list[Cluster]:
    """Communities that were parts of one group settle on nearly the same members: keep the first of such."""
    taken = np.zeros(holdings.accounts, bool)
    kept = []
    for cluster in found:
        overlap = taken[cluster.members]
        if overlap.mean() >= 0.5:
            continue
        rest = describe(cluster.members[~overlap], holdings) if overlap.any() else cluster
        if rest is not None and rest.worth > 0:
            taken[rest.members] = True
            kept.append(rest)
    return kept


def _merged(clusters: list[Cluster], holdings: Holdings) -> list[Cluster]:
    """Join clusters that have a telling token in common, where members of both fit the joint description and it saves
    more than either alone.

    Two descriptions may save more together than one; but one campaign should be one case.
    """
    kept: list[Cluster] = []
    for cluster in clusters:
        for at, other in enumerate(kept):
            union = _union(cluster, other, holdings) if _telling(cluster) & _telling(other) else None
            if union is not None:
                kept[at] = union
                break
        else:
            kept.append(cluster)
    return kept


def _union(one: Cluster, other: Cluster, holdings: Holdings) -> Cluster | None:
    union = describe(np.union1d(one.members, other.members), holdings)
    if union is None or union.saving <= max(one.saving, other.saving):
        return None
    fitting = np.intersect1d(_members(union, holdings), union.members)
    if min(np.isin(part.members, fitting).mean() for part in (one, other)) < FITTING:
        return None
    return describe(fitting, holdings)


def _telling(cluster: Cluster) -> set[tuple[str, int]]:
    return {(one.family, one.best) for some in cluster.shared.values() for one in some if one.sharing >= 0.5}


def _communities(links: Links, accounts: int, seed: int) -> list[I64]:
    """Leiden communities of each account's strongest links, heaviest first."""
    if not len(links.low):
        return []
    strong = _strongest(links, accounts)
    # One string an account, shared by its edges: millions of them would not fit twice.
    name = list(map(str, range(accounts)))
    low, high = (map(name.__getitem__, ends[strong].tolist()) for ends in (links.low, links.high))
    edges = list(zip(low, high, links.weight[strong].tolist(), strict=True))
    _, assigned = graspologic_native.leiden(edges=edges, resolution=1.0, iterations=1, use_modularity=True, seed=seed)
    # The mapping comes in hash order: sort by account so that results do not depend on it.
    account = np.array([int(name) for name in assigned], np.int64)
    community = np.array(list(assigned.values()), np.int64)
    order = np.lexsort((account, community))
    groups = np.split(account[order], np.flatnonzero(np.diff(community[order])) + 1)
    groups = [group for group in groups if len(group) >= SMALLEST]
    groups.sort(key=lambda group: (-len(group), group.tolist()))
    return groups[:MOST_CLUSTERS]


def _cores(community: I64, holdings: Holdings) -> list[I64]:
    """Those of a community who hold its most telling token of some cause: splits what chance links merged."""
    cluster = describe(community, holdings)
    if cluster is None:
        return []
    cores = []
    for cause, some in cluster.shared.items():
        for one in counted(cause, some):
            token, length = holdings.families[one.family].tokens(community)
            core = np.repeat(community, length)[token == one.best]
            if SMALLEST <= len(core) < len(community):
                cores.append(np.sort(core))
    return cores


def _strongest(links: Links, accounts: int) -> I64:
    """Links that are among the strongest of either end: keeps the graph linear in accounts."""
    order = np.argsort(-links.weight, kind="stable")
    number = np.arange(len(order), dtype=np.int32)
    ends = np.concatenate([links.low[order], links.high[order]])
    # Rows sorted by number hold each account's links in order of weight; no comparison sort of all ends is needed.
    of_account = sp.csr_array(
        (np.ones(2 * len(number), bool), (ends, np.tile(number, 2))), shape=(accounts, len(number))
    )
    of_account.sort_indices()
    position = np.arange(len(of_account.indices)) - np.repeat(of_account.indptr[:-1], np.diff(of_account.indptr))
    kept = np.zeros(len(number), bool)
    kept[of_account.indices[position < (STRONGEST_LINKS if accounts <= MANY else STRONGEST_LINKS_OF_MANY)]] = True
    return np.sort(order[kept])


def _settle(members: I64, holdings: Holdings) -> Cluster | None:
    """Describe and re-draw until the group stands still."""
    best: Cluster | None = None
    for _ in range(ROUNDS):
        cluster = describe(members, holdings)
        if cluster is None or cluster.worth < HOPELESS:
            break
        if best is not None and cluster.saving <= best.saving:
            break
        best = cluster
        redrawn = _members(cluster, holdings)
        if len(redrawn) < SMALLEST or np.array_equal(redrawn, members):
            break
        members = redrawn
    return best


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
            _beside(int(token[np.argmax(count * np.log(np.maximum(ratio, 1.0)))]), token, length), ratio, 0.0
        )
    top = row_max(ratio, length)
    sharing = float((top > 0).sum() + 0.5) / (n + 1)
    gain = np.where(_known(family, length), np.log1p(sharing * (top - 1)), 0.0)
    best = int(np.argmax(count * np.log(np.maximum(ratio, 1.0))))
    kind, rate = family.kinds[family.kind[token[best]]], float(family.rate[token[best]])
    share = float((top > 0).mean())
    return Shared(family.name, kind, float(gain.mean()), int(token[best]), int(count[best]), rate, share)


def _ratios(family: Family, token: I64, n: int) -> tuple[F64, I64]:
    """For each token of ``n`` members: its frequency among the other members against its base rate (0 where that is no
    more than chance brings), and how many members have it."""
    count = np.bincount(token)[token]
    ratio = (count - 1) / (n - 1) / family.rate[token]
    return np.where(_telling_tokens(count, family.rate[token], n, len(family.rate)), ratio, 0.0), count


def _beside(best: int, token: I64, length: I64) -> npt.NDArray[np.bool_]:
    """For each token of members, whether at least half of its holders hold the token ``best`` too."""
    has = np.repeat(row_max((token == best).astype(float), length) > 0, length)
    width = int(token.max(initial=0)) + 1
    with_best = np.bincount(token[has], minlength=width)
    return np.asarray((2 * with_best >= np.bincount(token, minlength=width))[token])


def _telling_tokens(count: I64, rate: F64, n: int, tokens: int) -> npt.NDArray[np.bool_]:
    """Whether ``count`` of ``n`` members holding a token of base ``rate`` is worth naming it among the ``tokens`` of
    its family: its Poisson log-likelihood ratio must pay for the name. Accounts hold many words and phrases, and any
    hundred accounts have some rare one in common by chance."""
    expected = n * rate
    saved = count * np.log(np.maximum(count, 1) / expected) - (count - expected)
    return np.asarray((count >= 2) & (count > expected) & (saved > np.log(max(tokens, 1))))


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


def admitted(cluster: Cluster, holdings: Holdings) -> tuple[I64, F64]:
    """Members (k,) of a group whose workload is believed, and their probabilities (k,): accounts too small to have met
    the bar by themselves are let in.

    What holds the group together, the queue's instruction above all, says as much for a small account as it is true of
    larger ones: of those whose timing is known, the share that are members. The other causes add to that. Where the
    instruction is worded anew each time, two causes are asked for as ever.
    """
    n, leading = len(cluster.members), _leading(cluster)
    some = np.union1d(_candidates(cluster, holdings, 1), cluster.members)
    odds = _log_odds(cluster, holdings, some)
    fits, member = odds >= LEAST_SURPRISE, np.isin(some, cluster.members)
    large = fits[:, leading] & (
        holdings.families["timing"].tokens(some)[1] > 0 if "timing" in holdings.families else True
    )
    share = float(member[large].sum() + 0.5) / float(large.sum() + 1)
    total = odds.sum(axis=1) - odds[:, leading] + min(float(np.log(share / (1 - share))), MOST_BELIEVED)
    let_in = fits[:, leading] & (total > LET_IN)
    if worded_anew(cluster, holdings):
        let_in &= fits.sum(axis=1) >= 2
    total = np.where(member, np.maximum(total, odds.sum(axis=1) - np.log((holdings.accounts - n) / n)), total)
    inside = let_in | member
    return some[inside], np.asarray(1 / (1 + np.exp(-np.clip(total[inside], -30, 30))))


def _members(cluster: Cluster, holdings: Holdings) -> I64:
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


def _log_odds(cluster: Cluster, holdings: Holdings, accounts: I64) -> F64:
    """Log-odds (k, causes) that each of ``accounts`` (k,) fits the cluster's description better than the base rates.

    Families of one cause are averaged by their gains, so that an account which lacks the template that the others
    share is not taken for having their client, but the template stands for itself; those of conduct are summed.
    """
    odds = np.zeros((len(accounts), len(CAUSES)))
    fixed = not worded_anew(cluster, holdings)
    for at, (cause, shared) in enumerate(cluster.shared.items()):
        whole = 1.0 if cause == "conduct" else sum(one.gain for one in shared)
        unlike, instruction = np.zeros(len(accounts)), np.full(len(accounts), -np.inf)
        for one in shared:
            weight = 1.0 if cause == "conduct" else one.gain / whole
            fit, oddity = _family_odds(one, holdings.families[one.family], cluster.members, accounts)
            odds[:, at] += weight * fit
            unlike = np.minimum(unlike, oddity)
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
    telling = _telling_tokens(count, family.rate[token], n, len(family.rate))
    if family.name in COHERENT:
        telling[place[~_beside(int(np.searchsorted(token, one.best)), place, length)]] = False
    token, count = token[telling], count[telling]
    core = 2 * count >= n
    # Kinds stand in order of firmness: whole pieces of a template before words, of which it takes traffic to show many.
    for kind in range(len(family.kinds)):
        if (core & (family.kind[token] == kind)).sum() >= LEAST_CORE:
            core &= family.kind[token] == kind
            break
    return _Profile(token, count, count / n / family.rate[token], core)


def _family_odds(one: Shared, family: Family, members: I64, accounts: I64) -> tuple[F64, F64]:
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
    fit = np.where(_known(family, length), np.log1p(sharing * (top - 1)), 0.0)
    return fit, _oddity(profile, np.where(shared & profile.core[at], 1.0, 0.0), length, np.isin(accounts, members))


def _oddity(profile: _Profile, has: F64, length: I64, member: npt.NDArray[np.bool_]) -> F64:
    """How much fewer of the group's core tokens an account holds than members do, as a normal log-density (k,).

    Who shares one phrase with a campaign's instruction is explained by the phrase; who works off its queue holds the
    instruction. Median and mean deviation stand for the members, some of whom may not belong.
    """
    core = int(profile.core.sum())
    if core < LEAST_CORE or not member.any():
        return np.zeros(len(length))
    owner = np.repeat(np.arange(len(length)), length)
    covered = np.bincount(owner, has, len(length)) / core
    usual = float(np.median(covered[member]))
    spread = max(float(np.median(np.abs(covered[member] - usual))) * 1.48, LEAST_SPREAD)
    return np.asarray(-np.minimum(np.maximum(usual - covered, 0) ** 2 / (2 * spread**2), MOST_ODDITY))


def _known(family: Family, length: I64) -> npt.NDArray[np.bool_]:
    """Whose tokens are known, by how many each has. Too little traffic leaves conduct unknown; elsewhere, holding none
    of the tokens that any two accounts share is itself a fact: the account has its own."""
    return (length > 0) | (family.name not in CAUSES["conduct"])

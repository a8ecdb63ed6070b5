"""Clusters: groups of accounts that share more than it costs to name them.

Leiden communities of the link graph (Traag, Waltman, van Eck 2019) propose groups. Each is then described by what
its members share, and re-drawn: an account belongs when the description explains its tokens better than the base
rates do by more than the prior odds against membership. A few rounds of this are the hard EM of a two-component
mixture, group against everybody.
"""

from __future__ import annotations

from typing import Final

import graspologic_native
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tiergate.detection.description import SMALLEST, Cluster, counted, describe
from tiergate.detection.holdings import Holdings
from tiergate.detection.links import Links
from tiergate.detection.membership import redrawn

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

ROUNDS: Final = 5

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
    fitting = np.intersect1d(redrawn(union, holdings), union.members)
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
        again = redrawn(cluster, holdings)
        if len(again) < SMALLEST or np.array_equal(again, members):
            break
        members = again
    return best

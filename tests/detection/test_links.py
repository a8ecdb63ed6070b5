"""Links need two causes; common tokens weigh little; large groups stay connected."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from tiergate.detection.evidence import Evidence, Kind
from tiergate.detection.links import FULL_JOIN, LEAST_REMAINDER, LEAST_SURPRISE, Links, join, link


def evidence(accounts: int, tokens: dict[tuple[str, str], list[list[int]]]) -> Evidence:
    """Evidence from lists of holders: {(family, kind): [accounts of token 0, accounts of token 1, ...]}."""
    kinds = []
    for (family, name), holders in tokens.items():
        rows = [account for some in holders for account in some]
        columns = [token for token, some in enumerate(holders) for _ in some]
        shape = (accounts, len(holders))
        kinds.append(Kind(family, name, sp.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)))
    nobody = np.full(accounts, -1)
    none = np.empty(0, np.int32)
    return Evidence(tuple(kinds), (none, none), nobody, nobody, np.zeros(accounts, np.int64), ())


def links(accounts: int, tokens: dict[tuple[str, str], list[list[int]]]) -> Links:
    return link(join(evidence(accounts, tokens), accounts, np.random.default_rng(0)))


def pairs(found: Links) -> set[tuple[int, int]]:
    return set(zip(found.low.tolist(), found.high.tolist(), strict=True))


def test_one_cause_never_links_however_many_families_it_fills() -> None:
    group = [list(range(10))]
    found = links(1000, {("template", "template"): group, ("client", "user agent"): group})
    assert pairs(found) == set()


def test_two_causes_link() -> None:
    tokens = {("template", "template"): [list(range(10))], ("identity", "payment"): [[2, 3, 4]]}
    assert pairs(links(1000, tokens)) == {(2, 3), (2, 4), (3, 4)}


def test_what_a_third_of_all_accounts_share_is_no_cause() -> None:
    tokens = {("template", "template"): [list(range(400))], ("identity", "payment"): [[2, 3]]}
    assert pairs(links(1000, tokens)) == set()


def test_a_group_too_large_to_join_in_full_stays_in_one_piece() -> None:
    size, accounts = 20 * FULL_JOIN, 50_000
    rng = np.random.default_rng(3)
    members = np.sort(rng.choice(accounts, size, replace=False))
    week = [[int(m) for m in members]]
    found = links(accounts, {("template", "template"): week, ("lifecycle", "week of sign-up"): week})
    graph = sp.coo_array((np.ones(len(found.low)), (found.low, found.high)), shape=(accounts, accounts))
    _, label = connected_components(graph, directed=False)
    assert len(set(label[members].tolist())) == 1
    assert len(found.low) < 20 * size


@given(st.integers(0, 1 << 30))
@settings(max_examples=40, deadline=None)
def test_small_tokens_link_exactly_the_pairs_that_the_rule_names(seed: int) -> None:
    """Oracle: the rule written down pair by pair."""
    rng = np.random.default_rng(seed)
    accounts = 120
    tokens = {}
    for family, name in (("template", "t"), ("client", "c"), ("network", "n"), ("identity", "i")):
        tokens[family, name] = [rng.choice(accounts, rng.integers(2, 12), replace=False).tolist() for _ in range(6)]
    expected = {}
    for a in range(accounts):
        for b in range(a + 1, accounts):
            best = {"tool": 0.0, "place": 0.0, "customer": 0.0}
            for (family, _), holders in tokens.items():
                cause = {"template": "tool", "client": "tool", "network": "place", "identity": "customer"}[family]
                shared = [np.log(accounts / len(some)) for some in holders if a in some and b in some]
                best[cause] = max([best[cause], *shared])
            enough = sum(weight >= LEAST_SURPRISE for weight in best.values()) >= 2
            if enough and sum(best.values()) - max(best.values()) >= LEAST_REMAINDER:
                expected[a, b] = sum(best.values())
    found = links(accounts, tokens)
    got = dict(zip(zip(found.low.tolist(), found.high.tolist(), strict=True), found.weight.tolist(), strict=True))
    assert got.keys() == expected.keys()
    assert all(abs(got[pair] - weight) < 1e-9 for pair, weight in expected.items())

"""Links need two causes; common tokens weigh little; large groups stay connected."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from tiergate.detection.blocking import FULL_JOIN
from tiergate.detection.evidence import Evidence, Kind
from tiergate.detection.families import CAUSES, FAMILIES
from tiergate.detection.links import LEAST_REMAINDER, LEAST_SURPRISE, Links, join, link
from tiergate.detection.weights import MOST_AGAINST, FamilyWeight, Weights

CAUSE = {family: cause for cause, families in CAUSES.items() for family in families}


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
@settings(max_examples=10, deadline=None)
def test_small_tokens_link_exactly_the_pairs_that_the_rule_names(seed: int) -> None:
    """Oracle: the rule written down pair by pair."""
    rng = np.random.default_rng(seed)
    accounts = 80
    tokens: dict[tuple[str, str], list[list[int]]] = {}
    for family, name in (("template", "t"), ("client", "c"), ("network", "n"), ("identity", "i")):
        tokens[family, name] = [rng.choice(accounts, rng.integers(2, 12), replace=False).tolist() for _ in range(6)]
    joined = join(evidence(accounts, tokens), accounts, np.random.default_rng(0))
    weights = joined.weights.families
    expected = {}
    for a, b in combinations(range(accounts), 2):
        agree, against = dict.fromkeys(CAUSES, 0.0), dict.fromkeys(CAUSES, 0.0)
        for (family, _), holders in tokens.items():
            shared = [np.log(accounts / len(some)) for some in holders if a in some and b in some]
            if shared:
                agree[CAUSE[family]] = max(agree[CAUSE[family]], np.log(weights[family].m) + max(shared))
            else:
                against[CAUSE[family]] = min(against[CAUSE[family]], weights[family].disagreement)
        total = sum(agree[cause] or against[cause] for cause in CAUSES)
        enough = sum(weight >= LEAST_SURPRISE for weight in agree.values()) >= 2
        if enough and sum(agree.values()) - max(agree.values()) >= LEAST_REMAINDER and total > 0:
            expected[a, b] = total
    found = link(joined)
    got = dict(zip(zip(found.low.tolist(), found.high.tolist(), strict=True), found.weight.tolist(), strict=True))
    assert got.keys() == expected.keys()
    assert all(abs(got[pair] - weight) < 1e-5 for pair, weight in expected.items())


def crowd(seed: int, accounts: int = 90) -> dict[tuple[str, str], list[list[int]]]:
    """Tokens of all causes at random, conduct with one class an account."""
    rng = np.random.default_rng(seed)
    tokens: dict[tuple[str, str], list[list[int]]] = {}
    for family in ("template", "client", "network", "identity"):
        tokens[family, "any"] = [rng.choice(accounts, rng.integers(2, 12), replace=False).tolist() for _ in range(9)]
    for family in ("timing", "lifecycle"):
        of = rng.integers(0, 7, accounts)
        tokens[family, "any"] = [np.flatnonzero(of == code).tolist() for code in range(7)]
    return tokens


@given(st.integers(0, 1 << 30))
@settings(max_examples=15, deadline=None)
def test_relabelling_accounts_relabels_links_and_nothing_else(seed: int) -> None:
    accounts, tokens = 90, crowd(seed)
    name = np.random.default_rng(seed + 1).permutation(accounts)
    renamed = {kind: [name[some].tolist() for some in holders] for kind, holders in tokens.items()}
    before, after = links(accounts, tokens), links(accounts, renamed)
    one, other = name[before.low], name[before.high]
    low, high = np.minimum(one, other), np.maximum(one, other)
    order = np.lexsort((high, low))
    assert len(before.low) > 0
    assert np.array_equal(low[order], after.low)
    assert np.array_equal(high[order], after.high)
    assert np.allclose(before.causes[order], after.causes, atol=1e-9)


def test_a_decoy_is_judged_by_the_platforms_own_weights_and_moves_what_it_is_told_to() -> None:
    accounts, tokens = 90, crowd(5)
    joined = join(evidence(accounts, tokens), accounts, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    places, customers, conducts = (rng.permutation(accounts) for _ in range(3))
    decoy = joined.permuted(places, customers, conducts)
    assert decoy.weights is joined.weights
    to = {"network": places, "identity": customers, "timing": conducts, "lifecycle": conducts}
    dealt = {
        kind: [to[kind[0]][some].tolist() if kind[0] in to else some for some in holders]
        for kind, holders in tokens.items()
    }
    built = replace(join(evidence(accounts, dealt), accounts, np.random.default_rng(0)), weights=joined.weights)
    expected, found = link(built), link(decoy)
    assert len(found.low) > 0
    assert np.array_equal(expected.low, found.low)
    assert np.array_equal(expected.high, found.high)
    assert np.allclose(expected.causes, found.causes)


def test_disagreement_takes_weight_off_a_link_but_never_the_link() -> None:
    """Whoever rotates addresses and cards pays at most `MOST_AGAINST` nats a cause for it."""
    accounts = 3000
    group = list(range(40))
    classes = [group, *(list(range(at, at + 370)) for at in range(40, accounts, 370))]
    classes[-1] = [a for a in classes[-1] if a < accounts]
    tokens = {("template", "t"): [group], ("lifecycle", "l"): classes}
    others = {("identity", "i"): [[a, a + 1] for a in range(40, 1000, 2)], ("network", "n"): [[2000, 2001]]}
    weights = Weights(dict.fromkeys(FAMILIES, FamilyWeight(0.9, 0.01, 0, 0.0, 9.0)), {})
    plain, rotated = (
        link(replace(join(evidence(accounts, some), accounts, np.random.default_rng(0)), weights=weights))
        for some in (tokens, tokens | others)
    )
    assert pairs(plain) == set(combinations(group, 2)) <= pairs(rotated)
    inside = rotated.high < len(group)
    assert (rotated.causes[inside, :2] == -MOST_AGAINST).all()
    assert np.allclose(plain.weight - rotated.weight[inside], 2 * MOST_AGAINST)

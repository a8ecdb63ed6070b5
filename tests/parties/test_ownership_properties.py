"""Drawn graphs, with cycles and contradictions: verdicts by definition, proofs, forged proofs, facts that settle."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.parties.ownership_graphs import (
    OFAC,
    PROVIDER,
    TESTS,
    UK,
    Drawn,
    built,
    drawn,
    oracle,
    rows_of,
)
from tiergate.errors import InputError
from tiergate.parties.incremental import LiveVerdicts
from tiergate.parties.ownership import WHOLE, OwnershipTest, Prong, Remainder, StakeGraph
from tiergate.parties.proof_check import verify_proof
from tiergate.parties.proofs import Proof, Step, prove
from tiergate.parties.resolving import Resolution, Verdict, resolve
from tiergate.parties.settling import Missing, missing, settle


def resolved(case: Drawn) -> Resolution:
    return resolve(case.graph(), case.seeds, case.test)


@settings(max_examples=400, deadline=None)
@given(drawn())
def test_verdicts_are_those_of_the_definition(case: Drawn) -> None:
    assert resolved(case).verdict.tolist() == oracle(case)


@settings(max_examples=150, deadline=None)
@given(drawn(), st.data())
def test_a_world_within_the_bounds_never_contradicts_a_verdict(case: Drawn, data: st.DataObject) -> None:
    """Every stake drawn exactly, what is left over given to somebody: YES stays YES and NO stays NO."""
    rows = [row for row in case.rows if not row[6]]
    known = replace(case, rows=rows)
    verdict = resolved(known).verdict
    exact, given_ = [], []
    left = {(entity, prong): WHOLE for entity in range(case.entities) for prong in (0, 1)}
    for _, owned, lo, _, prong, _, _ in rows:
        left[owned, prong] = left.get((owned, prong), WHOLE) - (0 if prong == Prong.CONTROL else lo)
    if min(left.values()) < 0:
        return
    for owner, owned, lo, hi, prong, concert, indirect in rows:
        share = data.draw(st.sampled_from([lo, hi])) if prong == Prong.CONTROL else lo
        if prong != Prong.CONTROL:
            share += data.draw(st.integers(0, min(hi - lo, left[owned, prong])))
            left[owned, prong] -= share - lo
        exact.append((owner, owned, share, share, prong, concert, indirect))
    for entity in range(case.entities):
        if case.undisclosed[entity] and case.test.remainder is Remainder.STATED and case.seeds:
            prongs = {row[4] for row in rows if row[1] == entity and row[3]} & {
                int(each) for each in case.test.counts.value
            }
            for prong in prongs or {int(each) for each in case.test.counts.value}:
                somebody = data.draw(st.sampled_from(sorted(case.seeds)))
                if somebody != entity and left[entity, prong] > 0:
                    given_.append((somebody, entity, left[entity, prong], left[entity, prong], prong, -1, False))
    world = replace(known, rows=exact + given_, test=replace(case.test, remainder=Remainder.IGNORED))
    for before, after in zip(verdict, resolved(world).verdict, strict=True):
        assert (before, after) not in {(Verdict.YES, Verdict.NO), (Verdict.NO, Verdict.YES)}


@settings(max_examples=150, deadline=None)
@given(drawn(), st.integers(0, 8))
def test_another_seed_takes_no_yes_away(case: Drawn, seed: int) -> None:
    more = replace(case, seeds=case.seeds | {seed % case.entities})
    assert (resolved(more).verdict >= resolved(case).verdict)[resolved(case).verdict == Verdict.YES].all()
    if case.test.aggregate:
        assert (resolved(more).verdict >= resolved(case).verdict).all()


@settings(max_examples=150, deadline=None)
@given(drawn(tests=(OFAC, PROVIDER)))
def test_adding_up_finds_at_least_what_single_holders_do(case: Drawn) -> None:
    single = replace(case, test=replace(case.test, aggregate=False))
    assert ((resolved(case).verdict == 2) >= (resolved(single).verdict == 2)).all()
    stricter = replace(case, test=replace(case.test, at_least=False))
    assert (resolved(case).verdict >= resolved(stricter).verdict).all()


def test_companies_that_only_hold_each_other_up_are_nobodys() -> None:
    ring = built(
        4, [(1, 2, WHOLE, WHOLE, 0, -1, False), (2, 3, WHOLE, WHOLE, 0, -1, False), (3, 1, WHOLE, WHOLE, 0, -1, False)]
    )
    assert resolve(ring, [0], OFAC).verdict.tolist() == [2, 0, 0, 0]


@settings(max_examples=200, deadline=None)
@given(drawn())
def test_every_yes_has_a_proof_and_nothing_else_has(case: Drawn) -> None:
    resolution = resolved(case)
    for entity, verdict in enumerate(resolution.verdict):
        if verdict == Verdict.YES:
            proof = prove(resolution, entity)
            assert verify_proof(proof, case.rows, case.seeds, case.test)
            assert not verify_proof(proof, case.rows, case.seeds - {proof.steps[0].entity}, case.test)
        else:
            with pytest.raises(InputError, match="not a YES"):
                prove(resolution, entity)


@st.composite
def tampered(draw: st.DrawFn, proof: Proof, case: Drawn) -> Proof:
    at = draw(st.integers(0, len(proof.steps) - 1))
    step = proof.steps[at]
    other = draw(st.integers(0, case.entities - 1))
    stakes = step.stakes
    changed = draw(
        st.sampled_from(
            [
                (replace(step, entity=other),),
                (replace(step, stakes=stakes[:-1]),),
                (replace(step, stakes=(*stakes, draw(st.integers(-1, len(case.rows))))),),
                (replace(step, stakes=stakes * 2),),
                (replace(step, reason=draw(st.sampled_from(["listed", "ownership", "presumed", "control", "so"]))),),
                (),
                (Step(other, "listed"), step),
                (Step(other, "ownership"), step),
            ]
        )
    )
    steps = (*proof.steps[:at], *changed, *proof.steps[at + 1 :])
    return Proof(draw(st.sampled_from([proof.entity, other])), steps)


@settings(max_examples=400, deadline=None)
@given(drawn(), st.data())
def test_a_tampered_proof_is_refused_or_still_true(case: Drawn, data: st.DataObject) -> None:
    verdict = resolved(case).verdict
    owned = [entity for entity in range(case.entities) if verdict[entity] == Verdict.YES]
    if not owned:
        return
    forged = data.draw(tampered(prove(resolved(case), data.draw(st.sampled_from(owned))), case))
    if verify_proof(forged, case.rows, case.seeds, case.test):
        assert all(verdict[step.entity] == Verdict.YES for step in forged.steps)
        assert forged.steps[-1].entity == forged.entity


def test_each_way_to_tamper_with_a_proof_is_refused() -> None:
    graph = StakeGraph.build(5, [0, 0, 1, 2, 4], [1, 2, 3, 3, 3], [500_000, 500_000, 250_000, 250_000, 400_000])
    rows, proof = rows_of(graph), prove(resolve(graph, [0], OFAC), 3)
    assert verify_proof(proof, rows, {0}, OFAC)
    first, *middle, last = proof.steps
    forgeries = [
        Proof(3, ()),
        Proof(4, proof.steps),  # about somebody else
        Proof(3, (*middle, last)),  # a premise is missing
        Proof(3, (last, first, *middle)),  # or comes too late
        Proof(3, (first, *middle, replace(last, stakes=(2,)))),  # too little
        Proof(3, (first, *middle, replace(last, stakes=(2, 2)))),  # counted twice
        Proof(3, (first, *middle, replace(last, stakes=(2, 4)))),  # a clean holder's stake
        Proof(3, (first, *middle, replace(last, stakes=(0,)))),  # a stake in another
        Proof(3, (first, *middle, replace(last, stakes=(2, 99)))),  # no stake at all
        Proof(3, (first, *middle, replace(last, reason="control"))),
        Proof(3, (first, *middle, replace(last, reason="presumed"))),
        Proof(3, (first, *middle, Step(3, "listed"))),
    ]
    assert [verify_proof(forged, rows, {0}, OFAC) for forged in forgeries] == [False] * len(forgeries)
    assert not verify_proof(proof, rows, {0}, PROVIDER)
    assert not verify_proof(proof, [(*row[:2], row[2] - 1, *row[3:]) for row in rows], {0}, OFAC)


@pytest.mark.parametrize(
    ("graph", "test", "kind", "turn"),
    [
        (StakeGraph.build(2, [0], [1], [250_001], [500_000]), OFAC, Missing.SIZE, (499_999, 500_000)),
        (StakeGraph.build(2, [0], [1], [300_000], undisclosed=[0, 1]), OFAC, Missing.HOLDERS, (199_999, 200_000)),
        (StakeGraph.build(2, [0], [1], [300_000], undisclosed=[0, 1]), UK, Missing.HOLDERS, (200_000, 200_001)),
        (StakeGraph.build(2, [0], [1], [600_000], indirect=[1]), OFAC, Missing.CHAIN, (499_999, 500_000)),
        (StakeGraph.build(2, [0], [1], [0], [WHOLE], prong=[2]), UK, Missing.CONTROL, (None, None)),
        (StakeGraph.build(3, [0, 2], [1, 1], [600_000, 600_000]), OFAC, Missing.CONTRADICTION, (None, None)),
    ],
)
def test_the_fact_that_settles(
    graph: StakeGraph, test: OwnershipTest, kind: Missing, turn: tuple[int | None, int | None]
) -> None:
    cheapest = settle(resolve(graph, [0], test), 1)[0]
    assert [fact.kind for fact in cheapest.facts] == [kind]
    assert cheapest.settles
    assert (cheapest.no_up_to, cheapest.yes_from) == turn


def test_cheaper_facts_come_first_and_a_set_spares_none() -> None:
    # 3 is held by 2, whose chain starts with a band, and by 4, listed, with up to 30%: both sizes are needed.
    rows = [(0, 1, 250_001, 500_000), (1, 2, WHOLE, WHOLE), (2, 3, 400_000, 400_000), (4, 3, 0, 300_000)]
    graph = StakeGraph.build(5, *zip(*rows, strict=True))
    resolution = resolve(graph, [0, 4], OFAC)
    assert [(fact.entity, fact.cost) for fact in missing(resolution, 3)] == [(3, 1), (1, 5)]
    both, *halves = settle(resolution, 3)
    assert {fact.stake for fact in both.facts} == {0, 3}
    assert [half.settles for half in halves] == [False, False]
    assert halves[0].no_up_to == 99_999  # with less than 10% of 4, whatever 1 turns out to be


def test_an_unexplained_stake_through_a_holder_of_all_and_holders_who_may_act_together() -> None:
    # 3 holds all of 2 and could be the one through whom 0 holds its declared 60: asking for the chain settles it.
    through = StakeGraph.build(4, [3, 0], [2, 2], [WHOLE, 600_000], indirect=[0, 1])
    cheapest = settle(resolve(through, [0], OFAC), 2)[0]
    assert ([fact.kind for fact in cheapest.facts], cheapest.settles) == ([Missing.CHAIN], True)
    # 1, which 0 controls, holds 40 of 2 and nobody knows who holds 30 more: both that and whether they act together.
    unasked = StakeGraph.build(4, [0, 1, 3], [1, 2, 2], [WHOLE, 400_000, 300_000], undisclosed=[0, 0, 1, 0])
    both = settle(resolve(unasked, [0], UK), 2)[0]
    assert ({fact.kind for fact in both.facts}, both.settles) == ({Missing.HOLDERS, Missing.TOGETHER}, True)


@settings(max_examples=80, deadline=None)
@given(drawn(most=6))
def test_a_single_size_that_settles_does_so_in_the_whole_graph(case: Drawn) -> None:
    resolution = resolved(case)
    for entity in range(case.entities):
        if resolution.verdict[entity] != Verdict.NOT_KNOWN:
            continue
        assert missing(resolution, entity)
        for settling in settle(resolution, entity):
            fact = settling.facts[0]
            if len(settling.facts) > 1 or fact.kind not in (Missing.SIZE, Missing.CONTROL):
                continue
            for value, expected in ((fact.least, settling.if_least), (fact.most, settling.if_most)):
                rows = list(case.rows)
                rows[fact.stake] = (*rows[fact.stake][:2], value, value, *rows[fact.stake][4:])
                assert resolved(replace(case, rows=rows)).verdict[entity] == expected


@settings(max_examples=150, deadline=None)
@given(drawn(most=12, tests=TESTS), st.data())
@pytest.mark.parametrize("limit", [30, 400_000])
def test_edits_give_what_resolving_anew_does(limit: int, case: Drawn, data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tiergate.parties.incremental.LIMIT", limit)
        patch.setattr("tiergate.parties.incremental.SPARE", 2)
        _edited(case, data)


def _edited(case: Drawn, data: st.DataObject) -> None:
    from tests.parties.ownership_graphs import stakes

    live, seeds = LiveVerdicts(resolved(case)), set(case.seeds)
    for _ in range(12):
        before = live.verdicts()
        entity = data.draw(st.integers(0, case.entities - 1))
        edit = data.draw(st.sampled_from(["change", "change", "remove", "add", "add", "list", "disclose"]))
        owner, owned, lo, hi, prong, concert, indirect = data.draw(stakes(case.entities))
        alike = [
            at for at, row in enumerate(rows_of(live.graph())) if (row[4] == Prong.CONTROL) == (prong == Prong.CONTROL)
        ]
        if edit == "list":
            seeds ^= {entity}
            changed = live.set_listed(entity, entity in seeds)
        elif edit == "disclose":
            changed = live.set_undisclosed(entity, data.draw(st.booleans()))
        elif edit == "add" or not alike:
            _, changed = live.add(owner, owned, lo, hi, prong=Prong(prong), concert=concert, indirect=indirect)
        else:
            stake = data.draw(st.sampled_from(alike))
            changed = live.remove(stake) if edit == "remove" else live.change(stake, lo, hi)
        anew = resolve(live.graph(), seeds, case.test).verdict
        assert live.verdicts().tolist() == anew.tolist()
        assert changed == {at: anew[at] for at in range(case.entities) if anew[at] != before[at]}


def test_impossible_edits_are_refused() -> None:
    live = LiveVerdicts(resolve(StakeGraph.build(2, [0], [1], [WHOLE], prong=[2]), [0], UK))
    with pytest.raises(InputError, match="no stake `1`"):
        live.remove(1)
    with pytest.raises(InputError, match="no bounds of a stake"):
        live.change(0, 5, 5)
    with pytest.raises(InputError, match="in itself"):
        live.add(1, 1, 5, 5)
    assert live.verdict(1) == Verdict.YES

"""The score of a finding, whatever labs say, how often and in which order."""

from __future__ import annotations

import random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.sharing.told import findings, opinions, sightings
from tiergate.sharing.corroboration import corroboration
from tiergate.sharing.finding import Finding, Lab, Opinion, Sighting, View

LABS = [Lab.named(f"lab-{letter}.example") for letter in "abcde"]
FINDING = findings().map(lambda one: msgspec.structs.replace(one, lab=LABS[0], revoked=False))
SAID = st.lists(
    st.builds(
        lambda one, lab: msgspec.structs.replace(one, lab=lab),
        st.one_of(opinions(), sightings()),
        st.sampled_from(LABS),
    ),
    max_size=12,
)


def about(finding: Finding, said: list[Opinion | Sighting]) -> list[Opinion | Sighting]:
    return [msgspec.structs.replace(one, about=finding.finding_id, content=finding.content) for one in said]


@given(FINDING, SAID, st.randoms(use_true_random=False))
def test_a_lab_counts_once_in_any_order_and_the_maker_as_one(
    finding: Finding, said: list[Opinion | Sighting], order: random.Random
) -> None:
    heard = about(finding, said)
    found = corroboration(finding, heard)
    again = [*heard, *heard]
    order.shuffle(again)
    assert corroboration(finding, again) == found
    others = {one.lab.lab_id for one in heard if one.lab != finding.lab and not one.revoked}
    assert found.score == 1 + found.agree - found.disagree
    assert found.agree + found.disagree <= len(others)
    assert corroboration(finding, [one for one in heard if one.lab != finding.lab]) == found
    assert corroboration(finding, [one for one in heard if not one.revoked]) == found
    for lab in LABS:
        assert abs(found.score - corroboration(finding, [one for one in heard if one.lab != lab]).score) <= 1


@given(FINDING, SAID, SAID)
def test_what_was_withdrawn_or_is_about_another_counts_nothing(
    finding: Finding, said: list[Opinion | Sighting], other: list[Opinion | Sighting]
) -> None:
    heard = about(finding, said)
    elsewhere = [one for one in other if one.about != finding.finding_id]
    assert corroboration(finding, [*heard, *elsewhere]) == corroboration(finding, heard)
    assert corroboration(msgspec.structs.replace(finding, revoked=True), heard).score == 0


@given(FINDING, sightings(), opinions())
def test_an_opinion_outweighs_having_met_it(finding: Finding, met: Sighting, opinion: Opinion) -> None:
    (met,) = about(finding, [msgspec.structs.replace(met, lab=LABS[1], revoked=False)])
    scores = {}
    for view in View:
        (said,) = about(finding, [msgspec.structs.replace(opinion, lab=LABS[1], view=view, revoked=False)])
        scores[view] = corroboration(finding, [said, met]).score
        newer = msgspec.structs.replace(said, modified_us=said.modified_us + 1, view=View.DISAGREE)
        assert corroboration(finding, [newer, said, met]).score == 0
    assert scores == {
        View.STRONGLY_DISAGREE: 0,
        View.DISAGREE: 0,
        View.NEUTRAL: 2,
        View.AGREE: 2,
        View.STRONGLY_AGREE: 2,
    }


@given(FINDING, SAID)
def test_who_agreed_did_so_with_what_it_saw_and_who_disagrees_does_whatever_is_told(
    finding: Finding, said: list[Opinion | Sighting]
) -> None:
    heard = about(finding, said)
    later = corroboration(msgspec.structs.replace(finding, networks=(*finding.networks, 64_999)), heard)
    assert (later.agree, later.disagree) == (0, corroboration(finding, heard).disagree)
    same = msgspec.structs.replace(finding, confidence=1, accounts=3, networks=finding.networks[::-1])
    assert corroboration(same, heard) == corroboration(finding, heard)

"""An appeal has a clock, two reviewers who had no part in it, and words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.admission.parties import HASH, MET, admitted, founded, in_memory
from tiergate.admission.appeals import Against, Appeals, Outcome, notice
from tiergate.admission.memberships import Memberships
from tiergate.admission.standing import State
from tiergate.clock import DAY
from tiergate.errors import InputError, StateError

UPHELD, OVERTURNED = Outcome.UPHELD, Outcome.OVERTURNED


def refused(call: object) -> str:
    with pytest.raises(StateError) as caught:
        call()  # type: ignore[operator]
    return caught.value.code


@given(st.lists(st.sampled_from(Outcome), min_size=1, max_size=7))
def test_two_overturn_and_more_uphold(votes: list[Outcome]) -> None:
    store = Appeals(in_memory())
    filed = store.file(Against.DECISION, "d1", filed_by="ann", grounds="g", decided_by=["rob"], now_us=0)
    outcome = None
    for number, vote in enumerate(votes):
        held = store.decide(filed.appeal_id, reviewer=f"r{number}", outcome=vote, reason="r", now_us=1)
        so_far = votes[: number + 1]
        if so_far.count(OVERTURNED) == 2:
            outcome = OVERTURNED
        elif so_far.count(UPHELD) > so_far.count(OVERTURNED):
            outcome = UPHELD
        assert held.outcome is outcome
        assert store.overturned("d1") == (outcome is OVERTURNED)
        if outcome is not None:
            break
    if outcome is not None:
        assert refused(lambda: store.decide(filed.appeal_id, reviewer="x", outcome=UPHELD, reason="r", now_us=1)) == (
            "appeal_closed"
        )


def test_nobody_reviews_what_they_had_a_part_in() -> None:
    engine = in_memory()
    founded(engine)
    members, store = Memberships(engine), Appeals(engine)
    held = members.apply("consortium", "acme", applicant="ann", now_us=1)
    assert refused(
        lambda: store.file(Against.MEMBERSHIP, held.membership_id, filed_by="ann", grounds="g", now_us=2)
    ) == ("nothing_to_appeal")
    members.sponsor(held.membership_id, sponsor="sue", organisation_id="operator", now_us=2)
    members.refuse(held.membership_id, reviewer="rob", code="c", reason="r", missing=["papers"], now_us=3)
    with pytest.raises(InputError, match="needs grounds"):
        store.file(Against.MEMBERSHIP, held.membership_id, filed_by="amy", grounds=" ", now_us=4)
    filed = store.file(Against.MEMBERSHIP, held.membership_id, filed_by="amy", grounds="g", evidence=[HASH], now_us=4)
    assert filed.due_at_us == 4 + 5 * DAY
    assert refused(
        lambda: store.file(Against.MEMBERSHIP, held.membership_id, filed_by="amy", grounds="g", now_us=4)
    ) == ("appeal_open")

    def vote(who: str, outcome: Outcome = OVERTURNED) -> object:
        return store.decide(filed.appeal_id, reviewer=who, outcome=outcome, reason="seen the papers", now_us=5)

    for involved in ("amy", "Ann", "sue", "ROB"):
        assert refused(lambda who=involved: vote(who)) == "reviewer_not_independent"
    vote("rita")
    assert members.get(held.membership_id).state is State.REFUSED
    assert refused(lambda: vote("Rita")) == "second_reviewer_needed"
    vote("ron")
    again = members.get(held.membership_id)
    # Its evidence is not there yet, and nobody approved: the appeal puts nothing in their place.
    assert (again.state, again.approvals, again.code, again.missing) == (State.SPONSORED, (), None, ())
    assert members.standing(held.membership_id, 6).missing == tuple(MET)
    assert refused(lambda: members.refuse(held.membership_id, reviewer="Rob", code="c", reason="r", now_us=6)) == (
        "reviewer_not_independent"
    )
    members.approve(held.membership_id, reviewer="rita", now_us=6)
    assert refused(lambda: members.approve(held.membership_id, reviewer="ron", now_us=6)) == "requirements_missing"
    assert [change.action for change in members.history(held.membership_id)][-2:] == ["reinstate", "approve"]


@pytest.mark.parametrize("what", ["suspend", "end"])
def test_a_suspension_and_an_end_can_be_undone(what: str) -> None:
    engine = in_memory()
    founded(engine)
    held = admitted(engine)
    members, store = Memberships(engine), Appeals(engine)
    getattr(members, what)(held.membership_id, author="boss", code="c", reason="r", now_us=9)
    filed = store.file(Against.MEMBERSHIP, held.membership_id, filed_by="ann", grounds="g", now_us=10)
    for who in ("r1", "r2"):
        store.decide(filed.appeal_id, reviewer=who, outcome=OVERTURNED, reason="wrong", now_us=11)
    again = members.get(held.membership_id)
    assert (again.state, again.approvals) == (State.ACTIVE, held.approvals)


def test_what_was_stopped_is_again_what_it_was() -> None:
    engine = in_memory()
    founded(engine)
    members, store = Memberships(engine), Appeals(engine)

    def undone(membership_id: str) -> State:
        filed = store.file(Against.MEMBERSHIP, membership_id, filed_by="ann", grounds="g", now_us=10)
        for who in ("r1", "r2"):
            store.decide(filed.appeal_id, reviewer=who, outcome=OVERTURNED, reason="wrong", now_us=11)
        return members.get(membership_id).state

    pending = members.apply("consortium", "new", applicant="ann", now_us=1)
    members.end(pending.membership_id, author="boss", code="c", reason="r", now_us=2)
    assert undone(pending.membership_id) is State.APPLIED
    members.sponsor(pending.membership_id, sponsor="sue", organisation_id="operator", now_us=12)
    members.approve(pending.membership_id, reviewer="rita", now_us=12)
    members.refuse(pending.membership_id, reviewer="rob", code="c", reason="r", now_us=13)
    assert undone(pending.membership_id) is State.REVIEWED
    held = admitted(engine)
    members.suspend(held.membership_id, author="boss", code="c", reason="r", now_us=9)
    members.end(held.membership_id, author="boss", code="c2", reason="r2", now_us=9)
    assert undone(held.membership_id) is State.SUSPENDED
    assert undone(held.membership_id) is State.ACTIVE


def test_an_overturned_refusal_without_sponsor_waits_for_one_and_one_who_applied_anew_is_not_doubled() -> None:
    engine = in_memory()
    founded(engine)
    members, store = Memberships(engine), Appeals(engine)
    held = members.apply("consortium", "acme", applicant="ann", met=MET, now_us=1)
    members.refuse(held.membership_id, reviewer="rob", code="c", reason="r", now_us=3)
    filed = store.file(Against.MEMBERSHIP, held.membership_id, filed_by="ann", grounds="g", now_us=4)
    for who in ("r1", "r2"):
        store.decide(filed.appeal_id, reviewer=who, outcome=OVERTURNED, reason="wrong", now_us=5)
    assert members.standing(held.membership_id, 6).code == "membership_applied"
    members.end(held.membership_id, author="ann", code="withdrawn", reason="r", now_us=7)
    late = store.file(Against.MEMBERSHIP, held.membership_id, filed_by="ann", grounds="g", now_us=8)
    members.apply("consortium", "acme", applicant="ann", now_us=9)
    store.decide(late.appeal_id, reviewer="r1", outcome=OVERTURNED, reason="wrong", now_us=10)
    assert (
        refused(lambda: store.decide(late.appeal_id, reviewer="r2", outcome=OVERTURNED, reason="wrong", now_us=10))
        == "membership_exists"
    )
    assert store.get(late.appeal_id).outcome is None


def test_the_clock_shows_and_decides_nothing() -> None:
    store = Appeals(in_memory())
    filed = store.file(Against.DECISION, "d1", filed_by="ann", grounds="g", now_us=0)
    later = store.file(Against.DECISION, "d2", filed_by="ann", grounds="g", now_us=DAY)
    assert "answered by 1970-01-06" in notice(filed, 1)
    assert store.overdue(5 * DAY - 1) == []
    assert store.overdue(5 * DAY) == [filed]
    assert "overdue" in notice(filed, 5 * DAY)
    assert store.every() == [filed, later]
    held = store.decide(filed.appeal_id, reviewer="rob", outcome=UPHELD, reason="all is right", now_us=6 * DAY)
    assert notice(held, 7 * DAY).startswith("the decision stands: all is right")
    assert store.overdue(9 * DAY) == [later]
    assert len(store.history(filed.appeal_id)) == 2

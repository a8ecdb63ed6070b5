"""The policies against a second telling of the gates, and against facts that are not what they should be."""

from __future__ import annotations

import random
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.admission import at_random, oracle
from tests.admission.at_random import HOUR, RIGHT_GRANT, T0, right
from tiergate.admission.engine import POLICY_ERROR, Engine, Outcome, Policies, TierDecision, policies_of_today
from tiergate.admission.known_facts import ClassFact, MembershipFact, ModelFact, PurposeFact

ENGINE, POLICIES = Engine(), policies_of_today()


def engine_of(text: str) -> Engine:
    return Engine(Policies(text, POLICIES.schema))


def codes(decision: TierDecision) -> list[str]:
    return [reason.code for reason in decision.reasons]


def test_all_in_order_passes_and_names_its_grant() -> None:
    decision = ENGINE.decide(*right())
    assert decision == TierDecision(outcome=Outcome.ALLOW, grant_id="grant_1")
    assert decision.allowed


EXPIRED = ClassFact(value="eligible", issuer="org_1", expires_at_us=T0)
INELIGIBLE = ClassFact(value="ineligible", issuer="org_1", expires_at_us=T0 + 1)
ONE_THING_WRONG: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("credential_not_live", {"credential_live": False}, ()),
    ("credential_not_bound", {"credential_bound": False}, ()),
    ("second_proof_missing", {"credential_bound": False, "second_proof": "missing"}, ()),
    ("second_proof_other", {"credential_bound": False, "second_proof": "other"}, ()),
    ("account_refused", {"account": "account_suspended"}, ("account_suspended",)),
    ("state_not_current", {"current": False}, ()),
    ("organisation_not_known", {"organisation_id": None}, ()),
    ("caller_not_known", {"person_id": None}, ()),
    ("membership_not_active", {"memberships": ()}, ("prog_a",)),
    ("terms_not_accepted", {"memberships": (MembershipFact(programme="prog_a", state="active", terms_accepted=False),)},
     ("prog_a",)),
    ("organisation_barred", {"organisation_verdicts": {"pack_half": "yes", "pack_seat": "no"}}, ("pack_half",)),
    ("ownership_not_known", {"organisation_verdicts": {"pack_half": "not_known", "pack_seat": "no"}}, ("pack_half",)),
    ("employer_barred", {"employer_verdicts": {"pack_half": "no", "pack_seat": "yes"}}, ("pack_seat",)),
    ("employer_not_known", {"employer_id": None}, ("pack_half", "pack_seat")),
    ("employer_not_known", {"employer_verdicts": {"pack_half": "no"}}, ("pack_seat",)),
    ("person_ineligible", {"person_classes": {"class_residence": INELIGIBLE}}, ("class_residence",)),
    ("person_class_missing", {"person_classes": {}}, ("class_residence",)),
    ("person_class_expired", {"person_classes": {"class_residence": EXPIRED}}, ("class_residence",)),
    ("purpose_missing", {"purpose": None}, ()),
    ("purpose_not_allowed", {"purposes": {}}, ("defence",)),
    ("purpose_ended", {"purposes": {"defence": PurposeFact(assets=("asset_1",), ends_us=T0)}}, ("defence",)),
    ("asset_missing", {"asset": None}, ()),
    ("asset_not_authorised", {"asset": "asset_9"}, ("asset_9",)),
    ("project_missing", {"project": None}, ()),
    ("no_grant", {"grants": ()}, ("prog_a",)),
    ("no_grant", {"grants": (), "credit_available": None}, ("prog_a",)),
    ("grant_revoked", {"grants": (), "credit_available": None, "revoked": {"prog_a": "grant_0"}}, ("grant_0",)),
    ("grant_not_begun", {"grants": (msgspec.structs.replace(RIGHT_GRANT, starts_us=T0 + 1),)}, ("grant_1",)),
    ("grant_other_project", {"project": "project_9"}, ("grant_1",)),
    ("grant_other_model", {"grants": (msgspec.structs.replace(RIGHT_GRANT, models=()),)}, ("grant_1",)),
    ("grant_other_surface", {"surface": "batch"}, ("asked batch", "grant_1", "granted chat")),
    ("grant_other_purpose", {"grants": (msgspec.structs.replace(RIGHT_GRANT, purposes=("audit",)),)}, ("grant_1",)),
    ("grant_not_in_force", {"grants": (msgspec.structs.replace(RIGHT_GRANT, ends_us=T0),)}, ("grant_1",)),
    ("credit_not_known", {"credit_available": None}, ()),
    ("credit_exhausted", {"credit_available": False}, ()),
    ("retention_not_known", {"retention": None}, ("sketches",)),
    ("retention_incompatible", {"retention": "zero"}, ("sketches",)),
]  # fmt: skip


@pytest.mark.parametrize(("code", "changes", "about"), ONE_THING_WRONG)
def test_one_thing_wrong_is_one_reason(code: str, changes: dict[str, Any], about: tuple[str, ...]) -> None:
    decision = ENGINE.decide(*right(**changes))
    assert [(reason.code, reason.about) for reason in decision.reasons] == [(code, about)]
    assert decision.outcome is (Outcome.REVIEW if code in oracle.WAITING else Outcome.DENY)
    assert decision.grant_id is None


def test_no_gate_leans_on_another() -> None:
    policies = re.split(r"\n(?=@code)", POLICIES.text)
    for code, changes, _ in ONE_THING_WRONG:
        others = [text for text in policies if f'@code("{code}")' not in text]
        assert len(others) == len(policies) - 1
        assert engine_of("\n".join(others)).decide(*right(**changes)).allowed, code


def test_every_gate_was_made_to_fail_alone() -> None:
    assert {code for code, _, _ in ONE_THING_WRONG} == set(ENGINE.gates)


def test_gates_that_wait_are_those_that_name_a_missing_fact() -> None:
    assert {code for code, gate in ENGINE.gates.items() if gate.missing} == oracle.WAITING


def test_nothing_known_is_no_allow_in_the_classified_tier() -> None:
    standing, model, request = right(
        credential_bound=False, organisation_id=None, person_id=None, employer_id=None, memberships=(), purposes={},
        organisation_verdicts={}, employer_verdicts={}, person_classes={}, grants=(), retention=None, purpose=None,
        asset=None, project=None, credit_available=None, current=False,
    )  # fmt: skip
    decision = ENGINE.decide(standing, model, request)
    assert decision.outcome is Outcome.DENY
    assert codes(decision) == oracle.failed(standing, model, request)


def test_commodity_and_open_need_less() -> None:
    standing, _, request = right(
        credential_bound=False, organisation_id=None, person_id=None, employer_id=None, memberships=(), grants=(),
        purposes={}, purpose=None, project=None, credit_available=None, current=False, model="m",
    )  # fmt: skip
    for tier in ("commodity", "open"):
        assert ENGINE.decide(standing, ModelFact(model="m", tier=tier), request).allowed  # type: ignore[arg-type]
        packed = ModelFact(model="m", tier=tier, organisation_packs=("pack_half",))  # type: ignore[arg-type]
        assert codes(ENGINE.decide(standing, packed, request)) == ["organisation_not_known"]


@pytest.mark.parametrize("seed", range(4))
def test_requests_by_lot_agree_with_the_oracle(seed: int) -> None:
    rng = random.Random(seed)
    seen: set[str] = set()
    outcomes: set[str] = set()
    for number in range(1_000):
        wrong = rng.choice((0.0, 0.03, 0.1, 0.5))
        standing = at_random.standing(rng, number, wrong)
        model = rng.choice(at_random.MODELS)
        request = at_random.request(rng, model, wrong)
        decision = ENGINE.decide(standing, model, request, at_random.OFFERS)
        expected = oracle.failed(standing, model, request)
        assert codes(decision) == expected
        assert decision.outcome.value == oracle.outcome(expected)
        if expected:
            there = oracle.fallback(standing, model, request, at_random.OFFERS) if model.tier != "secret" else None
            assert decision.fallback == there
        seen |= set(expected)
        outcomes.add(decision.outcome.value)
    assert outcomes == {"allow", "deny", "review"}
    assert seen >= set(ENGINE.gates)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**64), st.floats(0, 1), st.sampled_from(at_random.MODELS))
def test_any_facts_agree_with_the_oracle(seed: int, wrong: float, model: ModelFact) -> None:
    rng = random.Random(seed)
    standing, request = at_random.standing(rng, 1, wrong), at_random.request(rng, model, wrong)
    assert codes(ENGINE.decide(standing, model, request)) == oracle.failed(standing, model, request)


@given(st.text(max_size=40), st.text(max_size=40))
@settings(max_examples=100, deadline=None)
def test_no_name_can_speak_cedar(name: str, other: str) -> None:
    standing, model, request = right(
        credential_id=name, organisation_id=name + "1", purpose=other, asset=other, project=name
    )
    decision = ENGINE.decide(standing, model, request)
    assert not decision.allowed
    assert POLICY_ERROR.code not in codes(decision) or any(0xD800 <= ord(c) <= 0xDFFF for c in name + other)


@pytest.mark.parametrize(
    "changes",
    [
        {"now_us": 2.5},
        {"now_us": 2**63},
        {"account": None},
        {"current": "yes"},
        {"credential_live": 1},
        {"retention_needed": "forever"},
        {"tier": 3},
        {"organisation_packs": "pack_half"},
        {"grants": ("grant",)},
        {"person_classes": {"class_residence": None}},
        {"purpose": "\ud800"},
    ],
)
def test_facts_that_do_not_fit_the_schema_are_denied(changes: dict[str, Any]) -> None:
    decision = ENGINE.decide(*right(**changes))
    assert decision.outcome is Outcome.DENY
    assert codes(decision) == ["policy_error"]


def test_a_model_that_was_not_asked_for_is_denied() -> None:
    standing, model, request = right()
    other = msgspec.structs.replace(request, model="m")
    assert codes(ENGINE.decide(standing, model, other)) == ["policy_error"]


def test_a_policy_that_errors_denies_though_the_rest_permits() -> None:
    overflowing = (
        '@code("sum") @text("t") @change("c") @appeal("a") '
        'forbid (principal, action == Action::"call", resource) when { context.now * 9223372036854775807 == 1 };'
    )
    assert codes(engine_of(POLICIES.text + overflowing).decide(*right())) == ["policy_error"]


@pytest.mark.parametrize(
    "text",
    [
        "permit (principal, action, resource);",
        '@code("a") forbid (principal, action, resource);',
        '@code("a") permit (principal, action, resource); @code("a") permit (principal, action, resource);',
        '@code("a") permit (principal, action, resource) when { principal.nonsense };',
        "permit (",
        '@code("a") permit (principal == ?principal, action, resource);',
    ],
)
def test_policies_that_could_not_explain_themselves_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        engine_of(text)


def test_a_lower_tier_is_offered_and_never_taken() -> None:
    lower = tuple(ModelFact(model=name, tier=tier) for name, tier in (("m", "commodity"), ("o", "open")))  # type: ignore[arg-type]
    standing, model, request = right(credit_available=None)
    decision = ENGINE.decide(standing, model, request, lower)
    assert (decision.outcome, decision.fallback) == (Outcome.REVIEW, "m")
    kept = (msgspec.structs.replace(lower[0], retention_needed="text"), lower[1])
    assert ENGINE.decide(standing, model, request, kept).fallback == "o"
    assert ENGINE.decide(*right(), lower).fallback is None
    # No model of the same tier, and none where the credential itself is refused.
    assert ENGINE.decide(standing, model, request, (msgspec.structs.replace(model, model="c2"),)).fallback is None
    assert ENGINE.decide(*right(credential_live=False), lower).fallback is None


def test_the_closest_grant_speaks() -> None:
    far = msgspec.structs.replace(RIGHT_GRANT, grant_id="grant_0", project="project_7", ends_us=T0)
    near = msgspec.structs.replace(RIGHT_GRANT, grant_id="grant_2", ends_us=T0 - HOUR // 2)
    decision = ENGINE.decide(*right(grants=(far, near)))
    assert [(reason.code, reason.about) for reason in decision.reasons] == [("grant_not_in_force", ("grant_2",))]
    assert ENGINE.decide(*right(grants=(far, near, RIGHT_GRANT))).grant_id == "grant_1"


def test_of_several_memberships_all_must_hold() -> None:
    held = MembershipFact(programme="prog_a", state="active", terms_accepted=True)
    ended = msgspec.structs.replace(held, state="suspended")
    for memberships in ((held, ended), (ended, held)):
        assert codes(ENGINE.decide(*right(memberships=memberships))) == ["membership_not_active"]


def test_texts_are_sentences_in_the_house_style() -> None:
    for gate in ENGINE.gates.values():
        for text in (gate.text, gate.change, gate.appeal, gate.missing or "a"):
            assert re.match(r"[a-z]", text), text
            assert not text.endswith("."), text

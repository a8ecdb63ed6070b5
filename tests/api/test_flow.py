"""From an application to a grant and back: who may do each step, what it needs, and who sees it."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx2
import pytest

from tests.api.authenticator import Approver
from tests.api.conftest import NOW, ORGANISATION, Control
from tiergate.admission.programmes import Programme, PurposeRule, Requirement
from tiergate.api.operators import Role
from tiergate.clock import DAY

SHA = hashlib.sha256(b"evidence").hexdigest()
PROGRAMME = Programme(
    programme_id="glass",
    name="Glass",
    operator="house",
    tier="classified",
    models=("frontier",),
    purposes=(PurposeRule(code="defence", title="Defence", assets=("domain",)), PurposeRule(code="study", title="S")),
    requirements=(Requirement(code="mfa", text="A second factor"),),
)


@pytest.fixture(autouse=True)
def programme(control: Control) -> None:
    control.services.programmes.create(PROGRAMME, author="ann", now_us=NOW)


@pytest.fixture
def applicant(control: Control) -> httpx2.Client:
    return control.client(Role.APPLICANT)


def applied(applicant: httpx2.Client) -> str:
    done = applicant.post("/v1/memberships", json={"programme_id": "glass", "met": {"mfa": SHA}})
    assert done.status_code == 201, done.text
    assert done.json()["standing"]["code"] == "membership_applied"
    return str(done.json()["membership"]["membership_id"])


def admitted(control: Control, applicant: httpx2.Client, one: Approver, other: Approver) -> str:
    membership = applied(applicant)
    vouched = control.client(Role.SPONSOR).post(f"/v1/memberships/{membership}/sponsorship", json={"reason": "known"})
    assert vouched.json()["code"] == "membership_sponsored", vouched.text
    for reviewer in (one, other):
        done = reviewer.post(f"/v1/memberships/{membership}/reviews", {"verdict": "approve"})
        assert done.status_code == 200, done.text
    assert done.json()["standing"]["may_use"]
    return membership


def asked(membership: str, purpose: str, **more: Any) -> dict[str, Any]:
    return {
        "membership_id": membership, "holder_kind": "person", "holder_id": "per_1", "project": "p",
        "model": "frontier", "surface": "api", "purpose_id": purpose, "from_us": NOW, "to_us": NOW + DAY,
    } | more  # fmt: skip


def declared(applicant: httpx2.Client, one: Approver, membership: str) -> str:
    purpose = applicant.post("/v1/purposes", json={"membership_id": membership, "code": "study"})
    assert purpose.status_code == 201, purpose.text
    purpose_id = str(purpose.json()["purpose_id"])
    assert one.post(f"/v1/purposes/{purpose_id}/acceptance", {}).status_code == 200
    return purpose_id


def test_the_whole_way(control: Control, applicant: httpx2.Client) -> None:
    one, other = Approver(control, Role.REVIEWER), Approver(control, Role.REVIEWER)
    membership = admitted(control, applicant, one, other)
    purpose = declared(applicant, one, membership)

    # Classified: a reviewer's token alone gives nothing.
    bare = one.client.post("/v1/grants", json=asked(membership, purpose))
    assert (bare.status_code, bare.json()["code"]) == (403, "passkey_required")
    given = one.post("/v1/grants", asked(membership, purpose))
    assert given.status_code == 201, given.text
    grant = given.json()["grant_id"]
    question = {"holder_kind": "person", "holder_id": "per_1", "project": "p", "model": "frontier", "surface": "api"}
    assert applicant.post(f"/v1/grants/{grant}/assessment", json=question).json()["codes"] == ["grant_pending"]
    approval = f"/v1/grants/{grant}/approval"
    assert one.post(approval, {}).json()["code"] == "second_reviewer_needed"
    assert other.client.post(approval).json()["code"] == "passkey_required"
    assert applicant.post(approval).json()["code"] == "role_does_not_allow"
    approved = other.post(approval, {}).json()
    assert not approved["pending"]
    assert approved["approved_by"] not in (None, approved["given_by"])
    assert other.post(approval, {}).json()["code"] == "not_pending"

    assert applicant.post(f"/v1/grants/{grant}/assessment", json=question).json()["allowed"]
    wrong = applicant.post(f"/v1/grants/{grant}/assessment", json=question | {"surface": "chat", "project": "q"})
    assert wrong.json()["codes"] == ["grant_other_project", "grant_other_surface"]
    for kind, value, status in (("domain", "WWW.Example.org.", 200), ("cidr", "no network", 422), ("domain", "", 422)):
        named = question | {"assets": [{"kind": kind, "value": value}]}
        assert applicant.post(f"/v1/grants/{grant}/assessment", json=named).status_code == status

    administrator = control.client(Role.ADMINISTRATOR)
    assert applicant.post(f"/v1/grants/{grant}/revocation", json={"reason": "r"}).status_code == 403
    assert administrator.post(f"/v1/grants/{grant}/revocation", json={"reason": ""}).status_code == 422
    assert administrator.post(f"/v1/grants/{grant}/revocation", json={"reason": "done"}).status_code == 200
    again = administrator.post(f"/v1/grants/{grant}/revocation", json={"reason": "done"})
    assert (again.status_code, again.json()["code"]) == (409, "grant_revoked")
    assert applicant.post(f"/v1/grants/{grant}/assessment", json=question).json()["codes"] == ["grant_revoked"]


def test_a_review_needs_a_passkey_and_two_people(control: Control, applicant: httpx2.Client) -> None:
    membership = applied(applicant)
    one = Approver(control, Role.REVIEWER, name="rea@example.com")
    path = f"/v1/memberships/{membership}/reviews"
    assert one.post(path, {"verdict": "approve"}).json()["code"] == "illegal_transition"  # no sponsor yet
    control.client(Role.SPONSOR).post(f"/v1/memberships/{membership}/sponsorship", json={})
    assert one.client.post(path, json={"verdict": "approve"}).json()["code"] == "passkey_required"
    assert one.post(path, {"verdict": "approve"}).json()["standing"]["code"] == "membership_reviewed"
    assert one.post(path, {"verdict": "approve"}).json()["code"] == "second_reviewer_needed"


def test_a_refusal_says_why_and_can_be_appealed(control: Control, applicant: httpx2.Client) -> None:
    membership = applied(applicant)
    refuser = Approver(control, Role.REVIEWER)
    control.client(Role.SPONSOR).post(f"/v1/memberships/{membership}/sponsorship", json={})
    verdict = {"verdict": "refuse", "code": "unclear", "reason": "no plan", "missing": ["a plan"]}
    assert refuser.post(f"/v1/memberships/{membership}/reviews", verdict).status_code == 200
    standing = applicant.get(f"/v1/memberships/{membership}").json()["standing"]
    assert standing["code"] == "membership_refused"
    assert "no plan" in standing["text"]

    filed = applicant.post(
        "/v1/appeals", json={"against": "membership", "subject_id": membership, "grounds": "there is a plan"}
    )
    assert filed.status_code == 201, filed.text
    appeal = filed.json()["appeal"]["appeal_id"]
    ballot = {"outcome": "overturned", "reason": "there is one"}
    path = f"/v1/appeals/{appeal}/votes"
    assert refuser.post(path, ballot).json()["code"] == "reviewer_not_independent"
    assert applicant.post(path, json=ballot).status_code == 403
    voters = [Approver(control, Role.REVIEWER) for _ in range(2)]
    assert voters[0].client.post(path, json=ballot).json()["code"] == "passkey_required"
    assert [voter.post(path, ballot).status_code for voter in voters] == [200, 200]
    assert "succeeded" in applicant.get(f"/v1/appeals/{appeal}").json()["notice"]
    assert applicant.get(f"/v1/memberships/{membership}").json()["standing"]["code"] == "membership_sponsored"


def test_an_organisation_sees_its_own_alone(control: Control, applicant: httpx2.Client) -> None:
    one, other = Approver(control, Role.REVIEWER), Approver(control, Role.REVIEWER)
    membership = admitted(control, applicant, one, other)
    grant = one.post("/v1/grants", asked(membership, declared(applicant, one, membership))).json()["grant_id"]
    control.services.memberships.suspend(membership, author="x", code="c", reason="r", now_us=NOW)
    grounds = {"against": "membership", "subject_id": membership, "grounds": "g"}
    appeal = applicant.post("/v1/appeals", json=grounds).json()["appeal"]["appeal_id"]

    stranger = control.client(Role.APPLICANT, organisation="org-two")
    for path in ("/v1/memberships", "/v1/grants", "/v1/purposes", "/v1/appeals"):
        assert stranger.get(path).json()["items"] == []
        assert len(applicant.get(path).json()["items"]) == 1
        assert len(control.client(Role.AUDITOR).get(path).json()["items"]) == 1
    for path in (f"/v1/memberships/{membership}", f"/v1/grants/{grant}", f"/v1/appeals/{appeal}"):
        unknown = path.rpartition("/")[0] + "/none"
        assert applicant.get(path).status_code == 200
        seen, none = stranger.get(path), stranger.get(unknown)
        assert (seen.status_code, seen.json()["code"]) == (none.status_code, none.json()["code"]) == (404, "not_found")
    declaration = {"membership_id": membership, "code": "study"}
    assert stranger.post("/v1/purposes", json=declaration).status_code == 404
    assert stranger.post("/v1/appeals", json=grounds).status_code == 404
    assert stranger.delete(f"/v1/memberships/{membership}").status_code == 404
    assert (
        stranger.post(f"/v1/memberships/{membership}/evidence", json={"code": "mfa", "sha256": SHA}).status_code == 404
    )


def test_a_sponsor_learns_where_the_application_stands_and_no_more(control: Control, applicant: httpx2.Client) -> None:
    membership = applied(applicant)
    own = control.client(Role.SPONSOR, organisation=ORGANISATION)
    refused = own.post(f"/v1/memberships/{membership}/sponsorship", json={})
    assert refused.json()["code"] == "sponsor_not_independent"
    stranger = control.client(Role.SPONSOR, organisation="org-two")
    assert stranger.post(f"/v1/memberships/{membership}/sponsorship", json={}).json()["code"] == "sponsor_not_member"
    assert stranger.get(f"/v1/memberships/{membership}").status_code == 404
    assert stranger.post("/v1/memberships/none/sponsorship", json={}).status_code == 404


def test_an_applicant_withdraws(applicant: httpx2.Client) -> None:
    membership = applied(applicant)
    assert applicant.delete(f"/v1/memberships/{membership}").json()["standing"]["code"] == "membership_ended"


def test_a_member_is_suspended_and_resumed(control: Control, applicant: httpx2.Client) -> None:
    one, other = Approver(control, Role.REVIEWER), Approver(control, Role.REVIEWER)
    membership = admitted(control, applicant, one, other)
    path = f"/v1/memberships/{membership}"
    stop = {"code": "late", "reason": "no report"}
    suspended = control.client(Role.ADMINISTRATOR).post(f"{path}/suspension", json=stop)
    assert not suspended.json()["standing"]["may_use"]
    assert one.client.post(f"{path}/resumption", json={"reason": "r"}).json()["code"] == "passkey_required"
    assert one.post(f"{path}/resumption", {"reason": "report came"}).json()["standing"]["may_use"]
    assert one.client.post(f"{path}/end", json=stop).json()["standing"]["code"] == "membership_ended"


def test_a_programme_that_is_unknown_is_a_problem(applicant: httpx2.Client) -> None:
    refused = applicant.post("/v1/memberships", json={"programme_id": "none"})
    assert (refused.status_code, refused.json()["code"]) == (422, "unfit_value")
    assert [one["programme_id"] for one in applicant.get("/v1/programmes").json()["items"]] == ["glass"]

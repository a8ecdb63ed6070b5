"""SCIM: a directory adds people and takes them out, and whoever left has nothing left."""

from __future__ import annotations

from typing import Any

import httpx2
import msgspec
import pytest

from tests.api.authenticator import Approver
from tests.api.conftest import NOW, ORGANISATION, Control
from tests.api.test_flow import PROGRAMME, admitted, asked, declared
from tiergate.admission.holders import Holder
from tiergate.api.operators import Role

USERS = "/scim/v2/Users"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


@pytest.fixture
def directory(control: Control) -> httpx2.Client:
    return control.client(Role.PROVISIONER)


def added(directory: httpx2.Client, name: str = "Ann@Example.com", **more: Any) -> dict[str, Any]:
    body = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name, "name": {"givenName": "A"}}
    done = directory.post(USERS, json=body | more, headers={"content-type": "application/scim+json"})
    assert done.status_code == 201, done.text
    assert done.headers["content-type"] == "application/scim+json"
    assert done.headers["location"].endswith(done.json()["id"])
    return dict(done.json())


def patched(directory: httpx2.Client, user: str, *operations: dict[str, Any]) -> httpx2.Response:
    return directory.patch(f"{USERS}/{user}", json={"schemas": [PATCH], "Operations": list(operations)})


def test_users_are_added_found_and_listed(directory: httpx2.Client) -> None:
    ann, bob = added(directory, externalId="e-1"), added(directory, "bob")
    assert (ann["userName"], ann["externalId"], ann["active"]) == ("ann@example.com", "e-1", True)
    assert ann["meta"]["created"] == "2026-05-28T20:26:40.000Z"
    assert directory.get(f"{USERS}/{ann['id']}").json() == ann
    found = directory.get(USERS, params={"filter": 'USERNAME Eq "ANN@example.com"'}).json()
    assert (found["totalResults"], found["Resources"]) == (1, [ann])
    assert directory.get(USERS, params={"filter": 'userName eq "zoe"'}).json()["Resources"] == []
    second = directory.get(USERS, params={"startIndex": "2", "count": "1"}).json()
    assert (second["totalResults"], second["itemsPerPage"], second["Resources"]) == (2, 1, [bob])
    assert directory.get(USERS, params={"count": "0"}).json()["Resources"] == []


@pytest.mark.parametrize("filter_", ['name eq "x"', 'userName co "x"', 'userName eq "x" or active eq true', "("])
def test_other_filters_are_refused_as_scim_has_it(directory: httpx2.Client, filter_: str) -> None:
    refused = directory.get(USERS, params={"filter": filter_})
    assert refused.status_code == 400
    assert refused.json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert refused.json()["status"] == "400"


def test_a_name_is_taken_until_it_is_deleted(directory: httpx2.Client) -> None:
    ann = added(directory)
    refused = directory.post(USERS, json={"userName": "ANN@EXAMPLE.COM"})
    assert (refused.status_code, refused.json()["scimType"]) == (409, "uniqueness")
    assert directory.delete(f"{USERS}/{ann['id']}").status_code == 204
    assert directory.get(f"{USERS}/{ann['id']}").status_code == 404
    assert directory.delete(f"{USERS}/{ann['id']}").status_code == 404
    assert added(directory)["id"] != ann["id"]


def test_a_directory_reaches_its_own_people_alone(control: Control, directory: httpx2.Client) -> None:
    ann = added(directory)
    other = control.client(Role.PROVISIONER, organisation="org-two")
    assert other.get(f"{USERS}/{ann['id']}").status_code == 404
    assert patched(other, ann["id"], {"op": "replace", "path": "active", "value": False}).status_code == 404
    assert other.delete(f"{USERS}/{ann['id']}").status_code == 404
    assert other.get(USERS).json()["totalResults"] == 0
    assert directory.get("/v1/memberships").status_code == 403


LEAVING: list[dict[str, Any]] = [
    {"op": "replace", "path": "active", "value": False},
    {"op": "Replace", "path": "active", "value": "False"},
    {"op": "replace", "value": {"active": False}},
]


@pytest.mark.parametrize("leaving", [*LEAVING, None], ids=["rfc", "entra", "okta", "delete"])
def test_whoever_leaves_has_nothing_left_at_once(
    control: Control, directory: httpx2.Client, leaving: dict[str, Any] | None
) -> None:
    control.services.programmes.create(PROGRAMME, author="x", now_us=NOW)
    ann = added(directory)
    applicant_id, secret = control.operator(Role.APPLICANT, name="ann@example.com")
    applicant = control.with_token(secret)
    cookie = control.services.sessions.begin(applicant_id, NOW, 10**12)
    registry = control.services.registry
    for account, organisation in (("ann@example.com", ORGANISATION), (ann["id"], ORGANISATION), ("bob", ORGANISATION)):
        registry.add_account({"account_id": account, "organization_id": organisation, "created_at": NOW})
        registry.issue_key(account, "laptop", NOW)
    one, other = Approver(control, Role.REVIEWER), Approver(control, Role.REVIEWER)
    membership = admitted(control, applicant, one, other)
    purpose = declared(applicant, one, membership)
    nobody = one.post("/v1/grants", asked(membership, purpose, holder_id="zoe"))
    assert (nobody.status_code, nobody.json()["code"]) == (422, "holder_not_in_directory")
    given = one.post("/v1/grants", asked(membership, purpose, holder_id="ann@example.com")).json()
    assert given["holder_id"] == ann["id"]
    assert other.post(f"/v1/grants/{given['grant_id']}/approval", {}).status_code == 200
    workload = one.post("/v1/grants", asked(membership, purpose, holder_kind="workload", holder_id="ci")).json()

    if leaving is None:
        assert directory.delete(f"{USERS}/{ann['id']}").status_code == 204
    else:
        assert patched(directory, ann["id"], leaving).json()["active"] is False
    grants = control.services.grants
    assert grants.get(given["grant_id"]).revoked_at_us == NOW
    assert grants.get(workload["grant_id"]).revoked_at_us is None
    keys = {one.account_id: one.revoked_at for one in registry.credentials().values()}
    assert keys == {"ann@example.com": NOW, ann["id"]: NOW, "bob": None}
    assert applicant.get("/v1/session").status_code == 401
    assert control.services.sessions.find(cookie, NOW) is None
    if leaving is None:
        return
    # Said again it is done again; back in the directory, nothing comes back by itself but new grants are possible.
    assert patched(directory, ann["id"], leaving).status_code == 200
    gone = one.post("/v1/grants", asked(membership, purpose, holder_id=ann["id"]))
    assert gone.json()["code"] == "holder_not_in_directory"
    assert patched(directory, ann["id"], {"op": "replace", "path": "active", "value": True}).json()["active"]
    assert grants.get(given["grant_id"]).revoked_at_us == NOW
    assert applicant.get("/v1/session").status_code == 401
    assert one.post("/v1/grants", asked(membership, purpose, holder_id=ann["id"])).status_code == 201


def test_whoever_leaves_loses_the_keys_that_they_hold_whatever_the_accounts_are_called(
    control: Control, directory: httpx2.Client
) -> None:
    ann, registry, holders = added(directory), control.services.registry, control.services.holders
    for account in ("acct-1", "acct-2", "acct-3", "team"):
        registry.add_account({"account_id": account, "organization_id": ORGANISATION, "created_at": NOW})
    for account in ("acct-1", "acct-2", "acct-3", "team", "team"):
        registry.issue_key(account, account, NOW)
    mine, bobs = sorted(key.credential_id for key in registry.credentials().values() if key.account_id == "team")
    theirs = Holder(subject="account", subject_id="acct-1", organisation_id=ORGANISATION, person_id=ann["id"])
    for more in (
        {},
        {"subject_id": "acct-2", "organisation_id": "org-two"},
        {"subject_id": "acct-3", "workload_id": "ci"},
        {"subject_id": "team", "person_id": "ANN@example.com "},
        {"subject": "credential", "subject_id": bobs, "person_id": "bob"},
    ):
        holders.set(msgspec.structs.replace(theirs, **more), author="x", now_us=NOW)
    for _ in range(2):
        patched(directory, ann["id"], LEAVING[0])
        revoked = {key.credential_id for key in registry.credentials().values() if key.revoked_at is not None}
        assert revoked == {
            mine,
            *(key.credential_id for key in registry.credentials().values() if key.account_id == "acct-1"),
        }
    holders.set(msgspec.structs.replace(theirs, subject="credential", subject_id=bobs), author="x", now_us=NOW)
    patched(directory, ann["id"], LEAVING[0])
    assert {key.revoked_at for key in registry.credentials().values() if key.credential_id == bobs} == {NOW}


def test_a_namesake_in_another_organisation_ends_nothing(control: Control, directory: httpx2.Client) -> None:
    registry = control.services.registry
    registry.add_account({"account_id": "ann@example.com", "organization_id": ORGANISATION, "created_at": NOW})
    registry.issue_key("ann@example.com", "x", NOW)
    operator_id, _ = control.operator(Role.APPLICANT, name="ann@example.com")
    other = control.client(Role.PROVISIONER, organisation="org-two")
    assert other.delete(f"{USERS}/{added(other)['id']}").status_code == 204
    assert [key.revoked_at for key in registry.credentials().values()] == [None]
    operator = control.services.operators.get(operator_id)
    assert operator is not None
    assert operator.ended_at is None


def test_patches_of_other_things_change_nothing(directory: httpx2.Client) -> None:
    ann = added(directory)
    for operation in (
        {"op": "replace", "path": "displayName", "value": "A"},
        {"op": "add", "value": {"title": "Dr"}},
        {"op": "remove", "path": "active"},
    ):
        assert patched(directory, ann["id"], operation).json()["active"] is True
    assert patched(directory, ann["id"], {"op": "replace", "path": "active", "value": "no"}).status_code == 400
    assert patched(directory, ann["id"]).status_code == 400


def test_the_service_says_what_it_can(directory: httpx2.Client) -> None:
    said = directory.get("/scim/v2/ServiceProviderConfig").json()
    assert said["patch"] == {"supported": True}
    assert said["filter"]["supported"]

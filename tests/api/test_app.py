"""The way of a request: who may what, limits, refusals that say what to do, requests that count once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import httpx2
import msgspec
import pytest
from openapi_spec_validator import validate

from tests.api.conftest import NOW, ORGANISATION, Control
from tiergate.api.app import OPERATIONS
from tiergate.api.operators import ALLOWS, Permission, Role
from tiergate.api.paging import PageQuery, page
from tiergate.clock import DAY


def test_the_document_is_valid_and_names_every_route(control: Control) -> None:
    described = control.with_token(None).get("/openapi.json").json()
    validate(described)
    served = {(operation.method, operation.described_path) for operation in OPERATIONS}
    assert len(served) == len(OPERATIONS)
    assert {(way.upper(), path) for path, ways in described["paths"].items() for way in ways} == served
    names = [way["operationId"] for ways in described["paths"].values() for way in ways.values()]
    assert len(set(names)) == len(names)


def test_whoever_is_nobody_gets_nothing(control: Control) -> None:
    for operation in OPERATIONS:
        if operation.needs_somebody:
            path = operation.described_path.replace("{", "").replace("}", "")
            refused = control.with_token(None).request(operation.method, path, content=b"{}")
            assert refused.status_code == 401, operation.name
            assert refused.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("role", list(Role))
def test_a_role_reaches_its_own_operations_and_no_other(control: Control, role: Role) -> None:
    client = control.client(role)
    for operation in OPERATIONS:
        if operation.permission is None:
            continue
        path = operation.described_path.replace("{", "").replace("}", "")
        answer = client.request(operation.method, path, content=b"{}")
        refused = f"`{operation.permission}` is not allowed to {role}" in answer.text
        assert refused != (operation.permission in ALLOWS[role]), (operation.name, answer.text)


def test_every_permission_belongs_to_a_role() -> None:
    assert frozenset().union(*ALLOWS.values()) == set(Permission)


def test_a_token_that_is_revoked_expired_or_mistyped_opens_nothing(control: Control) -> None:
    operator_id, secret = control.operator(Role.AUDITOR)
    client = control.with_token(secret)
    assert client.get("/v1/session").json()["operator"]["operator_id"] == operator_id
    assert control.with_token(secret[:-1] + ("0" if secret[-1] != "0" else "1")).get("/v1/session").status_code == 401
    (token,) = control.services.operators.tokens(operator_id)
    control.services.operators.revoke_token(token.token_id, NOW)
    assert client.get("/v1/session").status_code == 401

    again = control.with_token(control.services.operators.issue_token(operator_id, NOW)[1])
    assert again.get("/v1/session").status_code == 200
    control.clock.time_us = NOW + 90 * DAY
    refused = again.get("/v1/session")
    assert (refused.status_code, refused.headers["content-type"]) == (401, "application/problem+json")
    assert refused.json()["what_to_do"] == "send `Authorization: Bearer tgo_...`, or sign in"


@pytest.mark.parametrize(
    "token",
    ["' OR '1'='1' --", "tgo_' OR 1=1 --", "tgo_%", "*", "tgo_\\' UNION SELECT token_hash FROM operator_tokens --"],
)
def test_no_token_is_a_query(control: Control, token: str) -> None:
    control.operator(Role.ADMINISTRATOR)
    assert control.with_token(token).get("/v1/operators").status_code == 401
    for path in (f"/v1/memberships/{token}", f"/v1/grants/{token}"):
        assert control.client(Role.AUDITOR).get(path).status_code == 404


@pytest.mark.parametrize("name", ["host", "x-forwarded-host", "x-original-url", "x-rewrite-url", "forwarded"])
@pytest.mark.parametrize("value", ["/healthz", "localhost", "127.0.0.1", "host=localhost", "evil.example/healthz?"])
def test_no_header_says_another_path_or_that_somebody_is_known(control: Control, name: str, value: str) -> None:
    refused = control.with_token(None).get("/v1/operators", headers={name: value})
    assert refused.status_code == 401, refused.text


def test_an_operator_who_ended_opens_nothing(control: Control) -> None:
    operator_id, secret = control.operator(Role.AUDITOR)
    assert control.services.operators.end(operator_id, NOW)
    assert not control.services.operators.end(operator_id, NOW)
    assert control.with_token(secret).get("/v1/session").status_code == 401


def test_no_secret_lies_in_the_data_folder(control: Control) -> None:
    _, secret = control.operator(Role.AUDITOR)
    stored = b"".join(path.read_bytes() for path in control.services.settings.data.iterdir())
    assert secret.encode() not in stored
    assert secret.removeprefix("tgo_").encode() not in stored


def test_a_body_over_the_limit_is_refused(control: Control) -> None:
    client = control.client(Role.PROVISIONER)
    refused = client.post("/scim/v2/Users", content=b" " * (1 << 20) + b"{}")
    assert refused.status_code == 413
    streamed = client.post("/scim/v2/Users", content=(b" " * 65536 for _ in range(17)))
    assert streamed.status_code == 413


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"method": "POST"}', b"[" * 200_000, b"\xff"])
def test_a_body_that_is_not_what_it_should_be_is_a_problem(control: Control, body: bytes) -> None:
    refused = control.client(Role.AUDITOR).post("/v1/passkeys/challenge", content=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "unfit_body")


def test_ways_that_are_not_there_are_problems(control: Control) -> None:
    client = control.with_token(None)
    assert client.get("/nothing").json()["code"] == "not_found"
    refused = client.put("/v1/session")
    assert refused.json()["code"] == "method_not_allowed"
    assert client.get("/healthz").json() == {"status": "ok"}


def test_a_request_that_is_sent_twice_counts_once(control: Control) -> None:
    client = control.client(Role.PROVISIONER)
    head = {"idempotency-key": "one"}
    first = client.post("/scim/v2/Users", json={"userName": "ann"}, headers=head)
    second = client.post("/scim/v2/Users", json={"userName": "ann"}, headers=head)
    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    assert second.headers["idempotent-replayed"] == "true"
    other = client.post("/scim/v2/Users", json={"userName": "bob"}, headers=head)
    assert other.status_code == 400
    assert "another request" in other.json()["detail"]
    # Another operator's key is another key; and a day later it is free again.
    stranger = control.client(Role.PROVISIONER, organisation="org-two")
    assert stranger.post("/scim/v2/Users", json={"userName": "bob"}, headers=head).status_code == 201
    control.clock.time_us += DAY
    assert client.post("/scim/v2/Users", json={"userName": "bob"}, headers=head).status_code == 201


def test_a_refusal_gives_its_key_back(control: Control) -> None:
    client = control.client(Role.PROVISIONER)
    ann = client.post("/scim/v2/Users", json={"userName": "ann"}).json()
    head = {"idempotency-key": "one"}
    assert client.post("/scim/v2/Users", json={"userName": "Ann"}, headers=head).status_code == 409
    assert client.delete(f"/scim/v2/Users/{ann['id']}").status_code == 204
    assert client.post("/scim/v2/Users", json={"userName": "Ann"}, headers=head).status_code == 201


def test_pages_lose_and_double_nothing(control: Control) -> None:
    client = control.client(Role.AUDITOR)
    for _ in range(6):
        control.operator(Role.SPONSOR)
    found: list[str] = []
    query: dict[str, str] = {"limit": "3"}
    sizes = []
    while True:
        answer = client.get("/v1/operators", params=query).json()
        sizes.append(len(answer["items"]))
        found += [operator["operator_id"] for operator in answer["items"]]
        if answer["next"] is None:
            break
        query["cursor"] = answer["next"]
    assert sizes == [3, 3, 1]
    assert all(one < other for one, other in pairwise(found))
    for wrong in ({"limit": "0"}, {"limit": "many"}, {"cursor": "ä"}, {"colour": "red"}):
        assert client.get("/v1/operators", params=wrong).status_code == 400


def test_an_empty_list_is_one_page() -> None:
    assert page([], str, PageQuery()).next is None


def test_roles_go_with_organisations(control: Control) -> None:
    from tiergate.errors import InputError

    add = control.services.operators.add
    for roles, organisation in (([Role.REVIEWER], ORGANISATION), ([Role.APPLICANT], None), ([], None)):
        with pytest.raises(InputError):
            add("x", roles, organisation, NOW)
    add("x", [Role.REVIEWER], None, NOW)
    with pytest.raises(InputError, match="already"):
        add(" X ", [Role.REVIEWER], None, NOW)


def test_problems_are_as_rfc_9457_has_them(control: Control) -> None:
    problem = msgspec.json.decode(control.with_token(None).get("/v1/session").content)
    assert problem["type"] == "urn:tiergate:problem:not_authenticated"
    assert problem.keys() >= {"type", "title", "status", "detail"}
    assert problem["status"] == 401


def test_of_many_that_come_together_one_counts(control: Control) -> None:
    _, secret = control.operator(Role.PROVISIONER)
    clients = [control.with_token(secret) for _ in range(8)]

    def post(client: httpx2.Client) -> int:
        return client.post("/scim/v2/Users", json={"userName": "ann"}, headers={"idempotency-key": "k"}).status_code

    with ThreadPoolExecutor(len(clients)) as pool:
        said = list(pool.map(post, clients))
    assert set(said) <= {201, 409}  # the first, or the same answer again; or under way
    assert 201 in said
    assert clients[0].get("/scim/v2/Users").json()["totalResults"] == 1

"""Decisions of the log over the API: every reason, whose it is, its receipt, and what an appeal made of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx2
import msgspec
import pytest

from tests.admission.at_random import right
from tests.admission.test_replay import recorded
from tests.api.authenticator import Approver
from tests.api.conftest import NOW, ORGANISATION, Control
from tiergate.admission.activations import ActivationStore, day_of
from tiergate.admission.engine import policies_of_today
from tiergate.admission.rule_packs import find_pack, load_packs
from tiergate.api.operators import Role
from tiergate.errors import ProofError
from tiergate.ledger.decision_log import DecisionLog
from tiergate.ledger.decision_logs import place_of
from tiergate.ledger.decision_records import FACTS, Decided
from tiergate.ledger.notes import ED25519, PrivateKey, PublicKey
from tiergate.ledger.receipts import verify_receipt

REASONS = ["membership_not_active", "ownership_not_known"]


def decided(organisation: str) -> Decided:
    return Decided(
        time_us=NOW, request="0" * 64, inputs="1" * 64, policy="p1", epoch=7, outcome="DENY", reasons=REASONS,
        packs={"ofac_50": "1"}, personal={"organisation": organisation},
    )  # fmt: skip


def replayable(organisation: str, **changes: Any) -> Decided:
    """A refusal by today's policies, with its facts."""
    asked = right(purpose=None, person_classes={}, organisation_id=organisation)
    made = recorded(asked)
    return msgspec.structs.replace(made, personal=made.personal | {"organisation": organisation}, **changes)


@pytest.fixture
def further(control: Control, key: PublicKey) -> str:
    """The log of a second worker, with a decision, another organisation's, and one that does not follow."""
    place = place_of(control.services.settings.data, 2)
    with closing(DecisionLog.open(place.folder, origin="example.com/decisions")) as log:
        changed = replayable(ORGANISATION, outcome="ALLOW", reasons=[])
        log.append([replayable(ORGANISATION), replayable("org-two"), changed])
        log.sign(PrivateKey("example.com/decisions", ED25519, bytes(32)), NOW)
    return place.prefix


@pytest.fixture
def key(control: Control) -> Iterator[PublicKey]:
    made = PrivateKey("example.com/decisions", ED25519, bytes(32))
    with closing(DecisionLog.open(control.services.settings.data / "decisions", origin="example.com/decisions")) as log:
        log.append([decided(ORGANISATION), decided("org-two")])
        log.sign(made, NOW)
        yield made.public


def test_a_decision_gives_every_reason(control: Control, key: PublicKey) -> None:
    said = control.client(Role.AUDITOR).get("/v1/decisions/0").json()
    assert (said["record"]["reasons"], said["record"]["outcome"], said["overturned"]) == (REASONS, "DENY", False)
    assert [gate["code"] for gate in said["gates"]] == REASONS
    assert all(gate["text"] and gate["change"] and gate["appeal"] for gate in said["gates"])
    assert ORGANISATION not in str(said)


def test_an_organisation_sees_its_own_decisions_alone(control: Control, key: PublicKey) -> None:
    applicant = control.client(Role.APPLICANT)
    assert applicant.get("/v1/decisions/0").status_code == 200
    assert applicant.get("/v1/decisions/1").json() == applicant.get("/v1/decisions/2").json() | {
        "detail": "no decision of yours is called `1`"
    }
    assert applicant.get("/v1/decisions/1/receipt").status_code == 404
    filed = {"against": "decision", "subject_id": "1", "grounds": "g"}
    assert applicant.post("/v1/appeals", json=filed).status_code == 404


@pytest.mark.parametrize(
    "name", ["2", "-1", "00", "x", "٣", "9" * 30, "worker-2/0", "worker-1/0", "..%2Fdecisions%2F0", "0/", "0/x"]
)
def test_what_is_no_decision_is_not_found(control: Control, key: PublicKey, name: str) -> None:
    assert control.client(Role.AUDITOR).get(f"/v1/decisions/{name}").status_code == 404


def test_a_receipt_holds_without_the_log(control: Control, key: PublicKey) -> None:
    receipt = control.client(Role.APPLICANT).get("/v1/decisions/0/receipt")
    verified = verify_receipt(receipt.content, key)
    assert verified.record.reasons == REASONS
    spoilt = receipt.content.replace(b"DENY", b"ALLOW")
    with pytest.raises(ProofError, match="was changed"):
        verify_receipt(spoilt, key)


def test_an_appeal_undoes_a_decision(control: Control, key: PublicKey) -> None:
    applicant = control.client(Role.APPLICANT)
    filed = applicant.post("/v1/appeals", json={"against": "decision", "subject_id": "0", "grounds": "we are members"})
    appeal = filed.json()["appeal"]["appeal_id"]
    for _ in range(2):
        ballot = {"outcome": "overturned", "reason": "they are"}
        voted = Approver(control, Role.REVIEWER).post(f"/v1/appeals/{appeal}/votes", ballot)
        assert voted.status_code == 200, voted.text
    assert applicant.get("/v1/decisions/0").json()["overturned"]


def test_decisions_are_found_by_whose_they_are_and_a_page_at_a_time(
    control: Control, key: PublicKey, further: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    auditor, applicant = control.client(Role.AUDITOR), control.client(Role.APPLICANT)

    def ids(client: httpx2.Client, **asked: Any) -> list[str]:
        found: list[str] = []
        while True:
            page = client.get("/v1/decisions", params=asked).json()
            found += [one["decision_id"] for one in page["items"]]
            if page["next"] is None:
                return found
            asked["cursor"] = page["next"]

    everything = ["1", "0", "worker-2/2", "worker-2/1", "worker-2/0"]
    assert sorted(ids(auditor)) == sorted(everything)
    assert ids(auditor, organisation="org-two") == ids(auditor, organisation="org-two", limit=1)
    own = {"0", "worker-2/0", "worker-2/2"}
    assert set(ids(applicant)) == set(ids(applicant, organisation=ORGANISATION)) == own
    assert ids(applicant, organisation="org-two") == []
    assert set(ids(auditor, code="ownership_not_known")) == {"0", "1"}
    assert ids(auditor, since_us=NOW + 1, outcome="DENY") == []
    registry = control.services.registry
    registry.add_account({"account_id": "acct-1", "created_at": NOW})
    registry.issue_key("acct-1", "x", NOW)
    assert ids(auditor, account="acct-1") == ids(auditor, account="nobody") == []
    monkeypatch.setattr("tiergate.api.decisions.MOST_READ", 1)
    assert sorted(ids(auditor)) == sorted(everything)
    for wrong in ({"cursor": "x"}, {"outcome": "MAYBE"}, {"limit": "0"}, {"what": "1"}):
        assert auditor.get("/v1/decisions", params=wrong).status_code in (400, 422)


def test_what_allowed_a_request_is_not_appealed(control: Control, further: str) -> None:
    filed = {"against": "decision", "subject_id": f"{further}2", "grounds": "g"}
    refused = control.client(Role.APPLICANT).post("/v1/appeals", json=filed)
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_to_appeal")


def test_who_had_a_part_in_a_refusal_cannot_vote_on_it(control: Control) -> None:
    pack, engine = find_pack(load_packs(), "ofac_50"), control.services.engine
    names = ("lee@example.com", "roy@example.com")
    ActivationStore(engine).record(pack, "activate", day=day_of(NOW), names=names, reason="r", now_us=NOW)
    standing, model, request = right(organisation_id=ORGANISATION, employer_id=ORGANISATION)
    standing = msgspec.structs.replace(standing, organisation_verdicts={pack.name: "yes"})
    barred = recorded((standing, msgspec.structs.replace(model, organisation_packs=(pack.name,)), request), time_us=NOW)
    barred = msgspec.structs.replace(barred, personal=barred.personal | {"organisation": ORGANISATION})
    with closing(DecisionLog.open(control.services.settings.data / "decisions", origin="example.com/decisions")) as log:
        log.append([barred])
    filed = {"against": "decision", "subject_id": "0", "grounds": "g"}
    appeal = control.client(Role.APPLICANT).post("/v1/appeals", json=filed).json()["appeal"]
    assert appeal["decided_by"] == list(names)
    ballot = {"outcome": "overturned", "reason": "r"}
    path = f"/v1/appeals/{appeal['appeal_id']}/votes"
    refused = Approver(control, Role.REVIEWER, name=names[1]).post(path, ballot)
    assert refused.json()["code"] == "reviewer_not_independent"
    assert Approver(control, Role.REVIEWER).post(path, ballot).status_code == 200


def test_a_name_that_comes_again_in_another_organisation_sees_no_appeal(control: Control, key: PublicKey) -> None:
    operator_id, token = control.operator(Role.APPLICANT, name="ann@example.com")
    before = control.with_token(token)
    filed = before.post("/v1/appeals", json={"against": "decision", "subject_id": "0", "grounds": "g"})
    appeal = f"/v1/appeals/{filed.json()['appeal']['appeal_id']}"
    assert before.get(appeal).status_code == 200
    control.services.operators.end(operator_id, NOW)
    after = control.client(Role.APPLICANT, name="ann@example.com", organisation="org-two")
    assert after.get(appeal).status_code == 404
    assert after.get("/v1/appeals").json()["items"] == []


def test_a_deployment_without_a_log_says_so(control: Control) -> None:
    client: httpx2.Client = control.client(Role.AUDITOR)
    assert client.get("/v1/decisions/0").json()["code"] == "no_decision_log"


@pytest.mark.parametrize("slash", ["/", "%2F"])
def test_decisions_of_every_worker_are_explained_replayed_and_proved(
    control: Control, key: PublicKey, further: str, slash: str
) -> None:
    applicant, name = control.client(Role.APPLICANT), f"{further}0".replace("/", slash)
    said = applicant.get(f"/v1/decisions/{name}").json()
    assert said["decision_id"] == "worker-2/0"
    assert said["about"] == {"person_class_missing": ["class_residence"], "purpose_missing": []}
    again = applicant.get(f"/v1/decisions/{name}/replay").json()
    assert (again["state"], again["flips"], again["signed"]) == ("same", False, True)
    assert again["recorded"] == again["replayed"] == again["today"]
    assert again["policy"] == policies_of_today().digest
    verify_receipt(applicant.get(f"/v1/decisions/{name}/receipt").content, key)


def test_a_replay_tells_what_does_not_follow_and_what_cannot_be_replayed(control: Control, further: str) -> None:
    client = control.client(Role.AUDITOR)
    different = client.get(f"/v1/decisions/{further}2/replay").json()
    assert (different["state"], different["replayed"]["outcome"]) == ("different", "REVIEW")
    assert client.get("/v1/decisions/0/replay").json()["state"] == "facts_not_kept"
    for facts in ("{}", "no facts"):
        with closing(DecisionLog.open(place_of(control.services.settings.data, 3).folder, origin="o")) as log:
            (index,) = log.append([msgspec.structs.replace(decided(ORGANISATION), personal={FACTS: facts})])
        refused = client.get(f"/v1/decisions/worker-3/{index}/replay")
        assert (refused.status_code, refused.json()["code"]) == (500, "does_not_hold")


def test_another_organisations_decision_is_not_found_by_any_way(control: Control, further: str) -> None:
    applicant = control.client(Role.APPLICANT)
    for path in ("", "/replay", "/receipt"):
        assert applicant.get(f"/v1/decisions/{further}1{path}").status_code == 404
        assert control.client(Role.AUDITOR).get(f"/v1/decisions/{further}1{path}").status_code == 200
    filed = {"against": "decision", "subject_id": f"{further}1", "grounds": "g"}
    assert applicant.post("/v1/appeals", json=filed).status_code == 404
    assert applicant.post("/v1/appeals", json=filed | {"subject_id": f"{further}0"}).status_code == 201

"""Rule packs over the API: seen before they bind, and bound by two people with passkeys."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.authenticator import Approver
from tests.api.conftest import NOW, Control
from tiergate.admission.activations import ActivationStore, day_of
from tiergate.admission.holders import Holder
from tiergate.admission.rule_packs import load_packs
from tiergate.api.operators import Role
from tiergate.clock import DAY
from tiergate.parties.tokens import new_token

PACK = "ofac_50@1"
TODAY = day_of(NOW).isoformat()
CHANGE = {"action": "activate", "day": TODAY, "reason": "the rule applies", "confirmation": "counsel, 1 June"}


@pytest.fixture
def administrator(control: Control) -> Approver:
    return Approver(control, Role.ADMINISTRATOR)


def proposed(administrator: Approver, **more: Any) -> dict[str, Any]:
    done = administrator.post(f"/v1/packs/{PACK}/proposals", CHANGE | more)
    assert done.status_code == 201, done.text
    return dict(done.json())


def test_a_pack_binds_when_two_people_consented(control: Control, administrator: Approver) -> None:
    auditor = control.client(Role.AUDITOR)
    listed = auditor.get("/v1/packs").json()["items"]
    assert {one["name"] for one in listed} == {pack.name for pack in load_packs().values()}
    assert not any(one["active"] for one in listed)

    proposal = proposed(administrator)
    assert auditor.get("/v1/pack-proposals").json()["items"] == [proposal]
    path = f"/v1/pack-proposals/{proposal['proposal_id']}/confirmation"
    shown = {"fingerprint": proposal["fingerprint"]}
    assert administrator.post(path, shown).json()["code"] == "second_person_needed"
    second = Approver(control, Role.ADMINISTRATOR)
    assert second.client.post(path, json=shown).json()["code"] == "passkey_required"
    assert second.post(path, {"fingerprint": "0"}).json()["code"] == "pack_changed"
    done = second.post(path, shown)
    assert done.status_code == 200, done.text
    assert done.json()["first_name"] != done.json()["second_name"]
    active = ActivationStore(control.services.engine).active(load_packs(), day_of(NOW))
    assert [one.pack.name for one in active] == [PACK]
    assert second.post(path, shown).status_code == 404
    assert [one["name"] for one in auditor.get("/v1/packs").json()["items"] if one["active"]] == [PACK]


def test_a_proposal_needs_a_passkey_and_ages(control: Control, administrator: Approver) -> None:
    path = f"/v1/packs/{PACK}/proposals"
    assert administrator.client.post(path, json=CHANGE).json()["code"] == "passkey_required"
    assert control.client(Role.REVIEWER).post(path, json=CHANGE).json()["code"] == "role_does_not_allow"
    assert administrator.client.post(path, json=CHANGE | {"day": "2020-01-01"}).json()["code"] == "unfit_value"
    assert administrator.client.post("/v1/packs/none/proposals", json=CHANGE).status_code == 404
    proposal = proposed(administrator)
    control.clock.time_us += 7 * DAY
    second = Approver(control, Role.ADMINISTRATOR)
    shown = {"fingerprint": proposal["fingerprint"]}
    assert second.post(f"/v1/pack-proposals/{proposal['proposal_id']}/confirmation", shown).status_code == 404


def test_a_proposal_of_somebody_who_left_binds_nobody(control: Control) -> None:
    leaving = Approver(control, Role.ADMINISTRATOR, name="lee@example.com")
    proposal = proposed(leaving)
    gone = control.services.operators.named("lee@example.com")
    assert gone is not None
    control.services.operators.end(gone.operator_id, NOW)
    path, shown = f"/v1/pack-proposals/{proposal['proposal_id']}/confirmation", {"fingerprint": proposal["fingerprint"]}
    for name in ("ron@example.com", "lee@example.com"):
        refused = Approver(control, Role.ADMINISTRATOR, name=name).post(path, shown)
        assert (refused.status_code, refused.json()["code"]) == (409, "proposer_left")
    assert ActivationStore(control.services.engine).epoch() == 0


def test_a_preview_changes_nothing(control: Control) -> None:
    auditor = control.client(Role.AUDITOR)
    tried = auditor.post(f"/v1/packs/{PACK}/preview", json={"confirmed": True})
    assert tried.status_code == 200, tried.text
    assert (tried.json()["pack"], tried.json()["flips"], tried.json()["rows"]) == (PACK, 0, [])
    holder = Holder(subject="account", subject_id="a", organisation_id="acme", person_id="per_" + "0" * 32)
    control.services.holders.set(holder, author="op", now_us=NOW)
    tried = auditor.post(f"/v1/packs/{PACK}/preview", json={"confirmed": True})
    assert [(row["kind"], row["id"]) for row in tried.json()["rows"]] == [
        ("organisation", "acme"),
        ("person", "per_" + "0" * 32),
    ]
    assert tried.json()["not_known"] == 1
    assert ActivationStore(control.services.engine).epoch() == 0
    assert auditor.post(f"/v1/packs/{new_token('x')}/preview", json={}).status_code == 404

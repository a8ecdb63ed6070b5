"""Cases over HTTP: roles, pages, consent by passkey, and a customer who contests a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.api.authenticator import Approver
from tests.api.conftest import NOW, ORGANISATION, Control
from tests.response.conftest import write_answer
from tiergate.api.operators import Role
from tiergate.clock import DAY
from tiergate.response.looks import digest_of, kept

CASES = {
    "case_1": {"recommended_action": "suspend"},
    "case_2": {"members": {"x": 0.9, "y": 0.9}, "recommended_action": "verify"},
    "case_3": {"members": {"z": 0.9}, "recommended_action": "watch"},
}


@pytest.fixture(autouse=True)
def look(control: Control, tmp_path: Path) -> None:
    data = control.services.settings.data
    folder = write_answer(tmp_path / "look", 1, NOW, CASES)
    place = kept(data, digest_of(folder))
    place.parent.mkdir(parents=True)
    folder.rename(place)
    control.services.cases.desk.take(place, NOW)
    accounts = [
        {"account_id": name, "organization_id": organisation, "created_at": NOW}
        for name, organisation in (("a", ORGANISATION), ("b", "org-two"))
    ]
    control.services.registry.add_accounts(accounts)


@pytest.fixture
def analyst(control: Control) -> httpx2.Client:
    return control.client(Role.ANALYST)


def force(control: Control) -> dict[str, str]:
    held = control.services.cases.desk.verdicts.in_force(control.clock.now_us())
    return {account: one.action.value for account, one in held.items()}


def test_cases_come_in_pages_and_as_they_are_asked_for(control: Control, analyst: httpx2.Client) -> None:
    seen, cursor = [], None
    while True:
        query = {"limit": 1} | ({"cursor": cursor} if cursor else {})
        got = analyst.get("/v1/cases", params=query).json()
        seen += [one["case"]["case_id"] for one in got["items"]]
        cursor = got["next"]
        if cursor is None:
            break
    assert seen == ["case_1", "case_2", "case_3"]
    for asked, ids in (
        ({"severity": "critical"}, ["case_1"]),
        ({"step": "verify", "status": "open"}, ["case_2"]),
        ({"assignee": "nobody"}, ["case_1", "case_2", "case_3"]),
        ({"overdue": "true"}, []),
    ):
        assert [one["case"]["case_id"] for one in analyst.get("/v1/cases", params=asked).json()["items"]] == ids
    assert analyst.get("/v1/cases", params={"step": "ban"}).json()["code"] == "unfit_query"
    one = analyst.get("/v1/cases/case_2").json()
    assert [member["account_id"] for member in one["members"]] == ["x", "y"]
    assert analyst.get("/v1/cases/none").json()["code"] == "not_found"
    assert control.client(Role.AUDITOR).get("/v1/cases/case_2").status_code == 200
    assert control.client(Role.APPLICANT).get("/v1/cases").status_code == 403


def test_a_case_tells_what_steps_would_do_and_is_found_by_an_account(analyst: httpx2.Client) -> None:
    told = {one["action"]: one for one in analyst.get("/v1/cases/case_1/effects").json()}
    # 40 of 50 exchanges of `a` and `b` are charged; `c` is too unsure to be reached.
    assert (told["suspend"]["whole"], told["suspend"]["innocent"], told["suspend"]["needed"]) == (2, 20, 2)
    assert analyst.get("/v1/cases/case_1/findings").json() == []
    found = analyst.get("/v1/cases", params={"search": "x"}).json()["items"]
    assert [one["case"]["case_id"] for one in found] == ["case_2"]
    # Nothing was kept of what this look read, and the command says so.
    refused = analyst.get("/v1/cases/case_1/evidence", timeout=60)
    assert (refused.status_code, refused.json()["code"]) == (409, "export_refused")
    assert analyst.get("/v1/cases/case_9/dossier").status_code == 404


def test_a_suspension_takes_two_people_with_passkeys(control: Control, analyst: httpx2.Client) -> None:
    asked = {"action": "suspend", "reason": "one stolen card"}
    assert analyst.post("/v1/cases/case_2/proposals", json=asked).json()["code"] == "passkey_required"
    proposer = Approver(control, Role.ANALYST, Role.APPROVER)
    assert proposer.post("/v1/cases/case_2/proposals", asked).json()["case"]["step"] == "verify"
    agreed = {"action": "suspend"}
    path = "/v1/cases/case_2/approvals"
    assert analyst.post(path, json=agreed).json()["code"] == "role_does_not_allow"
    assert proposer.post(path, agreed).json()["code"] == "second_person_needed"
    approver = Approver(control, Role.APPROVER)
    assert approver.client.post(path, json=agreed).json()["code"] == "passkey_required"
    assert approver.post(path, {"action": "limit"}).json()["code"] == "proposal_changed"
    assert approver.post(path, agreed).json()["case"]["step"] == "suspend"
    assert force(control) == {"a": "verify", "b": "verify", "x": "suspend", "y": "suspend"}
    assert approver.client.post("/v1/cases/case_1/rejection", json=asked).json()["case"]["proposal"] is None
    # One is enough to free them.
    lifted = analyst.post("/v1/cases/case_2/step", json={"action": "watch", "reason": "an office"})
    assert lifted.json()["case"]["step"] == "watch"
    assert force(control) == {"a": "verify", "b": "verify"}


def test_an_analyst_works_on_cases(control: Control, analyst: httpx2.Client) -> None:
    def post(path: str, **asked: Any) -> Any:
        done = analyst.post(f"/v1/cases/{path}", json={"reason": "r"} | asked, headers={"idempotency-key": path})
        assert done.status_code == 200, done.text
        return done.json()["case"]

    assert post("case_1/assignment", assignee="ann")["assignee"] == "ann"
    post("case_1/notes")
    post("case_1/notes")  # the same key: it counts once
    assert post("case_1/clearances", account_id="a", until_us=NOW + DAY)["cleared"][0]["until_us"] == NOW + DAY
    assert force(control) == {"b": "verify", "x": "verify", "y": "verify"}
    assert post("case_1/clearances/withdrawal", account_id="a")["cleared"] == []
    assert post("case_2/renewal")["approved_by"] == ["analyst-1@example.com"]
    assert post("case_2/merger", into="case_1")["merged"] == ["case_2"]
    part = post("case_1/division", accounts=["x"])
    assert part["split_from"] == "case_1"
    assert force(control) == {"a": "verify", "b": "verify", "y": "verify"}
    assert post("case_1/closure", outcome="confirmed")["status"] == "closed"
    assert analyst.post("/v1/cases/case_1/notes", json={"reason": ""}).status_code == 422
    assert analyst.post("/v1/cases/case_1/renewal", json={"reason": "r"}).json()["code"] == "case_closed"
    assert post("case_1/reopening")["status"] == "open"
    rows = analyst.get("/v1/cases/case_1/history").json()["items"]
    assert [row["action"] for row in rows] == [
        "opened", "assign", "note", "clear", "unclear", "merge", "split", "close", "reopen",
    ]  # fmt: skip
    told = analyst.get("/v1/calibration").json()
    assert (told["rows"], told["brier"], told["needed"]) == ([], None, 20)


def test_a_customer_contests_the_verdict_on_an_account_of_its_own(control: Control) -> None:
    verdicts = control.services.cases.desk.verdicts.in_force(NOW)
    mine, other = verdicts["a"].verdict_id, verdicts["b"].verdict_id
    customer = control.client(Role.APPLICANT)
    for subject in (other, "guess"):
        refused = customer.post("/v1/appeals", json={"against": "verdict", "subject_id": subject, "grounds": "g"})
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    filed = customer.post("/v1/appeals", json={"against": "verdict", "subject_id": mine, "grounds": "ours alone"})
    assert filed.status_code == 201, filed.text
    appeal = filed.json()["appeal"]
    assert (appeal["account_id"], appeal["reviewers"], appeal["due_at_us"]) == ("a", 1, NOW + 5 * DAY)
    # How sure detection was of it is not for customers.
    house, theirs = (who.get("/v1/appeals").json()["items"] for who in (control.client(Role.AUDITOR), customer))
    assert appeal["stated"] is theirs[0]["stated"] is None
    assert house[0]["stated"] == pytest.approx(0.999 * 0.9)
    path = f"/v1/appeals/{appeal['appeal_id']}"
    assert control.client(Role.APPLICANT, organisation="org-two").get(path).status_code == 404
    done = Approver(control, Role.REVIEWER).post(f"{path}/votes", {"outcome": "overturned", "reason": "seen"})
    assert done.json()["appeal"]["outcome"] == "overturned", done.text
    assert "succeeded" in customer.get(path).json()["notice"]
    assert force(control) == {"b": "verify", "x": "verify", "y": "verify"}

"""Programmes, credit lines and ownership over the API: who may, and who sees what."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.admission.parties import HASH, admitted, founded
from tests.api.conftest import NOW, ORGANISATION, Control
from tiergate.api.operators import Role
from tiergate.clock import DAY
from tiergate.database import open_database
from tiergate.parties.facts import FactStore
from tiergate.parties.sources.taking import take_in
from tiergate.records.refused import RefusedRows

FACTS = """\
record,id,name,headquarters,owner,owned,percent,percent_min,percent_max,party,list
party,a,A Ltd,SG,,,,,,,
party,b,B Ltd,SG,,,,,,,
party,x,X Works,RU,,,,,,,
stake,s1,,,x,a,50,,,,
stake,s2,,,x,b,,25,60,,
listing,,,,,,,,,x,SDN
"""


def test_lines_are_carved_resized_and_closed_and_each_organisation_sees_its_own(control: Control) -> None:
    founded(control.services.engine)
    administrator, auditor = control.client(Role.ADMINISTRATOR), control.client(Role.AUDITOR)
    asked = {"programme_id": "consortium", "organisation_id": ORGANISATION, "micro_usd": 5_000_000}
    assert auditor.post("/v1/credit-lines", json=asked).json()["code"] == "role_does_not_allow"
    made = administrator.post("/v1/credit-lines", json=asked)
    assert made.status_code == 201, made.text
    line = made.json()["line"]["line_id"]
    administrator.post("/v1/credit-lines", json=asked | {"organisation_id": "org-two"})
    own = control.client(Role.APPLICANT)
    assert [one["line"]["line_id"] for one in own.get("/v1/credit-lines").json()["items"]] == [line]
    assert len(auditor.get("/v1/credit-lines").json()["items"]) == 2
    other = control.client(Role.APPLICANT, organisation="org-two")
    for path in (f"/v1/credit-lines/{line}", f"/v1/credit-lines/{line}/statement", "/v1/credit-lines/none"):
        assert other.get(path).status_code == 404
    store = control.services.credits
    held = store.reserve(line, 2_000_000, member_id="m", purpose_id="p", now_us=NOW)
    store.settle(held.reservation_id, 1_500_000, now_us=NOW)
    size = {"micro_usd": 1_000_000, "reason": "less"}
    assert administrator.post(f"/v1/credit-lines/{line}/size", json=size).json()["code"] == "line_in_use"
    grown = administrator.post(f"/v1/credit-lines/{line}/size", json=size | {"micro_usd": 9_000_000}).json()
    assert (grown["available"], grown["balance"]["spent"]) == (7_500_000, 1_500_000)
    closed = administrator.post(f"/v1/credit-lines/{line}/closing", json={"reason": "over"}).json()
    assert closed["balance"]["closed"]
    rows = own.get(f"/v1/credit-lines/{line}/statement").json()["rows"]
    assert {(row["member_id"], row["spent"]) for row in rows} == {(None, 0), ("m", 1_500_000)}


def test_terms_and_pool_are_the_administrators(control: Control) -> None:
    founded(control.services.engine)
    administrator = control.client(Role.ADMINISTRATOR)
    terms = {"version": "2", "sha256": HASH, "accept_by_us": NOW + DAY}
    refused = control.client(Role.REVIEWER).post("/v1/programmes/consortium/terms", json=terms)
    assert refused.json()["code"] == "role_does_not_allow"
    done = administrator.post("/v1/programmes/consortium/terms", json=terms)
    assert [one["version"] for one in done.json()["terms"]] == ["2"]
    assert administrator.get("/v1/programmes/consortium").json() == done.json()
    pool = {"micro_usd": 7, "reason": "smaller"}
    assert administrator.post("/v1/programmes/consortium/pool", json=pool).json()["pool_micro_usd"] == 7
    assert administrator.get("/v1/programmes/none").status_code == 404


def test_a_membership_tells_its_history_to_its_own(control: Control) -> None:
    founded(control.services.engine)
    held = admitted(control.services.engine, ORGANISATION)
    path = f"/v1/memberships/{held.membership_id}/history"
    said = control.client(Role.APPLICANT).get(path).json()
    assert [one["action"] for one in said] == ["apply", "sponsor", "approve", "approve"]
    assert control.client(Role.APPLICANT, organisation="org-two").get(path).status_code == 404


@pytest.fixture
def facts(control: Control, tmp_path: Path) -> dict[str, str]:
    """Ids of the parties by what the file calls them."""
    (tmp_path / "facts.csv").write_text(FACTS)
    engine = open_database(control.services.settings.data / "parties.sqlite")
    with RefusedRows(tmp_path / "refused") as refused:
        take_in(FactStore(engine), "csv", [tmp_path / "facts.csv"], refused=refused, now_us=NOW, source="extract")
    engine.dispose()
    world = control.services.ownership.world(NOW)
    assert world is not None
    parties = [world.neighbours.party(number) for number in range(world.snapshot.size)]
    return {str(one.name)[0].lower(): one.party_id for one in parties}


def test_the_house_reads_who_owns_and_the_organisation_what_is_missing(control: Control, facts: dict[str, str]) -> None:
    auditor = control.client(Role.AUDITOR)
    barred = auditor.get(f"/v1/organisations/{facts['a']}/ownership", params={"pack": "ofac_50"}).json()
    (says,) = barred["says"]
    assert (says["verdict"], says["reason"], says["active"]) == ("yes", "ownership", False)
    assert [step["entity"] for step in says["proof"]["steps"]] == [facts["x"], facts["a"]]
    (tie,) = barred["owners"]["ties"]
    assert (tie["owner"], tie["lo_ppm"], tie["said"]) == (facts["x"], 500_000, {"source": "extract", "as_of_us": NOW})
    open_ = auditor.get(f"/v1/organisations/{facts['b']}/ownership", params={"pack": "ofac_50"}).json()
    assert facts["x"] in open_["says"][0]["wanted"][0]

    own = control.client(Role.APPLICANT, organisation=facts["b"])
    told = own.get(f"/v1/organisations/{facts['b']}/ownership", params={"pack": "ofac_50"})
    assert told.json()["says"][0]["verdict"] == "not_known"
    assert told.json()["says"][0]["wanted"]
    assert facts["x"] not in told.text
    assert own.get(f"/v1/organisations/{facts['a']}/ownership").status_code == 404
    assert own.get(f"/v1/parties/{facts['x']}").status_code == 403
    party = auditor.get(f"/v1/parties/{facts['x']}").json()
    assert (party["party"]["lists"], len(party["owns"])) == (["SDN"], 2)
    for name in ("none", "pty_" + "0" * 32):
        assert auditor.get(f"/v1/parties/{name}").status_code == 404
    wrong = auditor.get(f"/v1/organisations/{facts['a']}/ownership", params={"pack": "ear_person"})
    assert "about persons" in wrong.json()["detail"]


def test_new_facts_are_read_and_the_same_ones_are_not_read_again(control: Control, facts: dict[str, str]) -> None:
    desk = control.services.ownership
    assert desk.world(NOW) is desk.world(NOW + DAY)
    assert desk.version() == 1
    assert control.client(Role.AUDITOR).get(f"/v1/organisations/{facts['a']}/ownership").json()["says"] == []


def test_the_drill_needs_models_and_its_role(control: Control) -> None:
    assert control.client(Role.REVIEWER).post("/v1/drill", json={}).json()["code"] == "role_does_not_allow"
    refused = control.client(Role.AUDITOR).post("/v1/drill", json={})
    assert (refused.status_code, refused.json()["detail"]) == (
        422, "the drill closes models, and `models.toml` lists none: see docs/decisions.md",
    )  # fmt: skip

"""Operations on keys, budgets, traffic, the audit and what changed, by a real client."""

from __future__ import annotations

from tests.api.conftest import NOW, Control
from tiergate.api.operators import Role
from tiergate.clock import DAY, HOUR
from tiergate.ledger.log import ExchangeLog
from tiergate.ledger.sketches import Sketcher
from tiergate.records.schema import Exchange


def test_keys_are_made_listed_by_the_page_and_revoked(control: Control) -> None:
    eve = control.client(Role.ENGINEER)
    made = [eve.post("/v1/keys", json={"account_id": f"acct-{n}", "label": f"l{n}"}).json() for n in range(2)]
    # A token alone makes nobody a customer that is there already.
    refused = eve.post("/v1/keys", json={"account_id": "acct-0"})
    assert (refused.status_code, refused.json()["code"]) == (403, "passkey_required")
    for n in range(2, 5):
        control.services.registry.issue_key(f"acct-{n % 2}", f"l{n}", control.clock.now_us())
    assert all(one["key"].startswith("tg_live_") for one in made)
    first = eve.get("/v1/keys", params={"limit": 3}).json()
    rest = eve.get("/v1/keys", params={"limit": 3, "before": first["next"]}).json()
    assert [one["label"] for one in first["items"] + rest["items"]] == ["l4", "l3", "l2", "l1", "l0"]
    assert rest["next"] is None
    assert made[0]["key"] not in eve.get("/v1/keys").text
    mine = eve.get("/v1/keys", params={"account_id": "acct-1"}).json()["items"]
    assert {one["account_id"] for one in mine} == {"acct-1"}
    revoked = eve.post(f"/v1/keys/{mine[0]['credential_id']}/revocation")
    assert revoked.status_code == 204
    again = eve.post(f"/v1/keys/{mine[0]['credential_id']}/revocation")
    assert again.status_code == 422
    assert control.client(Role.AUDITOR).post("/v1/keys", json={"account_id": "x"}).status_code == 403
    assert control.client(Role.EXECUTIVE).get("/v1/keys").status_code == 403


def test_budgets_are_set_in_dollars_listed_and_removed(control: Control) -> None:
    eve = control.client(Role.ENGINEER)
    budget = {"scope": "end_user", "subject": "u1", "of": "acme", "measure": "usd/day"}
    set_ = eve.post("/v1/budgets", json=budget | {"amount": "2.50"}).json()
    assert (set_["subject"], set_["amount"], set_["spent"]) == ("acme/u1", 2_500_000, 0)
    eve.post("/v1/budgets", json={"scope": "key", "subject": "*", "measure": "requests/minute", "amount": "1,000"})
    assert [one["amount"] for one in eve.get("/v1/budgets").json()["items"]] == [1_000, 2_500_000]
    for wrong in ({"amount": "2.5000001"}, {"amount": "-1"}, {"of": None, "amount": "1"}):
        assert eve.post("/v1/budgets", json=budget | wrong).status_code == 422
    name = {"scope": "end_user", "subject": "acme/u1", "measure": "usd/day"}
    assert eve.post("/v1/budgets/removal", json=name).status_code == 204
    assert eve.post("/v1/budgets/removal", json=name).status_code == 409


def test_traffic_is_told_by_hours_and_models(control: Control) -> None:
    log = ExchangeLog.open(control.services.settings.data / "log", sketcher=Sketcher(b"k" * 32))
    log.append(
        [
            Exchange(
                exchange_id=f"ex_{n}", started_at=NOW - n * HOUR, account_id="a", operation="chat",
                request_model=f"m{n % 2}", status=200, cost_micro_usd=10, latency_ms=100,
            )
            for n in range(6)
        ]
    )  # fmt: skip
    log.close()
    control.services.traffic.catch_up()
    max_ = control.client(Role.EXECUTIVE)
    told = max_.get("/v1/traffic", params={"by": "model"}).json()
    assert {one["group"]["model"]: one["cost_micro_usd"] for one in told["items"]} == {"m0": 30, "m1": 30}
    assert 0.09 < told["items"][0]["latency_p50_s"] < 0.11
    hours = max_.get("/v1/traffic", params={"every": "hour", "from_us": NOW - DAY}).json()["items"]
    assert len(hours) == 6
    assert max_.get("/v1/traffic", params={"by": "account"}).status_code == 400
    assert max_.get("/v1/traffic", params={"every": "minute", "from_us": 0}).status_code == 422
    assert max_.get("/v1/live").status_code == 404
    assert max_.get("/v1/routes").json()["file"] is None


def test_what_changed_is_counted_from_one_s_own_mark(control: Control) -> None:
    eve, max_ = control.client(Role.ENGINEER), control.client(Role.EXECUTIVE)
    budget = {"scope": "account", "subject": "alice", "measure": "usd/day", "amount": "1"}
    eve.post("/v1/budgets", json=budget)
    told = eve.get("/v1/changes").json()
    assert ([one["action"] for one in told["items"]], told["counts"], told["mark"]) == (["set"], {}, None)
    eve.post("/v1/changes/seen", json={"number": told["number"]})
    assert eve.get("/v1/changes").json()["items"] == []
    eve.post("/v1/budgets", json=budget | {"amount": "2"})
    assert eve.get("/v1/changes").json()["counts"] == {"limit": 1}
    assert max_.get("/v1/changes").json()["items"] == []
    # Nobody can say that they saw what is yet to come.
    assert eve.post("/v1/changes/seen", json={"number": 10**9}).json()["number"] == 2
    overview = eve.get("/v1/overview").json()
    assert (overview["cases"], overview["lines"], overview["waiting"]) == (None, None, [])


def test_the_audit_is_read_a_page_at_a_time(control: Control) -> None:
    eve, ada = control.client(Role.ENGINEER), control.client(Role.AUDITOR)
    for n in range(3):
        eve.post("/v1/keys", json={"account_id": f"a{n}"})
    first = ada.get("/v1/audit", params={"limit": 2}).json()
    rest = ada.get("/v1/audit", params={"limit": 2, "before": first["next"]}).json()
    assert [one["operation"] for one in first["items"] + rest["items"]] == ["create_key"] * 3
    assert eve.get("/v1/audit").status_code == 403

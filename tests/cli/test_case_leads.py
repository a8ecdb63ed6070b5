"""Accounts of a case that what other labs found asks to verify themselves: said wherever cases and alerts are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

from tests.api.conftest import running
from tests.response.alerts.test_outbox import CASES, queued
from tests.response.evidence.conftest import Deployment, deployment

from tiergate.api.operators import Role
from tiergate.cli.deployment import open_deployment
from tiergate.cli.options import now
from tiergate.response.alerts.outbox import Outbox
from tiergate.response.alerts.sinks import Secret, Webhook
from tiergate.response.desk import CaseDesk
from tiergate.response.ladder import load_policy
from tiergate.response.leads import Leads, Signal

__all__ = ["deployment"]

Run = Callable[..., CompletedProcess[str]]
SOURCE = "campaign--6f1c of lab-a.example, TLP:AMBER"
LEADS = Webhook(name="all", url="https://a.example", secret=Secret(env="S"), types=("lead.*",), account_ids=True)


def test_cases_and_alerts_say_who_must_verify_by_what_others_found(
    deployment: Deployment, run_tiergate: Run, tmp_path: Path
) -> None:
    case, data = deployment.file.case_id, tmp_path / "data"
    shutil.copytree(deployment.data, data)
    one, other = sorted(deployment.members)[:2]
    assert json.loads(run_tiergate("case", "list", "--all", "--json").stdout)[0]["touched"] == {}
    finding = Signal(
        lead_id="shared_0a",
        source=SOURCE,
        maker="lab-b.example",
        named=None,
        accounts={one: "client_asn and user_agent", "else": "account"},
    )
    joint = Signal(lead_id="joint_c0", source="joint_c0", maker="", named=None, accounts={other: "place and tool"})
    with open_deployment(data) as held:
        outbox, leads = Outbox(held.engine), Leads(CaseDesk(held.engine, load_policy()))
        for signal in (finding, joint):
            assert leads.raised(signal, author="ann", now_us=now()) > 0
        assert set(leads.touched(now())) == {one, other, "else"}
        outbox.gather([LEADS, CASES], now())
        told = [each.alert for each in queued(outbox)]
        assert [(each.type, each.data["kind"], each.data["accounts"]) for each in told] == [
            ("lead.raised", "shared_finding", 2), ("lead.raised", "joint_cluster", 1),
        ]  # fmt: skip
        assert told[0].data["account_ids"] == sorted([one, "else"])
        assert not any("lab-a" in str(each) for each in told)
        assert queued(outbox, "cases") == []

    listed = run_tiergate("case", "list", "--all")
    assert "2 accounts must verify by what other labs found" in listed.stdout
    shown = run_tiergate("case", "show", case[:13]).stdout
    assert f"must verify itself: shared_finding, {SOURCE}; matches by client_asn and user_agent" in shown
    (row,) = json.loads(run_tiergate("case", "list", "--all", "--json").stdout)
    assert {account: [each["lead_id"] for each in held] for account, held in row["touched"].items()} == {
        one: ["shared_0a"], other: ["joint_c0"],
    }  # fmt: skip
    with running(data) as control:
        control.clock.time_us = now()
        client = control.client(Role.ANALYST)
        (view,) = client.get("/v1/cases").json()["items"]
        assert view["touched"] == client.get(f"/v1/cases/{case}").json()["touched"] == row["touched"]

    with open_deployment(data) as held:
        outbox, leads = Outbox(held.engine), Leads(CaseDesk(held.engine, load_policy()))
        for name in ("shared_0a", "joint_c0"):
            leads.lift(name, author="ann", now_us=now(), reason="withdrawn")
        outbox.gather([LEADS], now())
        assert [each.alert.type for each in queued(outbox)][2:] == ["lead.lifted", "lead.lifted"]
        assert leads.touched(now()) == {}
    assert "must verify" not in run_tiergate("case", "list", "--all").stdout

"""`tiergate share` on a deployment with a case, as an analyst types it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import stix2
from tests.response.evidence.conftest import Deployment, deployment

__all__ = ["deployment"]

Run = Callable[..., CompletedProcess[str]]
LAB = ("--lab", "lab-a.example")


def test_a_case_is_shown_exported_and_checked_without_a_customer(
    deployment: Deployment, run_tiergate: Run, tmp_path: Path
) -> None:
    case = deployment.file.case_id[:13]
    shutil.copytree(deployment.data, tmp_path / "data")
    (tmp_path / "2026-11.key").write_bytes(b"e" * 32)
    given = (case, *LAB, "--epoch-key", "2026-11.key")
    shown = run_tiergate("share", "show", *given)
    assert shown.returncode == 0, shown.stderr
    assert "TLP:AMBER+STRICT" in shown.stdout
    assert "16 to 31 accounts" in shown.stdout
    assert "16 hashed accounts" in shown.stdout
    assert "AML.T0024.002" in shown.stdout

    done = run_tiergate("share", "export", *given, "--tlp", "green", "-o", "out/finding.json", "--author", "ann")
    assert (done.returncode, done.stderr) == (0, "")
    written = (tmp_path / "out" / "finding.json").read_bytes()
    again = run_tiergate("share", "export", *given, "--tlp", "GREEN", "-o", "again.json", "--json")
    assert (tmp_path / "again.json").read_bytes() == written
    noted = run_tiergate("case", "history", case).stdout
    assert f"TLP:GREEN, sha256 {json.loads(again.stdout)['sha256']}" in noted
    assert "by ann" in noted

    stix2.parse(written.decode(), allow_custom=False)
    world = deployment.world
    for value in (
        *deployment.members,
        *world.accounts["email_domain"].to_pylist(),
        *world.accounts["payment_hash"].to_pylist(),
    ):
        assert not value or value.encode() not in written
    checked = run_tiergate("share", "check", "out/finding.json", "--json")
    assert checked.returncode == 0, checked.stdout
    (told,) = json.loads(checked.stdout)["told"]
    assert (told["kind"], told["tlp"], told["lab"]["name"], told["revoked"]) == (
        "finding",
        "green",
        "lab-a.example",
        False,
    )
    assert json.loads(run_tiergate("share", "show", *given, "--tlp", "green", "--json").stdout) == {
        name: value for name, value in told.items() if name != "kind"
    }


def test_a_mistake_is_withdrawn_and_what_cannot_be_told_is_said(
    deployment: Deployment, run_tiergate: Run, tmp_path: Path
) -> None:
    case = deployment.file.case_id[:13]
    shutil.copytree(deployment.data, tmp_path / "data")
    assert run_tiergate("case", "close", case, "mistaken", "--reason", "a class").returncode == 0
    shutil.rmtree(tmp_path / "data" / "detection" / "state")
    done = run_tiergate("share", "export", case, *LAB, "-o", "finding.json")
    assert done.returncode == 0
    assert "left out networks and clients: " in done.stderr
    assert "there is no epoch key" in done.stderr
    checked = run_tiergate("share", "check", "finding.json")
    assert "  withdrawn\n" in checked.stdout
    objects = json.loads((tmp_path / "finding.json").read_bytes())["objects"]
    assert {one["type"] for one in objects if one.get("revoked")} == {"campaign", "relationship"}


def test_what_is_refused_is_said_in_a_line(deployment: Deployment, run_tiergate: Run, tmp_path: Path) -> None:
    shutil.copytree(deployment.data, tmp_path / "data")
    case = deployment.file.case_id
    (tmp_path / "bad.key").write_bytes(b"short")
    (tmp_path / "bundle.json").write_text('{"objects": [{"type": "malware"}]}')
    for arguments, code, said in (
        (("show", case, "--lab", "lab"), 2, "no domain"),
        (("show", case, *LAB, "--epoch-key", "bad.key"), 2, "expected 32 bytes"),
        (("show", case, *LAB, "--epoch-key", "none.key"), 2, "cannot read"),
        (("show", case, *LAB, "--technique", "AML.T9999"), 2, "AML.T0012"),
        (("show", "case_0", *LAB), 2, "no case begins with"),
        (("check", "nowhere.json"), 2, "cannot read"),
        (("check", "bundle.json"), 1, "object 1: Invalid value 'malware'"),
    ):
        done = run_tiergate("share", *arguments)
        assert (done.returncode, said in done.stdout + done.stderr) == (code, True), done.stdout + done.stderr

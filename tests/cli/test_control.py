"""`operators` and `control` together: a running API obeys what the commands write."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tiergate.api.operators import Role
from tiergate.cli.demo.children import free_port, server
from tiergate.cli.operators import RoleName

RunCommand = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def control(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    command = ["-m", "tiergate", "control", "--data", str(tmp_path / "data"), "--port", str(port)]
    with server("control", command, port=port, log=tmp_path / "control.log"):
        yield f"http://127.0.0.1:{port}"


def status(address: str, token: str) -> int:
    return httpx2.get(
        f"{address}/v1/session", headers={"authorization": f"Bearer {token}"}, trust_env=False
    ).status_code


def test_an_api_obeys_its_operators(control: str, run_tiergate: RunCommand, tmp_path: Path) -> None:
    first = run_tiergate("operators", "add", "Rea@example.com", "--role", "reviewer", "--role", "auditor")
    token = first.stdout.strip()
    assert token.startswith("tgo_"), first.stderr
    second = json.loads(
        run_tiergate("operators", "add", "rea@example.com", "--role", "auditor", "--role", "reviewer", "--json").stdout
    )
    assert (status(control, token), status(control, second["token"])) == (200, 200)
    other = run_tiergate("operators", "add", "rea@example.com", "--role", "administrator")
    assert other.returncode == 2

    (operator,) = json.loads(run_tiergate("operators", "list", "--json").stdout)
    assert run_tiergate("operators", "revoke", operator["tokens"][0]["token_id"]).returncode == 0
    assert {status(control, token), status(control, second["token"])} == {200, 401}
    assert run_tiergate("operators", "revoke", operator["operator_id"]).returncode == 0
    assert (status(control, token), status(control, second["token"])) == (401, 401)
    assert run_tiergate("operators", "revoke", operator["operator_id"]).returncode == 2
    listed = run_tiergate("operators", "list").stdout.splitlines()
    assert listed[0].split() == [operator["operator_id"], "ended", "auditor,reviewer", "-", "rea@example.com"]
    assert [line.split()[1] for line in listed[1:]] == ["over", "over"]
    assert token not in "".join(listed)
    assert (tmp_path / "data" / "pepper").stat().st_mode & 0o777 == 0o600


def test_roles_on_the_command_line_are_all_there_are() -> None:
    assert {role.value for role in RoleName} == {role.value for role in Role}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("operators", "add", "x", "--role", "applicant"), "must belong to an organisation"),
        (("operators", "add", "x", "--role", "auditor", "--organisation", "o"), "cannot belong to an organisation"),
        (("control", "--public-url", "http://control.example.com"), "https"),
    ],
)
def test_bad_usage_is_one_line(arguments: tuple[str, ...], said: str, run_tiergate: RunCommand) -> None:
    done = run_tiergate(*arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert said in line

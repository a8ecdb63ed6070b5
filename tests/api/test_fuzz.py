"""The control API asked what nobody would ask, by Schemathesis and from its own document."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa

from tests.api.authenticator import Approver
from tests.api.conftest import NOW, Control
from tests.api.test_flow import PROGRAMME, admitted, asked, declared
from tiergate.api.app import OPERATIONS
from tiergate.api.operators import Role

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "negative_data_rejection,unsupported_method,allow_header_conformance,use_after_free,ignored_auth"
)
"""All that apply. That what fits the schema is taken is not asked: ids and cursors must be ones that were given out."""


def almighty(control: Control) -> str:
    """The token of an operator with every role, which nobody may have at once, so that every operation is reached."""
    operator_id, token = control.operator(Role.APPLICANT)
    change = sa.text("UPDATE operators SET roles = :roles WHERE operator_id = :operator_id")
    with control.services.engine.begin() as connection:
        connection.execute(change, {"roles": json.dumps(list(Role)), "operator_id": operator_id})
    return token


def ids(control: Control) -> dict[str, str]:
    """Parts of paths that name what is there: behind each lies more than a 404."""
    control.services.programmes.create(PROGRAMME, author="ann", now_us=NOW)
    applicant, directory = control.client(Role.APPLICANT), control.client(Role.PROVISIONER)
    one, other = Approver(control, Role.REVIEWER), Approver(control, Role.REVIEWER)
    membership_id = admitted(control, applicant, one, other)
    purpose_id = declared(applicant, one, membership_id)
    return {
        "membership_id": membership_id,
        "purpose_id": purpose_id,
        "grant_id": one.post("/v1/grants", asked(membership_id, purpose_id)).json()["grant_id"],
        "user_id": directory.post("/scim/v2/Users", json={"userName": "bo"}).json()["id"],
        "pack": "ofac_50",
        "collection": "findings",
        "claim_id": "extraction_cost",
    }


def test_nothing_that_is_asked_breaks_the_api_or_belies_its_document(control: Control, tmp_path: Path) -> None:
    token, config = almighty(control), tmp_path / "schemathesis.toml"
    peer, _ = control.services.peers.add("lab-b.example", NOW)
    # One header for all: peers' operations take the operator's token here.
    control.services.peers.authenticate = lambda shown, _: peer if shown == token else None  # type: ignore[method-assign]
    control.services.streams.end()  # what never ends by itself would never be judged
    parameters = [f'"path.{name}" = "{value}"' for name, value in ids(control).items()]
    unexpected = ["[phases.coverage]", 'unexpected-methods = ["OPTIONS"]']
    # A list that is too long can be too large before it is counted.
    refusing = ["[checks.negative_data_rejection]", f"expected-statuses = {[*range(400, 430), 503]}"]
    config.write_text("\n".join(["[parameters]", *parameters, *unexpected, *refusing]))
    # A consent is to one request, so without this nothing behind it would be reached.
    control.services.passkeys.redeem = lambda *_: True  # type: ignore[method-assign]
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run",
        f"{control.address}/openapi.json", "--header", f"Authorization: Bearer {token}", "--checks", CHECKS,
        "--phases", "coverage", "--seed", "1", "--no-shrink", "--continue-on-failure", "--no-color",
    ]  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Tested: {len(OPERATIONS)}" in done.stdout

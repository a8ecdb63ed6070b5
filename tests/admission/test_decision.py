"""The decision table, whole: every code is reachable and nothing unproved is allowed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.admission import decision as module
from tiergate.admission.decision import admit
from tiergate.ledger.verdicts import Action, Verdict
from tiergate.parties.registry import Credential


def credential(status: str = "active", revoked_at: int | None = None) -> Credential:
    return Credential(
        credential_id="key_1",
        account_id="a",
        organization_id=None,
        account_status=status,
        label="",
        issued_at=0,
        revoked_at=revoked_at,
    )


def verdict(action: Action) -> Verdict:
    return Verdict(verdict_id="v", account_id="a", case_id="c", action=action, reason="r", author="ann", decided_at=0)


TABLE = [
    (None, None, None, 401, "invalid_api_key"),
    (None, Action.WATCH, 0.0, 401, "invalid_api_key"),
    (credential(revoked_at=1), None, None, 401, "invalid_api_key"),
    (credential("closed", revoked_at=1), Action.SUSPEND, None, 401, "invalid_api_key"),
    (credential("closed"), None, None, 403, "account_not_active"),
    (credential("suspended"), Action.WATCH, None, 403, "account_not_active"),
    (credential(""), None, None, 403, "account_not_active"),
    (credential(), Action.SUSPEND, 0.0, 403, "account_suspended"),
    (credential(), Action.VERIFY, 0.0, 403, "verification_required"),
    (credential(), Action.LIMIT, None, 429, "case_limited"),
    (credential(), Action.LIMIT, 3.5, 429, "case_limited"),
    (credential(), Action.LIMIT, 0.0, 200, "allowed"),
    (credential(), Action.WATCH, None, 200, "allowed"),
    (credential(), None, None, 200, "allowed"),
]


@pytest.mark.parametrize(("who", "action", "wait", "status", "code"), TABLE)
def test_table(who: Credential | None, action: Action | None, wait: float | None, status: int, code: str) -> None:
    decided = admit(who, verdict(action) if action else None, case_wait_s=wait)
    assert (decided.status, decided.code, decided.allowed) == (status, code, status == 200)
    assert (decided.retry_after_s is not None) == (status == 429)
    assert bool(decided.message) != decided.allowed


def test_every_documented_code_is_reached_with_its_status() -> None:
    documented = set(re.findall(r"^\| `(\w+)` \| (\d+) \|", module.__doc__ or "", re.MULTILINE))
    assert len(documented) == 6
    assert {(code, str(status)) for *_, status, code in TABLE} == documented


STATUSES = st.one_of(st.sampled_from(["active", "suspended", "closed"]), st.text(max_size=8))
CREDENTIALS = st.none() | st.builds(credential, STATUSES, st.none() | st.integers(0))
VERDICTS = st.none() | st.sampled_from(Action).map(verdict)
WAITS = st.none() | st.floats(0, 1e9)


@given(CREDENTIALS, VERDICTS, WAITS)
def test_no_allow_without_a_live_credential_of_an_active_account(
    who: Credential | None, what: Verdict | None, wait: float | None
) -> None:
    decided = admit(who, what, case_wait_s=wait)
    assert decided.allowed == (decided.status == 200)
    if decided.allowed:
        assert who is not None
        assert (who.account_status, who.revoked_at) == ("active", None)
        unlimited = (Action.WATCH, Action.SUMMARISE)  # without a rate of its own
        assert what is None or what.action in unlimited or (what.action is Action.LIMIT and wait == 0)
    elif decided.code not in ("invalid_api_key", "account_not_active"):
        assert decided.verdict is what

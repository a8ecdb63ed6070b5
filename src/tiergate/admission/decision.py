"""May this request pass? One pure function: facts in, a decision with its reason out.

The order is fixed and the first fact that fails decides. A fact that is missing is never an allow.

| code | status | when |
| --- | --- | --- |
| `invalid_api_key` | 401 | no key, an unknown one, or a revoked one |
| `account_not_active` | 403 | the account is closed or suspended, or its status is not known |
| `account_suspended` | 403 | a verdict in force suspends it |
| `verification_required` | 403 | a verdict in force asks it to verify itself |
| `case_limited` | 429 | a verdict in force limits its case, and the case's budget is used up |
| `allowed` | 200 | none of these; with a verdict where it changes the answer (`summarise`) |
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tiergate.ledger.verdicts import Action, Verdict
from tiergate.parties.registry import Credential


@dataclass(frozen=True, slots=True)
class Decision:
    """What to answer. ``status`` is HTTP; ``retry_after_s`` is given with 429; ``verdict`` is what it rests on."""

    allowed: bool
    status: int
    code: str
    message: str
    verdict: Verdict | None = None
    retry_after_s: float | None = None


INVALID_KEY = Decision(False, 401, "invalid_api_key", "the API key is missing, unknown or revoked")
NOT_ACTIVE = Decision(False, 403, "account_not_active", "this account is not active; contact its provider")
ALLOWED = Decision(True, 200, "allowed", "")

_SUSPENDED = "this account is suspended while a case is reviewed; the notice says why and how to appeal"
_VERIFY = "this account must be verified before it can go on; the notice says why and how"
_LIMITED = "this account shares a limited budget while a case is reviewed; try again later, or read the notice"


def admit(credential: Credential | None, verdict: Verdict | None, *, case_wait_s: float | None = None) -> Decision:
    """Decide about one request.

    :param credential: the key that was presented, None when it is unknown.
    :param verdict: the verdict in force for its account, None when there is none.
    :param case_wait_s: seconds until the limited case's budget allows a request, 0 when it does now; None when the
        budget is not known, which refuses.
    """
    if credential is None or credential.revoked_at is not None:
        return INVALID_KEY
    if credential.account_status != "active":
        return NOT_ACTIVE
    if verdict is None or verdict.action is Action.WATCH:
        return ALLOWED
    if verdict.action is Action.VERIFY:
        return Decision(False, 403, "verification_required", _VERIFY, verdict)
    if verdict.action in (Action.LIMIT, Action.SUMMARISE):
        unlimited = verdict.action is Action.SUMMARISE and verdict.requests_per_minute is None
        if unlimited or case_wait_s == 0:
            return replace(ALLOWED, verdict=verdict) if verdict.action is Action.SUMMARISE else ALLOWED
        return Decision(False, 429, "case_limited", _LIMITED, verdict, case_wait_s or 60.0)
    return Decision(False, 403, "account_suspended", _SUSPENDED, verdict)

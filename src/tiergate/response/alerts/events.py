"""What is worth an alert: read off the changes that were appended to a case or an appeal.

| type | when |
| --- | --- |
| `case.opened` | a look found a case that had no file |
| `case.step` | another step is in force, or none any more |
| `case.proposed` | a step waits for people |
| `case.reopened` | a closed case went on |
| `case.closed` | somebody closed it, with an outcome |
| `lead.raised` | what other labs found asks more accounts to verify themselves |
| `lead.lifted` | it asks nobody any more |
| `appeal.filed` | somebody appealed |
| `appeal.overdue` | an appeal is open past its date |
| `appeal.decided` | an appeal was upheld, or overturned what it is against |
| `watch.failing` | look after look came to nothing |
| `test` | `tiergate alerts test` |

An alert names cases by id and people and accounts by number. Grounds, reasons and summaries stay in the deployment:
whoever wrote them may have named somebody.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from tiergate.admission.appeals import Appeal, Outcome
from tiergate.ledger.verdicts import Action
from tiergate.response.case_files import CaseFile, Status
from tiergate.response.leads import JOINT, Lead, kind_of

TYPES: Final = (
    "case.opened", "case.step", "case.proposed", "case.reopened", "case.closed",
    "lead.raised", "lead.lifted", "appeal.filed", "appeal.overdue", "appeal.decided", "watch.failing", "test",
)  # fmt: skip


class Alert(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that happened. ``alert_id`` stays the same however often it is sent; ``title``: one line for people;
    ``data``: JSON for programs, see docs/alerts.md. ``at_us``: when it happened, microseconds, UTC."""

    alert_id: str
    type: str
    at_us: int
    title: str
    data: dict[str, Any]


def about_case(before: CaseFile | None, file: CaseFile, *, number: int, at_us: int, by: str) -> list[Alert]:
    """What the change ``number`` of a case, made by ``by``, is worth telling."""
    told: list[tuple[str, str]] = []
    found, name = file.found, file.case_id
    if before is None:
        told.append(("case.opened", f"{name} opened: {found.accounts} accounts, confidence {found.confidence:.3f}"))
    elif before.status is Status.CLOSED and file.status is Status.OPEN:
        told.append(("case.reopened", f"{name} opened again: its accounts went on"))
    if file.step is not (Action.WATCH if before is None else before.step):
        until = "" if file.step_until_us is None else f" until {moment(file.step_until_us)}"
        step = "no step is" if file.step is Action.WATCH else f"{file.step.value} is"
        told.append(("case.step", f"{name}: {step} in force{until}"))
    proposal = file.proposal
    held = None if before is None or before.proposal is None else (before.proposal.action, before.proposal.at_us)
    if proposal is not None and (proposal.action, proposal.at_us) != held:
        waits = f"waits for {proposal.needed - len(proposal.approved_by)} to agree"
        told.append(("case.proposed", f"{name}: {proposal.action.value} is proposed and {waits}"))
    if file.status is Status.CLOSED and (before is None or before.status is not Status.CLOSED):
        told.append(("case.closed", f"{name} closed: {'unclear' if file.outcome is None else file.outcome.value}"))
    data = _case(file, by)
    return [_alert(kind, name, number, at_us, title, data) for kind, title in told]


def about_appeal(before: Appeal | None, appeal: Appeal, *, number: int, at_us: int) -> list[Alert]:
    """What a change of an appeal is worth telling."""
    subject = f"appeal {appeal.appeal_id} against {appeal.against.value} {appeal.subject_id}"
    if before is None:
        kind, title = "appeal.filed", f"{subject} is due {_day(appeal)}"
    elif before.outcome is None and appeal.outcome is not None:
        ended = "stands" if appeal.outcome is Outcome.UPHELD else "is undone"
        kind, title = "appeal.decided", f"{subject}: what it is against {ended}"
    else:
        return []
    return [_alert(kind, appeal.appeal_id, number, at_us, title, _appeal(appeal))]


def about_lead(before: Lead | None, lead: Lead, *, number: int, at_us: int, by: str) -> list[Alert]:
    """What a change of a lead is worth telling. Which lab told it stays here, as its source does."""
    held = set() if before is None else before.accounts.keys()
    new = len(lead.accounts.keys() - held)
    what = "a joint cluster" if kind_of(lead.lead_id) == JOINT else "a finding of another lab"
    if new:
        kind, title = "lead.raised", f"{lead.lead_id}: {what} asks {new} more accounts to verify themselves"
    elif held and not lead.accounts:
        kind, title = "lead.lifted", f"{lead.lead_id}: {what} asks nobody any more to verify themselves"
    else:
        return []
    data = {"lead_id": lead.lead_id, "kind": kind_of(lead.lead_id), "accounts": len(lead.accounts), "by": by}
    return [_alert(kind, lead.lead_id, number, at_us, title, data)]


def overdue(appeal: Appeal) -> Alert:
    """That an open appeal is past its date."""
    title = f"appeal {appeal.appeal_id} against {appeal.against.value} {appeal.subject_id} was due {_day(appeal)}"
    return _alert("appeal.overdue", appeal.appeal_id, 0, appeal.due_at_us, title, _appeal(appeal))


def failing(looks: int, since_us: int) -> Alert:
    """That ``looks`` looks in a row came to nothing, the first of them at ``since_us``."""
    title = f"{looks} looks in a row came to nothing: cases are not brought up to date"
    data = {"looks": looks, "since": moment(since_us)}
    return _alert("watch.failing", "watch", 0, since_us, title, data)


def trial(sink: str, at_us: int) -> Alert:
    """An alert that says nothing but that alerts arrive."""
    return _alert("test", sink, 0, at_us, f"a test of the sink {sink}: nothing happened", {"sink": sink})


def moment(time_us: int) -> str:
    """Microseconds as RFC 3339 with seconds, UTC."""
    return f"{datetime.fromtimestamp(time_us // 1_000_000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _alert(kind: str, subject: str, number: int, at_us: int, title: str, data: dict[str, Any]) -> Alert:
    digest = hashlib.sha256(f"{kind}\n{subject}\n{number}\n{at_us}".encode()).hexdigest()
    return Alert(alert_id=f"alert_{digest[:32]}", type=kind, at_us=at_us, title=one_line(title), data=data)


def one_line(text: str) -> str:
    """Text for a subject or a line: what is appealed against is called as whoever appealed called it."""
    return "".join(one if one.isprintable() else "?" for one in text[:300])


def _day(appeal: Appeal) -> str:
    return moment(appeal.due_at_us)[:10]


def _appeal(appeal: Appeal) -> dict[str, Any]:
    return {
        "appeal_id": appeal.appeal_id,
        "against": appeal.against.value,
        "subject_id": appeal.subject_id,
        "filed_at": moment(appeal.filed_at_us),
        "due_at": moment(appeal.due_at_us),
        "outcome": None if appeal.outcome is None else appeal.outcome.value,
    }


def _case(file: CaseFile, by: str) -> dict[str, Any]:
    found, proposal = file.found, file.proposal
    return {
        "case_id": file.case_id,
        "status": file.status.value,
        "outcome": None if file.outcome is None else file.outcome.value,
        "by": by,
        "step": file.step.value,
        "step_until": None if file.step_until_us is None else moment(file.step_until_us),
        "proposed": None if proposal is None else proposal.action.value,
        "approvals_needed": None if proposal is None else proposal.needed,
        "approvals_given": None if proposal is None else len(proposal.approved_by),
        "opened_at": moment(file.opened_at_us),
        "first_seen": moment(found.first_seen_us),
        "last_seen": moment(found.last_seen_us),
        "accounts": found.accounts,
        "exchanges": found.exchanges,
        "output_tokens": found.output_tokens,
        "value_usd": found.value_usd,
        "capability": found.capability,
        "recommended": found.recommended.value,
        "confidence": found.confidence,
        "q_value": found.q_value,
        "e_value": found.e_value,
        "look": found.look,
        "look_sha256": found.digest,
    }

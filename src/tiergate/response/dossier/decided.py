"""What was done about a case: its history in sentences, verdicts and appeals."""

from __future__ import annotations

from typing import Any

import msgspec

from tiergate.admission.changes import Change
from tiergate.response.dossier.document import Block, Table, Text
from tiergate.response.dossier.facts import Facts
from tiergate.response.dossier.words import counted, moment, usd
from tiergate.response.record import Record

State = dict[str, Any]


def decided(facts: Facts) -> list[Block]:
    """The blocks of the section."""
    record = facts.record
    return [
        Text("Every change of the case file since it was opened. Changes are appended; none is altered or removed."),
        Table(
            head=["time, UTC", "author", "what", "reason"],
            rows=[[moment(one.at_us), one.author, what, one.reason] for one, what in changes(record.history)],
            align="clll",
            widths=[0, 3, 6, 5],
        ),
        Text("Verdicts that followed, as the gateway obeyed them: all rows of one author and moment together."),
        Table(
            head=["time, UTC", "author", "action", "accounts", "ends, UTC"],
            rows=_verdicts(record),
            align="cllrc",
            widths=[0, 4, 4, 0, 0],
            empty="no account was ever touched",
        ),
        Text("Appeals against the case or one of its verdicts."),
        Table(
            head=["filed, UTC", "by", "grounds", "answer due, UTC", "votes and outcome"],
            rows=_appeals(record),
            align="cllcl",
            widths=[0, 2, 4, 0, 5],
            empty="none was filed",
        ),
        Text("The policy as it is now: what a case must reach for a step, and how many people must agree to it."),
        Table(
            head=["step", "confidence at least", "q-value at most", "value at least", "people"],
            rows=[
                [str(one.action), f"{one.confidence:g}", f"{one.q_value:g}", usd(one.value_usd), f"{one.approvals}"]
                for one in facts.policy.steps
            ],
            align="lrrrr",
            widths=[1, 1, 1, 1, 1],
        ),
    ]


def changes(history: list[Change]) -> list[tuple[Change, str]]:
    """Each change of a case file, oldest first, and in words what it changed."""
    rows = []
    before: State = {}
    for change in history:
        state: State = msgspec.json.decode(change.state)
        rows.append((change, "; ".join([change.action, *_differences(before, state, change.reason)])))
        before = state
    return rows


def _differences(before: State, now: State, told: str) -> list[str]:
    """What changed, in words; the look's own figures are told where the dossier shows them, and the reason ``told`` in
    a column of its own."""
    said = []
    if before.get("step", "watch") != now.get("step", "watch"):
        until = now.get("step_until_us")
        said.append(f"step {now.get('step', 'watch')}" + (f" until {moment(until)}" if until else ""))
    elif now.get("step_until_us") != before.get("step_until_us") and now.get("step_until_us"):
        said.append(f"renewed until {moment(now['step_until_us'])}")
    proposal, held = now.get("proposal"), before.get("proposal")
    if proposal and proposal != held:
        agreed = ", ".join(proposal.get("approved_by", [])) or "nobody"
        asked = f"{proposal['needed']} must agree, so far: {agreed}"
        known = held is not None and proposal["reason"] == held["reason"]
        why = "" if known or proposal["reason"] == told else f" ({proposal['reason']})"
        said.append(f"{proposal['action']} proposed by {proposal['by']}{why}; {asked}")
    if now.get("approved_by") and now.get("approved_by") != before.get("approved_by"):
        said.append(f"agreed to by {', '.join(now['approved_by'])}")
    for name, words in (("status", "status"), ("outcome", "outcome"), ("assignee", "given to")):
        if now.get(name) != before.get(name) and now.get(name) and before:
            said.append(f"{words} {now[name]}")
    freed = [one for one in now.get("cleared", []) if one not in before.get("cleared", [])]
    said += [
        f"account {one['account_id']} cleared by {one['by']}" + ("" if one["reason"] == told else f": {one['reason']}")
        for one in freed
    ]
    joined = [one for one in now.get("merged", []) if one not in before.get("merged", [])]
    said += [f"case {one} merged into it" for one in joined]
    split = {name: held for name, held in now.get("apart", {}).items() if name not in before.get("apart", {})}
    said += [f"{counted(len(held), 'account')} split off as {name}" for name, held in split.items()]
    found = now.get("found", {})
    if found.get("digest") != before.get("found", {}).get("digest"):
        said.append(f"look {found.get('look')}: {counted(found.get('accounts', 0), 'account')}")
    return said


def _verdicts(record: Record) -> list[list[str]]:
    grouped: dict[tuple[int, str, str, str], int] = {}
    for one in record.verdicts:
        action = f"{one.action} lifted" if one.lifted else str(one.action)
        ends = "" if one.lifted else "never" if one.expires_at is None else moment(one.expires_at)
        key = (one.decided_at, one.author, action, ends)
        grouped[key] = grouped.get(key, 0) + 1
    return [[moment(at), author, action, f"{n:,}", ends] for (at, author, action, ends), n in grouped.items()]


def _appeals(record: Record) -> list[list[str]]:
    rows = []
    for one in record.appeals:
        votes = [f"{vote.reviewer}: {vote.outcome}, {vote.reason}" for vote in one.votes]
        outcome = f"{one.outcome}" if one.outcome else "open"
        rows.append(
            [moment(one.filed_at_us), one.filed_by, one.grounds, moment(one.due_at_us), "; ".join([*votes, outcome])]
        )
    return rows

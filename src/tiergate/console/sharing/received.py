"""Findings that peers told: how far each is corroborated, what it did here, and what we say of it."""

from __future__ import annotations

from typing import Final

from tiergate.admission.changes import Change
from tiergate.api.problems import not_found
from tiergate.api.shared_leads import lead_of
from tiergate.console.origins import Origin, command
from tiergate.console.sharing.known import known
from tiergate.console.tables import Column, Link, Table
from tiergate.console.visits import View, Visit
from tiergate.console.words import Words
from tiergate.ledger.log import is_log, read_log
from tiergate.response.leads import Lead
from tiergate.sharing.epochs import epoch_keys
from tiergate.sharing.feedback import AGAINST, Heard
from tiergate.sharing.finding import Lab, Opinion, Sighting, least
from tiergate.sharing.finding import View as Agreement
from tiergate.sharing.matching import COLUMNS, Match, Own

SIZE: Final = 50
MOST_MATCHES: Final = 500
"""Accounts that a page shows, those that are touched first; the CSV file has all."""


def received(visit: Visit) -> View:
    words = visit.renderer.words.sharing
    found, now = known(visit)
    after = visit.asked("after")
    every = [] if found is None else list(found.findings.values())
    place = next((at + 1 for at, one in enumerate(every) if one.finding.finding_id == after), 0)
    shown = every if visit.csv else every[place : place + SIZE]
    changes = visit.services.cases.desk.changes
    columns = [
        Column("finding", words.columns.finding),
        Column("peer", words.columns.peer),
        Column("tlp", words.columns.tlp, "badge"),
        Column("state", words.columns.state, "badge"),
        Column("score", words.columns.score, "number"),
        Column("agree", words.columns.agree, "count"),
        Column("disagree", words.columns.disagree, "count"),
        Column("ours", words.columns.ours),
        Column("here", words.columns.here, "count"),
        Column("accounts", words.columns.accounts),
        Column("exchanges", words.columns.exchanges),
        Column("confidence", words.columns.confidence, "share"),
        Column("modified_us", words.columns.told_us, "time"),
    ]
    rows = []
    for one in shown:
        told = one.finding
        lead = changes.current(Lead, lead_of(visit.services.settings.data, one))
        rows.append(
            {
                "finding": Link(told.finding_id[:13], f"/sharing/received/{told.finding_id}"), "peer": one.peer.name,
                "tlp": Link(told.tlp.label), "state": _state(words, one, visit.now_us),
                "score": one.corroboration.score, "agree": one.corroboration.agree,
                "disagree": one.corroboration.disagree,
                "ours": None if one.opinion is None else words.views[one.opinion.view.value],
                "here": None if lead is None else len(lead.accounts), "accounts": at_least(words, told.accounts),
                "exchanges": at_least(words, told.exchanges), "confidence": told.confidence / 100,
                "modified_us": told.modified_us,
            }
        )  # fmt: skip
    more = not visit.csv and len(every) > place + SIZE
    table = Table(
        name="received", columns=columns, rows=rows, empty=words.none_received,
        next_page=visit.here(after=shown[-1].finding.finding_id) if more else None,
    )  # fmt: skip
    data = visit.services.settings.data.name
    return {
        "tables": [table], "table": None if found is None else table, "stale": found is not None and not now,
        "origin": Origin(api="GET /v1/sharing/findings", command=command("share", "received", "--data", data)),
    }  # fmt: skip


def one_finding(visit: Visit) -> View:
    words, services = visit.renderer.words.sharing, visit.services
    found, now = known(visit)
    if found is None:
        return {"finding": None, "tables": []}
    one = found.findings.get(visit.path("finding_id"))
    if one is None:
        raise not_found("finding", visit.path("finding_id"))
    told, lead_name = one.finding, lead_of(services.settings.data, one)
    changes = services.cases.desk.changes
    lead = changes.current(Lead, lead_name)
    said = Table(
        name="said",
        columns=[
            Column("lab", words.columns.lab),
            Column("kind", words.columns.kind),
            Column("says", words.columns.says, "badge"),
            Column("tlp", words.columns.tlp),
            Column("modified_us", words.columns.told_us, "time"),
        ],
        rows=[_said(words, each) for each in found.said.get(told.finding_id, ())],
        empty=words.nobody_said,
    )
    touched = Table(
        name="touched",
        columns=[Column("account", words.columns.account, "code"), Column("by", words.columns.matched)],
        rows=[{"account": account, "by": by} for account, by in (lead.accounts.items() if lead else ())],
        empty=words.none_touched,
    )
    history = Table(
        name="history",
        columns=[
            Column("at_us", words.columns.at_us, "time"),
            Column("author", words.columns.author),
            Column("action", words.columns.action),
            Column("reason", words.columns.reason, "prose"),
        ],
        rows=[_change(each) for each in reversed(changes.history(Lead, lead_name))],
        empty=words.nothing_done,
    )
    name, data = f"campaign--{told.finding_id}", services.settings.data.name
    lab = services.cases.desk.policy.sharing.lab
    wanted = visit.asked("match") is not None and lab is not None
    matches = _matches(visit, one, Lab.named(lab)) if wanted and lab is not None else None
    return {
        "tables": [said, touched, history, *([matches] if matches else [])], "matches": matches, "wanted": wanted,
        "one": one, "finding": told, "lead": lead, "said": said, "stale": not now,
        "touched": touched, "history": history, "state": _state(words, one, visit.now_us), "lab": lab,
        "accounts": at_least(words, told.accounts), "exchanges": at_least(words, told.exchanges),
        "views": [(view.value, words.views[view.value]) for view in Agreement], "against": AGAINST,
        "origin": Origin(
            api=f"GET /v1/sharing/findings/{told.finding_id}",
            command=command("share", "history", name, "--data", data),
        ),
        "match_origin": Origin(
            command=command("share", "match", name, "--lab", lab or "your.domain", "--data", data),
            note=words.match_note,
        ),
    }  # fmt: skip


def _matches(visit: Visit, one: Heard, lab: Lab) -> Table | None:
    """Own accounts that have something of a finding; None while the log is read."""
    words, services = visit.renderer.words.sharing, visit.services
    log, folder = services.settings.data / "log", services.settings.data / services.cases.desk.policy.sharing.epoch_keys
    found: list[Match] | None = []
    if is_log(log):

        def compare() -> list[Match]:
            own = Own(read_log(log, columns=["account_id", *COLUMNS], sketches_suffice=True))
            return own.matches(one.finding, epoch_keys(folder), lab)

        # What was recorded since counts at the next visit after a segment was sealed.
        version = (one.finding.modified_us, (log / "manifest").stat().st_mtime_ns)
        found, _ = visit.reading(("matches", one.finding.finding_id), version, compare)
    if found is None:
        return None
    columns = [
        Column("account", words.columns.account, "code"),
        Column("by", words.columns.matched),
        Column("touches", words.columns.touches, "badge"),
    ]
    rows = [
        {"account": each.account_id, "by": ", ".join(each.by),
         "touches": Link(words.touches.yes, tone="warn") if each.touches else Link(words.touches.no)}
        for each in sorted(found, key=lambda each: not each.touches)[: None if visit.csv else MOST_MATCHES]
    ]  # fmt: skip
    return Table(name="matches", columns=columns, rows=rows, empty=words.no_matches)


def at_least(words: Words, held: int) -> str:
    """A volume that is told as a power of two."""
    return words("at_least", count=f"{least(held):,}") if held else "0"


def _state(words: Words, one: Heard, now_us: int) -> Link:
    gone = one.gone()
    if gone is not None:
        return Link(words.states.withdrawn if one.finding.revoked else words.states.rests, tone="warn")
    return Link(words.states.fresh, tone="good") if one.fresh(now_us) else Link(words.states.old)


def _said(words: Words, one: Sighting | Opinion) -> dict[str, object]:
    if isinstance(one, Opinion):
        tone = "bad" if one.view in AGAINST else "good" if "agree" in one.view.value else ""
        kind, says = words.kinds.opinion, Link(words.views[one.view.value], tone=tone)
    else:
        kind, says = words.kinds.sighting, Link(words("met", count=at_least(words, one.accounts)), tone="good")
    if one.revoked:
        says = Link(words.states.withdrawn, tone="warn")
    return {
        "lab": one.lab.name or one.lab.lab_id,
        "kind": kind,
        "says": says,
        "tlp": one.tlp.label,
        "modified_us": one.modified_us,
    }


def _change(one: Change) -> dict[str, object]:
    return {"at_us": one.at_us, "author": one.author, "action": one.action, "reason": one.reason}

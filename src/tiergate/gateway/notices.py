"""What a customer is told about a verdict or a gate: what happens, why, until when, and how to appeal."""

from __future__ import annotations

import html
from datetime import UTC, datetime
from typing import Final

import msgspec

from tiergate.admission.engine import Gate
from tiergate.clock import Clock
from tiergate.gateway.admitting import Admission
from tiergate.gateway.appealing import PATH as APPEALS
from tiergate.gateway.replies import Scope, Send, fail, reply
from tiergate.ledger.verdicts import Action, Verdict, applying

PAGES: Final = ("/verdicts/", "/decisions/")
_WHAT: Final = {
    Action.WATCH: "Nothing changes for you.",
    Action.VERIFY: "Requests are refused until the account has been verified.",
    Action.LIMIT: "Requests share a limited budget with the other accounts of the case.",
    Action.SUMMARISE: "Answers come without reasoning and log-probabilities, within the limited budget of the case.",
    Action.SUSPEND: "Requests are refused while the case is reviewed.",
}
_CODES: Final = {
    Action.WATCH: "allowed",
    Action.VERIFY: "verification_required",
    Action.LIMIT: "case_limited",
    Action.SUMMARISE: "case_limited",
    Action.SUSPEND: "account_suspended",
}
"""What answers to requests say; see `admission.decision`."""
_SHOWN: Final = ("look ", "shared_finding: ")
"""How evidence begins that a customer may read."""
_SOME: Final = " This reaches only requests like those that are charged; all others pass."
_PAGE: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"><style>body{{font:16px/1.5 system-ui;max-width:40em;margin:3em auto;
padding:0 1em;color-scheme:light dark}}dt{{font-weight:600;margin-top:1em}}dd{{margin:0}}</style>
<h1>{title}</h1><dl>{rows}</dl></html>"""


class Notices:
    """Answers the links in refusals: `GET /verdicts/{id}` and `GET /decisions/{code}`. ``here``: whether appeals are
    taken at the same address."""

    def __init__(self, admission: Admission, clock: Clock, appeal_contact: str, *, here: bool = False) -> None:
        self._admission, self._clock, self._appeal_contact, self._here = admission, clock, appeal_contact, here

    async def answer(self, scope: Scope, send: Send) -> None:
        """The page that a path of `PAGES` names, as JSON or for a browser."""
        as_html = b"text/html" in dict(scope["headers"]).get(b"accept", b"")
        _, kind, name = scope["path"].split("/", 2)
        found = self._verdict(name, as_html) if kind == "verdicts" else self._gate(name, as_html)
        if found is None:
            await fail(
                send, "openai", 404, "no_such_notice", f"no notice in force has the address {scope['path'][:200]}"
            )
            return
        body, content_type = found
        await reply(send, 200, body, kind=content_type)

    def _verdict(self, verdict_id: str, as_html: bool) -> tuple[bytes, bytes] | None:
        snapshot = self._admission.snapshot
        verdict = snapshot.notices.get(verdict_id)
        if verdict is None or applying([msgspec.structs.replace(verdict, marks=None)], self._clock.now_us()) is None:
            return None
        return notice(verdict, self._appeal_contact, as_html=as_html, here=self._here)

    def _gate(self, code: str, as_html: bool) -> tuple[bytes, bytes] | None:
        gate = self._admission.tiers.gate(code)
        return None if gate is None else gate_notice(gate, self._appeal_contact, as_html=as_html)


def notice(verdict: Verdict, appeal_contact: str, *, as_html: bool, here: bool = False) -> tuple[bytes, bytes]:
    """Body and content type of the notice. It names no other account."""
    own_key = f"POST {APPEALS} here with your API key, `verdict` and your `grounds`, or " if here else ""
    facts = {
        "code": _CODES[verdict.action],
        "action": verdict.action.value,
        "what_happens": _WHAT[verdict.action] + ("" if verdict.marks is None else _SOME),
        "reason": verdict.reason,
        "what_is_charged": _charged(verdict),
        "since": _day(verdict.decided_at),
        "until": _day(verdict.expires_at) if verdict.expires_at else "further notice",
        "case": verdict.case_id,
        "verdict": verdict.verdict_id,
        "rests_on": "; ".join(one for one in verdict.evidence if one.startswith(_SHOWN)) or "a decision by hand",
        "how_to_appeal": (
            f"Write to {appeal_contact} and name the verdict, or {own_key}file an appeal against the verdict with this "
            "id at the control API, POST /v1/appeals. People who had no part in it answer, by a date that you are told."
        ),
    }
    return _page("Notice about your account", facts, as_html=as_html)


def gate_notice(gate: Gate, appeal_contact: str, *, as_html: bool) -> tuple[bytes, bytes]:
    """Body and content type of what a gate of the tiers refuses. It is the same for everybody."""
    facts = {
        "code": gate.code,
        "reason": gate.text,
        "what_is_missing": gate.missing or "nothing: what is known stands against it",
        "what_would_change_it": gate.change,
        "who_decides_an_appeal": gate.appeal,
        "how_to_appeal": f"Write to {appeal_contact} with the exchange's id. A person will look at it.",
    }
    return _page("Why a request was refused", facts, as_html=as_html)


def _charged(verdict: Verdict) -> str:
    if verdict.charged is None:
        return "The account as a whole; exchanges were not counted."
    of = "" if verdict.observed is None else f" of the {verdict.observed:,} that were observed"
    return f"{verdict.charged:,} exchanges of the account{of}."


def _page(title: str, facts: dict[str, str], *, as_html: bool) -> tuple[bytes, bytes]:
    if not as_html:
        return msgspec.json.encode(facts), b"application/json"
    rows = "".join(
        f"<dt>{html.escape(name.replace('_', ' ').capitalize())}</dt><dd>{html.escape(value)}</dd>"
        for name, value in facts.items()
    )
    return _PAGE.format(title=title, rows=rows).encode(), b"text/html; charset=utf-8"


def _day(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC")

"""Where a membership stands: one answer that the portal, the API and every error text read.

Users of real programmes were told "apply again" after approval and "under review" after refusal, because each surface
kept a state of its own. Here the words are made from the state and nothing else.

| code | use | when |
| --- | --- | --- |
| `membership_none` | no | nobody applied |
| `membership_applied` | no | waits for a sponsor, or for two reviewers where none is needed |
| `membership_sponsored` | no | waits for two reviewers |
| `membership_reviewed` | no | one reviewer approved, waits for another |
| `membership_active` | yes | two reviewers approved |
| `terms_due` | yes | active, and newer terms must be accepted by a date |
| `terms_not_accepted` | no | active, and that date has passed |
| `membership_suspended` | no | suspended, with code and reason |
| `membership_refused` | no | refused, with code, reason and what is missing; may re-apply or appeal |
| `membership_ended` | no | ended; may apply anew or appeal |
"""

from __future__ import annotations

import enum
from datetime import UTC, datetime

import msgspec

from tiergate.admission.programmes import Programme


class State(enum.StrEnum):
    """States of a membership."""

    APPLIED = "applied"
    SPONSORED = "sponsored"
    REVIEWED = "reviewed"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    REFUSED = "refused"
    ENDED = "ended"


class Membership(msgspec.Struct, frozen=True, kw_only=True, tag="membership", forbid_unknown_fields=True):
    """An organisation's, or one person's, membership of a programme.

    ``person_id`` is None where the organisation is the member. ``applicant``, ``sponsor`` and ``approvals`` are people.
    ``met`` maps codes of requirements to the SHA-256 of their evidence. ``code``, ``reason``, ``missing`` and
    ``decided_by`` belong to the suspension, refusal or end that it is in. ``overruled``: whose refusals of this
    application an appeal undid. ``round`` counts applications. Times are microseconds since the epoch, UTC.
    """

    membership_id: str
    programme_id: str
    organisation_id: str
    person_id: str | None
    applicant: str
    state: State
    since_us: int
    statement: str
    round: int = 1
    terms_version: str | None = None
    terms_accepted_at_us: int | None = None
    terms_accepted_by: str | None = None
    sponsor: str | None = None
    sponsor_organisation_id: str | None = None
    met: dict[str, str] = {}
    approvals: tuple[str, ...] = ()
    overruled: tuple[str, ...] = ()
    decided_by: str | None = None
    code: str | None = None
    reason: str | None = None
    missing: tuple[str, ...] = ()


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The one answer. ``may_use``: whether this membership admits anything now. ``missing``: what is wanted before it
    does. ``next``: what can be done about it. ``due_us``: by when terms are to be accepted. ``text`` is for people."""

    code: str
    may_use: bool
    membership_id: str | None
    since_us: int | None
    text: str
    missing: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    due_us: int | None = None


NONE = Standing(
    code="membership_none",
    may_use=False,
    membership_id=None,
    since_us=None,
    text="there is no membership of this programme; apply for one",
    next=("apply",),
)


def standing_of(membership: Membership | None, programme: Programme, now_us: int) -> Standing:
    """Where a membership stands at ``now_us``. Pure: the same facts give the same words everywhere."""
    if membership is None:
        return NONE
    state = membership.state
    if state is State.ACTIVE:
        return _active(membership, programme, now_us)
    following: tuple[str, ...]
    stopped = f": {membership.reason} (`{membership.code}`)"
    if state is State.APPLIED and programme.sponsor.required:
        words, following = "the application was received and waits for a sponsor", ("sponsor", "end")
    elif state in (State.APPLIED, State.SPONSORED):
        words, following = "the application waits for two reviewers", ("review", "end")
    elif state is State.REVIEWED:
        words, following = "one reviewer approved; the application waits for another one", ("review", "end")
    elif state is State.SUSPENDED:
        words = "this membership is suspended" + stopped + "; it can be appealed, and can be resumed"
        following = ("appeal", "resume", "end")
    elif state is State.REFUSED:
        words, following = "the application was refused" + stopped + "; re-apply or appeal", ("reapply", "appeal")
    else:
        words, following = "this membership has ended" + stopped + "; apply anew or appeal", ("apply", "appeal")
    missing = _missing(membership, programme)
    return Standing(
        code=f"membership_{state.value}",
        may_use=False,
        membership_id=membership.membership_id,
        since_us=membership.since_us,
        text=words + (f"; missing: {', '.join(missing)}" if missing else ""),
        missing=missing,
        next=following,
    )


def _active(membership: Membership, programme: Programme, now_us: int) -> Standing:
    due = programme.acceptance_due_us(membership.terms_version, now_us)
    terms = programme.terms_at(now_us)
    following: tuple[str, ...] = ("suspend", "end")
    code, text = "membership_active", "this membership is active"
    if due is not None and terms is not None:
        day = f"{datetime.fromtimestamp(due / 1e6, UTC):%Y-%m-%d %H:%M} UTC"
        following = ("accept_terms", *following)
        if now_us < due:
            code, text = "terms_due", f"this membership is active; accept the terms `{terms.version}` by {day}"
        else:
            code = "terms_not_accepted"
            text = f"the terms `{terms.version}` were to be accepted by {day}; accept them to go on at once"
    return Standing(
        code=code,
        may_use=code != "terms_not_accepted",
        membership_id=membership.membership_id,
        since_us=membership.since_us,
        text=text,
        missing=("terms",) if code == "terms_not_accepted" else (),
        next=following,
        due_us=due,
    )


def _missing(membership: Membership, programme: Programme) -> tuple[str, ...]:
    if membership.state not in (State.APPLIED, State.SPONSORED, State.REVIEWED):
        return membership.missing
    wanted = [one.code for one in programme.requirements if one.code not in membership.met]
    return ("sponsor", *wanted) if lacks_sponsor(membership, programme) else tuple(wanted)


def lacks_sponsor(membership: Membership, programme: Programme) -> bool:
    """Whether the programme wants a sponsor whom this membership does not have."""
    return programme.sponsor.required and membership.sponsor is None

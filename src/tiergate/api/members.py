"""Operations on memberships: apply, sponsor, review, suspend; and the purposes that a membership declares.

Who belongs to an organisation sees that organisation's alone. A sponsor acts on the id that the applicant gave them and
learns no more than where the application stands.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from tiergate.admission import purposes
from tiergate.admission.changes import Change
from tiergate.admission.programmes import Programme
from tiergate.admission.purposes import AssetKind, Evidence, Purpose
from tiergate.admission.standing import Membership, Standing
from tiergate.api.operations import Call, Operation
from tiergate.api.operators import Permission
from tiergate.api.paging import Page, PageQuery, page
from tiergate.api.problems import not_found
from tiergate.errors import InputError

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
Code = Annotated[str, msgspec.Meta(pattern="^[a-z0-9_]{1,64}$")]
Text = Annotated[str, msgspec.Meta(max_length=10_000)]
Given = Annotated[str, msgspec.Meta(min_length=1, max_length=10_000)]
"""A reason that must be given, because others read it."""


class Application(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Asks for membership of the caller's organisation, or of one person of it. ``met`` maps codes of requirements to
    the SHA-256 of their evidence."""

    programme_id: Id
    person_id: Id | None = None
    statement: Text = ""
    terms_version: Id | None = None
    met: dict[str, str] = {}


class MembershipView(msgspec.Struct, frozen=True, kw_only=True):
    """A membership, and where it stands in the words that every surface uses."""

    membership: Membership
    standing: Standing


class Vouching(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Vouches for an applicant."""

    reason: Text = ""


class Review(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One reviewer's word. The applicant reads ``reason``, ``code`` and ``missing``."""

    verdict: Literal["approve", "refuse"]
    reason: Text = ""
    code: Code = "refused"
    missing: list[Text] = []


class Stop(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Suspends or ends a membership, with a code and a reason that the member reads."""

    code: Code
    reason: Given


class Resumption(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Resumes a suspended membership."""

    reason: Given


class Acceptance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Accepts the newest terms."""

    version: Id


class Requirement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hands in the evidence of a requirement, by its SHA-256."""

    code: Id
    sha256: Id


class DeclaredAsset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An asset as it is written: a domain, repository, network or CVE."""

    kind: AssetKind
    value: Id


class Declaration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Declares a purpose of a membership."""

    membership_id: Id
    code: Id
    assets: Annotated[list[DeclaredAsset], msgspec.Meta(max_length=1000)] = []
    evidence: Annotated[list[Evidence], msgspec.Meta(max_length=100)] = []


def membership_of(call: Call, membership_id: str) -> Membership:
    """A membership that the caller may see. Raises `ProblemError` otherwise."""
    membership = _any(call, membership_id)
    if not call.operator.sees(membership.organisation_id):
        raise not_found("membership", membership_id)
    return membership


def list_programmes(call: Call) -> Page[Programme]:
    return page(call.services.programmes.every(), lambda one: one.programme_id, call.query)


def list_memberships(call: Call) -> Page[Membership]:
    held = [one for one in call.services.memberships.every() if call.operator.sees(one.organisation_id)]
    return page(held, lambda one: one.membership_id, call.query)


def get_membership(call: Call) -> MembershipView:
    return _view(call, membership_of(call, call.path("membership_id")))


def apply(call: Call) -> MembershipView:
    asked: Application = call.body
    assert call.operator.organisation_id is not None  # an applicant has one: `operators` sees to it
    membership = call.services.memberships.apply(
        asked.programme_id,
        call.operator.organisation_id,
        applicant=call.operator.name,
        now_us=call.now_us,
        person_id=asked.person_id,
        statement=asked.statement,
        terms_version=asked.terms_version,
        met=asked.met,
    )
    return _view(call, membership)


def sponsor(call: Call) -> Standing:
    membership = _any(call, call.path("membership_id"))
    programme = call.services.programmes.get(membership.programme_id)
    call.services.memberships.sponsor(
        membership.membership_id,
        sponsor=call.operator.name,
        organisation_id=call.operator.organisation_id or programme.operator,
        now_us=call.now_us,
        reason=call.body.reason,
    )
    return call.services.memberships.standing(membership.membership_id, call.now_us)


def review(call: Call) -> MembershipView:
    membership, asked = membership_of(call, call.path("membership_id")), call.body
    call.require_passkey()
    memberships, reviewer = call.services.memberships, call.operator.name
    if asked.verdict == "approve":
        done = memberships.approve(membership.membership_id, reviewer=reviewer, now_us=call.now_us, reason=asked.reason)
    else:
        done = memberships.refuse(
            membership.membership_id,
            reviewer=reviewer,
            code=asked.code,
            reason=asked.reason,
            now_us=call.now_us,
            missing=asked.missing,
        )
    return _view(call, done)


def suspend(call: Call) -> MembershipView:
    return _stopped(call, call.services.memberships.suspend)


def end(call: Call) -> MembershipView:
    return _stopped(call, call.services.memberships.end)


def withdraw(call: Call) -> MembershipView:
    membership = membership_of(call, call.path("membership_id"))
    done = call.services.memberships.end(
        membership.membership_id,
        author=call.operator.name,
        code="withdrawn",
        reason="the applicant withdrew",
        now_us=call.now_us,
    )
    return _view(call, done)


def resume(call: Call) -> MembershipView:
    membership = membership_of(call, call.path("membership_id"))
    call.require_passkey()
    done = call.services.memberships.resume(
        membership.membership_id, author=call.operator.name, reason=call.body.reason, now_us=call.now_us
    )
    return _view(call, done)


def accept_terms(call: Call) -> MembershipView:
    membership = membership_of(call, call.path("membership_id"))
    done = call.services.memberships.accept_terms(
        membership.membership_id, call.body.version, author=call.operator.name, now_us=call.now_us
    )
    return _view(call, done)


def meet(call: Call) -> MembershipView:
    membership, asked = membership_of(call, call.path("membership_id")), call.body
    done = call.services.memberships.meet(
        membership.membership_id, asked.code, asked.sha256, author=call.operator.name, now_us=call.now_us
    )
    return _view(call, done)


def membership_history(call: Call) -> list[Change]:
    membership = membership_of(call, call.path("membership_id"))
    return call.services.memberships.history(membership.membership_id)


def list_purposes(call: Call) -> Page[Purpose]:
    held = [one for one in call.services.purposes.every() if call.operator.sees(one.organisation_id)]
    return page(held, lambda one: one.purpose_id, call.query)


def declare_purpose(call: Call) -> Purpose:
    asked: Declaration = call.body
    membership_of(call, asked.membership_id)
    return call.services.purposes.declare(
        asked.membership_id,
        asked.code,
        author=call.operator.name,
        now_us=call.now_us,
        assets=[purposes.asset(one.kind, one.value) for one in asked.assets],
        evidence=asked.evidence,
    )


def accept_purpose(call: Call) -> Purpose:
    purpose = purpose_of(call)
    call.require_passkey()
    return call.services.purposes.accept(
        purpose.purpose_id, author=call.operator.name, now_us=call.now_us, reason=call.body.reason
    )


def withdraw_purpose(call: Call) -> Purpose:
    purpose = purpose_of(call)
    return call.services.purposes.withdraw(
        purpose.purpose_id, author=call.operator.name, now_us=call.now_us, reason=call.body.reason
    )


def purpose_of(call: Call) -> Purpose:
    """A purpose that the caller may see. Raises `ProblemError` otherwise."""
    purpose_id = call.path("purpose_id")
    try:
        purpose = call.services.purposes.get(purpose_id)
    except InputError:
        raise not_found("purpose", purpose_id) from None
    if not call.operator.sees(purpose.organisation_id):
        raise not_found("purpose", purpose_id)
    return purpose


def _any(call: Call, membership_id: str) -> Membership:
    try:
        return call.services.memberships.get(membership_id)
    except InputError:
        raise not_found("membership", membership_id) from None


def _stopped(call: Call, change: Any) -> MembershipView:
    membership, asked = membership_of(call, call.path("membership_id")), call.body
    done = change(
        membership.membership_id,
        author=call.operator.name,
        code=asked.code,
        reason=asked.reason,
        now_us=call.now_us,
    )
    return _view(call, done)


def _view(call: Call, membership: Membership) -> MembershipView:
    standing = call.services.memberships.standing(membership.membership_id, call.now_us)
    return MembershipView(membership=membership, standing=standing)


def _operation(method: str, path: str, name: str, summary: str, permission: Permission, **more: Any) -> Operation:
    return Operation(
        method=method, path=path, name=name, summary=summary, permission=permission, subject="members", **more
    )


_ONE: Final = "/v1/memberships/{membership_id}"
_READ, _APPLY, _REVIEW, _REVOKE = Permission.READ, Permission.APPLY, Permission.REVIEW, Permission.REVOKE

OPERATIONS: Final = (
    _operation("GET", "/v1/programmes", "list_programmes", "Programmes, their terms and purposes", _READ,
               handler=list_programmes, query=PageQuery, gives=Page[Programme]),
    _operation("GET", "/v1/memberships", "list_memberships", "Memberships", _READ,
               handler=list_memberships, query=PageQuery, gives=Page[Membership]),
    _operation("POST", "/v1/memberships", "apply", "Apply for a programme, or again after a refusal", _APPLY,
               handler=apply, takes=Application, gives=MembershipView, status=201),
    _operation("GET", _ONE, "get_membership", "A membership, and where it stands", _READ,
               handler=get_membership, gives=MembershipView),
    _operation("GET", f"{_ONE}/history", "membership_history", "Every change of a membership, oldest first", _READ,
               handler=membership_history, gives=list[Change]),
    _operation("DELETE", _ONE, "withdraw", "Withdraw an application, or leave", _APPLY,
               handler=withdraw, gives=MembershipView),
    _operation("POST", f"{_ONE}/sponsorship", "sponsor", "Vouch for an applicant", Permission.SPONSOR,
               handler=sponsor, takes=Vouching, gives=Standing),
    _operation("POST", f"{_ONE}/reviews", "review", "Approve or refuse: two reviewers admit, one refuses", _REVIEW,
               handler=review, takes=Review, gives=MembershipView, step_up="always"),
    _operation("POST", f"{_ONE}/terms", "accept_terms", "Accept the newest terms", _APPLY,
               handler=accept_terms, takes=Acceptance, gives=MembershipView),
    _operation("POST", f"{_ONE}/evidence", "meet_requirement", "Hand in evidence of a requirement", _APPLY,
               handler=meet, takes=Requirement, gives=MembershipView),
    _operation("POST", f"{_ONE}/suspension", "suspend", "Suspend a membership", _REVOKE,
               handler=suspend, takes=Stop, gives=MembershipView),
    _operation("POST", f"{_ONE}/resumption", "resume", "Resume a suspended membership", _REVIEW,
               handler=resume, takes=Resumption, gives=MembershipView, step_up="always"),
    _operation("POST", f"{_ONE}/end", "end_membership", "End a membership", _REVOKE,
               handler=end, takes=Stop, gives=MembershipView),
    _operation("GET", "/v1/purposes", "list_purposes", "Declared purposes", _READ,
               handler=list_purposes, query=PageQuery, gives=Page[Purpose]),
    _operation("POST", "/v1/purposes", "declare_purpose", "Declare a purpose, with its assets and evidence", _APPLY,
               handler=declare_purpose, takes=Declaration, gives=Purpose, status=201),
    _operation("POST", "/v1/purposes/{purpose_id}/acceptance", "accept_purpose", "Accept a declared purpose", _REVIEW,
               handler=accept_purpose, takes=Vouching, gives=Purpose, step_up="always"),
    _operation("POST", "/v1/purposes/{purpose_id}/withdrawal", "withdraw_purpose", "Withdraw a purpose for good",
               _REVOKE, handler=withdraw_purpose, takes=Resumption, gives=Purpose),
)  # fmt: skip

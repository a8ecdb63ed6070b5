"""Memberships: from an application to active, and what can happen to an active one.

::

    apply -> applied -> sponsored -> reviewed -> active <-> suspended
                  (two different reviewers)        |           |
       refused <- any of the first three           +-> ended <-+
       refused -> applied (re-apply)      refused, suspended, ended -> as before that step (appeal, see `appeals`)

A programme without sponsors goes from applied to reviewed. Neither the applicant, nor the person whom the membership
is for, nor the sponsor reviews; one refusal refuses, because an appeal to two others can undo it. Where a change is
not possible, `StateError` says what the state is, with one of these codes:

| code | when |
| --- | --- |
| `membership_exists` | there is one of this organisation and person already, neither refused nor ended |
| `terms_not_current` | an applicant or a member accepts terms that are not the newest |
| `illegal_transition` | the membership's state does not allow it |
| `sponsor_not_independent` | the applicant, or somebody of the applicant's organisation, sponsors |
| `sponsor_not_member` | the sponsor's organisation is no active member |
| `sponsor_limit` | the sponsor has vouched for as many as the programme allows |
| `reviewer_not_independent` | applicant, member or sponsor reviews or resumes, or reviews whose refusal was undone |
| `second_reviewer_needed` | the second approval comes from the first reviewer |
| `requirements_missing` | the second approval comes before every requirement has evidence |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tiergate.admission.changes import Change, Changes, Writing, named, new_id, same, sha256_of
from tiergate.admission.programmes import Programme, found, programme_in
from tiergate.admission.standing import Membership, Standing, State, lacks_sponsor, standing_of
from tiergate.errors import InputError, StateError

_PENDING: Final = (State.APPLIED, State.SPONSORED, State.REVIEWED)
TRANSITIONS: Final[dict[str, tuple[State, ...]]] = {
    "reapply": (State.REFUSED,),
    "sponsor": (State.APPLIED,),
    "review": _PENDING,
    "suspend": (State.ACTIVE,),
    "resume": (State.SUSPENDED,),
    "end": (*_PENDING, State.ACTIVE, State.SUSPENDED),
    "accept_terms": (*_PENDING, State.ACTIVE, State.SUSPENDED),
    "meet": _PENDING,
    "reinstate": (State.REFUSED, State.SUSPENDED, State.ENDED),
}
"""From which states each change is possible."""
_STOPPED_BY: Final = {State.REFUSED: "review", State.SUSPENDED: "suspend", State.ENDED: "end"}


class Memberships:
    """Memberships in a database. Every method is one transaction; ``author`` and the like name people."""

    def __init__(self, engine: sa.Engine) -> None:
        self._changes = Changes(engine)

    def apply(
        self,
        programme_id: str,
        organisation_id: str,
        *,
        applicant: str,
        now_us: int,
        person_id: str | None = None,
        statement: str = "",
        terms_version: str | None = None,
        met: Mapping[str, str] | None = None,
    ) -> Membership:
        """Apply, or re-apply after a refusal. ``met`` maps codes of requirements to the SHA-256 of their evidence.

        A new application after a refusal keeps its id and evidence, and needs a sponsor and reviewers anew.
        """
        with self._changes.writing(applicant, now_us) as writing:
            programme = programme_in(writing, programme_id)
            evidence = {code: _evidence(programme, code, digest) for code, digest in (met or {}).items()}
            _need_current(programme, terms_version, now_us)
            last = _of(writing.every(Membership, organisation_id=organisation_id), programme_id, person_id)
            if last is not None and last.state not in (State.REFUSED, State.ENDED):
                words = standing_of(last, programme, now_us).text
                raise StateError(f"there is `{last.membership_id}` already: {words}", code="membership_exists")
            again = last if last is not None and last.state is State.REFUSED else None
            membership = Membership(
                membership_id=again.membership_id if again else new_id("mem"),
                programme_id=programme_id,
                organisation_id=organisation_id,
                person_id=person_id,
                applicant=applicant,
                state=State.APPLIED,
                since_us=now_us,
                statement=statement,
                round=again.round + 1 if again else 1,
                terms_version=terms_version,
                terms_accepted_at_us=now_us if terms_version else None,
                terms_accepted_by=applicant if terms_version else None,
                met=(again.met if again else {}) | evidence,
            )
            writing.put(membership.membership_id, membership, "reapply" if again else "apply", statement)
        return membership

    def meet(self, membership_id: str, code: str, sha256: str, *, author: str, now_us: int) -> Membership:
        """Hand in the evidence of a requirement, by its SHA-256."""
        with self._changes.writing(author, now_us) as writing:
            membership, programme = _open(writing, membership_id, "meet")
            met = membership.met | {code: _evidence(programme, code, sha256)}
            return _put(writing, membership, "meet", code, met=met)

    def sponsor(
        self, membership_id: str, *, sponsor: str, organisation_id: str, now_us: int, reason: str = ""
    ) -> Membership:
        """Vouch for an applicant. ``organisation_id`` is the sponsor's own, or the programme's operator."""
        with self._changes.writing(sponsor, now_us) as writing:
            membership, programme = _open(writing, membership_id, "sponsor")
            related = same(organisation_id, membership.organisation_id)
            if related or same(sponsor, membership.applicant, membership.person_id):
                raise StateError(
                    "a sponsor must be another person, of another organisation, than the applicant",
                    code="sponsor_not_independent",
                )
            rule = programme.sponsor
            if rule.members_only and not same(organisation_id, programme.operator):
                held = _active_of(writing, programme, organisation_id, now_us)
                if not held:
                    raise StateError(
                        f"`{organisation_id}` is no active member of `{programme.programme_id}`: its people cannot "
                        "sponsor",
                        code="sponsor_not_member",
                    )
            others = [one for one in writing.every(Membership) if one.programme_id == programme.programme_id]
            vouched = [one for one in others if one.sponsor is not None and same(sponsor, one.sponsor)]
            standing = [one for one in vouched if one.state not in (State.REFUSED, State.ENDED)]
            if rule.most is not None and len(standing) >= rule.most:
                raise StateError(
                    f"`{sponsor}` sponsors {len(standing)} members already, the most that the programme allows",
                    code="sponsor_limit",
                )
            return _put(
                writing,
                membership,
                "sponsor",
                reason,
                state=State.SPONSORED,
                since_us=now_us,
                sponsor=sponsor,
                sponsor_organisation_id=organisation_id,
            )

    def approve(self, membership_id: str, *, reviewer: str, now_us: int, reason: str = "") -> Membership:
        """Approve an application: the first of two, or the second, which makes it active."""
        with self._changes.writing(reviewer, now_us) as writing:
            membership, programme = _open(writing, membership_id, "review")
            _need_independent(membership, reviewer, "review")
            if lacks_sponsor(membership, programme):
                raise StateError("the application needs a sponsor before reviewers", code="illegal_transition")
            if same(reviewer, *membership.approvals):
                raise StateError(
                    f"`{reviewer}` approved already: the second approval must come from somebody else",
                    code="second_reviewer_needed",
                )
            wanted = [one.code for one in programme.requirements if one.code not in membership.met]
            if membership.approvals and wanted:
                raise StateError(
                    f"no evidence yet of {', '.join(wanted)}: hand it in before the second approval",
                    code="requirements_missing",
                )
            state = State.ACTIVE if membership.approvals else State.REVIEWED
            approvals = (*membership.approvals, reviewer)
            return _put(writing, membership, "approve", reason, state=state, since_us=now_us, approvals=approvals)

    def refuse(
        self, membership_id: str, *, reviewer: str, code: str, reason: str, now_us: int, missing: Sequence[str] = ()
    ) -> Membership:
        """Refuse an application with a code, a reason and what is missing, all of which the applicant reads."""
        with self._changes.writing(reviewer, now_us) as writing:
            membership, _ = _open(writing, membership_id, "review")
            _need_independent(membership, reviewer, "review")
            return _stop(writing, membership, "refuse", State.REFUSED, code, reason, tuple(missing))

    def suspend(self, membership_id: str, *, author: str, code: str, reason: str, now_us: int) -> Membership:
        """Suspend: nothing that rests on this membership is admitted until it is resumed."""
        with self._changes.writing(author, now_us) as writing:
            membership, _ = _open(writing, membership_id, "suspend")
            return _stop(writing, membership, "suspend", State.SUSPENDED, code, reason)

    def resume(self, membership_id: str, *, author: str, reason: str, now_us: int) -> Membership:
        """Resume a suspended membership."""
        with self._changes.writing(author, now_us) as writing:
            membership, _ = _open(writing, membership_id, "resume")
            _need_independent(membership, author, "resume")
            active = {"state": State.ACTIVE, "since_us": now_us, "decided_by": None}
            return _put(writing, membership, "resume", reason, code=None, reason=None, missing=(), **active)

    def end(self, membership_id: str, *, author: str, code: str, reason: str, now_us: int) -> Membership:
        """End a membership, or withdraw an application. Who was a member applies anew."""
        with self._changes.writing(author, now_us) as writing:
            membership, _ = _open(writing, membership_id, "end")
            return _stop(writing, membership, "end", State.ENDED, code, reason)

    def accept_terms(self, membership_id: str, version: str, *, author: str, now_us: int) -> Membership:
        """Accept the newest terms. Raises `StateError` `terms_not_current` for any other version."""
        with self._changes.writing(author, now_us) as writing:
            membership, programme = _open(writing, membership_id, "accept_terms")
            _need_current(programme, version, now_us)
            accepted = {"terms_version": version, "terms_accepted_at_us": now_us, "terms_accepted_by": author}
            return _put(writing, membership, "accept_terms", f"terms {version}", **accepted)

    def get(self, membership_id: str) -> Membership:
        """A membership. Raises `InputError` for an unknown one."""
        return _found(self._changes.current(Membership, membership_id), membership_id)

    def every(self, programme_id: str | None = None) -> list[Membership]:
        """All memberships, or a programme's."""
        held = self._changes.every(Membership)
        return [one for one in held if programme_id in (None, one.programme_id)]

    def standing(self, membership_id: str, now_us: int) -> Standing:
        """Where a membership stands at ``now_us``. Raises `InputError` for an unknown one."""
        membership = self.get(membership_id)
        return standing_of(membership, self._programme(membership.programme_id), now_us)

    def standing_in(
        self, programme_id: str, organisation_id: str, now_us: int, *, person_id: str | None = None
    ) -> Standing:
        """Where an organisation, or a person of it, stands with a programme. Never having applied is an answer too."""
        held = self._changes.every(Membership, organisation_id=organisation_id)
        return standing_of(_of(held, programme_id, person_id), self._programme(programme_id), now_us)

    def history(self, membership_id: str) -> list[Change]:
        """Every change of a membership, oldest first."""
        return self._changes.history(Membership, membership_id)

    def version(self) -> int:
        """The number of the last change to anything of admission."""
        return self._changes.version()

    def _programme(self, programme_id: str) -> Programme:
        return found(self._changes.current(Programme, programme_id), programme_id)


def membership_in(writing: Writing, membership_id: str) -> Membership:
    """A membership as it stands in an open change. Raises `InputError` for an unknown one."""
    return _found(writing.current(Membership, membership_id), membership_id)


def reinstate(writing: Writing, membership_id: str, reason: str) -> Membership:
    """Undo a refusal, suspension or end in an open change, as an appeal decided: it is again what it was before.

    An application goes on from there, with the evidence and approvals that it had; whoever refused it does not review
    it again. Nothing becomes active that was not.
    """
    membership, _ = _open(writing, membership_id, "reinstate")
    others = _of(
        writing.every(Membership, organisation_id=membership.organisation_id),
        membership.programme_id,
        membership.person_id,
    )
    if others is not None and others.membership_id != membership_id:
        raise StateError(f"`{others.membership_id}` took this membership's place", code="membership_exists")
    possible = TRANSITIONS[_STOPPED_BY[membership.state]]
    before = next(one for one in writing.states(Membership, membership_id) if one.state in possible)
    stopped = {name: getattr(before, name) for name in ("state", "code", "reason", "missing", "decided_by")}
    overruled = membership.overruled
    if membership.state is State.REFUSED and membership.decided_by is not None:
        overruled = (*overruled, membership.decided_by)
    return _put(writing, membership, "reinstate", reason, since_us=writing.now_us, overruled=overruled, **stopped)


def _open(writing: Writing, membership_id: str, change: str) -> tuple[Membership, Programme]:
    membership = membership_in(writing, membership_id)
    programme = programme_in(writing, membership.programme_id)
    if membership.state not in TRANSITIONS[change]:
        possible = " or ".join(state.value for state in TRANSITIONS[change])
        words = standing_of(membership, programme, writing.now_us).text
        raise StateError(
            f"cannot {change.replace('_', ' ')} `{membership_id}`, which is {membership.state.value}, not {possible}: "
            f"{words}",
            code="illegal_transition",
        )
    return membership, programme


def _put(writing: Writing, membership: Membership, action: str, why: str, /, **changed: Any) -> Membership:
    membership = msgspec.structs.replace(membership, **changed)
    writing.put(membership.membership_id, membership, action, why)
    return membership


def _stop(
    writing: Writing,
    membership: Membership,
    action: str,
    state: State,
    code: str,
    reason: str,
    missing: tuple[str, ...] = (),
) -> Membership:
    if not code.strip() or not reason.strip():
        raise InputError(f"to {action} needs a code and a reason that the member can read")
    return _put(
        writing,
        membership,
        action,
        f"{code}: {reason}",
        state=state,
        since_us=writing.now_us,
        code=code,
        reason=reason,
        missing=missing,
        decided_by=writing.author,
    )


def _need_independent(membership: Membership, who: str, what: str) -> None:
    if same(who, membership.applicant, membership.person_id, membership.sponsor):
        raise StateError(
            f"`{who}` applied, is the member or sponsored, and cannot {what}: somebody else must",
            code="reviewer_not_independent",
        )
    if what == "review" and same(who, *membership.overruled):
        raise StateError(
            f"`{who}` refused this application, and an appeal undid that: somebody else must review",
            code="reviewer_not_independent",
        )


def _need_current(programme: Programme, version: str | None, now_us: int) -> None:
    current = programme.terms_at(now_us)
    wanted = current.version if current else None
    if version != wanted:
        said = f"the terms `{wanted}` are to be accepted" if wanted else "the programme has no terms yet"
        raise StateError(f"{said}, not `{version or 'none'}`", code="terms_not_current")


def _evidence(programme: Programme, code: str, digest: str) -> str:
    known = [one.code for one in programme.requirements]
    if code not in known:
        raise InputError(
            f"`{programme.programme_id}` requires no `{code}`: it requires {', '.join(known) or 'nothing'}"
        )
    return sha256_of(digest)


def _active_of(writing: Writing, programme: Programme, organisation_id: str, now_us: int) -> list[Membership]:
    held = [one for one in writing.every(Membership) if same(one.organisation_id, organisation_id)]
    held = [one for one in held if one.programme_id == programme.programme_id]
    return [one for one in held if standing_of(one, programme, now_us).may_use]


def _of(held: Sequence[Membership], programme_id: str, person_id: str | None) -> Membership | None:
    """The newest membership of one organisation in a programme, of the person or of the organisation as such."""
    person = None if person_id is None else named(person_id)
    fitting = [
        one
        for one in held
        if one.programme_id == programme_id and (None if one.person_id is None else named(one.person_id)) == person
    ]
    # An ended one can still change (an appeal), so that "changed last" does not tell which one is in place.
    return max(fitting, key=lambda one: (one.state is not State.ENDED, one.since_us), default=None)


def _found(membership: Membership | None, membership_id: str) -> Membership:
    if membership is None:
        raise InputError(f"no membership is called `{membership_id}`: see `tiergate member list`")
    return membership

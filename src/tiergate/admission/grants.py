"""Grants: this person or workload, of this organisation, may call this model through this surface for this purpose.

A grant is as narrow as an approval can be written, because known leaks of closed models were valid keys in wrong
hands: a contractor's credentials opened a model on the day it was announced (April 2026). It names one project, so that
nothing is granted by default, and one credit line, so that use is charged to whoever answers for it.

Where the programme wants two people to give a grant, `give` only proposes it, as a state of another kind: whoever reads
grants does not see it until a second person approves it, when all conditions are checked again.

Nothing here is cached: a grant works while its membership is active, its purpose accepted and it is in its window.
`deprovision` ends everything a person or an organisation holds at once, and bars new grants until `reprovision`; SCIM
calls both. Codes of `check`, all that apply at once:

| code | when |
| --- | --- |
| `grant_pending` | it waits for a second person's approval |
| `grant_revoked` | revoked, or ended by `deprovision` |
| `grant_not_begun`, `grant_expired` | outside its time window |
| `grant_other_organisation`, `grant_other_holder` | somebody else asks |
| `grant_other_project`, `grant_other_model`, `grant_other_surface` | something else is asked for |
| `grant_other_purpose` | it is asked for another purpose |

`Grants.assess` adds the membership's code where it does not admit (see `standing`), and the purpose's (see `purposes`).
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from tiergate.admission import purposes
from tiergate.admission.changes import Change, Changes, Reading, Writing, new_id, same
from tiergate.admission.credits import line_in
from tiergate.admission.memberships import membership_in
from tiergate.admission.programmes import Programme, programme_in
from tiergate.admission.purposes import Asset, Purpose, purpose_in
from tiergate.admission.standing import Membership, standing_of
from tiergate.errors import InputError, StateError


class Surface(enum.StrEnum):
    """Ways to a model."""

    API = "api"
    CHAT = "chat"
    CODE = "code"


class HolderKind(enum.StrEnum):
    """Who can hold a grant."""

    PERSON = "person"
    WORKLOAD = "workload"


class Party(enum.StrEnum):
    """Who can be deprovisioned."""

    PERSON = "person"
    WORKLOAD = "workload"
    ORGANISATION = "organisation"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. ``purpose_id`` is None where the request names none; ``assets`` are those it names."""

    organisation_id: str
    holder_kind: HolderKind
    holder_id: str
    project: str
    model: str
    surface: Surface
    purpose_id: str | None = None
    assets: tuple[Asset, ...] = ()


class Grant(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag="grant", forbid_unknown_fields=True):
    """A grant for ``from_us`` <= time < ``to_us``. ``epoch`` is the number of the change that made it what it is: a
    token that was issued under an older epoch no longer counts. ``approved_by``: the second person, where the programme
    wants one; ``pending``: nobody has yet, and it grants nothing."""

    grant_id: str
    epoch: int
    membership_id: str
    organisation_id: str
    holder_kind: HolderKind
    holder_id: str
    project: str
    model: str
    surface: Surface
    purpose_id: str
    line_id: str | None
    from_us: int
    to_us: int
    given_by: str
    revoked_at_us: int | None = None
    revoked_because: str | None = None
    approved_by: str | None = None
    pending: bool = False


class ProposedGrant(msgspec.Struct, frozen=True, kw_only=True, tag="grant_proposal", forbid_unknown_fields=True):
    """A grant that waits for a second person, until it is approved or withdrawn."""

    organisation_id: str
    holder_id: str
    grant: Grant
    closed_at_us: int | None = None


class Departure(msgspec.Struct, frozen=True, kw_only=True, tag="departure", forbid_unknown_fields=True):
    """A party that was deprovisioned, until ``returned_at_us``."""

    party: Party
    party_id: str
    left_at_us: int
    returned_at_us: int | None = None


class Grants:
    """Grants in a database. Every method is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._changes = Changes(engine)

    def give(
        self,
        membership_id: str,
        *,
        holder_kind: HolderKind,
        holder_id: str,
        project: str,
        model: str,
        surface: Surface,
        purpose_id: str,
        from_us: int,
        to_us: int,
        author: str,
        now_us: int,
        line_id: str | None = None,
    ) -> Grant:
        """Give a grant, or propose it where the programme wants two people: it is then `pending`.

        Raises `StateError` when the membership does not admit (its code), the model, purpose or line is not its own
        (`model_not_allowed`, `purpose_not_allowed`, `line_not_allowed`), or the holder or organisation was
        deprovisioned (`deprovisioned`); `InputError` for an empty project or window.
        """
        if not from_us < to_us or to_us <= now_us:
            raise InputError("a grant needs a time window that ends after it begins, and in the future")
        if not project.strip() or not holder_id.strip():
            raise InputError("a grant needs a holder and a project: nothing is granted by default")
        with self._changes.writing(author, now_us) as writing:
            membership = membership_in(writing, membership_id)
            grant = Grant(
                grant_id=new_id("gra"),
                epoch=writing.number + 1,
                membership_id=membership_id,
                organisation_id=membership.organisation_id,
                holder_kind=holder_kind,
                holder_id=holder_id,
                project=project,
                model=model,
                surface=surface,
                purpose_id=purpose_id,
                line_id=line_id,
                from_us=from_us,
                to_us=to_us,
                given_by=author,
            )
            if _need_grantable(writing, grant, membership).two_give_a_grant:
                grant = msgspec.structs.replace(grant, pending=True)
                writing.put(grant.grant_id, _proposed(grant), "propose")
            else:
                writing.put(grant.grant_id, grant, "give")
        return grant

    def approve(self, grant_id: str, *, author: str, now_us: int) -> Grant:
        """Approve a grant that another person proposed: it holds from now on.

        Raises `StateError` `second_reviewer_needed` for whoever proposed it, `reviewer_not_independent` for whom it is
        for or who applied, `not_pending` for one that does not wait, and what `give` raises, as things stand now.
        """
        with self._changes.writing(author, now_us) as writing:
            proposed = writing.current(ProposedGrant, grant_id)
            if proposed is None or proposed.closed_at_us is not None or now_us >= proposed.grant.to_us:
                raise StateError(f"no grant `{grant_id}` waits for approval", code="not_pending")
            grant = proposed.grant
            membership = membership_in(writing, grant.membership_id)
            if same(author, grant.given_by):
                raise StateError(
                    f"`{author}` proposed this grant: somebody else must approve it", code="second_reviewer_needed"
                )
            if same(author, grant.holder_id, membership.applicant, membership.person_id):
                raise StateError(
                    f"`{author}` applied or is whom the grant is for: somebody else must approve it",
                    code="reviewer_not_independent",
                )
            _need_grantable(writing, grant, membership)
            closed = msgspec.structs.replace(proposed, closed_at_us=now_us)
            writing.put(grant_id, closed, "approve")
            given = {"epoch": writing.number + 1, "pending": False, "approved_by": author}
            grant = msgspec.structs.replace(grant, **given)
            writing.put(grant_id, grant, "give")
        return grant

    def revoke(self, grant_id: str, *, author: str, reason: str, now_us: int) -> Grant:
        """Revoke a grant for good, or withdraw one that waits. Raises `StateError` `grant_revoked` for what ended."""
        with self._changes.writing(author, now_us) as writing:
            proposed = writing.current(ProposedGrant, grant_id)
            if proposed is not None and writing.current(Grant, grant_id) is None:
                _need(proposed.closed_at_us is None, f"`{grant_id}` is withdrawn already", "grant_revoked")
                ended = msgspec.structs.replace(proposed.grant, revoked_at_us=now_us, revoked_because=reason)
                closed = msgspec.structs.replace(proposed, grant=ended, closed_at_us=now_us)
                writing.put(grant_id, closed, "withdraw", reason)
                return ended
            grant = _found(writing.current(Grant, grant_id), grant_id)
            _need(grant.revoked_at_us is None, f"`{grant_id}` is revoked already", "grant_revoked")
            return _revoke(writing, grant, "revoke", reason)

    def deprovision(self, party: Party, party_id: str, *, author: str, now_us: int, reason: str = "") -> list[str]:
        """End every grant of a person, workload or organisation, all at once, and bar new ones; returns their ids.

        An unknown party is barred all the same: a directory may speak of people before they hold anything.
        """
        with self._changes.writing(author, now_us) as writing:
            if party is Party.ORGANISATION:
                held = writing.every(Grant, organisation_id=party_id)
                waiting = writing.every(ProposedGrant, organisation_id=party_id)
            else:
                held = [one for one in writing.every(Grant, holder_id=party_id) if one.holder_kind == party.value]
                held_back = writing.every(ProposedGrant, holder_id=party_id)
                waiting = [one for one in held_back if one.grant.holder_kind == party.value]
            because = reason or f"the {party.value} was deprovisioned"
            ended = [_revoke(writing, one, "deprovision", because) for one in held if one.revoked_at_us is None]
            for one in waiting:
                if one.closed_at_us is None:
                    closed = msgspec.structs.replace(one, closed_at_us=now_us)
                    writing.put(one.grant.grant_id, closed, "deprovision", because)
            left = Departure(party=party, party_id=party_id, left_at_us=now_us)
            writing.put(_party(party, party_id), left, "deprovision", reason)
        return [one.grant_id for one in ended]

    def reprovision(self, party: Party, party_id: str, *, author: str, now_us: int, reason: str = "") -> None:
        """Let a party be given grants again; those that ended stay ended."""
        with self._changes.writing(author, now_us) as writing:
            gone = writing.current(Departure, _party(party, party_id))
            if gone is not None and gone.returned_at_us is None:
                back = msgspec.structs.replace(gone, returned_at_us=now_us)
                writing.put(_party(party, party_id), back, "reprovision", reason)

    def get(self, grant_id: str) -> Grant:
        """A grant, or one that waits for approval. Raises `InputError` for an unknown one."""
        with self._changes.reading() as reading:
            return _either(reading, grant_id)

    def every(self, organisation_id: str | None = None) -> list[Grant]:
        """All grants, ended ones too, or an organisation's."""
        return self._changes.every(Grant, organisation_id=organisation_id)

    def proposed(self, organisation_id: str | None = None) -> list[Grant]:
        """All grants that wait for a second person, or an organisation's."""
        held = self._changes.every(ProposedGrant, organisation_id=organisation_id)
        return [one.grant for one in held if one.closed_at_us is None]

    def assess(self, grant_id: str, asked: Request, now_us: int) -> list[str]:
        """Every code that speaks against a request under a grant: membership's, purpose's and the grant's own."""
        with self._changes.reading() as reading:
            grant = _either(reading, grant_id)
            membership = reading.current(Membership, grant.membership_id)
            programme = reading.current(Programme, membership.programme_id) if membership else None
            purpose = reading.current(Purpose, grant.purpose_id)
        if membership is None or programme is None or purpose is None:
            # They are never deleted. A missing fact is never an allow.
            return ["membership_none"]
        standing = standing_of(membership, programme, now_us)
        codes = [] if standing.may_use else [standing.code]
        return codes + purposes.check(purpose, now_us, asked.assets) + check(grant, asked, now_us)

    def history(self, grant_id: str) -> list[Change]:
        """Every change of a grant, oldest first."""
        return self._changes.history(Grant, grant_id)

    def version(self) -> int:
        """The number of the last change to anything of admission."""
        return self._changes.version()


def check(grant: Grant, asked: Request, now_us: int) -> list[str]:
    """Every code of the grant itself that speaks against a request. Pure, and nothing is decided by the first."""
    wrong = {
        "grant_pending": grant.pending,
        "grant_revoked": grant.revoked_at_us is not None,
        "grant_not_begun": now_us < grant.from_us,
        "grant_expired": now_us >= grant.to_us,
        "grant_other_organisation": asked.organisation_id != grant.organisation_id,
        "grant_other_holder": (asked.holder_kind, asked.holder_id) != (grant.holder_kind, grant.holder_id),
        "grant_other_project": asked.project != grant.project,
        "grant_other_model": asked.model != grant.model,
        "grant_other_surface": asked.surface != grant.surface,
        "grant_other_purpose": asked.purpose_id not in (None, grant.purpose_id),
    }
    return [code for code, applies in wrong.items() if applies]


def live(grants: Sequence[Grant], now_us: int) -> list[Grant]:
    """Those that are neither revoked nor expired: what a worker has to hold."""
    return [one for one in grants if one.revoked_at_us is None and not one.pending and now_us < one.to_us]


def _need_grantable(writing: Writing, grant: Grant, membership: Membership) -> Programme:
    """The programme, whose member may be given the grant now. Raises `StateError` otherwise, see `Grants.give`."""
    programme = programme_in(writing, membership.programme_id)
    standing = standing_of(membership, programme, writing.now_us)
    if not standing.may_use:
        raise StateError(standing.text, code=standing.code)
    if membership.person_id is not None and grant.holder_kind is HolderKind.PERSON:
        _need(membership.person_id == grant.holder_id, "the membership is another person's", "holder_not_allowed")
    known = grant.model in programme.models
    _need(known, f"`{programme.programme_id}` has no model `{grant.model}`", "model_not_allowed")
    purpose = purpose_in(writing, grant.purpose_id)
    ours = purpose.membership_id == membership.membership_id
    _need(ours, "the purpose is another membership's", "purpose_not_allowed")
    against = purposes.check(purpose, writing.now_us)
    _need(not against, f"the purpose cannot be used: {', '.join(against)}", "".join(against[:1]))
    if grant.line_id is not None:
        line = line_in(writing, grant.line_id)
        ours = (line.programme_id, line.organisation_id) == (programme.programme_id, membership.organisation_id)
        open_ = line.closed_at_us is None and line.purpose_code in (None, purpose.code)
        _need(ours and open_, f"`{grant.line_id}` does not pay for this", "line_not_allowed")
    for party, named in ((Party.ORGANISATION, membership.organisation_id), (Party(grant.holder_kind), grant.holder_id)):
        gone = writing.current(Departure, _party(party, named))
        back = gone is None or gone.returned_at_us is not None
        _need(back, f"the {party.value} `{named}` was deprovisioned", "deprovisioned")
    return programme


def _proposed(grant: Grant) -> ProposedGrant:
    return ProposedGrant(organisation_id=grant.organisation_id, holder_id=grant.holder_id, grant=grant)


def _either(reading: Reading, grant_id: str) -> Grant:
    grant = reading.current(Grant, grant_id)
    if grant is None and (proposed := reading.current(ProposedGrant, grant_id)) is not None:
        grant = proposed.grant
    return _found(grant, grant_id)


def _revoke(writing: Writing, grant: Grant, action: str, reason: str) -> Grant:
    ended = msgspec.structs.replace(
        grant, epoch=writing.number + 1, revoked_at_us=writing.now_us, revoked_because=reason
    )
    writing.put(grant.grant_id, ended, action, reason)
    return ended


def _party(party: Party, party_id: str) -> str:
    # Ids of directories can be longer than an id of ours, and one id can name a person and an organisation.
    return hashlib.blake2b(f"{party.value}:{party_id}".encode(), digest_size=16).hexdigest()


def _need(holds: bool, otherwise: str, code: str) -> None:
    if not holds:
        raise StateError(otherwise, code=code)


def _found(grant: Grant | None, grant_id: str) -> Grant:
    if grant is None:
        raise InputError(f"no grant is called `{grant_id}`: see `tiergate grant list`")
    return grant

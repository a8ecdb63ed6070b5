"""`tiergate member`: applications, reviews and what happens to members."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.options import (
    Author,
    Code,
    Data,
    Json,
    NoParty,
    Reason,
    deployment,
    digest,
    need_parties,
    now,
    show,
    who,
)
from tiergate.cli.terminal import counted, moment, note, say, say_json
from tiergate.errors import InputError

if TYPE_CHECKING:
    from tiergate.admission.memberships import Memberships
    from tiergate.admission.standing import Membership, Standing

app = typer.Typer(help="Apply, sponsor, review; suspend and end.", rich_markup_mode=None, add_completion=False)

Id = Annotated[str, typer.Argument(metavar="MEMBERSHIP", help="Id of the membership.")]
Met = Annotated[list[str] | None, typer.Option(metavar="CODE=FILE", help="Evidence of a requirement, or its SHA-256.")]


def _show(store: Memberships, held: list[Membership], as_json: bool) -> None:
    """Memberships with the standing that every surface reads."""
    import msgspec

    now_us = now()
    both = [(one, store.standing(one.membership_id, now_us)) for one in held]
    if as_json:
        shown = [msgspec.to_builtins(one) | {"standing": msgspec.to_builtins(standing)} for one, standing in both]
        say_json(shown)
    else:
        for one, standing in both:
            say(_line(one, standing))


def _line(one: Membership, standing: Standing) -> str:
    who_ = one.organisation_id if one.person_id is None else f"{one.organisation_id}/{one.person_id}"
    return f"{one.membership_id}  {standing.code.removeprefix('membership_'):<9}  {who_}  {standing.text}"


def _one(store: Memberships, changed: Membership, as_json: bool) -> None:
    import msgspec

    standing = store.standing(changed.membership_id, now())
    if as_json:
        say_json(msgspec.to_builtins(changed) | {"standing": msgspec.to_builtins(standing)})
    else:
        say(_line(changed, standing))


@app.command("apply")
def apply(
    programme: Annotated[str, typer.Argument(metavar="PROGRAMME", help="Id of the programme.")],
    organisation: Annotated[str, typer.Argument(metavar="ORGANISATION", help="Id of the organisation.")],
    person: Annotated[str | None, typer.Option(metavar="NAME", help="The person, if one alone is the member.")] = None,
    statement: Annotated[str, typer.Option(metavar="TEXT", help="What for.")] = "",
    terms: Annotated[str | None, typer.Option(metavar="VERSION", help="Version of the terms that is accepted.")] = None,
    met: Met = None,
    no_party: NoParty = False,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Apply for a membership, or re-apply after a refusal. The author is the applicant.

    \b
    Example:
      tiergate member apply consortium acme --author ann --met security_review=review.pdf
    """
    from tiergate.admission.memberships import Memberships

    need_parties(data, organisation, anyway=no_party)
    with deployment(data) as opened:
        store = Memberships(opened.engine)
        changed = store.apply(
            programme,
            organisation,
            person_id=person,
            applicant=who(author),
            statement=statement,
            terms_version=terms,
            met=dict(_pair(one) for one in met or ()),
            now_us=now(),
        )
        _one(store, changed, as_json)


@app.command("meet")
def meet(
    membership: Id, met: Met = None, data: Data = Path("data"), author: Author = None, as_json: Json = False
) -> None:
    """Hand in evidence of requirements.

    \b
    Example:
      tiergate member meet mem_3f9a51c0de7b2846 --met sso_mfa=sso.pdf
    """
    from tiergate.admission.memberships import Memberships

    with deployment(data) as opened:
        store = Memberships(opened.engine)
        for one in met or ():
            code, sha256 = _pair(one)
            store.meet(membership, code, sha256, author=who(author), now_us=now())
        _one(store, store.get(membership), as_json)


@app.command("sponsor")
def sponsor(
    membership: Id,
    organisation: Annotated[str, typer.Option(metavar="ID", help="The sponsor's organisation, or the operator.")],
    reason: Reason = "",
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Vouch for an applicant of another organisation.

    \b
    Example:
      tiergate member sponsor mem_3f9a51c0de7b2846 --author sue --organisation operator
    """
    from tiergate.admission.memberships import Memberships

    with deployment(data) as opened:
        store = Memberships(opened.engine)
        changed = store.sponsor(
            membership, sponsor=who(author), organisation_id=organisation, reason=reason, now_us=now()
        )
        _one(store, changed, as_json)


@app.command("review")
def review(
    membership: Id,
    approve: Annotated[bool, typer.Option("--approve/--refuse", help="What the reviewer says.")],
    code: Code = "",
    reason: Reason = "",
    missing: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="What a refused applicant lacks.")] = None,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Approve an application, the second time by another reviewer, or refuse it with a code and a reason.

    \b
    Example:
      tiergate member review mem_3f9a51c0de7b2846 --approve --author rob
    """
    from tiergate.admission.memberships import Memberships

    with deployment(data) as opened:
        store = Memberships(opened.engine)
        if approve:
            changed = store.approve(membership, reviewer=who(author), reason=reason, now_us=now())
        else:
            changed = store.refuse(
                membership, reviewer=who(author), code=code, reason=reason, missing=missing or (), now_us=now()
            )
        _one(store, changed, as_json)


@app.command("suspend")
def suspend(
    membership: Id,
    code: Code,
    reason: Reason,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Suspend a membership: no grant that rests on it works until it is resumed.

    \b
    Example:
      tiergate member suspend mem_3f9a51c0de7b2846 --code review_expired --reason "the review is 13 months old"
    """
    from tiergate.admission.memberships import Memberships

    with deployment(data) as opened:
        store = Memberships(opened.engine)
        _one(store, store.suspend(membership, author=who(author), code=code, reason=reason, now_us=now()), as_json)


@app.command("resume")
def resume(
    membership: Id, reason: Reason, data: Data = Path("data"), author: Author = None, as_json: Json = False
) -> None:
    """Resume a suspended membership.

    \b
    Example:
      tiergate member resume mem_3f9a51c0de7b2846 --reason "a new review is in"
    """
    from tiergate.admission.memberships import Memberships

    with deployment(data) as opened:
        store = Memberships(opened.engine)
        _one(store, store.resume(membership, author=who(author), reason=reason, now_us=now()), as_json)


@app.command("end")
def end(
    membership: Id,
    code: Code,
    reason: Reason,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """End a membership, or withdraw an application.

    \b
    Example:
      tiergate member end mem_3f9a51c0de7b2846 --code left --reason "the organisation left"
    """
    from tiergate.admission.memberships import Memberships

    with deployment(data) as opened:
        store = Memberships(opened.engine)
        _one(store, store.end(membership, author=who(author), code=code, reason=reason, now_us=now()), as_json)


@app.command("accept")
def accept(
    membership: Id,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="Version of the terms.")],
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Accept the newest terms.

    \b
    Example:
      tiergate member accept mem_3f9a51c0de7b2846 2026-12
    """
    from tiergate.admission.memberships import Memberships

    with deployment(data) as opened:
        store = Memberships(opened.engine)
        _one(store, store.accept_terms(membership, version, author=who(author), now_us=now()), as_json)


@app.command("list")
def list_(
    programme: Annotated[str | None, typer.Option(metavar="ID", help="Of this programme alone.")] = None,
    data: Data = Path("data"),
    as_json: Json = False,
) -> None:
    """List memberships and applications, with where each stands.

    \b
    Example:
      tiergate member list --data data
    """
    from tiergate.admission.memberships import Memberships

    with deployment(data) as opened:
        store = Memberships(opened.engine)
        held = store.every(programme)
        _show(store, held, as_json)
    note(counted(len(held), "membership"))


@app.command("history")
def history(membership: Id, data: Data = Path("data"), as_json: Json = False) -> None:
    """Show every change of a membership: when, what, by whom and why.

    \b
    Example:
      tiergate member history mem_3f9a51c0de7b2846 --data data
    """
    from tiergate.admission.memberships import Memberships

    with deployment(data) as opened:
        store = Memberships(opened.engine)
        store.get(membership)
        changes = store.history(membership)
    show(changes, as_json, lambda one: f"{moment(one.at_us)}  {one.action}  by {one.author}  {one.reason}".rstrip())


def _pair(given: str) -> tuple[str, str]:
    code, equals, rest = given.partition("=")
    if not equals:
        raise InputError(f"`{given}` is not of the form CODE=FILE")
    return code, digest(rest)

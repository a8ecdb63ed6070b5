"""Who has access by what is on file, for previews of rule packs: holders, their statements, and organisations."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import sqlalchemy as sa

from tiergate.admission.changes import Changes
from tiergate.admission.holders import HeldIssuer, HeldStatement, Holder, trusted
from tiergate.admission.person_classes import SignedStatement, TrustedIssuer
from tiergate.admission.preview import Person
from tiergate.admission.standing import Membership


@dataclass(frozen=True, kw_only=True)
class OnFile:
    """``persons``: each holder who is a person, or answers for a workload, once for an organisation and employer, with
    those statements that were signed under the key that their issuer has now. ``organisations``: all that are named."""

    persons: list[Person]
    organisations: set[str]
    issuers: dict[str, TrustedIssuer]


def on_file(engine: sa.Engine) -> OnFile:
    """What the control database holds now."""
    with Changes(engine).reading() as reading:
        holders, held = reading.every(Holder), reading.every(HeldStatement)
        issuers, memberships = trusted(reading.every(HeldIssuer)), reading.every(Membership)
    statements: defaultdict[str, list[SignedStatement]] = defaultdict(list)
    for one in held:
        issuer = issuers.get(one.signed.statement.issuer)
        if issuer is not None and issuer.public_key == one.public_key:
            statements[one.signed.statement.subject].append(one.signed)
    # An employer that nobody has stated is one that no pack knows.
    people = {(one.person_id, one.organisation_id, one.employer_id or "") for one in holders if one.person_id}
    return OnFile(
        persons=[
            Person(subject=person, organisation=organisation, employer=employer, statements=tuple(statements[person]))
            for person, organisation, employer in sorted(people)
        ],
        organisations={one.organisation_id for one in memberships}
        | {named for one in holders for named in (one.organisation_id, one.employer_id) if named},
        issuers=issuers,
    )

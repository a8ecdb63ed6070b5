"""The demonstration's programme: tiers of models, a member with people who may call the closed ones, and an
application of an organisation with a listed party among its owners, for two people to review."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tiergate.admission.models import FILE
from tiergate.clock import DAY, HOUR
from tiergate.simulation.world import MODELS, NEW_MODEL

if TYPE_CHECKING:
    from tiergate.admission.memberships import Memberships
    from tiergate.admission.programmes import Programme
    from tiergate.cli.deployment import Deployment

PROGRAMME: Final = "consortium"
CLASSIFIED: Final = ("classified-1", "classified-2")
COMMODITY: Final = (*MODELS, NEW_MODEL, "mock")
MEMBER: Final = "Meridian Labs Ltd"
APPLICANT: Final = "Harbour Research Ltd"
CLASSES: Final = ("eligible", "eligible", "eligible", "ineligible", "none")
"""What the member's issuer says of each of its people."""
_EVIDENCE: Final = hashlib.sha256(b"the demonstration's evidence").hexdigest()
_FACTS: Final = f"""\
record,id,name,headquarters,owner,owned,percent,percent_min,percent_max,party,list
party,member,{MEMBER},GB,,,,,,,
party,applicant,{APPLICANT},GB,,,,,,,
party,fund,Founders Fund LP,GB,,,,,,,
party,holding,Northern Holding BV,NL,,,,,,,
party,works,Example State Works,RU,,,,,,,
stake,s0,,,fund,member,100,,,,
stake,s1,,,fund,applicant,50,,,,
stake,s2,,,holding,applicant,,40,50,,
stake,s3,,,works,holding,75,,,,
listing,,,,,,,,,works,SDN
"""


def _write_tiers(data: Path) -> None:
    """Say which models are closed, which the running gateway obeys: none that the world asks for."""
    closed = f'tier = "classified"\nprogramme = "{PROGRAMME}"\norganisation_packs = ["ofac_50"]\nperson_packs = []\n'
    rows = [f'[models."{name}"]\n{closed}' for name in CLASSIFIED]
    rows += [f'[models."{name}"]\ntier = "commodity"\n' for name in COMMODITY]
    (data / FILE).write_text("\n".join(rows), encoding="utf-8")


def found_programme(deployment: Deployment, data: Path, now_us: int) -> None:
    """Tell tiers apart, found the programme, admit one organisation and let another apply."""
    from tiergate.admission.memberships import Memberships
    from tiergate.admission.programmes import Programmes, read_programme

    _write_tiers(data)
    programme = read_programme(PROGRAMME)
    Programmes(deployment.engine).create(programme, author="demo", now_us=now_us)
    ids = _owners(data, now_us)
    members = Memberships(deployment.engine)
    _apply(members, programme, ids[APPLICANT], now_us)
    member = _apply(members, programme, ids[MEMBER], now_us)
    for reviewer in ("rob", "rita"):
        members.approve(member, reviewer=reviewer, now_us=now_us)
    _let_call(deployment, member, ids[MEMBER], now_us)


def _apply(members: Memberships, programme: Programme, organisation: str, now_us: int) -> str:
    """An application with its evidence and a sponsor; returns the membership's id."""
    made = members.apply(
        programme.programme_id, organisation, applicant="una", now_us=now_us, statement="we test systems of our own",
        met={wanted.code: _EVIDENCE for wanted in programme.requirements},
    )  # fmt: skip
    members.sponsor(made.membership_id, sponsor="sue", organisation_id=programme.operator, now_us=now_us)
    return made.membership_id


def _let_call(deployment: Deployment, member: str, organisation: str, now_us: int) -> None:
    """Give the member a purpose, credit, and a grant for each of its people."""
    from tiergate.admission.credits import Credits
    from tiergate.admission.grants import Grants, HolderKind, Surface
    from tiergate.admission.purposes import AssetKind, Evidence, Purposes, asset

    engine, until = deployment.engine, now_us + 30 * DAY
    purposes = Purposes(engine)
    purpose = purposes.declare(
        member, "test_own_systems", assets=[asset(AssetKind.DOMAIN, "*.example.org")], author="una", now_us=now_us,
        evidence=[Evidence(sha256=_EVIDENCE, issuer="Meridian legal", expires_at_us=until)],
    )  # fmt: skip
    purposes.accept(purpose.purpose_id, author="rob", now_us=now_us)
    line = Credits(engine).open_line(PROGRAMME, organisation, 2_500_000_000, author="demo", now_us=now_us)
    grants = Grants(engine)
    for person in _people(deployment, organisation, now_us):
        given = grants.give(
            member, holder_kind=HolderKind.PERSON, holder_id=person, project="red", model=CLASSIFIED[0],
            surface=Surface.CHAT, purpose_id=purpose.purpose_id, line_id=line.line_id, from_us=now_us, to_us=until,
            author="rob", now_us=now_us,
        )  # fmt: skip
        grants.approve(given.grant_id, author="rita", now_us=now_us)


def _people(deployment: Deployment, organisation: str, now_us: int) -> list[str]:
    """The member's people, each with a key and the class that its issuer attests; returns their ids."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from tiergate.admission.drill import ORDER
    from tiergate.admission.holders import Holder, Holders, PersonClasses, Proof
    from tiergate.admission.person_classes import Statement, TrustedIssuer, public_key_text, sign
    from tiergate.admission.rule_packs import find_pack, load_packs

    accounts = {f"meridian_{number}": shown for number, shown in enumerate(CLASSES, 1)}
    people = {name: "per_" + hashlib.blake2b(name.encode(), digest_size=16).hexdigest() for name in accounts}
    deployment.registry.add_accounts(
        [{"account_id": name, "created_at": now_us, "organization_id": organisation} for name in accounts]
    )
    deployment.registry.issue_keys(list(accounts), "demo", now_us)
    proofs = {name: hashlib.sha256(f"certificate of {name}".encode()).hexdigest() for name in accounts}
    Holders(deployment.engine).set_all(
        [
            Holder(subject="account", subject_id=name, organisation_id=organisation, person_id=people[name],
                   employer_id=organisation, retention="sketches",
                   proof=Proof(kind="client_certificate", digest=proofs[name]))
            for name in accounts
        ],
        author="demo", now_us=now_us,
    )  # fmt: skip
    key, packs, classes = Ed25519PrivateKey.generate(), load_packs(), PersonClasses(deployment.engine)
    issuer = TrustedIssuer(issuer="meridian-hr", public_key=public_key_text(key), organisations=(organisation,))
    classes.trust(issuer, author="demo", now_us=now_us)
    pack = find_pack(packs, ORDER)
    said = [
        Statement(subject=people[name], pack=pack.id, pack_version=pack.version, value=shown,  # type: ignore[arg-type]
                  issuer=issuer.issuer, employer=organisation, issued_at=now_us - HOUR, expires_at=now_us + 30 * DAY,
                  evidence_hash=_EVIDENCE)
        for name, shown in accounts.items() if shown != "none"
    ]  # fmt: skip
    classes.submit([sign(one, key) for one in said], packs, author="meridian-hr", now_us=now_us)
    return list(people.values())


def _owners(data: Path, now_us: int) -> Mapping[str, str]:
    """Put the owners on file; returns the ids of the two organisations by name."""
    from tiergate.database import open_database
    from tiergate.parties.fact_rows import shown_id
    from tiergate.parties.facts import FactStore
    from tiergate.parties.sources.taking import take_in
    from tiergate.records.refused import RefusedRows

    facts = data.parent / "world" / "owners.csv"
    facts.write_text(_FACTS, encoding="utf-8")
    engine = open_database(data / "parties.sqlite")
    try:
        store = FactStore(engine)
        with RefusedRows(None) as refused:
            take_in(store, "csv", [facts], refused=refused, now_us=now_us, source="the demonstration")
        known = store.as_of(now_us)
        return {name: shown_id(known.ids_of(known.named(name)[0])[0]) for name in (MEMBER, APPLICANT)}
    finally:
        engine.dispose()

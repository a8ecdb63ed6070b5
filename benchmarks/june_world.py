"""A member organisation with many people who may call a closed model, as the June drill and its tests need it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tiergate.admission.activations import Activation, ActivationStore, day_of
from tiergate.admission.changes import Changes, new_id
from tiergate.admission.credits import Credits
from tiergate.admission.grants import Grant, Grants, HolderKind, Surface
from tiergate.admission.holders import Holder, Holders, PersonClasses, Proof
from tiergate.admission.memberships import Memberships
from tiergate.admission.person_classes import SignedStatement, Statement, TrustedIssuer, public_key_text, sign
from tiergate.admission.programmes import Programme, Programmes, PurposeRule, SponsorRule
from tiergate.admission.purposes import AssetKind, Evidence, Purposes, asset
from tiergate.admission.rule_packs import RulePack, find_pack, load_packs
from tiergate.clock import DAY, HOUR, SystemClock
from tiergate.database import open_database
from tiergate.parties.registry import Registry
from tiergate.parties.tokens import load_or_create_pepper

MODELS = """
[models."mythos-5"]
tier = "classified"
programme = "circle"
organisation_packs = []
person_packs = []
input_price = 3_000_000
output_price = 15_000_000

[models."fable-5"]
tier = "commodity"
input_price = 1_000_000
output_price = 5_000_000

[models."model-small"]
tier = "commodity"
input_price = 100_000
output_price = 500_000
"""
CLOSED, CLOSED_COMMODITY, COMMODITY = "mythos-5", "fable-5", "model-small"
ORGANISATION, EMPLOYER, ISSUER, PROJECT = "org_a", "org_a", "org_a-hr", "red"
ASSET = "www.example.org"
GROUPS = ("eligible", "ineligible", "not_attested", "commodity")
HEADERS = {"x-tiergate-project": PROJECT, "x-tiergate-purpose": "test_own", "x-tiergate-asset": ASSET}


@dataclass(frozen=True)
class Person:
    """One person with a key. The commodity group has keys and nothing else."""

    group: str
    account_id: str
    person_id: str
    key: str
    certificate: str

    def headers(self) -> dict[str, str]:
        return HEADERS | {"x-tiergate-client-cert": self.certificate}


@dataclass(frozen=True)
class World:
    """A data folder with everything in it. ``grants`` by person."""

    data: Path
    engine: sa.Engine
    registry: Registry
    people: list[Person]
    grants: dict[str, str]
    membership_id: str
    line_id: str
    pack: RulePack

    def of(self, group: str) -> list[Person]:
        return [person for person in self.people if person.group == group]

    def activate(self) -> Activation:
        now_us = SystemClock().now_us()
        return ActivationStore(self.engine).record(
            self.pack, "activate", day=day_of(now_us), names=("A. Lee", "B. Roy"), reason="drill", now_us=now_us
        )


def build(data: Path, sizes: dict[str, int], *, line_micro_usd: int = 10**12) -> World:
    """Make a data folder with ``sizes`` people by group."""
    data.mkdir(parents=True, exist_ok=True)
    (data / "models.toml").write_text(MODELS)
    pack = own_order(data / "packs")
    engine, now_us = open_database(data / "control.sqlite"), SystemClock().now_us()
    registry = Registry(engine, load_or_create_pepper(data / "pepper"))
    people = _people(registry, sizes, now_us)
    membership_id, purpose_id, line_id = _member(engine, line_micro_usd, now_us)
    admitted = [person for person in people if person.group != "commodity"]
    Holders(engine).set_all([_holder(person) for person in admitted], author="ann", now_us=now_us)
    _attest(engine, people, pack, now_us)
    grants = _grant(engine, admitted, membership_id, purpose_id, line_id, now_us)
    return World(data, engine, registry, people, grants, membership_id, line_id, pack)


def own_order(folder: Path) -> RulePack:
    """The order of June 2026 as version 2, in force by its text from the first day on: its own days are past."""
    folder.mkdir(exist_ok=True)
    bundled = Path(__file__).parents[1] / "src" / "tiergate" / "admission" / "packs" / "june_order.toml"
    text = bundled.read_text().replace("version = 1\n", "version = 2\n", 1).replace("valid_to = 2026-06-30\n", "", 1)
    (folder / "june_order.v2.toml").write_text(text)
    return find_pack(load_packs(folder), "june_order@2")


def statement(person: Person, value: str, pack: RulePack, key: Ed25519PrivateKey, now_us: int) -> SignedStatement:
    told = Statement(
        subject=person.person_id, pack=pack.id, pack_version=pack.version, value=value,  # type: ignore[arg-type]
        issuer=ISSUER, employer=EMPLOYER, issued_at=now_us - HOUR, expires_at=now_us + 30 * DAY,
        evidence_hash=hashlib.sha256(person.person_id.encode()).hexdigest(),
    )  # fmt: skip
    return sign(told, key)


def _people(registry: Registry, sizes: dict[str, int], now_us: int) -> list[Person]:
    names = [(group, f"{group}-{number}") for group in GROUPS for number in range(sizes.get(group, 0))]
    accounts = [
        {"account_id": name, "created_at": now_us, "organization_id": None if group == "commodity" else ORGANISATION}
        for group, name in names
    ]
    registry.add_accounts(accounts)
    keys = registry.issue_keys([name for _, name in names], "drill", now_us)
    return [
        Person(
            group, name, "per_" + hashlib.blake2b(name.encode(), digest_size=16).hexdigest(), keys[name],
            hashlib.sha256(f"certificate of {name}".encode()).hexdigest(),
        )
        for group, name in names
    ]  # fmt: skip


def _holder(person: Person) -> Holder:
    return Holder(
        subject="account", subject_id=person.account_id, organisation_id=ORGANISATION, person_id=person.person_id,
        employer_id=EMPLOYER, proof=Proof(kind="client_certificate", digest=person.certificate), retention="sketches",
    )  # fmt: skip


def _member(engine: sa.Engine, line_micro_usd: int, now_us: int) -> tuple[str, str, str]:
    rule = PurposeRule(code="test_own", title="test systems of one's own", assets=("domain",))
    programme = Programme(
        programme_id="circle", name="circle", operator="operator", tier="classified", models=(CLOSED,),
        purposes=(rule,), sponsor=SponsorRule(required=False), pool_micro_usd=line_micro_usd, grant_approvals=1,
    )  # fmt: skip
    Programmes(engine).create(programme, author="op", now_us=now_us)
    members = Memberships(engine)
    member = members.apply("circle", ORGANISATION, applicant="ann", now_us=now_us).membership_id
    for reviewer in ("rob", "rita"):
        members.approve(member, reviewer=reviewer, now_us=now_us)
    purposes = Purposes(engine)
    purpose = purposes.declare(
        member, "test_own", author="ann", now_us=now_us, assets=[asset(AssetKind.DOMAIN, "*.example.org")],
        evidence=[Evidence(sha256="ab" * 32, issuer="owner", expires_at_us=now_us + 90 * DAY)],
    )  # fmt: skip
    purposes.accept(purpose.purpose_id, author="rob", now_us=now_us)
    line = Credits(engine).open_line("circle", ORGANISATION, line_micro_usd, author="op", now_us=now_us)
    return member, purpose.purpose_id, line.line_id


def _attest(engine: sa.Engine, people: list[Person], pack: RulePack, now_us: int) -> None:
    key, classes = Ed25519PrivateKey.generate(), PersonClasses(engine)
    issuer = TrustedIssuer(issuer=ISSUER, public_key=public_key_text(key), organisations=(EMPLOYER,))
    classes.trust(issuer, author="op", now_us=now_us)
    attested = [person for person in people if person.group in ("eligible", "ineligible")]
    classes.submit(
        [statement(person, person.group, pack, key, now_us) for person in attested],
        load_packs(Path(engine.url.database or "").parent / "packs"), author="hr", now_us=now_us,
    )  # fmt: skip


def _grant(
    engine: sa.Engine, people: list[Person], membership_id: str, purpose_id: str, line_id: str, now_us: int
) -> dict[str, str]:
    """The first grant is given, and the others are like it: giving each by itself would take minutes."""
    if not people:
        return {}
    first = Grants(engine).give(
        membership_id, holder_kind=HolderKind.PERSON, holder_id=people[0].person_id, project=PROJECT, model=CLOSED,
        surface=Surface.CHAT, purpose_id=purpose_id, line_id=line_id, from_us=now_us, to_us=now_us + 30 * DAY,
        author="op", now_us=now_us,
    )  # fmt: skip
    made: list[Grant] = []
    with Changes(engine).writing("op", now_us) as writing:
        for number, person in enumerate(people[1:], writing.number + 1):
            made.append(
                msgspec.structs.replace(first, grant_id=new_id("gra"), holder_id=person.person_id, epoch=number)
            )
        writing.put_all([(one.grant_id, one) for one in made], "give")
    return {one.holder_id: one.grant_id for one in (first, *made)}

"""Standings kept up change by change are those that are made of everything at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from benchmarks.june_world import CLOSED, CLOSED_COMMODITY, ISSUER, World, build
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tiergate.admission.activations import ActivationStore, day_of
from tiergate.admission.binding import Ownership
from tiergate.admission.grants import Grants, HolderKind, Surface
from tiergate.admission.holders import Holder, Holders, PersonClasses
from tiergate.admission.memberships import Memberships
from tiergate.admission.models import read_models
from tiergate.admission.person_classes import TrustedIssuer, public_key_text
from tiergate.admission.programmes import Programmes
from tiergate.admission.purposes import AssetKind, Evidence, Purposes, asset
from tiergate.admission.rule_packs import find_pack, load_packs
from tiergate.admission.standings import Known, Standings
from tiergate.clock import DAY, HOUR, SystemClock
from tiergate.database import open_database
from tiergate.errors import SettingsError
from tiergate.parties.fact_rows import Listing, Party, fact_key, party_id, shown_id
from tiergate.parties.facts import FactStore

SIZES = {"eligible": 3, "ineligible": 2, "not_attested": 2, "commodity": 1}


class Kept:
    """Standings that are kept up, beside those that are made anew each time."""

    def __init__(self, folder: Path) -> None:
        self.world: World = build(folder / "data", SIZES)
        self.now_us = SystemClock().now_us()
        self.standings = self._standings()
        self._registered = self.world.registry.version()
        self.known = self.standings.update(self._credentials(), self._listed(), self.now_us, None)

    def look(self, after_us: int = 0) -> Known:
        """What is known after what has changed, compared with what is made of everything."""
        self.now_us += after_us
        touched = self.world.registry.credentials_since(self._registered)
        assert touched is not None
        self._registered = self.world.registry.version()
        before, asked = self.known.standings, (self._credentials(), self._listed(), self.now_us)
        self.known = self.standings.update(*asked, touched.values())
        with closing(self._standings()) as standings:
            whole = standings.update(*asked, None)
        assert self.known.standings == whole.standings
        assert self.known.proofs == whole.proofs
        assert self.known.models.by_name == whole.models.by_name
        assert self.known.changed is not None
        for name, standing in self.known.standings.items():
            assert (standing is not before.get(name)) == (name in self.known.changed)
        return self.known

    def _standings(self) -> Standings:
        return Standings(self.world.engine, self.world.data, self.world.data / "packs")

    def _credentials(self) -> dict[str, Any]:
        return self.world.registry.credentials()

    def _listed(self) -> Any:
        return read_models(self.world.data / "models.toml")


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path)
    yield made
    made.standings.close()
    made.world.engine.dispose()


def test_nothing_changes_without_a_change(kept: Kept) -> None:
    assert kept.look().changed == set()


def test_each_change_reaches_whom_it_concerns(kept: Kept) -> None:
    world, now_us = kept.world, kept.now_us
    admitted = {one.account_id for one in world.people if one.group != "commodity"}
    first = world.of("eligible")[0]
    Grants(world.engine).revoke(world.grants[first.person_id], author="op", reason="r", now_us=now_us)
    (name,) = kept.look().changed or ()
    assert kept.known.standings[name].grants == ()
    (customer,) = world.of("commodity")
    holder = Holder(subject="account", subject_id=customer.account_id, organisation_id="org_b", workload_id="w")
    Holders(world.engine).set(holder, author="ann", now_us=now_us)
    (name,) = kept.look().changed or ()
    assert kept.known.standings[name].organisation_id == "org_b"
    world.registry.revoke_key(name, now_us)
    assert kept.look().changed == {name}
    world.registry.issue_key(first.account_id, "second", now_us)
    assert len(kept.look().changed or ()) == 1
    Memberships(world.engine).suspend(world.membership_id, author="rob", code="c", reason="r", now_us=now_us)
    assert len(kept.look().changed or ()) == len(admitted) + 1
    (purpose,) = Purposes(world.engine).every()
    Purposes(world.engine).withdraw(purpose.purpose_id, author="op", now_us=now_us)
    kept.look()
    assert {grant.purposes for one in kept.known.standings.values() for grant in one.grants} == {()}


def test_an_issuer_that_is_not_trusted_or_has_another_key_attests_nothing(kept: Kept) -> None:
    classes, now_us = PersonClasses(kept.world.engine), kept.now_us
    assert sum(bool(one.person_classes) for one in kept.known.standings.values()) == 5
    held = classes.issuers()[ISSUER]
    classes.distrust(ISSUER, author="op", now_us=now_us)
    assert len(kept.look().changed or ()) == 5
    assert not any(one.person_classes for one in kept.known.standings.values())
    classes.trust(held, author="op", now_us=now_us)
    assert len(kept.look().changed or ()) == 5
    other = public_key_text(Ed25519PrivateKey.generate())
    changed = TrustedIssuer(issuer=ISSUER, public_key=other, organisations=held.organisations)
    classes.trust(changed, author="op", now_us=now_us)
    assert len(kept.look().changed or ()) == 5


def test_another_employer_of_record_is_attested_by_nobody(kept: Kept) -> None:
    person = kept.world.of("eligible")[0]
    holders = Holders(kept.world.engine)
    held = holders.get("account", person.account_id)
    holders.set(msgspec.structs.replace(held, employer_id="org_c"), author="ann", now_us=kept.now_us)
    (name,) = kept.look().changed or ()
    assert kept.known.standings[name].person_classes == {}


def test_an_account_of_one_organisation_is_not_lent_anothers_membership(kept: Kept) -> None:
    kept.world.registry.add_account({"account_id": "theirs", "created_at": 0, "organization_id": "org_b"})
    kept.world.registry.issue_key("theirs", "x", 0)
    holder = Holder(subject="account", subject_id="theirs", organisation_id="org_a", person_id="per_" + "1" * 32)
    Holders(kept.world.engine).set(holder, author="ann", now_us=kept.now_us)
    (name,) = kept.look().changed or ()
    standing = kept.known.standings[name]
    assert (standing.organisation_id, standing.memberships, standing.grants) == (None, (), ())


def test_a_workloads_grant_ends_with_the_membership_of_the_person_that_it_rests_on(kept: Kept) -> None:
    engine, now_us, members = kept.world.engine, kept.now_us, Memberships(kept.world.engine)
    theirs = members.apply("circle", "org_a", applicant="ann", person_id="per_q", now_us=now_us).membership_id
    for reviewer in ("rob", "rita"):
        members.approve(theirs, reviewer=reviewer, now_us=now_us)
    purpose = Purposes(engine).declare(
        theirs, "test_own", author="ann", now_us=now_us, assets=[asset(AssetKind.DOMAIN, "example.org")],
        evidence=[Evidence(sha256="ab" * 32, issuer="owner", expires_at_us=now_us + DAY)],
    )  # fmt: skip
    Purposes(engine).accept(purpose.purpose_id, author="rob", now_us=now_us)
    Grants(engine).give(
        theirs, holder_kind=HolderKind.WORKLOAD, holder_id="w", project="red", model=CLOSED, surface=Surface.CHAT,
        purpose_id=purpose.purpose_id, from_us=now_us, to_us=now_us + DAY, author="rob", now_us=now_us,
    )  # fmt: skip
    kept.world.registry.add_account({"account_id": "work", "created_at": 0, "organization_id": "org_a"})
    kept.world.registry.issue_key("work", "x", 0)
    holder = Holder(
        subject="account", subject_id="work", organisation_id="org_a", workload_id="w", person_id="per_other"
    )
    Holders(engine).set(holder, author="ann", now_us=now_us)

    def grants() -> int:
        (standing,) = [one for one in kept.look().standings.values() if one.workload_id == "w"]
        assert [one.state for one in standing.memberships] == ["active"]  # the organisation's own
        return len(standing.grants)

    assert grants() == 1
    members.suspend(theirs, author="rob", code="c", reason="r", now_us=now_us)
    assert grants() == 0
    members.resume(theirs, author="rob", reason="r", now_us=now_us)
    assert grants() == 1
    Programmes(engine).publish_terms("circle", "2", "ab" * 32, accept_by_us=now_us + HOUR, author="op", now_us=now_us)
    members.accept_terms(kept.world.membership_id, "2", author="ann", now_us=now_us)
    assert grants() == 1
    kept.look(HOUR)
    assert grants() == 0


def test_terms_that_fall_due_are_seen_without_any_change(kept: Kept) -> None:
    Programmes(kept.world.engine).publish_terms(
        "circle", "2", "ab" * 32, accept_by_us=kept.now_us + HOUR, author="op", now_us=kept.now_us
    )
    kept.look()
    before = kept.standings.passed(kept.now_us)
    assert kept.standings.passed(kept.now_us + HOUR) != before
    assert len(kept.look(HOUR).changed or ()) == 7


def test_an_active_pack_asks_of_the_models_it_names_and_leaves_standings_alone(kept: Kept) -> None:
    before = kept.standings.stored()
    kept.world.activate()
    assert kept.standings.stored() != before
    models = kept.look().models.by_name
    assert kept.known.changed == set()
    assert [name for name, one in models.items() if one.person_packs == ("june_order@2",)] == [CLOSED, CLOSED_COMMODITY]


def test_a_pack_of_ownership_leaves_everybody_not_known_where_there_are_no_facts(kept: Kept) -> None:
    pack = find_pack(load_packs(), "ofac_50")
    ActivationStore(kept.world.engine).record(
        pack, "activate", day=day_of(kept.now_us), names=("A", "B"), reason="r", now_us=kept.now_us
    )
    assert len(kept.look().changed or ()) == 7
    said = [one.organisation_verdicts for one in kept.known.standings.values() if one.organisation_id]
    assert said == [{pack.name: "not_known"}] * 7
    assert kept.look(2 * DAY).changed == set()


def test_the_version_of_facts_is_that_of_the_file_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "parties.sqlite"

    def add(name: str) -> int:
        facts = open_database(path)
        one = party_id("own", name)
        version = FactStore(facts).add([Party(key=one, party=one, name=name)], source="list", now_us=HOUR)
        facts.dispose()
        return version

    with closing(Ownership(path)) as ownership:
        assert ownership.version() == 0
        for name in ("first", "second", "third"):
            added = add(name)
            assert ownership.version() == ownership.version() == added
        for left in tmp_path.iterdir():
            left.rename(tmp_path / f"old-{left.name}")
        assert ownership.version() == 0
        added = add("of another file")
        assert ownership.version() == added
        path.write_bytes(b"no database" * 1000)
        with pytest.raises(SettingsError, match=r"parties\.sqlite"):
            ownership.version()


def test_a_listing_that_begins_or_ends_by_itself_is_obeyed_from_then_on(kept: Kept) -> None:
    later, since, until = (party_id("own", name) for name in ("later", "since", "until"))
    begin, end = kept.now_us + HOUR, kept.now_us + 2 * HOUR
    facts = open_database(kept.world.data / "parties.sqlite")
    FactStore(facts).add(
        [
            *(Party(key=one, party=one, name="party") for one in (later, since, until)),
            Listing(key=fact_key("1"), party=since, list="SDN"),
            Listing(key=fact_key("2"), party=later, list="SDN", valid_from_us=begin),
            Listing(key=fact_key("3"), party=until, list="SDN", valid_to_us=end),
        ],
        source="list",
        now_us=kept.now_us,
    )
    facts.dispose()
    for number, one in enumerate((later, since, until)):
        kept.world.registry.add_account(
            {"account_id": f"acct-{number}", "created_at": 0, "organization_id": shown_id(one)}
        )
        kept.world.registry.issue_key(f"acct-{number}", "x", 0)
    pack = find_pack(load_packs(), "ofac_50")
    ActivationStore(kept.world.engine).record(
        pack, "activate", day=day_of(kept.now_us), names=("A", "B"), reason="r", now_us=kept.now_us
    )

    def said(after_us: int) -> list[str]:
        before, asked = kept.standings.passed(kept.now_us), kept.standings.passed(kept.now_us + after_us)
        assert (before != asked) == bool(after_us)
        by_party = {one.organisation_id: one.organisation_verdicts for one in kept.look(after_us).standings.values()}
        return [by_party[shown_id(one)][pack.name] for one in (later, since, until)]

    kept.look()
    assert said(0) == ["no", "yes", "yes"]
    assert said(HOUR) == ["yes", "yes", "yes"]
    assert said(HOUR) == ["yes", "yes", "no"]

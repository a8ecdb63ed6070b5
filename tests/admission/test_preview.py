"""Who flips, on a small graph: organisations, their people and contractors."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import msgspec
import pytest

from tests.admission.parties import in_memory
from tests.admission.small_world import world
from tests.admission.test_person_classes import ISSUERS, NOW, OTHER, SUBJECT, signed
from tiergate.admission.activations import ActivePack
from tiergate.admission.holders import Holder, Holders, PersonClasses
from tiergate.admission.on_file import on_file
from tiergate.admission.preview import Person, Preview, preview
from tiergate.admission.rule_packs import Period, RulePack, find_pack, load_packs
from tiergate.clock import DAY
from tiergate.errors import InputError

PACKS = load_packs()
OFAC, UK, BIS, EAR, JUNE = (
    find_pack(PACKS, name) for name in ("ofac_50", "uk_ofsi", "bis_affiliates", "ear_person", "june_order")
)
FACTS = world("X50A A50B X60C")  # by OFAC A, B and C, by the UK C alone


def flips(shown: Preview) -> dict[str, str]:
    return {row.id: f"{row.before}->{row.after}" for row in shown.rows if row.flips}


def made(change: RulePack, action: Any = "activate", active: tuple[RulePack, ...] = (), **options: Any) -> Preview:
    at_us = options.pop("at_us", NOW)
    return preview(change, action, [ActivePack(one) for one in active], options.pop("facts", FACTS), at_us, **options)


def test_activation_flips_whom_the_rule_owns_with_reason_and_proof() -> None:
    shown = made(OFAC)
    barred = ("pty_A", "pty_B", "pty_C", "pty_X", "pty_Y")
    assert flips(shown) == dict.fromkeys(barred, "clear->deny")
    assert shown.counts == {"organisations": {"clear->clear": 1, "clear->deny": 5}, "persons": {}}
    rows = {row.id: row for row in shown.rows}
    assert (rows["pty_X"].reason, rows["pty_B"].reason) == ("listed", "ownership")
    document = shown.proofs[rows["pty_B"].proof or ""]
    assert [step["entity"] for step in document["steps"]] == ["pty_X", "pty_A", "pty_B"]
    assert set(shown.proofs) == {row.proof for row in shown.rows}


def test_deactivation_is_the_way_back_and_needs_the_pack_to_be_active() -> None:
    assert set(flips(made(OFAC, "deactivate", (OFAC,))).values()) == {"deny->clear"}
    with pytest.raises(InputError, match="`ofac_50@1` is not active then"):
        made(OFAC, "deactivate", (UK,))


def test_who_is_barred_by_another_pack_all_the_same_does_not_flip() -> None:
    shown = made(OFAC, active=(UK,))
    assert flips(shown) == {"pty_A": "clear->deny", "pty_B": "clear->deny"}
    (other,) = [row for row in shown.rows if row.id == "pty_C"]
    assert (other.before, other.after, other.pack_before, other.pack_after) == ("deny", "deny", "clear", "deny")
    assert shown.rows[-1].flips is False


def test_a_new_version_replaces_the_old() -> None:
    assert OFAC.test is not None
    stricter = msgspec.structs.replace(OFAC, version=2, test=msgspec.structs.replace(OFAC.test, threshold_ppm=510_000))
    assert flips(made(stricter, active=(OFAC,))) == {"pty_A": "deny->clear", "pty_B": "deny->clear"}


def test_who_flips_when_bis_returns() -> None:
    at = {day: (date.fromisoformat(day) - date(1970, 1, 1)).days * DAY for day in ("2026-11-09", "2026-11-10")}
    assert flips(made(BIS, at_us=at["2026-11-09"])) == {}
    unconfirmed = made(BIS, at_us=at["2026-11-10"])
    assert set(flips(unconfirmed).values()) == {"clear->review"}
    assert {row.reason for row in unconfirmed.rows} == {"rule_unconfirmed"}
    assert (unconfirmed.standing, len(unconfirmed.rows)) == ("unconfirmed", 5)
    assert set(flips(made(BIS, at_us=at["2026-11-10"], confirmed=True)).values()) == {"clear->deny"}


def test_the_same_inputs_give_the_same_bytes_in_any_order() -> None:
    people = [person("0c"), person("0b", employer="pty_B")]
    one = made(OFAC, active=(UK, EAR), persons=people, issuers=ISSUERS)
    other = made(OFAC, active=(EAR, UK), persons=people[::-1], issuers=ISSUERS, organisations=FACTS.ids[::-1])
    assert json.dumps(one.document()) == json.dumps(other.document())
    assert one.table() == other.table()
    assert one.table().splitlines()[0].split() == ["kind", "id", "before", "after", "pack", "says", "reason", "proof"]


def person(digits: str, *, organisation: str = "pty_Z", employer: str = "pty_Z", **statement: Any) -> Person:
    subject = "per_" + digits * 16
    statements = (signed(subject=subject, employer="pty_A", **statement),) if statement else ()
    return Person(subject=subject, organisation=organisation, employer=employer, statements=statements)


def test_a_person_pack_bars_all_whom_nobody_attests_and_leaves_the_others() -> None:
    people = [
        person("01", organisation="pty_A", employer="pty_A", value="eligible"),
        person("02", organisation="pty_A", employer="pty_A", value="ineligible"),
        person("03", organisation="pty_A", employer="pty_A", value="eligible", expires_at=NOW),
        person("04", organisation="pty_A", employer="pty_A"),
    ]
    shown = made(EAR, persons=people, issuers=ISSUERS)
    assert shown.counts["persons"] == {"clear->clear": 1, "clear->deny": 3}
    reasons = {row.id[4:6]: (row.reason, row.notes) for row in shown.rows}
    assert reasons == {
        "02": ("ineligible", ()),
        "03": ("class_missing", ("refused: expired",)),
        "04": ("class_missing", ()),
    }


def test_who_is_on_file_is_looked_at_with_the_statements_that_count() -> None:
    engine = in_memory()
    classes = PersonClasses(engine)
    for issuer in ISSUERS.values():
        classes.trust(issuer, author="op", now_us=NOW)
    people = {digits: "per_" + digits * 16 for digits in ("01", "02", "03")}
    said = [signed(subject=people["01"]), signed(OTHER, subject=people["02"], issuer="other")]
    classes.submit(said, PACKS, author="op", now_us=NOW)
    held = [
        Holder(subject="account", subject_id=digits, organisation_id="pty_A", person_id=one, employer_id="pty_A")
        for digits, one in people.items()
    ]
    stranger = Holder(subject="account", subject_id="s", organisation_id="acme", workload_id="w")
    Holders(engine).set_all([*held, stranger], author="op", now_us=NOW)

    def shown(pack: RulePack) -> Preview:
        known = on_file(engine)
        return made(
            pack, persons=known.persons, issuers=known.issuers, also=known.organisations, signatures_checked=True
        )

    assert shown(EAR).counts["persons"] == {"clear->clear": 2, "clear->deny": 1}
    assert {row.id: row.reason for row in shown(OFAC).rows}["acme"] == "organisation_unknown"
    # Under another key, what was signed before counts no more.
    classes.trust(
        msgspec.structs.replace(ISSUERS["other"], public_key=ISSUERS["acme-hr"].public_key), author="op", now_us=NOW
    )
    assert shown(EAR).counts["persons"] == {"clear->clear": 1, "clear->deny": 2}


def test_the_june_drill_leaves_the_attested_on_and_everyone_on_before_and_after() -> None:
    told: dict[str, Any] = {"pack": "june_order", "value": "eligible"}
    for day, barred in (("2026-06-11", 0), ("2026-06-12", 1), ("2026-06-30", 1), ("2026-07-01", 0)):
        at = (date.fromisoformat(day) - date(1970, 1, 1)).days * DAY
        times = {"issued_at": at - DAY, "expires_at": at + 10 * DAY}
        people = [
            person("01", organisation="pty_A", employer="pty_A", **told, **times),
            person("02", organisation="pty_A", employer="pty_A"),
        ]
        shown = made(JUNE, persons=people, issuers=ISSUERS, at_us=at)
        assert [row.id[4:6] for row in shown.rows] == ["02"] * barred


def test_a_contractor_is_judged_by_the_own_employer_as_well() -> None:
    people = [
        person("01", organisation="pty_Z", employer="pty_Z"),
        person("02", organisation="pty_Z", employer="pty_B"),
        person("03", organisation="pty_C", employer="pty_Z"),
    ]
    shown = made(OFAC, persons=people, organisations=["pty_Z"])
    assert flips(shown) == {people[1].subject: "clear->deny", people[2].subject: "clear->deny"}
    assert [row.reason for row in shown.rows] == ["employer:ownership", "organisation:ownership"]
    assert shown.rows[0].proof in shown.proofs
    # The member's own attestation does not do for somebody else's employee.
    lent = Person(subject=SUBJECT, organisation="pty_A", employer="pty_Z", statements=(signed(),))
    assert [row.notes for row in made(EAR, persons=[lent], issuers=ISSUERS).rows] == [("refused: wrong_employer",)]


def test_an_organisation_that_the_facts_do_not_have_goes_to_review() -> None:
    shown = made(OFAC, organisations=["pty_Z", "pty_stranger"])
    assert flips(shown) == {"pty_stranger": "clear->review"}
    assert shown.rows[0].reason == "organisation_unknown"
    assert shown.counts["organisations"] == {"clear->clear": 1, "clear->review": 1}


def test_what_would_settle_who_is_not_known_is_said_of_the_first_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = made(OFAC, facts=world("X25-50A X25-50B"))
    settled = {row.id: row.would_settle for row in shown.rows if row.would_settle}
    assert set(settled) == {"pty_A", "pty_B"}
    assert settled["pty_B"][0].startswith("a record of pty_X's exact share of pty_B, on file as 25.0001% to 50%")
    assert shown.document()["not_known"] == 2
    monkeypatch.setattr("tiergate.admission.preview.MOST_SETTLED", 1)
    few = made(OFAC, facts=world("X25-50A X25-50B"))
    assert (few.not_known, [bool(row.would_settle) for row in few.rows if row.after == "review"]) == (2, [True, False])
    assert made(OFAC, "deactivate", (OFAC,), facts=world("X25-50A")).not_known == 1


def test_packs_for_other_models_are_left_out() -> None:
    elsewhere = msgspec.structs.replace(UK, applies_to=msgspec.structs.replace(UK.applies_to, models=("another",)))
    june = msgspec.structs.replace(JUNE, periods=(Period(status="in_force", valid_from=date(2026, 1, 1)),))
    people = [Person(subject=SUBJECT, organisation="pty_C", employer="pty_C")]
    assert flips(made(june, active=(UK,), persons=people)) == {}  # C is barred already
    assert flips(made(june, active=(elsewhere,), persons=people)) == {SUBJECT: "clear->deny"}

"""Lists: OFAC's three files, the Consolidated Screening List, OpenSanctions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.parties.sources.conftest import ReadText, lei
from tiergate.errors import InputError
from tiergate.parties.fact_rows import party_id
from tiergate.parties.facts import FactStore
from tiergate.parties.sources.taking import Taken
from tiergate.parties.sources.values import instant

EMPTY = "-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- "
SDN = f"""\
101,"EXAMPLE TRADING CO",-0- ,"PROG-A] [PROG-B",{EMPTY},"Legal Entity Identifier {lei("EXTRADE")}; Linked To: DOE, Jo."
102,"DOE, Jo","individual","PROG-A",{EMPTY},"DOB 1960; Passport 123; Linked To: MISSING HOLDING; Linked To: DOE, Jo."
103,"SHIP ONE","vessel","PROG-A",{EMPTY},-0-
101,"EXAMPLE TRADING CO",-0- ,"PROG-A",{EMPTY},-0-
x,"BROKEN",-0- ,"PROG-A",{EMPTY},-0-
104,short
\x1a
"""
ADD = '101,1,"Street 1","Town","Ruritania",-0-\n101,2,"Street 2","Town","Elsewhere",-0-\n'
ALT = '101,1,"aka","EX TRADE",-0-\n101,2,"fka","OLD TRADE",-0-\n102,3,"aka","CAF\xc9, Jo",-0-\n'
CSL = """\
_id,source,entity_number,type,programs,name,title,addresses,start_date,end_date,alt_names,nationalities
a1,Entity List (EL) - Bureau of Industry and Security,,Entity,,Example Lab,,"1 Road, Town, ZZ; 2 Road, Town, YY",\
2020-05-01,,Ex Lab; E.L.,
a2,Specially Designated Nationals (SDN) - Treasury Department,101,Entity,PROG-A; PROG-B,Example Trading Co,,,,,,
a3,Denied Persons List (DPL) - Bureau of Industry and Security,,,,Someone,,,2017-10-18,2020-10-15,,Nowhere
a4,Specially Designated Nationals (SDN) - Treasury Department,103,Vessel,PROG-A,Ship One,,,,,,
a5,Some List,,Robot,,Robot,,,,,,
a6,Some List,,Entity,,Dated,,,yesterday,,,
"""


def test_the_three_files_of_ofac_in_any_order(read_text: ReadText) -> None:
    facts = read_text("ofac", ALT.encode("latin-1"), SDN, ADD)
    company, person, missing = facts.parties
    assert (company.name, company.kind, company.headquarters) == ("EXAMPLE TRADING CO", "organisation", "Ruritania")
    assert (company.aliases, company.previous_names) == (("EX TRADE",), ("OLD TRADE",))
    assert company.identifiers == ["ofac:101", f"lei:{lei('EXTRADE')}"]
    assert (person.kind, person.aliases, person.headquarters) == ("person", ("CAFÉ, Jo",), None)
    assert {(one.list, one.programme) for one in facts.listings if one.party == company.party} == {
        ("SDN", "PROG-A"),
        ("SDN", "PROG-B"),
    }
    assert [(one.owner, one.owned, one.prong) for one in facts.stakes] == [
        (person.party, company.party, "role"),
        (missing.party, person.party, "role"),
    ]
    assert (missing.name, missing.kind) == ("MISSING HOLDING", "unknown")
    assert facts.refused.by_reason == {
        ": has not as many fields as its file": 1,
        "ent_num: is no number": 1,
        "ent_num: comes twice": 1,
    }
    assert "Passport" not in repr(facts)


def test_ofac_needs_its_main_file(read_text: ReadText) -> None:
    with pytest.raises(InputError, match=r"no sdn\.csv"):
        read_text("ofac", ADD)
    with pytest.raises(InputError, match="has 3 fields"):
        read_text("ofac", "a,b,c\n")


def test_the_consolidated_screening_list(read_text: ReadText) -> None:
    facts = read_text("csl", CSL)
    lab, trading, someone = facts.parties
    assert (lab.name, lab.aliases, lab.headquarters) == ("Example Lab", ("Ex Lab", "E.L."), "ZZ")
    assert trading.identifiers == ["ofac:101"]
    assert someone.kind == "unknown"
    assert [(one.list, one.programme) for one in facts.listings] == [
        ("EL", None), ("SDN", "PROG-A"), ("SDN", "PROG-B"), ("DPL", None),
    ]  # fmt: skip
    assert facts.listings[-1].valid_to_us == instant("2020-10-15", "")
    assert facts.refused.count == 2


def test_one_party_of_two_lists(take: Callable[..., Taken], store: FactStore) -> None:
    take("csl", CSL)
    take("ofac", SDN)
    snapshot = store.as_of(instant("2026-01-01", "") or 0)
    (by_ofac,), (by_csl,) = snapshot.identified("ofac:101"), snapshot.named("Example Trading Co")
    assert by_ofac == by_csl
    assert by_ofac in snapshot.seeds["SDN"]
    assert set(snapshot.seeds) == {"SDN", "EL"}, "the entry of the denied person has ended"


def test_nobody_leaves_a_list_because_its_file_is_broken(take: Callable[..., Taken], store: FactStore) -> None:
    header, lab, *_ = CSL.split("\na")
    whole = f"{header}\na{lab}\nb7,Some List,,Entity,,Second,,,,,,\n"
    day = 86_400_000_000
    take("csl", whole, complete=True, as_of_us=100 * day)
    broken = f"{header}\na{lab}\nb7,Some List,,Robot,,Second,,,,,,\n"
    taken = take("csl", broken, complete=True, as_of_us=200 * day)
    assert not taken.complete
    assert taken.incomplete_because == "1 of its rows were refused"
    assert "Some List" in store.as_of(300 * day).seeds
    taken = take("csl", f"{header}\na{lab}\n", complete=True, as_of_us=400 * day)
    assert taken.complete
    assert "Some List" not in store.as_of(400 * day).seeds
    assert "Some List" in store.as_of(399 * day).seeds, "who was listed then was listed then"


def entity(identity: str, schema: str, /, **properties: Any) -> str:
    return json.dumps({"id": identity, "schema": schema, "properties": properties}) + "\n"


def test_opensanctions(read_text: ReadText) -> None:
    text = (
        entity("co", "Company", name=["Co", "Kompanie"], alias=["C."], previousName=["Old Co"], leiCode=[lei("CO")],
               jurisdiction=["gb"], registrationNumber=["99"], topics=["sanction", "corp.public"])
        + entity("p", "Person", name=["P"], nationality=["zz"], passportNumber=["77"])
        + entity("own", "Ownership", owner=["p"], asset=["co"], percentage=["50,5 %"], startDate=["2014"])
        + entity("own2", "Ownership", owner=["p"], asset=["co"], percentage=["majority"])
        + entity("dir", "Directorship", director=["p"], organization=["co"])
        + entity("fam", "Family", person=["p"], relative=["q"])
        + entity("s", "Sanction", entity=["co"], authority=["Council"], programId=["EX-1"], startDate=["2022-03-01"])
        + entity("bad", "Ownership", owner=["p"])
        + entity("big", "Ownership", owner=["p"], asset=["co"], percentage=["999"])
    )  # fmt: skip
    facts = read_text("opensanctions", text)
    company, person = facts.parties
    assert (company.name, company.aliases, company.previous_names) == ("Co", ("Kompanie", "C."), ("Old Co",))
    assert company.identifiers == [f"lei:{lei('CO')}", "GB-COH:00000099"]
    assert (person.identifiers, person.incorporated_in) == ([], None)
    assert [(one.prong, one.lo_ppm, one.hi_ppm) for one in facts.stakes] == [
        ("shares", 505_000, 505_000), ("shares", 0, 10**6), ("role", 10**6, 10**6),
    ]  # fmt: skip
    assert facts.stakes[0].owner == party_id("opensanctions", "p")
    assert facts.stakes[0].valid_from_us == instant("2014-01-01", "")
    assert [(one.list, one.programme) for one in facts.listings] == [("topic:sanction", None), ("Council", "EX-1")]
    assert facts.refused.by_reason == {"asset: is missing": 1, "percentage: is no percentage from 0 to 100": 1}
    assert "zz" not in repr(facts)

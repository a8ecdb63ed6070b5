"""GLEIF's three golden copies, as CSV and as XML: one meaning whatever the form."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pytest

from tests.parties.sources.conftest import ReadText, lei, read_files
from tiergate.errors import InputError
from tiergate.parties.fact_rows import party_id

CHILD, PARENT, TOP = lei("CHILD"), lei("PARENT"), lei("TOP")
LEVEL_1 = f"""\
LEI,Entity.LegalName,Entity.OtherEntityNames.OtherEntityName.1,Entity.OtherEntityNames.OtherEntityName.1.type,\
Entity.OtherEntityNames.OtherEntityName.2,Entity.OtherEntityNames.OtherEntityName.2.type,\
Entity.HeadquartersAddress.Country,Entity.LegalJurisdiction,Entity.EntityCategory,\
Entity.LegalForm.EntityLegalFormCode,Entity.RegistrationAuthority.RegistrationAuthorityID,\
Entity.RegistrationAuthority.RegistrationAuthorityEntityID,Entity.EntityCreationDate,Registration.RegistrationStatus
{CHILD},"Child, Works Ltd",Old Works Ltd,PREVIOUS_LEGAL_NAME,CW,TRADING_OR_OPERATING_NAME,GB,GB,GENERAL,H0PO,\
RA000585,123456,2012-11-29T00:00:00.000Z,ISSUED
{PARENT},Parent AG,,,,,DE,DE,GENERAL,6QQB,RA999999,77,,ISSUED
NOTANLEI,Nobody,,,,,FR,FR,GENERAL,,,,,ISSUED
{CHILD[:-1]}{(int(CHILD[-1]) + 1) % 10},Mistyped,,,,,FR,FR,GENERAL,,,,,ISSUED
"""
LEVEL_1_XML = f"""\
<?xml version="1.0" encoding="UTF-8"?>
<lei:LEIData xmlns:lei="urn:x"><lei:LEIHeader><lei:RecordCount>1</lei:RecordCount></lei:LEIHeader><lei:LEIRecords>
<lei:LEIRecord><lei:LEI>{CHILD}</lei:LEI><lei:Entity><lei:LegalName xml:lang="en">Child, Works Ltd</lei:LegalName>
<lei:OtherEntityNames><lei:OtherEntityName type="PREVIOUS_LEGAL_NAME">Old Works Ltd</lei:OtherEntityName>
<lei:OtherEntityName type="TRADING_OR_OPERATING_NAME">CW</lei:OtherEntityName></lei:OtherEntityNames>
<lei:HeadquartersAddress><lei:Country>GB</lei:Country></lei:HeadquartersAddress>
<lei:RegistrationAuthority><lei:RegistrationAuthorityID>RA000585</lei:RegistrationAuthorityID>
<lei:RegistrationAuthorityEntityID>123456</lei:RegistrationAuthorityEntityID></lei:RegistrationAuthority>
<lei:LegalJurisdiction>GB</lei:LegalJurisdiction><lei:EntityCategory>GENERAL</lei:EntityCategory>
<lei:LegalForm><lei:EntityLegalFormCode>H0PO</lei:EntityLegalFormCode></lei:LegalForm>
<lei:EntityCreationDate>2012-11-29T00:00:00.000Z</lei:EntityCreationDate></lei:Entity>
<lei:Registration><lei:RegistrationStatus>ISSUED</lei:RegistrationStatus></lei:Registration></lei:LEIRecord>
</lei:LEIRecords></lei:LEIData>
"""
RELATIONS = f"""\
Relationship.StartNode.NodeID,Relationship.StartNode.NodeIDType,Relationship.EndNode.NodeID,\
Relationship.EndNode.NodeIDType,Relationship.RelationshipType,Relationship.RelationshipStatus,\
Relationship.Period.1.startDate,Relationship.Period.1.endDate,Relationship.Period.1.periodType,\
Relationship.Period.2.startDate,Relationship.Period.2.endDate,Relationship.Period.2.periodType,\
Relationship.Quantifiers.1.QuantifierAmount,Relationship.Quantifiers.1.QuantifierUnits,\
Registration.LastUpdateDate,Registration.RegistrationStatus,Registration.ValidationSources
{CHILD},LEI,{PARENT},LEI,IS_DIRECTLY_CONSOLIDATED_BY,ACTIVE,2018-01-01,2018-12-31,ACCOUNTING_PERIOD,2018-02-06,,\
RELATIONSHIP_PERIOD,62.5,PERCENTAGE,2022-06-04,PUBLISHED,FULLY_CORROBORATED
{CHILD},LEI,{TOP},LEI,IS_ULTIMATELY_CONSOLIDATED_BY,INACTIVE,,,,,,,,,2022-06-04T01:00:00Z,LAPSED,ENTITY_SUPPLIED_ONLY
{CHILD},LEI,{TOP},LEI,IS_FEEDER_TO,ACTIVE,,,,,,,,,,PUBLISHED,
{CHILD},LEI,{TOP},LEI,IS_COUSIN_OF,ACTIVE,,,,,,,,,,PUBLISHED,
{PARENT},LEI,{TOP},LEI,IS_FUND-MANAGED_BY,ACTIVE,,,,,,,,,,ANNULLED,
"""
RELATION_XML = f"""\
<rr:RelationshipData xmlns:rr="urn:x"><rr:RelationshipRecords><rr:RelationshipRecord><rr:Relationship>
<rr:StartNode><rr:NodeID>{CHILD}</rr:NodeID></rr:StartNode><rr:EndNode><rr:NodeID>{PARENT}</rr:NodeID></rr:EndNode>
<rr:RelationshipType>IS_DIRECTLY_CONSOLIDATED_BY</rr:RelationshipType><rr:RelationshipPeriods>
<rr:RelationshipPeriod><rr:StartDate>2018-01-01</rr:StartDate><rr:EndDate>2018-12-31</rr:EndDate>
<rr:PeriodType>ACCOUNTING_PERIOD</rr:PeriodType></rr:RelationshipPeriod>
<rr:RelationshipPeriod><rr:StartDate>2018-02-06</rr:StartDate><rr:PeriodType>RELATIONSHIP_PERIOD</rr:PeriodType>
</rr:RelationshipPeriod></rr:RelationshipPeriods><rr:RelationshipStatus>ACTIVE</rr:RelationshipStatus>
<rr:RelationshipQuantifiers><rr:RelationshipQuantifier><rr:QuantifierAmount>62.5</rr:QuantifierAmount>
<rr:QuantifierUnits>PERCENTAGE</rr:QuantifierUnits></rr:RelationshipQuantifier></rr:RelationshipQuantifiers>
</rr:Relationship><rr:Registration><rr:LastUpdateDate>2022-06-04</rr:LastUpdateDate>
<rr:RegistrationStatus>PUBLISHED</rr:RegistrationStatus><rr:ValidationSources>FULLY_CORROBORATED</rr:ValidationSources>
</rr:Registration></rr:RelationshipRecord></rr:RelationshipRecords></rr:RelationshipData>
"""


def test_level_1_by_csv(read_text: ReadText) -> None:
    facts = read_text("gleif", LEVEL_1)
    child, parent = facts.parties
    assert (child.name, child.kind, child.legal_form) == ("Child, Works Ltd", "organisation", "H0PO")
    assert (child.previous_names, child.aliases) == (("Old Works Ltd",), ("CW",))
    assert (child.incorporated_in, child.headquarters) == ("GB", "GB")
    assert child.identifiers == [f"lei:{CHILD}", "GB-COH:00123456"]
    assert child.party == party_id("lei", CHILD)
    assert child.valid_from_us == 1_354_147_200_000_000
    assert parent.identifiers == [f"lei:{PARENT}"]  # RA999999 is no register
    assert facts.refused.by_reason == {"LEI: is no LEI": 1, "LEI: is no LEI: its check digits are wrong": 1}
    assert facts.refused.first["LEI: is no LEI"]["raw"] == "NOTANLEI"


def test_level_1_says_the_same_by_xml(read_text: ReadText) -> None:
    assert read_text("gleif", LEVEL_1_XML)[0] == read_text("gleif", LEVEL_1)[0]


def test_a_consolidation_is_control_and_no_percentage(read_text: ReadText) -> None:
    facts = read_text("gleif-relations", RELATIONS)
    direct, share, ultimate, feeder, managed = facts.stakes
    assert (direct.owner, direct.owned) == (party_id("lei", PARENT), party_id("lei", CHILD))
    assert (direct.prong, direct.lo_ppm, direct.hi_ppm, direct.directness) == ("consolidation", 10**6, 10**6, "direct")
    assert direct.valid_from_us == 1_517_875_200_000_000, "the accounting period says nothing of the relation's"
    assert direct.valid_to_us is None
    assert (share.prong, share.lo_ppm, share.hi_ppm, share.key) == ("shares", 625_000, 625_000, direct.key)
    assert (ultimate.directness, ultimate.valid_to_us) == ("indirect", 1_654_304_400_000_000)
    assert (ultimate.confidence, direct.confidence) == (0.5, 1.0)
    assert (feeder.prong, feeder.owner, feeder.owned) == ("fund", party_id("lei", CHILD), party_id("lei", TOP))
    assert (managed.prong, managed.retracted) == ("fund", True)
    assert list(facts.refused.by_reason) == [
        "Relationship.RelationshipType: is no relation that RR-CDF 2.1 has",
    ]


@pytest.mark.parametrize("encoding", ["UTr-8", "utf-7", "big5"])
def test_an_encoding_that_is_not_known_is_said(read_text: ReadText, encoding: str) -> None:
    with pytest.raises(InputError, match=r"is not XML: .*encoding"):
        read_text("gleif", LEVEL_1_XML.replace("UTF-8", encoding))


def test_relations_say_the_same_by_xml(read_text: ReadText) -> None:
    assert read_text("gleif-relations", RELATION_XML) == read_text("gleif-relations", RELATIONS)[:2]


def test_exceptions_by_csv_and_xml(read_text: ReadText) -> None:
    text = f"LEI,Exception.Category,Exception.Reason.1,Exception.Reason.2\n{CHILD},{{}},NON_PUBLIC,LEGAL_OBSTACLES\n"
    (one,) = read_text("gleif-exceptions", text.format("DIRECT_ACCOUNTING_CONSOLIDATION_PARENT")).undisclosed
    assert (one.scope, one.reason, one.party) == (
        "direct-parent",
        "NON_PUBLIC, LEGAL_OBSTACLES",
        party_id("lei", CHILD),
    )
    other = read_text("gleif-exceptions", text.format("UNCLE"))
    assert other.refused.count == 1
    xml = (
        f"<r:D xmlns:r='urn:x'><r:Exception><r:LEI>{CHILD}</r:LEI>"
        "<r:ExceptionCategory>DIRECT_ACCOUNTING_CONSOLIDATION_PARENT</r:ExceptionCategory>"
        "<r:ExceptionReason>NON_PUBLIC</r:ExceptionReason><r:ExceptionReason>LEGAL_OBSTACLES</r:ExceptionReason>"
        "</r:Exception></r:D>"
    )
    assert read_text("gleif-exceptions", xml) == [one]


def test_packed_files_read_the_same(tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_text(LEVEL_1)
    (tmp_path / "one.gz").write_bytes(gzip.compress(LEVEL_1.encode()))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside.csv", LEVEL_1)
    (tmp_path / "one.zip").write_bytes(packed.getvalue())
    plain = read_files("gleif", tmp_path / "plain.csv")
    assert read_files("gleif", tmp_path / "one.gz") == plain
    assert read_files("gleif", tmp_path / "one.zip") == plain


def test_a_file_of_another_kind_is_an_error(read_text: ReadText) -> None:
    with pytest.raises(InputError, match=r"lacks the columns LEI, Entity\.LegalName"):
        read_text("gleif", "a,b\n1,2\n")
    with pytest.raises(InputError, match="is empty"):
        read_text("gleif", "")


def test_xml_with_a_document_type_is_not_read(read_text: ReadText) -> None:
    laughs = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><LEIRecord><LEI>&b;</LEI></LEIRecord>'
    with pytest.raises(InputError, match="declares a document type"):
        read_text("gleif", laughs)


def test_broken_xml_keeps_what_stood_before(read_text: ReadText) -> None:
    facts = read_text("gleif", LEVEL_1_XML.replace("</lei:LEIRecords></lei:LEIData>", "<oops"))
    assert len(facts.parties) == 1
    assert not facts.whole
    with pytest.raises(InputError, match="is not XML"):
        read_text("gleif", "<<<")

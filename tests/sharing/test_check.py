"""What comes in: nothing that is malformed, wrongly marked or hostile is taken, and everything that we write is."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import stix2validator
from hypothesis import given, settings
from hypothesis import strategies as st
from stix2validator import ValidationOptions, validate_instance

from tests.sharing.told import told
from tiergate.sharing import check as checking
from tiergate.sharing import stix
from tiergate.sharing.check import AHEAD_US, check
from tiergate.sharing.finding import Finding, Lab, Opinion, Sighting, Technique, Told, View, finding_id, keyed_token
from tiergate.sharing.marking import Tlp
from tiergate.sharing.objects import ENCODER, Campaign, Relationship
from tiergate.sharing.reading import from_objects
from tiergate.sharing.schema import json_schema

NOW = 1_790_000_000_000_000
KEY = bytes(32)
LAB = Lab.named("lab-a.example")
FINDING = Finding(
    finding_id=finding_id(LAB, "case 1"),
    lab=LAB,
    created_us=NOW - 5_000_000,
    modified_us=NOW - 1_000_000,
    first_seen_us=NOW - 9_000_000,
    last_seen_us=NOW - 8_000_000,
    confidence=97,
    accounts=15,
    exchanges=24,
    techniques=tuple(Technique),
    networks=(64_500,),
    tokens=(
        keyed_token(KEY, "2026-11", "account", "acct-1", lab=LAB),
        keyed_token(KEY, "2026-11", "tls_fingerprint", "t13d1516h2"),
    ),
)
SIGHTING = Sighting(
    sighting_id="8a1f0a6e-0f8e-4b3a-9c11-3f2a2f3d4c5b",
    about=FINDING.finding_id,
    content=FINDING.content,
    lab=Lab.named("lab-b.example"),
    created_us=NOW,
    modified_us=NOW,
    first_seen_us=NOW - 9_000_000,
    last_seen_us=NOW - 8_000_000,
    accounts=4,
)
OPINION = Opinion(
    opinion_id="9b1f0a6e-0f8e-4b3a-9c11-3f2a2f3d4c5b",
    about=FINDING.finding_id,
    content=FINDING.content,
    lab=Lab.named("lab-b.example"),
    created_us=NOW,
    modified_us=NOW,
    view=View.AGREE,
)
ALL: list[Told] = [FINDING, SIGHTING, OPINION]
OBJECTS: list[dict[str, Any]] = [json.loads(ENCODER.encode(one)) for one in stix.to_bundle(ALL).objects]
KINDS = {one["type"]: one for one in OBJECTS}


def bundle(*objects: dict[str, Any], **more: Any) -> bytes:
    return json.dumps(
        {"type": "bundle", "id": "bundle--5b4f0a6e-0f8e-4b3a-9c11-3f2a2f3d4c5b", "objects": list(objects)} | more
    ).encode()


def codes(body: bytes) -> list[str]:
    found = check(body, NOW)
    assert found.faults or found.taken
    return [fault.code for fault in found.faults]


@given(told().filter(len))
@settings(max_examples=40, deadline=None)
def test_what_we_write_is_taken_and_tells_the_same(told: list[Told]) -> None:
    found = check(stix.to_bytes(told), NOW)
    assert found.faults == []
    assert from_objects(one.object for one in found.taken) == told


def test_every_kind_of_object_is_tried_below() -> None:
    assert len(KINDS) == 13


def test_an_object_is_taken_with_what_a_store_needs() -> None:
    found = check(bundle(KINDS["campaign"]), NOW)
    (one,) = found.taken
    assert (one.object.id, one.version_us, one.tlp) == (
        f"campaign--{FINDING.finding_id}",
        NOW - 1_000_000,
        Tlp.AMBER_STRICT,
    )
    assert one.made_by == f"identity--{LAB.lab_id}"
    assert json.loads(one.raw) == KINDS["campaign"]


def test_an_envelope_of_taxii_is_taken_too() -> None:
    assert codes(json.dumps({"objects": OBJECTS, "more": True, "next": "17"}).encode()) == []
    assert codes(b'{"objects": [], "more": false}') == ["malformed"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed"),
        (b"null", "malformed"),
        (b"[]", "malformed"),
        (b"\xff\xfe{}", "malformed"),
        (b'{"type": "bundle"', "malformed"),
        (b'{"type": "bundle", "objects": []}', "malformed"),
        (b'{"type": "report", "id": "x", "objects": [{}]}', "malformed"),
        (b'{"objects": ' + b"[" * 100_000, "hostile"),
        (b'{"objects": [' + b'{"a":' * 100_000, "hostile"),
        (b" " * (checking.MOST_BYTES + 1), "oversized"),
        (json.dumps({"objects": [{}] * 10_001}).encode(), "oversized"),
        (json.dumps({"objects": [KINDS["campaign"] | {"name": "x" * (300 << 10)}]}).encode(), "oversized"),
        (b'{"objects": [' + b"0," * 1_000_001 + b"0]}", "oversized"),
        (bundle(KINDS["campaign"], spec_version="2.0"), "malformed"),
        (bundle(KINDS["campaign"], id="bundle--\n"), "malformed"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_a_whole_that_is_none_is_refused(body: bytes, code: str) -> None:
    assert codes(body) == [code]


def with_(kind: str, **changed: Any) -> dict[str, Any]:
    """An object with properties changed, or left out where None."""
    return {name: value for name, value in (KINDS[kind] | changed).items() if value is not None}


MARKING_1 = "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"
OTHER = "5b4f0a6e-0f8e-4b3a-9c11-3f2a2f3d4c5c"


def counted(**more: int) -> dict[str, Any]:
    """The extension of a campaign, with more in it."""
    ((name, held),) = KINDS["campaign"]["extensions"].items()
    return {name: held | more}


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        # Nothing beyond what labs share, whether STIX allows it or not.
        ({"type": "malware", "spec_version": "2.1"}, "not_shared"),
        ({"id": "campaign--x"}, "not_shared"),
        (with_("campaign", description="they pay $3 a million tokens"), "not_shared"),
        (with_("campaign", x_revenue=3), "not_shared"),
        (with_("campaign", name="Customers of Example Ltd"), "not_shared"),
        (with_("campaign", labels=["price"]), "not_shared"),
        (with_("campaign", aliases=["Example Ltd"]), "not_shared"),
        (with_("campaign", extensions=counted(accounts=23_817)), "not_shared"),
        (with_("campaign", extensions=counted(accounts_log2=41)), "not_shared"),
        (with_("campaign", created_by_ref=None), "not_shared"),
        (with_("campaign", created=None), "not_shared"),
        (with_("campaign", spec_version="2.0"), "not_shared"),
        (with_("campaign", first_seen="2026-02-30T00:00:00Z"), "not_shared"),
        (with_("campaign", last_seen="2020-01-01T00:00:00Z"), "not_shared"),
        (with_("campaign", modified="2020-01-01T00:00:00.000Z"), "not_shared"),
        (with_("campaign", confidence=101), "not_shared"),
        (with_("campaign", confidence=None) | {"confidence": None}, "not_shared"),
        (with_("identity", identity_class="individual", name="Ann"), "not_shared"),
        (with_("user-account", account_login="ann@example.com"), "not_shared"),
        (with_("user-account", user_id="ann@example.com"), "not_shared"),
        (with_("user-account", user_id="sha256:2026-11:account:" + "0" * 64), "not_shared"),
        (with_("user-account", user_id="hmac-sha256:2026-11:email:" + "0" * 64), "not_shared"),
        (with_("user-account", user_id="hmac-sha256:2026-11:user_agent:" + "0" * 64), "not_shared"),
        (with_("indicator", pattern="[ipv4-addr:value = '198.51.100.7']", pattern_type="stix"), "not_shared"),
        (with_("indicator", pattern="hmac-sha256:2026-11:account:" + "0" * 64), "not_shared"),
        (with_("indicator", pattern="hmac-sha256:2026-11:payment:" + "0" * 64), "not_shared"),
        (with_("indicator", pattern=" ".join(["hmac-sha256:e:template:" + "0" * 32] * 1_025)), "oversized"),
        (with_("indicator", valid_until="2020-01-01T00:00:00Z"), "not_shared"),
        (with_("observed-data", number_observed=23_817), "not_shared"),
        (with_("attack-pattern", name="Example Ltd"), "not_shared"),
        (with_("opinion", explanation="Example Ltd is our customer"), "not_shared"),
        (with_("sighting", summary=True), "not_shared"),
        (with_("autonomous-system", name="Example Ltd"), "not_shared"),
        # How far it may go.
        (with_("campaign", object_marking_refs=None), "marking"),
        (with_("campaign", object_marking_refs=[]), "marking"),
        (with_("campaign", object_marking_refs=[MARKING_1]), "marking"),
        (with_("campaign", object_marking_refs=[tlp.marking_id for tlp in (Tlp.CLEAR, Tlp.RED)]), "marking"),
        (with_("user-account", object_marking_refs=None), "marking"),
        (with_("campaign", granular_markings=[{"marking_ref": MARKING_1, "selectors": ["name"]}]), "marking"),
        (with_("marking-definition", name="TLP:CLEAR"), "marking"),
        (with_("marking-definition", id=f"marking-definition--{OTHER}"), "marking"),
        # Another's name, and a time that would keep every later version out.
        (with_("identity", id=f"identity--{OTHER}"), "hostile"),
        (with_("identity", name="lab-c.example"), "hostile"),
        (with_("extension-definition", schema="everything"), "hostile"),
        (with_("user-account", id=f"user-account--{OTHER}"), "hostile"),
        (with_("campaign", id=f"campaign--{OTHER}"), "hostile"),
        (with_("campaign", created_by_ref=f"identity--{Lab.named('lab-b.example').lab_id}"), "hostile"),
        (with_("autonomous-system", number=64_501), "hostile"),
        (with_("campaign", modified="9999-12-31T23:59:59.999Z"), "hostile"),
    ],
)  # fmt: skip
def test_an_object_that_is_not_shared_is_refused_with_the_reason(changed: dict[str, Any], code: str) -> None:
    found = check(bundle(KINDS["relationship"], changed), NOW)
    assert [(fault.code, fault.index) for fault in found.faults] == [(code, 1)]
    assert str(found.faults[0]).startswith("object 2")
    assert [one.object.id for one in found.taken] == [KINDS["relationship"]["id"]]


@pytest.mark.parametrize("letter", ["\n", "\x00", "\x1b", "\x7f", "\x9b", "\u202e", "\u200b", "\ufeff", "\U000e0041"])
def test_letters_that_cannot_be_seen_are_refused(letter: str) -> None:
    # `$` of a pattern lets a last line feed pass; the scan does not.
    told = with_("campaign", name=KINDS["campaign"]["name"] + letter)
    assert codes(bundle(told)) in (["hostile"], ["not_shared"])
    extension = with_("extension-definition", schema=KINDS["extension-definition"]["schema"] + letter)
    assert codes(bundle(extension)) == ["hostile"]


def test_a_clock_that_is_a_little_ahead_is_borne() -> None:
    for ahead, taken in ((AHEAD_US, 1), (AHEAD_US + 1_000, 0)):
        told = with_("campaign", modified=stix.time_of(NOW + ahead))
        assert len(check(bundle(told), NOW).taken) == taken


def test_two_contents_under_one_id_and_time_are_refused_and_one_content_twice_counts_once() -> None:
    found = check(bundle(KINDS["campaign"], with_("campaign", confidence=3), KINDS["campaign"]), NOW)
    assert [(fault.code, fault.index) for fault in found.faults] == [("hostile", 1)]
    assert len(found.taken) == 1


def test_what_is_stored_is_what_was_understood() -> None:
    told = json.dumps(KINDS["campaign"]).replace('"confidence"', '"confid\\u0065nce": 1, "confidence"')
    (one,) = check(b'{"objects": [' + told.encode() + b"]}", NOW).taken
    assert one.raw.count(b"confidence") == 1
    assert json.loads(one.raw) == KINDS["campaign"]


def test_a_reason_shows_nothing_of_the_sender_that_turns_a_terminal() -> None:
    for body in (bundle({"type": "\x1b[31m\u202e"}), b'{"\\u001b": 1, "objects": []}', b'{"a": \x1b}'):
        assert all(str(fault).isprintable() for fault in check(body, NOW).faults)


def test_nobody_adds_to_what_another_lab_says() -> None:
    other = f"identity--{Lab.named('lab-b.example').lab_id}"
    network = stix.to_objects(msgspec.structs.replace(FINDING, networks=(64_666,)))
    theirs = [
        msgspec.structs.replace(one, created_by_ref=other) if one.id.startswith("relationship") else one  # type: ignore[call-arg]
        for one in network
    ]
    ours = stix.to_objects(FINDING)
    # Under other ids: a store refuses theirs under ours, which they did not make.
    renamed = [
        msgspec.structs.replace(one, id=f"relationship--{OTHER[:-2]}{at:02x}")
        if one.id.startswith("relationship")
        else one
        for at, one in enumerate(theirs)
    ]
    (told,) = from_objects([*ours, *renamed])
    assert told == FINDING


def test_a_part_is_of_one_finding_and_a_finding_of_few_parts() -> None:
    # A few objects that thousands of campaigns name would unfold to more than memory holds.
    told = stix.to_objects(msgspec.structs.replace(FINDING, networks=tuple(range(1, 100))))
    (campaign,) = (one for one in told if isinstance(one, Campaign))
    leaving = [one for one in told if isinstance(one, Relationship) and campaign.id in (one.source_ref, one.target_ref)]
    many = [finding_id(LAB, f"case {number}") for number in range(2, 50)]
    for other in many:
        ends = {campaign.id: f"campaign--{other}"}
        told.append(msgspec.structs.replace(campaign, id=ends[campaign.id]))
        told += [
            msgspec.structs.replace(
                one,
                id=f"relationship--{uuid.uuid4()}",
                source_ref=ends.get(one.source_ref, one.source_ref),
                target_ref=ends.get(one.target_ref, one.target_ref),
            )
            for one in leaving
        ]
    first, *others = (one for one in from_objects(told) if isinstance(one, Finding))
    assert (len(first.networks), first.tokens) == (32, FINDING.tokens)
    assert {(one.networks, one.tokens) for one in others} == {((), ())}
    assert len(others) == len(many)


values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=20),
    st.sampled_from(sorted({json.dumps(value) for one in OBJECTS for value in one.values()})).map(json.loads),
    st.lists(st.text(max_size=3), max_size=2), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip
names = st.sampled_from(sorted({name for one in OBJECTS for name in one}))


@given(st.sampled_from(OBJECTS), names, st.one_of(st.just(...), values))
@settings(max_examples=200, deadline=None)
def test_what_the_validator_of_oasis_refuses_is_refused(one: dict[str, Any], name: str, value: Any) -> None:
    changed = {key: held for key, held in one.items() if key != name} | ({} if value is ... else {name: value})
    if check(bundle(changed), NOW).taken:
        assert validate_instance(changed, ValidationOptions()).is_valid


SCHEMA = jsonschema.Draft202012Validator(json_schema())


@given(st.sampled_from(OBJECTS), names, st.one_of(st.just(...), values))
@settings(max_examples=100, deadline=None)
def test_what_is_taken_fits_the_schema_that_is_published(one: dict[str, Any], name: str, value: Any) -> None:
    assert SCHEMA.is_valid(json.loads(bundle(one)))
    changed = {key: held for key, held in one.items() if key != name} | ({} if value is ... else {name: value})
    if check(bundle(changed), NOW).taken:
        assert SCHEMA.is_valid(json.loads(bundle(changed)))


def test_the_schema_refuses_what_is_not_shared() -> None:
    for changed in (with_("campaign", x_revenue=3), with_("campaign", name="Example Ltd"), {"type": "malware"}):
        assert not SCHEMA.is_valid(json.loads(bundle(changed)))


EXAMPLES = sorted((Path(stix2validator.__file__).parent / "schemas-2.1" / "examples").rglob("*.json"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_of_the_validator_are_refused_for_what_they_are(path: Path) -> None:
    """They tell of malware, files and addresses; none of them is a finding."""
    body = path.read_bytes()
    found = check(body, NOW)
    assert found.taken == []
    assert {fault.code for fault in found.faults} <= {"not_shared", "marking", "malformed", "hostile"}


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_no_bytes_break_the_check(body: bytes) -> None:
    assert check(body, NOW).taken == []


WHOLE = stix.to_bytes(ALL)


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.binary(max_size=3)), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_no_damage_to_a_bundle_breaks_the_check(damage: list[tuple[int, bytes]]) -> None:
    body = bytearray(WHOLE)
    for at, put in damage:
        body[at : at + 1] = put
    found = check(bytes(body), NOW)
    assert found.taken or found.faults
    from_objects(one.object for one in found.taken)

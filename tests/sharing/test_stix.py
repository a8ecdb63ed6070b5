"""Findings as STIX 2.1: what the reference library and the validator of OASIS accept, and what comes back."""

from __future__ import annotations

import json
from typing import Any

import pytest
import stix2
from hypothesis import given, settings
from stix2validator import ValidationOptions, validate_string

from tests.sharing.told import NOW, findings, told
from tiergate.errors import InputError
from tiergate.ledger.intents import CAPABILITIES
from tiergate.sharing import atlas, stix
from tiergate.sharing.finding import (
    Capability,
    Finding,
    Lab,
    Technique,
    Token,
    Told,
    bucket,
    keyed_token,
    least,
)
from tiergate.sharing.marking import BY_ID, Tlp
from tiergate.sharing.objects import Versioned
from tiergate.sharing.reading import from_objects

EXPECTED_WARNINGS = ("{103}", "{245}", "{302}", "{303}", "{401}")
"""An id is no UUID of version 4; a pattern's type, a reference's hash, a description: all of them optional."""


@given(told())
@settings(max_examples=60, deadline=None)
def test_what_is_told_comes_back(told: list[Told]) -> None:
    assert from_objects(stix.to_bundle(told).objects) == told


@given(told().filter(len))
@settings(max_examples=15, deadline=None)
def test_the_reference_library_and_the_validator_accept_it(told: list[Told]) -> None:
    written = stix.to_bytes(told).decode()
    parsed = stix2.parse(written, allow_custom=False)
    assert {one["id"] for one in json.loads(written)["objects"]} == {one["id"] for one in parsed.objects}
    results = validate_string(written, ValidationOptions())
    assert results.is_valid, results.errors
    said = [str(warning) for warning in results.warnings]
    assert [warning for warning in said if not any(code in warning for code in EXPECTED_WARNINGS)] == []


@given(findings())
@settings(max_examples=15, deadline=None)
def test_ids_of_observables_are_those_that_the_reference_library_makes(finding: Finding) -> None:
    for one in stix.to_objects(finding):
        if not isinstance(one, Versioned) and not one.id.startswith("marking"):
            given: dict[str, Any] = {"user_id": one.user_id} if hasattr(one, "user_id") else {"number": one.number}  # type: ignore[union-attr]
            kind = stix2.UserAccount if "user_id" in given else stix2.AutonomousSystem
            assert kind(**given).id == one.id


def test_the_same_case_is_always_the_same_bytes() -> None:
    finding = Finding(
        finding_id="5b4f0a6e-0f8e-4b3a-9c11-3f2a2f3d4c5b",
        lab=Lab.named("Lab-A.example"),
        created_us=NOW,
        modified_us=NOW,
        first_seen_us=NOW,
        last_seen_us=NOW,
        confidence=97,
        accounts=bucket(24_000),
        exchanges=bucket(16_000_000),
    )
    bundle = stix.to_bundle([finding])
    assert bundle.id == "bundle--bc814b3d-f6f9-5e3a-b186-e62c5f6a6377"
    assert stix.to_bytes([finding]) == stix.to_bytes([finding])


def test_a_second_finding_repeats_nothing_that_the_first_brought() -> None:
    one = Finding(
        finding_id="5b4f0a6e-0f8e-4b3a-9c11-3f2a2f3d4c5b", lab=Lab.named("lab-a.example"), created_us=NOW,
        modified_us=NOW, first_seen_us=NOW, last_seen_us=NOW, confidence=97, accounts=3, exchanges=9,
    )  # fmt: skip
    ids = [each.id for each in stix.to_bundle([one, one]).objects]
    assert len(ids) == len(set(ids))


def test_buckets_are_powers_of_two() -> None:
    for count in [0, 1, 2, 3, 4, 1_000, 1_024, 2**40 - 1]:
        held = bucket(count)
        assert least(held) <= count < 2 * max(least(held), 1)
    with pytest.raises(ValueError, match="at least"):
        bucket(-1)


def test_capabilities_are_those_that_are_sketched() -> None:
    assert tuple(Capability) == CAPABILITIES


def test_techniques_have_the_ids_of_mitre() -> None:
    # As MITRE publishes them, in dist/stix-atlas.json of mitre-atlas/atlas-navigator-data.
    assert atlas.attack_pattern(Technique.EXTRACT_AI_MODEL).id == "attack-pattern--3f567912-629a-5e0b-ab0c-0102977c2d6c"
    assert (
        atlas.attack_pattern(Technique.AI_SERVICE_PROXIES).id == "attack-pattern--647ac4ac-b2bc-53f7-ab83-81f421a1f0b5"
    )


def test_markings_have_the_ids_of_oasis_and_an_order() -> None:
    assert [tlp.label for tlp in sorted(Tlp, key=lambda one: one.strictness)] == [
        "TLP:CLEAR", "TLP:GREEN", "TLP:AMBER", "TLP:AMBER+STRICT", "TLP:RED",
    ]  # fmt: skip
    assert BY_ID["marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"] is Tlp.AMBER_STRICT
    assert {BY_ID[tlp.marking_id] for tlp in Tlp} == set(Tlp)


@pytest.mark.parametrize("kind", ["email", "phone", "payment", "address"])
def test_what_can_be_guessed_is_not_hashed_under_a_key_that_peers_share(kind: str) -> None:
    with pytest.raises(InputError, match="too easily guessed"):
        keyed_token(bytes(32), "2026-11", kind, "ann@example.com")


@pytest.mark.parametrize("text", ["", "sha256:2026-11:account:" + "0" * 64, "hmac-sha256:2026-11:account:xyz", "a:b"])
def test_a_token_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        Token.parse(text)


def test_tokens_differ_by_key_kind_and_lab() -> None:
    one, other = Lab.named("lab-a.example"), Lab.named("lab-b.example")
    made = {
        keyed_token(key, "2026-11", kind, "value", lab=lab).value
        for key in (bytes(32), b"1" * 32)
        for kind in ("account", "user_agent")
        for lab in (None, one, other)
    }
    assert len(made) == 12


@pytest.mark.parametrize("domain", ["", "lab", "lab..example", "-lab.example", "lab_a.example", "a" * 250 + ".example"])
def test_a_lab_is_called_by_a_domain(domain: str) -> None:
    with pytest.raises(InputError, match="no domain"):
        Lab.named(domain)

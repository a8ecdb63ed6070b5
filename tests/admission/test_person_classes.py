"""Signed classes: what counts, what is refused and with which code, and that no nationality finds a place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tiergate.admission import activations, person_classes
from tiergate.admission import preview as previews
from tiergate.admission.person_classes import (
    SignedStatement,
    Statement,
    StatementError,
    TrustedIssuer,
    person_class,
    public_key_text,
    read_issuers,
    read_statement,
    sign,
    verify,
)
from tiergate.admission.rule_packs import find_pack, load_packs
from tiergate.clock import DAY
from tiergate.errors import InputError

NOW = 20_770 * DAY
EAR = find_pack(load_packs(), "ear_person")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes([1] * 32))
SUBJECT = "per_" + "0a" * 16
STATEMENT = Statement(
    subject=SUBJECT,
    pack="ear_person",
    pack_version=1,
    value="eligible",
    issuer="acme-hr",
    employer="pty_A",
    issued_at=NOW - DAY,
    expires_at=NOW + 30 * DAY,
    evidence_hash="ab" * 32,
)
ISSUERS = {
    "acme-hr": TrustedIssuer(issuer="acme-hr", public_key=public_key_text(KEY), organisations=("pty_A", "pty_B")),
    "other": TrustedIssuer(issuer="other", public_key=public_key_text(OTHER), organisations=("pty_A",)),
}
PERSONAL = ("citizenship", "nationality", "passport", "birth", "country", "residency", "name_of_person", "photo")


def signed(key: Ed25519PrivateKey = KEY, **changes: Any) -> SignedStatement:
    return sign(msgspec.structs.replace(STATEMENT, **changes), key)


def code_of(one: SignedStatement, **changes: Any) -> str:
    arguments: dict[str, Any] = {"pack": EAR, "subject": SUBJECT, "employer": "pty_A", "issuers": ISSUERS,
                                 "now_us": NOW}  # fmt: skip
    with pytest.raises(StatementError) as caught:
        verify(one, **(arguments | changes))
    return caught.value.code


def class_of(*statements: SignedStatement, **changes: Any) -> person_classes.PersonClass:
    arguments: dict[str, Any] = {"pack": EAR, "subject": SUBJECT, "employer": "pty_A", "issuers": ISSUERS,
                                 "now_us": NOW}  # fmt: skip
    return person_class(statements, **(arguments | changes))


def test_a_statement_that_holds() -> None:
    told = verify(signed(), pack=EAR, subject=SUBJECT, employer="pty_A", issuers=ISSUERS, now_us=NOW)
    assert told == STATEMENT
    assert read_statement(msgspec.json.encode(signed())) == signed()


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("unknown_issuer", {"issuer": "nobody"}),
        ("wrong_signature", {"issuer": "other"}),
        ("not_entitled", {"employer": "pty_C"}),
        ("wrong_subject", {"subject": "per_" + "00" * 16}),
        ("wrong_employer", {"employer": "pty_B"}),
        ("wrong_pack", {"pack": "itar_person"}),
        ("wrong_pack_version", {"pack_version": 2}),
        ("not_yet_valid", {"issued_at": NOW + 1}),
        ("expired", {"expires_at": NOW}),
        ("wrong_period", {"issued_at": NOW - 400 * DAY}),
        ("wrong_period", {"expires_at": NOW - DAY}),
    ],
)
def test_what_does_not_hold_is_refused_with_its_code(code: str, changes: dict[str, Any]) -> None:
    assert code_of(signed(**changes)) == code


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("subject", "per_" + "0b" * 16), ("pack", "itar_person"), ("pack_version", 2), ("value", "ineligible"),
        ("employer", "pty_B"), ("issued_at", NOW - DAY + 1), ("expires_at", NOW + 31 * DAY),
        ("evidence_hash", "ac" * 32),
    ],
)  # fmt: skip
def test_any_field_that_is_changed_after_signing_breaks_the_signature(name: str, value: Any) -> None:
    changed = msgspec.structs.replace(STATEMENT, **{name: value})
    assert code_of(SignedStatement(statement=changed, signature=signed().signature)) == "wrong_signature"


@given(st.integers(0, 511))
def test_any_bit_of_the_signature_counts(bit: int) -> None:
    raw = bytearray(person_classes._bytes(signed().signature))
    raw[bit // 8] ^= 1 << bit % 8
    wrong = SignedStatement(statement=STATEMENT, signature=person_classes._base64(bytes(raw)))
    assert code_of(wrong) == "wrong_signature"


@pytest.mark.parametrize("signature", ["", "a", "not base64!", "é" * 86, "AAAA", "A" * 86])
def test_signatures_that_are_none(signature: str) -> None:
    assert code_of(SignedStatement(statement=STATEMENT, signature=signature)) == "wrong_signature"


@pytest.mark.parametrize("field", PERSONAL)
def test_nothing_about_nationality_or_papers_has_a_place(field: str) -> None:
    plain = msgspec.to_builtins(signed())
    for extra in (plain | {field: "XX"}, plain | {"statement": plain["statement"] | {field: "XX"}}):
        with pytest.raises(StatementError, match=f"unknown field `{field}`") as caught:
            read_statement(json.dumps(extra))
        assert caught.value.code == "malformed"
        with pytest.raises(StatementError):
            read_statement(extra)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"subject": SUBJECT, "organisation": "a", "employer": "a", field: "XX"}, previews.Person)


def test_no_record_has_a_field_for_it() -> None:
    records = (Statement, SignedStatement, TrustedIssuer, person_classes.PersonClass, previews.Person, previews.Row)
    fields = {name for record in records for name in record.__struct_fields__}
    fields |= {column.name for column in activations.METADATA.tables["pack_activations"].columns}
    assert [name for name in fields if any(word in name for word in (*PERSONAL, "national", "citizen"))] == []


@pytest.mark.parametrize(
    "change", [{"subject": "alice@example.com"}, {"evidence_hash": "P1234567"}, {"value": "maybe"}, {"issued_at": -1}]
)
def test_ids_and_hashes_have_no_room_for_content(change: dict[str, Any]) -> None:
    plain = msgspec.to_builtins(signed())
    with pytest.raises(StatementError):
        read_statement(plain | {"statement": plain["statement"] | change})


def test_the_newest_of_an_issuer_counts_and_no_issuer_overrules_another() -> None:
    old, new = signed(), signed(value="ineligible", issued_at=NOW - 1)
    assert class_of(old).value == "eligible"
    assert class_of(old, new).value == class_of(new, old).value == "ineligible"
    again = signed(issued_at=NOW)
    assert class_of(new, again).value == "eligible"
    barred = signed(OTHER, issuer="other", value="ineligible", issued_at=NOW - 2 * DAY)
    assert class_of(again, barred).value == "ineligible"


def test_an_ineligible_that_runs_out_does_not_bring_an_older_eligible_back() -> None:
    short = signed(value="ineligible", issued_at=NOW - 2, expires_at=NOW)
    assert class_of(signed(), short) == person_classes.PersonClass(value=None, refused=("expired",))
    assert class_of(signed(), short, signed(issued_at=NOW - 1)).value == "eligible"
    # Nobody else can supersede it so: not with another key, nor for another employer.
    assert class_of(signed(), signed(OTHER, issued_at=NOW - 2, expires_at=NOW)).value == "eligible"
    assert class_of(signed(), signed(employer="pty_B", issued_at=NOW - 2, expires_at=NOW)).value == "eligible"


def test_nothing_that_counts_is_no_class_and_says_why() -> None:
    assert class_of() == person_classes.PersonClass(value=None)
    assert class_of(signed(pack="itar_person")).refused == ()
    assert class_of(signed(expires_at=NOW), signed(pack_version=2)).refused == ("expired", "wrong_pack_version")
    # A contractor's own employer has to attest, not the member that they work for.
    assert class_of(signed(), employer="pty_B").refused == ("wrong_employer",)


def test_issuers_are_read_and_wrong_files_refused(tmp_path: Path) -> None:
    path = tmp_path / "issuers.toml"
    table = f'[[issuers]]\nissuer = "acme-hr"\npublic_key = "{public_key_text(KEY)}"\norganisations = ["pty_A"]\n'
    path.write_text(table)
    assert read_issuers(path)["acme-hr"].organisations == ("pty_A",)
    for text, message in (
        (table * 2, "comes twice"),
        (table.replace("organisations", "nationalities"), "unknown field `nationalities`"),
        (table.replace(public_key_text(KEY), "AAAA"), "not 32 bytes"),
        ("[[issuers", "issuers in"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_issuers(path)

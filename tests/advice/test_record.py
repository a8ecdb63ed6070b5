"""The record: the same bytes for the same advice, signed, and stale once facts change; the bill by its schema."""

from __future__ import annotations

import copy
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource

from tests.advice.conftest import advice, asked
from tiergate.advice import record as records
from tiergate.advice.candidates import Market
from tiergate.advice.ml_bom import bill_of
from tiergate.advice.record import NOTE, RECORD, document, encode, read_record, sign
from tiergate.errors import InputError, ProofError
from tiergate.ledger.notes import ED25519, PrivateKey, parse_public_key

SCORES = {"gpt-5.6-luna": 0.7, "kimi-k3": 0.9, "gpt-oss-120b": 0.6}
FIELDS: dict[str, Any] = {
    "certifications": ["soc2"],
    "data": {"residency": ["EU"], "retention_days": 30},
    "capability": {"evals": [{"name": "ours", "least": 0.5, "scores": SCORES}]},
    "tasks": ["coding", "vulnerability_research"],
}
KEY = PrivateKey("ann", ED25519, bytes(32))


@pytest.fixture(scope="module")
def shown(market: Market) -> dict[str, Any]:
    return document(advice(market, **FIELDS))


def written(folder: Path, record: bytes) -> Path:
    (folder / RECORD).write_bytes(record)
    (folder / NOTE).write_text(str(sign(record, KEY)), encoding="utf-8")
    return folder


def test_two_runs_on_the_same_data_give_the_same_bytes(market: Market, shown: dict[str, Any]) -> None:
    again = advice(market, **FIELDS)
    record = encode(shown)
    assert encode(document(again)) == record
    assert json.dumps(bill_of(again, record)) == json.dumps(bill_of(advice(market, **FIELDS), record))
    assert str(sign(record, KEY)) == str(sign(record, KEY))
    assert encode(document(advice(market, **FIELDS | {"certifications": []}))) != record


def test_everybody_is_in_it_with_reasons_and_every_source_has_its_day(market: Market, shown: dict[str, Any]) -> None:
    groups = [shown[name] for name in ("shortlist", "to_find_out", "excluded")]
    assert sorted(one["candidate"] for group in groups for one in group) == sorted(c.id for c in market.candidates)
    assert all(one["broken"] for one in shown["excluded"])
    assert all(reason["text"] and reason["rule"] for one in shown["excluded"] for reason in one["broken"])
    residency = [r for one in shown["excluded"] for r in one["broken"] if r["rule"] == "residency"]
    assert {r["line"] for r in residency} == {asked(**FIELDS).lines["data.residency"]}
    assert all(one["as_of"] and one["source"] and one["licence"] for one in shown["sources"])
    numbers = {n for one in shown["excluded"] for reason in one["broken"] for n in reason["sources"]}
    assert max(numbers) < len(shown["sources"])
    assert {len(digest) for digest in shown["facts"].values()} == {64}


def test_a_signed_record_holds_and_says_which_facts_changed(
    tmp_path: Path, shown: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written(tmp_path, encode(shown))
    kept = read_record(folder, KEY.public)
    assert kept.shown == shown
    assert kept.stale == ()
    assert parse_public_key(str(KEY.public), kind=ED25519) == KEY.public
    monkeypatch.setattr(records, "fact_digests", lambda: shown["facts"] | {"catalog/facts/offers.csv": "0" * 64})
    assert read_record(folder, KEY.public).stale == ("catalog/facts/offers.csv",)


def test_what_was_altered_or_signed_by_another_does_not_hold(tmp_path: Path, shown: dict[str, Any]) -> None:
    folder = written(tmp_path, encode(shown))
    other = PrivateKey("ann", ED25519, bytes([1]) * 32)
    with pytest.raises(ProofError, match="no signature by this key"):
        read_record(folder, other.public)
    with pytest.raises(ProofError, match="another name than `bob`"):
        read_record(folder, PrivateKey("bob", ED25519, bytes(32)).public)
    note = (folder / NOTE).read_text(encoding="utf-8")
    altered = copy.deepcopy(shown)
    altered["shortlist"][0]["usd_per_month"] = 1.0
    (folder / RECORD).write_bytes(encode(altered))
    with pytest.raises(ProofError, match="of another record"):
        read_record(folder, KEY.public)
    (folder / RECORD).write_bytes(encode(shown))
    base, _, line = note.rpartition("— ann ")
    forged = str(sign(encode(altered), KEY)).rpartition("— ann ")[2]
    (folder / NOTE).write_text(f"{base}— ann {forged}", encoding="utf-8")
    assert line != forged
    with pytest.raises(ProofError, match="does not fit"):
        read_record(folder, KEY.public)
    (folder / NOTE).unlink()
    with pytest.raises(InputError, match="there is no"):
        read_record(folder, KEY.public)


def validator(version: str) -> jsonschema.Draft7Validator:
    """The published schema of CycloneDX, with those that it refers to."""
    folder = files("cyclonedx.schema") / "_res"

    def schema(name: str) -> Any:
        return json.loads((folder / f"{name}.SNAPSHOT.schema.json").read_text(encoding="utf-8"))

    others = {name: Resource.from_contents(schema(name)) for name in ("spdx", "jsf-0.82", "cryptography-defs")}
    registry = Registry().with_resources(
        [
            (f"http://cyclonedx.org/schema/{name}.{end}", one)
            for name, one in others.items()
            for end in ("schema.json", "SNAPSHOT.schema.json")
        ]
    )
    return jsonschema.Draft7Validator(schema(f"bom-{version}"), registry=registry, format_checker=None)


@pytest.mark.parametrize("fields", [{}, FIELDS, {"hosting": ["own"], "load": {}}, {"models": {"only": ["gpt-4"]}}])
def test_the_bill_of_materials_is_as_its_schema_has_it(market: Market, fields: dict[str, Any]) -> None:
    found = advice(market, **fields)
    bill = json.loads(json.dumps(bill_of(found, b"record")))
    assert list(validator("1.6").iter_errors(bill)) == []
    assert list(validator("1.7").iter_errors(bill | {"specVersion": "1.7"})) == []
    assert list(validator("1.6").iter_errors(bill | {"components": [{"type": "model"}]}))
    assert len(bill["components"]) == len(found.best)
    refs = {one["bom-ref"] for one in [*bill["components"], *bill["services"]]}
    assert {ref for one in bill["dependencies"] for ref in one["dependsOn"]} <= refs

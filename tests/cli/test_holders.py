"""Holders and classes from the command line: what is set is shown, and what is wrong is one line and a code."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from benchmarks.june_world import build, statement
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from tiergate.admission.person_classes import public_key_text, read_statement
from tiergate.cli import app
from tiergate.clock import SystemClock
from tiergate.errors import InputError, StateError
from tiergate.parties.fact_rows import party_id, shown_id

MODELS = '[models.m]\ntier = "open"\norganisation_packs = ["ofac_50"]\n'
PERSON = "per_" + "0a" * 16


@pytest.fixture
def data(tmp_path: Path) -> Path:
    build(tmp_path / "data", {"eligible": 1, "not_attested": 1}).engine.dispose()
    return tmp_path / "data"


def run(*arguments: str | Path) -> Any:
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return json.loads(done.stdout)


def test_a_holder_is_set_shown_and_listed(data: Path) -> None:
    fields = ("--organisation", "org_a", "--person", PERSON, "--employer", "org_a", "--keeps", "sketches")
    made = run("holders", "set", "key_1", "--credential", *fields, "--certificate", "AB:" * 31 + "AB", "--data", data)
    assert made["proof"] == {"kind": "client_certificate", "digest": "ab" * 32}
    assert run("holders", "show", "key_1", "--credential", "--data", data) == made
    assert len(run("holders", "list", "--data", data)) == 3


@pytest.mark.parametrize(
    "wrong",
    [("--organisation", " ", "--person", "p"), ("--organisation", "o"), ("--organisation", "o", "--certificate", "x")],
)
def test_a_holder_that_cannot_be_is_refused(data: Path, wrong: tuple[str, ...]) -> None:
    with pytest.raises(InputError):
        run("holders", "set", "acct-9", *wrong, "--data", data)


def test_a_key_stays_with_its_organisation(data: Path) -> None:
    with pytest.raises(StateError) as refused:
        run("holders", "set", "eligible-0", "--organisation", "org_b", "--person", PERSON, "--data", data)
    assert refused.value.code == "other_organisation"


def test_statements_are_taken_all_or_none_and_only_from_who_is_trusted(data: Path, tmp_path: Path) -> None:
    world = build(tmp_path / "other", {"not_attested": 2})
    key, file, now_us = Ed25519PrivateKey.generate(), tmp_path / "told.jsonl", SystemClock().now_us()
    told = [statement(person, "eligible", world.pack, key, now_us) for person in world.people]
    file.write_bytes(b"\n".join(map(msgspec.json.encode, told)))
    submit = ("classes", "submit", file, "--packs", data / "packs", "--data", data)
    with pytest.raises(InputError, match="signature"):
        run(*submit)
    issuers = tmp_path / "issuers.toml"
    issuers.write_text(
        f'[[issuers]]\nissuer = "org_a-hr"\npublic_key = "{public_key_text(key)}"\norganisations = ["org_a"]\n'
    )
    assert [one["issuer"] for one in run("classes", "issuers", "--trust", issuers, "--data", data)] == ["org_a-hr"]
    assert run(*submit) == {"statements": 2, "new": 2}
    assert run(*submit) == {"statements": 2, "new": 0}
    assert run("classes", "issuers", "--distrust", "org_a-hr", "--data", data) == []
    with pytest.raises(InputError, match="no trusted issuer"):
        run(*submit)
    world.engine.dispose()


def test_an_administrator_can_be_an_issuer(data: Path, tmp_path: Path) -> None:
    key, issuers, scan = tmp_path / "hr.key", tmp_path / "issuers.toml", tmp_path / "scan.pdf"
    scan.write_bytes(b"papers")
    subject = run("classes", "person")["subject"]

    def said(*words: str | Path) -> str:
        done = CliRunner().invoke(app, ["classes", *map(str, words)])
        if done.exception is not None:
            raise done.exception
        return done.stdout

    whose = ("--issuer", "acme-hr")
    issuers.write_text(said("key", key, *whose, "--organisation", "org_a", "--organisation", "org_b"))
    assert (key.stat().st_mode & 0o777, len(key.read_bytes())) == (0o600, 32)
    assert said("key", key, *whose, "--organisation", "org_a", "--organisation", "org_b") == issuers.read_text()
    assert [one["issuer"] for one in run("classes", "issuers", "--trust", issuers, "--data", data)][-1] == "acme-hr"
    until = datetime.now(UTC) + timedelta(days=100)
    asked = ["sign", key, *whose, "--subject", subject, "--employer", "org_a", "--evidence", scan, "--eligible"]
    day = ("--until", f"{until:%Y-%m-%d}")
    line = said(*asked, "--pack", "ear_person", *day)
    told = read_statement(line).statement
    assert (told.subject, told.value, told.pack_version) == (subject, "eligible", 1)
    assert told.evidence_hash != sha256(b"papers").hexdigest()
    assert read_statement(said(*asked, "--pack", "ear_person", *day)).statement.evidence_hash == told.evidence_hash
    (tmp_path / "told.jsonl").write_text(line)
    assert run("classes", "submit", tmp_path / "told.jsonl", "--data", data) == {"statements": 1, "new": 1}

    for wrong, message in (
        (("--pack", "ofac_50", *day), "about organisations"),
        (("--pack", "ear_person", "--until", "2100-01-01"), "at most 365 days"),
        (("--pack", "ear_person", "--until", "2020-01-01"), "must hold for more than nothing"),
        (("--pack", "ear_person", *day, "--subject", "Ann Lee"), "cannot be signed"),
    ):
        with pytest.raises(InputError, match=message):
            said(*asked, *wrong)
    with pytest.raises(InputError, match="no such issuer"):
        said("key", tmp_path / "other.key", "--issuer", 'a"', "--organisation", "org_a")
    assert not (tmp_path / "other.key").exists()
    key.chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        said(*asked, "--pack", "ear_person", *day)


def test_an_organisation_that_is_no_party_is_refused_unless_it_is_meant(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert CliRunner().invoke(app, ["programme", "create", "consortium", "--data", str(data)]).exit_code == 0

    def noted(*words: str) -> list[str]:
        done = CliRunner().invoke(app, [*words, "--data", str(data)])
        if done.exception is not None:
            assert isinstance(done.exception, InputError)
            assert "give the `pty_...` of `tiergate parties show NAME`" in str(done.exception)
            assert CliRunner().invoke(app, [*words, "--no-party", "--data", str(data)]).exit_code == 0
            return re.findall("`(.*)` is no party of", str(done.exception))
        assert "is no party of" not in done.stderr
        return []

    holder = ("holders", "set", "acct-1", "--organisation", "acme", "--person", PERSON, "--employer")
    assert noted(*holder, "acme") == []
    (data / "models.toml").write_text(MODELS)
    said = CliRunner().invoke(app, [*holder, "acme", "--data", str(data)])
    assert "asks ofac_50, and there are no facts of parties: nobody passes until" in said.stderr
    (tmp_path / "facts.csv").write_text("record,id,name\nparty,a,A Ltd\n")
    assert noted("parties", "import", "csv", str(tmp_path / "facts.csv")) == []
    assert noted(*holder, "acme") == ["acme"]
    assert noted(*holder, shown_id(party_id("own", "a"))) == ["acme"]
    assert noted("member", "apply", "consortium", "acme", "--author", "ann") == ["acme"]
    known = shown_id(party_id("own", "a"))
    assert noted("member", "apply", "consortium", known, "--author", "ann") == []
    assert noted("member", "apply", "consortium", "pty_" + "0" * 32, "--author", "ann") == ["pty_" + "0" * 32]

"""Accounts and keys: unique, closable, revocable; a key's secret is never stored."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tiergate.database import open_database
from tiergate.errors import InputError, SettingsError
from tiergate.parties.registry import Registry, key_hash
from tiergate.parties.tokens import is_token
from tiergate.records.schema import ACCOUNT_SCHEMA

NOW = 1_780_000_000_000_000
PEPPER = bytes(range(32))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_database(tmp_path / "control.sqlite")
    yield engine
    engine.dispose()


@pytest.fixture
def registry(engine: sa.Engine) -> Registry:
    registry = Registry(engine, PEPPER)
    registry.add_account({"account_id": "a", "created_at": NOW, "plan": "free", "organization_id": "org"})
    return registry


def hashed(key: str) -> str:
    found = key_hash(key, PEPPER)
    assert found is not None
    return found


def test_a_key_is_stored_as_its_hash_alone(registry: Registry, engine: sa.Engine, tmp_path: Path) -> None:
    key = registry.issue_key("a", "laptop", NOW)
    assert is_token(key, "tg_live")
    (found,) = registry.credentials().items()
    assert found[0] == hashed(key)
    assert (found[1].account_id, found[1].organization_id, found[1].label) == ("a", "org", "laptop")
    assert (found[1].account_status, found[1].issued_at, found[1].revoked_at) == ("active", NOW, None)
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert key.encode() not in stored
    assert key.removeprefix("tg_live_").encode() not in stored
    assert hashed(key).encode() in stored


def test_a_key_of_the_form_before_works_until_it_is_revoked(registry: Registry, engine: sa.Engine) -> None:
    registry.issue_key("a", "old", NOW)
    old = "tg_" + "aB3_-" * 8 + "xyz"
    before = hashlib.blake2b(old.encode(), digest_size=32, person=b"tiergate-key").hexdigest()
    with engine.begin() as connection:
        connection.execute(sa.text("update credentials set key_hash = :hash"), {"hash": before})
    assert registry.credentials()[hashed(old)].label == "old"
    registry.revoke_keys("a", NOW + 1)
    assert registry.credentials()[hashed(old)].revoked_at == NOW + 1


def test_the_hash_of_a_key_needs_the_pepper(registry: Registry) -> None:
    key = registry.issue_key("a", "x", NOW)
    assert key_hash(key, bytes(32)) not in registry.credentials()


@pytest.mark.parametrize("spoil", [lambda key: key[:-1] + "!", lambda key: key[:9] + "0" * 35, lambda key: key + "a"])
def test_a_mistyped_key_is_refused_before_any_look_up(registry: Registry, spoil: Callable[[str], str]) -> None:
    assert key_hash(spoil(registry.issue_key("a", "x", NOW)), PEPPER) is None


def test_all_keys_of_an_account_are_revoked_together(registry: Registry) -> None:
    registry.add_account({"account_id": "b", "created_at": NOW})
    kept, _ = registry.issue_key("b", "x", NOW), [registry.issue_key("a", "x", NOW) for _ in range(3)]
    assert len(registry.revoke_keys("a", NOW + 1)) == 3
    before = registry.version()
    assert registry.revoke_keys("a", NOW + 2) == registry.revoke_keys("ghost", NOW) == []
    assert registry.version() == before
    assert [one.revoked_at for one in registry.credentials().values() if one.account_id == "a"] == [NOW + 1] * 3
    assert registry.credentials()[hashed(kept)].revoked_at is None


def test_keys_are_unique(registry: Registry) -> None:
    registry.add_accounts([{"account_id": f"b{n}", "created_at": NOW} for n in range(200)])
    keys = registry.issue_keys([f"b{n}" for n in range(200)], "x", NOW)
    assert len(set(keys.values())) == 200
    assert len(registry.credentials()) == 200


def test_revoking_is_for_good_and_for_one_key(registry: Registry) -> None:
    first, second = registry.issue_key("a", "one", NOW), registry.issue_key("a", "two", NOW)
    number = registry.credentials()[hashed(first)].credential_id
    before = registry.version()
    registry.revoke_key(number, NOW + 5)
    assert registry.version() > before
    assert registry.credentials()[hashed(first)].revoked_at == NOW + 5
    assert registry.credentials()[hashed(second)].revoked_at is None
    for unknown in (number, "key_none"):
        with pytest.raises(InputError, match="no live key"):
            registry.revoke_key(unknown, NOW + 9)


def test_an_account_joins_one_organisation_for_good(registry: Registry) -> None:
    registry.add_account({"account_id": "free", "created_at": NOW})
    key = registry.issue_key("free", "one", NOW)
    before = registry.version()
    registry.join("free", "acme")
    registry.join("free", "acme")
    changed = registry.credentials_since(before)
    assert changed is not None, "gateways hear of it"
    assert changed[hashed(key)].organization_id == "acme"
    assert registry.accounts_of("acme") == ["free"]
    with pytest.raises(InputError, match="belongs to `acme`"):
        registry.join("free", "other")
    with pytest.raises(InputError, match="`nobody`"):
        registry.join("nobody", "acme")


def test_closing_an_account_shows_on_its_keys(registry: Registry) -> None:
    key = registry.issue_key("a", "one", NOW)
    registry.close_account("a", NOW + 1)
    assert registry.credentials()[hashed(key)].account_status == "closed"
    (row,) = registry.accounts_table().to_pylist()
    assert row["status"] == "closed"
    assert round(row["closed_at"].timestamp() * 1e6) == NOW + 1
    with pytest.raises(InputError, match="`nobody`"):
        registry.close_account("nobody", NOW)


def test_accounts_come_back_as_the_public_table(registry: Registry) -> None:
    table = registry.accounts_table()
    assert table.schema == ACCOUNT_SCHEMA
    (row,) = table.to_pylist()
    assert (row["account_id"], row["plan"], row["status"], row["email_hash"]) == ("a", "free", "active", None)


@pytest.mark.parametrize(
    "account", [{"account_id": "a", "created_at": NOW}, {"account_id": "new"}, {"created_at": NOW}, {"colour": "red"}]
)
def test_a_bad_account_changes_nothing(registry: Registry, account: dict[str, object]) -> None:
    before = registry.accounts_table(), registry.version()
    with pytest.raises(InputError):
        registry.add_accounts([{"account_id": "good", "created_at": NOW}, account])
    assert (registry.accounts_table(), registry.version()) == before


def test_a_key_needs_an_account(registry: Registry) -> None:
    with pytest.raises(InputError, match="`ghost`"):
        registry.issue_key("ghost", "x", NOW)
    assert registry.credentials() == {}


def test_a_second_process_sees_the_same(registry: Registry, tmp_path: Path) -> None:
    key = registry.issue_key("a", "one", NOW)
    other = open_database(tmp_path / "control.sqlite")
    assert hashed(key) in Registry(other, PEPPER).credentials()
    assert Registry(other, PEPPER).version() == registry.version()
    other.dispose()


@pytest.mark.parametrize("where", ["nonsense", "sqlite:////no/such/folder/x.sqlite", "nodialect://x/y", Path("/no/x")])
def test_a_database_that_cannot_be_opened_is_a_sentence(where: str | Path) -> None:
    with pytest.raises(SettingsError, match="cannot open the control database"):
        open_database(where)


def test_a_lost_pepper_is_not_replaced_unnoticed(engine: sa.Engine) -> None:
    Registry(engine, bytes(32))
    Registry(engine, bytes(32))
    with pytest.raises(SettingsError, match="restore it from a backup"):
        Registry(engine, b"x" * 32)

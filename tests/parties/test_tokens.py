"""Tokens: found by scanners, refused when mistyped, hashed under a pepper that only its owner reads."""

from __future__ import annotations

import hmac
from pathlib import Path

import pytest

from tiergate.errors import SettingsError
from tiergate.parties.tokens import ALPHABET, is_token, keyed_hash, load_or_create_pepper, new_token


def test_a_token_has_its_form_and_no_other() -> None:
    token = new_token("tgo")
    assert len(token) == 4 + 30 + 6
    assert is_token(token, "tgo")
    assert not is_token(token, "tg_live")
    assert not is_token("tgx" + token[3:], "tgx")
    assert not is_token("", "tgo")


def test_every_changed_character_is_noticed() -> None:
    token = new_token("tgo")
    for place in range(len(token)):
        for letter in ALPHABET:
            changed = token[:place] + letter + token[place + 1 :]
            assert is_token(changed, "tgo") == (changed == token)


def test_a_checksum_known_from_elsewhere() -> None:
    # `printf tgo_000000000000000000000000000000 | gzip | tail -c8` says 3,486,996,928, which base62 writes as 3nz5Bw.
    assert is_token("tgo_" + "0" * 30 + "3nz5Bw", "tgo")


def test_a_hash_is_hmac_sha256() -> None:
    # RFC 4231, test case 2.
    wanted = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert keyed_hash(b"Jefe", "what do ya want for nothing?") == wanted
    for size in (0, 1, 32, 63, 64):
        pepper = bytes(range(size))
        assert keyed_hash(pepper, "tg_é" * size) == hmac.digest(pepper, ("tg_é" * size).encode(), "sha256").hex()


def test_a_pepper_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "pepper"
    pepper = load_or_create_pepper(path)
    assert len(pepper) == 32
    assert load_or_create_pepper(path) == pepper
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["pepper"]
    path.chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        load_or_create_pepper(path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(SettingsError, match="expected 32 bytes, found 5"):
        load_or_create_pepper(path)
    with pytest.raises(SettingsError, match="cannot use the pepper"):
        load_or_create_pepper(tmp_path / "none" / "pepper")
